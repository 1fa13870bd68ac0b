// --plan: what a run takes, from headers and questions alone, and what is said where something is missing.

#include "memory_runs.hpp"

namespace memory_plans_test {

namespace {

using namespace memory_runs;

ProgramOutcome planned(const Scratch& s, const std::string& environment, const std::vector<std::string>& more) {
  std::vector<std::string> all = {"--plan", "--tasks", kNano + "nano_exam.jsonl", "--limit", "5"};
  all.insert(all.end(), more.begin(), more.end());
  return run_program(s, environment + " MOE_THREADS=1", MOE_EVAL, all);
}

// A folder with the files of nano-moe that are named, and a config in which `from` is `to`.
std::string model_of(const Scratch& s, const char* name, const std::vector<const char*>& files,
                     const std::string& from = "", const std::string& to = "") {
  fs::create_directories(s.dir / name);
  for (const char* file : files) fs::copy_file(fs::path(kNano) / "nano-moe" / file, s.dir / name / file);
  std::string config = moe_test::read_file(fs::path(kNano) / "nano-moe/config.json");
  if (const std::size_t at = config.find(from); !from.empty()) {
    REQUIRE(at != std::string::npos);
    config.replace(at, from.size(), to);
  }
  s.write(std::string(name) + "/config.json", config);
  return s / name;
}

// nano-moe with a context of 65,536 tokens, each of which takes at least 240 bytes of the cache.
std::string long_model(const Scratch& s) {
  return model_of(s, "long", {"model.safetensors", "tokenizer.json"}, "\"max_position_embeddings\": 1024",
                  "\"max_position_embeddings\": 65536");
}

// Of questions whose replies have up to so many tokens.
ProgramOutcome planned_replies(const Scratch& s, int questions, int tokens, const std::string& memory) {
  std::string lines;
  for (int i = 0; i < questions; ++i)
    lines += R"({"question": ")" + std::to_string(100 + i) + R"(", "choices": ["a", "b"], "answer": 0})" + "\n";
  s.write("replies.jsonl", lines);
  const std::string task =
      s.write("replies.json",
              R"({"task": "replies", "type": "generation", "questions": "./replies.jsonl", "prompt": "{question}",
  "continuation": "7", "until": ["Z"], "metrics": ["exact_match"], "max_tokens": )" +
                  std::to_string(tokens) + "}");
  return run_program(s, "MOE_THREADS=1", MOE_EVAL,
                     {"--plan", "--model", kNano + "nano-moe", "--tasks", task, "--memory", memory});
}

double number(const ProgramOutcome& plan, const std::string& pattern) {
  std::smatch found;
  REQUIRE_MESSAGE(std::regex_search(plan.out, found, std::regex("\n" + pattern)), plan.out << plan.err);
  return std::stod(found[1]);
}

// An exam of one question.
std::string exam_of(const Scratch& s, const char* name, const std::string& question) {
  return s.write(name, R"({"question": ")" + question + R"(", "choices": ["yes", "no"], "answer": 0})" + "\n");
}

}  // namespace

TEST_CASE("--plan prints what a run takes and answers nothing, with a config.json alone too") {
  const Scratch s;
  const ProgramOutcome plan = asked(s, {"--plan"});
  CAPTURE(plan.err);
  REQUIRE(plan.status == 0);
  CHECK(plan.out.starts_with("nano\n"));
  for (const char* line : {"weights", "memory", "tokens", "FLOPs", "passes", "time"})
    CHECK_MESSAGE(plan.out.find(std::string("\n") + line + " ") != std::string::npos, line);
  CHECK(plan.out.find("all weights") != std::string::npos);
  fs::create_directories(s.dir / "config_only");
  fs::copy_file(fs::path(kNano) / "nano-moe/config.json", s.dir / "config_only/config.json");
  const ProgramOutcome bare = run_program(
      s, "MOE_THREADS=1", MOE_EVAL,
      {"--plan", "--model", "bare=" + (s / "config_only"), "--tasks", kNano + "nano_exam.jsonl", "--limit", "5"});
  CAPTURE(bare.err);
  REQUIRE(bare.status == 0);
  CHECK(bare.out.find("q4_0 is assumed") != std::string::npos);
  CHECK(bare.out.find("estimated at 4 bytes each") != std::string::npos);
}

TEST_CASE("--plan measures the packed file where experts are, and needs no folder to write into") {
  const Scratch s;
  const std::string model = model_of(s, "model", {"model.safetensors", "tokenizer.json"});
  const std::string least =
      least_of(planned(s, "", {"--model", model, "--memory", "1M", "--pack-cache", s / "x.moepack"}));
  REQUIRE(run_program(s, "MOE_THREADS=1", MOE_RUN,
                      {"--model", model, "--prompt", "In", "-n", "1", "--pack-cache", s / "x.moepack"})
              .status == 0);
  const ProgramOutcome packed = planned(s, "", {"--model", model, "--memory", least, "--pack-cache", s / "x.moepack"});
  CAPTURE(packed.err);
  REQUIRE(packed.status == 0);
  CHECK(std::regex_search(packed.out, std::regex("\nreading  .* at .*/s \\(.*x\\.moepack")));
  CHECK(std::regex_search(packed.out, std::regex("\ntime  .*about ")));
  CHECK(packed.out.find("--pack-cache DIR") == std::string::npos);
  // A file as long as the measurement needs cannot be written.
  const ProgramOutcome unmeasured = planned(s, "trap '' XFSZ; ulimit -f 100;", {"--model", model, "--memory", least});
  CAPTURE(unmeasured.err);
  REQUIRE(unmeasured.status == 0);
  CHECK(unmeasured.out.find("not measured (cannot write") != std::string::npos);
  CHECK(unmeasured.out.find("at least") != std::string::npos);
  CHECK(std::regex_search(unmeasured.out, std::regex("\nneeded  .*--pack-cache DIR")));
}

TEST_CASE("--plan says what is wrong with a tokenizer, a config or a width, and of which model") {
  const Scratch s;
  const std::string good = "good=" + model_of(s, "good", {});
  const std::string damaged = model_of(s, "damaged", {});
  s.write("damaged/tokenizer.json", "{\"model\": ");
  check_one_line(planned(s, "", {"--model", damaged}), 1, "damaged/tokenizer.json");
  const std::string bad = "bad=" + model_of(s, "bad", {}, "\"hidden_size\": 96", "\"hidden_size\": -96");
  check_one_line(planned(s, "", {"--model", good, "--model", bad}), 1, "/bad");
  const ProgramOutcome wide =
      planned(s, "", {"--model", "wide=" + model_of(s, "wide", {}, "\"hidden_size\": 96", "\"hidden_size\": 100")});
  CAPTURE(wide.err);
  REQUIRE(wide.status == 0);
  CHECK(wide.out.find("rows of 100 weights are float32, for 32 weights are a block") != std::string::npos);
}

TEST_CASE("--plan is of whole runs") {
  const Scratch s;
  const std::string model = kNano + "nano-moe";
  check_one_line(planned(s, "", {"--model", model, "--shard", "2/3"}), 2, "leave --shard out");
  check_one_line(planned(s, "", {"--model", model, "--sweep", "top_k=1,2", "--until-known"}), 2, "--until-known");
}

TEST_CASE("--plan asks through chat templates, and says which row has none") {
  const Scratch s;
  const std::string model = "m=" + model_of(s, "chat", {"tokenizer.json"});
  check_one_line(planned(s, "", {"--model", model, "--apply-chat-template"}), 1,
                 "m: no chat template: the model has none");
  s.write("chat/chat_template.jinja", "{{ messages[-1].content }} 77777777777777777777");  // a digit is a token
  const ProgramOutcome plan = planned(s, "", {"--model", model, "--sweep", "chat_template=none,default"});
  CAPTURE(plan.err);
  REQUIRE(plan.status == 0);
  const std::regex tokens("tokens +([0-9]+) to compute");
  std::sregex_iterator row(plan.out.begin(), plan.out.end(), tokens);
  REQUIRE(std::distance(row, std::sregex_iterator()) == 2);
  const std::int64_t plain = std::stoll((*row++)[1]);
  CHECK(std::stoll((*row)[1]) > plain);
}

TEST_CASE("--plan counts as many replies side by side as the cache has room for") {
  const Scratch s;
  // Passes of 512 tokens have a cache of 2,048 tokens: 6 replies with their prompts.
  const ProgramOutcome plan = planned_replies(s, 40, 300, "2G");
  CHECK(plan.out.find(" at most 11960 tokens, 6 replies side by side") != std::string::npos);
  const auto prompts = static_cast<std::int64_t>(number(plan, "tokens +([0-9]+) to compute"));
  CHECK(number(plan, "passes +([0-9]+)") == static_cast<double>((prompts + 511) / 512 + (11960 + 5) / 6));
}

TEST_CASE("--plan: a reply by itself takes a pass for each of its tokens, which reads the experts of one token") {
  const Scratch s;
  const ProgramOutcome plan = planned_replies(s, 1, 100, "2G");
  CHECK(plan.out.find(" at most 99 tokens, one reply after the other\n") != std::string::npos);
  CHECK(number(plan, "passes +([0-9]+)") == 1 + 99);
  std::smatch least;
  const ProgramOutcome refused = planned_replies(s, 1, 100, "1M");
  REQUIRE_MESSAGE(std::regex_search(refused.err, least, std::regex(", or ([0-9]+) ")), refused.err);
  const ProgramOutcome streamed = planned_replies(s, 1, 100, least[1]);
  const double pass = number(streamed, "to read +([0-9.]+) MiB per pass of prompts, ");
  const double all = number(streamed, "to read +[0-9.]+ MiB per pass of prompts, ([0-9.]+) MiB in all");
  constexpr double kPasses = 1 + 99 * 4.0 / 64;                   // of 64 experts a token chooses 4
  CHECK(std::abs(all - pass * kPasses) <= 0.05 * (1 + kPasses));  // one decimal is shown
}

TEST_CASE("--plan says what is needed with a packed file and without, and what float32 products take") {
  const Scratch s;
  const std::string model = "m=" + kNano + "nano-moe";
  const ProgramOutcome refused = planned(s, "", {"--model", model, "--memory", "1M"});
  std::smatch found;
  REQUIRE(std::regex_search(refused.err, found, std::regex(", or ([0-9]+) .* packed file \\(--pack-cache DIR\\)")));
  const std::string whole = least_of(refused);
  CHECK(std::stoll(whole) > std::stoll(found[1]));
  CHECK(planned(s, "", {"--model", model, "--memory", found[1]}).out.find("needed") != std::string::npos);
  CHECK(planned(s, "", {"--model", model, "--memory", whole}).out.find("all weights") != std::string::npos);
  const ProgramOutcome plan = planned(s, "", {"--model", model, "--sweep", "precision=auto,reference"});
  CHECK(plan.out.find(" TOP/s\n") < plan.out.find(" TFLOP/s\n"));
  CHECK(plan.out.find(" TFLOP/s\n") != std::string::npos);
}

TEST_CASE("moe-bench has the tokens of --depth in its plan where prompts are whole passes too") {
  const Scratch s;
  const std::string model = long_model(s);
  const auto least = [&](const std::string& depth) {
    const ProgramOutcome refused = run_program(s, "MOE_THREADS=1", MOE_BENCH,
                                               {"--model", model, "--pp", "600", "--tg", "1", "--depth", depth,
                                                "--memory", "1M", "--pack-cache", s / "packs"});
    return std::stoll(least_of(refused));
  };
  CHECK(least("40000") > least("0") + 36000 * 240);
}

TEST_CASE("the cache has room for the longest question, in the plan and in the run") {
  const Scratch s;
  const std::string model = long_model(s), exam = exam_of(s, "long.jsonl", std::string(10000, '7')),
                    usual = exam_of(s, "usual.jsonl", "7");
  const auto asked_of = [&](const std::string& questions, std::vector<std::string> more) {
    more.insert(more.end(), {"--model", model, "--tasks", questions, "--pack-cache", s / "packs"});
    return run_program(s, "MOE_THREADS=1", MOE_EVAL, more);
  };
  const auto least = [&](const std::string& questions, std::vector<std::string> more) {
    more.insert(more.end(), {"--memory", "1M"});
    return std::stoll(least_of(asked_of(questions, more)));
  };
  // A digit is a token; whole passes of 32 tokens would have room for 4,160.
  const std::int64_t least_of_run = least(exam, {});
  CHECK(least_of_run > least(usual, {}) + 5000 * 240);
  CHECK(least_of_run == least(exam, {"--plan"}));
  const ProgramOutcome plan = asked_of(exam, {"--plan", "--memory", "2G"});
  CAPTURE(plan.err);
  REQUIRE(plan.status == 0);
  std::smatch cache, tokens;
  REQUIRE(std::regex_search(plan.out, cache, std::regex("\n  cache .* for ([0-9]+) tokens")));
  REQUIRE(std::regex_search(plan.out, tokens, std::regex("\ntokens +([0-9]+) to compute")));
  CHECK(std::stoll(tokens[1]) > 10000);
  CHECK(std::stoll(cache[1]) >= std::stoll(tokens[1]));
}

TEST_CASE("questions and their prompts are in the plan, and as many bytes in that of the run") {
  const Scratch s;
  const auto exam = [&](const char* name, std::size_t length) {
    std::string text;
    for (int i = 0; i < 200; ++i)
      text += R"({"question": ")" + std::to_string(100 + i) + std::string(length, 'x') +
              R"(", "choices": ["yes", "no"], "answer": 0})" + "\n";
    return s.write(name, text);
  };
  const auto least = [&](const std::string& questions, std::vector<std::string> more) {
    more.insert(more.end(),
                {"--model", kNano + "nano-moe", "--tasks", questions, "--memory", "1M", "--pack-cache", s / "packs"});
    return std::stoll(least_of(run_program(s, "MOE_THREADS=1", MOE_EVAL, more)));
  };
  const std::string large = exam("large.jsonl", 10000);
  // 2 MB in the file and 2 MB of prompts; a session sees 1,024 tokens of each.
  const std::int64_t least_of_large = least(large, {});
  CHECK(least_of_large > least(exam("small.jsonl", 1), {}) + 4000000);
  CHECK(least_of_large == least(large, {"--plan"}));
}

TEST_CASE("the default limit is divided among the processes that a launcher starts on a machine") {
  const Scratch s;
  const auto allowed = [&](const std::string& environment) {
    const ProgramOutcome plan = planned(s, environment, {"--model", kNano + "nano-moe"});
    CAPTURE(plan.err);
    REQUIRE(plan.status == 0);
    std::smatch found;
    REQUIRE(std::regex_search(plan.out, found, std::regex(" of ([0-9.]+) ([MGT])iB allowed")));
    return std::stod(found[1]) * (found[2] == "M" ? 1.0 : found[2] == "G" ? 1024.0 : 1048576.0);
  };
  const double alone = allowed("");
  CHECK(allowed("OMPI_COMM_WORLD_LOCAL_SIZE=4") < alone / 2);
  // Two limits could be taken minutes apart on a busy machine.
  CHECK(allowed("OMPI_COMM_WORLD_LOCAL_SIZE=4") > alone / 16);
  CHECK(allowed("SLURM_NTASKS_PER_NODE=4") > alone / 2);  // a batch script, which is one process
  CHECK(allowed("SLURM_NTASKS_PER_NODE=4 SLURM_STEP_ID=0") < alone / 2);
}

}  // namespace memory_plans_test
