// moe-eval run as by a script: exit status, one-line errors, continued runs, history and compare.

#include <sqlite3.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"
#include "support/show.hpp"

namespace eval_programs_test {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_programs") {}
};

/// `before` precedes the command, such as a pipe into it.
ProgramOutcome run(const Scratch& scratch, const std::vector<std::string>& arguments, const std::string& before = "") {
  return moe_test::run_program(scratch, before + "MOE_THREADS=1", MOE_EVAL,
                               arguments);  // nothing here is about threads
}

const std::string kModel = std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe";
const std::string kExam = std::string(MOE_SOURCE_DIR) + "/tests/data/stand_in_exam.jsonl";
const std::string kThreeChoices = R"({"id":"b8","question":"q?","choices":["x","y","z"],"answer":0})";

/// The model's run over one task.
ProgramOutcome asked(const Scratch& s, const std::string& task, const std::vector<std::string>& more = {}) {
  std::vector<std::string> all = {"--model", kModel, "--tasks", task};
  all.insert(all.end(), more.begin(), more.end());
  return run(s, all);
}

std::string sample_file(const fs::path& folder, const std::string& beginning = "samples_") {
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename().string().starts_with(beginning)) return moe_test::read_file(entry.path());
  FAIL("no sample file in " << folder);
  return {};
}

}  // namespace

TEST_CASE("a wrong task ends with one line and its status") {
  const Scratch s;
  check_one_line(asked(s, "no_such_task"), 1, "no_such_task");
  check_one_line(asked(s, s / "absent.json"), 1, "absent.json");
  check_one_line(asked(s, s.write("broken.json", "{")), 1, "broken.json");
  check_one_line(asked(s, s.write("unknown.json", R"({"task":"t","quetsions":"./q.jsonl"})")), 1, "quetsions");
  check_one_line(asked(s, "mmlu"), 1, "--data");
  check_one_line(asked(s, "arc_easy", {"--num-fewshot", "1", "--data", s.dir.string()}), 1, "arc_easy.jsonl");
}

TEST_CASE("a wrong question ends with one line and its status") {
  const Scratch s;
  const std::string right = R"({"id":"a","question":"q?","choices":["x","y"],"answer":0})";
  check_one_line(asked(s, s.write("none.jsonl", right + "\n" + R"({"id":"b","question":"q?","answer":0})" + "\n")), 1,
                 "none.jsonl:2");
  check_one_line(asked(s, s.write("one.jsonl", R"({"id":"b","question":"q?","choices":["x"],"answer":0})")), 1,
                 "one.jsonl:1");
  check_one_line(asked(s, s.write("range.jsonl", R"({"id":"b","question":"q?","choices":["x","y"],"answer":2})")), 1,
                 "range.jsonl:1");
  check_one_line(asked(s, s.write("empty.jsonl", R"({"id":"b7","question":"q?","choices":["x",""],"answer":0})")), 1,
                 "empty.jsonl:1");
  s.write("three.jsonl", kThreeChoices);
  check_one_line(asked(s, s.write("four.json", R"({"task":"four","questions":"./three.jsonl","metrics":["acc"],)"
                                               R"("prompt":"{question} {choices[3]}","continuation":"{choice}"})")),
                 1, "b8");
  check_one_line(asked(s, s.write("rolling.json", R"({"task":"r","type":"rolling","questions":"./empty_text.jsonl",)"
                                                  R"("continuation":"{text}","metrics":["bits_per_byte"]})")),
                 1, "empty_text.jsonl");
  s.write("empty_text.jsonl", R"({"id":"t9","text":""})");
  check_one_line(asked(s, s / "rolling.json"), 1, "'t9': the text is empty");
}

TEST_CASE("a wrong model ends with one line and its status") {
  const Scratch s;
  check_one_line(run(s, {"--model", "/absent.gguf", "--tasks", kExam}), 1, "/absent.gguf");
  const fs::path bare = s.dir / "bare";
  fs::copy(kModel, bare);
  fs::remove(bare / "tokenizer_config.json");
  fs::remove(bare / "tokenizer.json");
  check_one_line(run(s, {"--model", bare.string(), "--tasks", kExam}), 1, "tokenizer");
  // No BOS, no EOS, and a prompt of nothing: what should the first token follow?
  const fs::path lost = s.dir / "lost";
  fs::copy(kModel, lost);
  Json config = Json::parse(moe_test::read_file(lost / "config.json"));
  config.erase("bos_token_id"), config.erase("eos_token_id");
  std::ofstream(lost / "config.json") << config.dump();
  Json tokenizer = Json::parse(moe_test::read_file(lost / "tokenizer_config.json"));
  tokenizer.erase("bos_token"), tokenizer.erase("eos_token");
  std::ofstream(lost / "tokenizer_config.json") << tokenizer.dump();
  s.write("three.jsonl", kThreeChoices);
  const std::string nothing = s.write("nothing.json", R"({"task":"nothing","questions":"./three.jsonl","prompt":"",)"
                                                      R"("continuation":"{choice}","metrics":["acc"]})");
  check_one_line(run(s, {"--model", lost.string(), "--tasks", nothing}), 1,
                 "'b8': an empty context needs a BOS or EOS");
}

TEST_CASE("what is wrong with a later row or its results is found before the first row is asked") {
  const Scratch s;
  check_one_line(asked(s, kExam, {"--sweep", "top_k=1,999", "--cache", s / "asked.db"}), 1, "--sweep top_k 999: ");
  check_one_line(asked(s, kExam, {"--top-k", "64", "--cache", s / "asked.db"}), 1, "--top-k 64: ");
  // Results that would meet in one name, with the files they would meet in.
  s.write("twice.jsonl", R"({"id":"a","question":"q?","choices":["x","y"],"answer":0,"subject":"s1"})"
                         "\n"
                         R"({"id":"b","question":"q?","choices":["x","y"],"answer":0,"subject":"s2"})");
  const std::string same = s.write("same.json", R"({"task":"same","questions":"./twice.jsonl","prompt":"{question}",)"
                                                R"("metrics":["acc"],"subtasks":{"name":"one"}})");
  check_one_line(asked(s, same, {"--out", s / "same", "--cache", s / "asked.db"}), 1, "subject 's1'");
  check_one_line(run(s, {"--model", "run.json=" + kModel, "--tasks", kExam}), 1, "model 'run.json'");
  check_one_line(run(s, {"--model", "m\xE9=" + kModel, "--model", "m\xE8=" + kModel, "--tasks", kExam}), 1, "'m\\xe8'");
  s.write("taken", "a file");
  check_one_line(asked(s, kExam, {"--out", s / "taken", "--cache", s / "asked.db"}), 1, "--out " + (s / "taken"));
  check_one_line(asked(s,
                       s.write("vote.json", R"({"task":"v","type":"generation","questions":"./twice.jsonl",)"
                                            R"("prompt":"{question}","continuation":"x","metrics":["exact_match"],)"
                                            R"("filters":[{"name":"f","steps":[{"function":"take_first_k","k":3}]}]})"),
                       {"--cache", s / "asked.db"}),
                 1, "take_first_k: 3 replies");
  CHECK_FALSE(fs::exists(s / "asked.db"));  // a store is opened last of all
}

TEST_CASE("a wrong option or store ends with one line and its status") {
  const Scratch s;
  check_one_line(run(s, {"--model", kModel}), 2, "--tasks");
  check_one_line(asked(s, kExam, {"--kv", "f8"}), 2, "f8");
  check_one_line(asked(s, kExam, {"--sweep", "top_k"}), 2, "--sweep");
  check_one_line(run(s, {"compare", "1", "--cache", s / "x.db"}), 2, "B");
  check_one_line(asked(s, kExam, {"--cache", s.write("text.db", "not a database, but long enough to look like one")}),
                 1, "text.db is damaged");
  check_one_line(run(s, {"history", "--cache", s / "absent.db"}), 1, "absent.db");
}

TEST_CASE("tasks without an accuracy, a shorter context and a system instruction show in table, files and history") {
  const Scratch s;
  std::string text = "one";
  for (int i = 0; i < 90; ++i) text += " word" + std::to_string(i);
  s.write("texts.jsonl", Json{{"id", "t"}, {"text", text}}.dump() + "\n");
  const std::string task = s.write("texts.json", R"({"task":"texts","type":"rolling","questions":"./texts.jsonl",)"
                                                 R"("continuation":"{text}","metrics":["word_perplexity"]})");
  for (const char* top_k : {"1", "2"}) {
    const auto got =
        run(s, {"--model", "m=" + kModel, "--top-k", top_k, "--tasks", task + "," + kExam, "--cache", s / "runs.db",
                "--out", s / "out", "--max-length", "64", "--system-instruction", "Think."});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    CHECK(got.out.find("  word_perplexity  ± SE") != std::string::npos);
    CHECK(got.out.find("texts: 1 question, 0 shots") != std::string::npos);
  }
  for (const auto& entry : fs::directory_iterator(s.dir / "out/m[top_k=1]")) {
    if (!entry.path().filename().string().starts_with("results_")) continue;
    const Json results = Json::parse(moe_test::read_file(entry.path()));
    CHECK(results["max_length"] == 64);
    CHECK(results["system_instruction"] == "Think.");
    CHECK(results["eot_token_id"].is_number());
    CHECK(results["results"]["texts"]["word_perplexity_stderr,none"] == "N/A");
  }
  CHECK(sample_file(s.dir / "out/m[top_k=1]", "samples_stand_in_exam").find("\"arg_0\":\"Think.") != std::string::npos);
  const Json run_file = Json::parse(moe_test::read_file(s.dir / "out/run.json"));
  CHECK(run_file["models"][0]["tasks"][0]["accuracy"].is_null());
  CHECK(run_file["models"][0]["tasks"][0]["truncated_questions"] == 0);
  const auto list = run(s, {"history", "--cache", s / "runs.db"});
  CHECK(list.out.find("N/A") != std::string::npos);
  // By name: what both can be compared in. By number: said plainly.
  const auto both = run(s, {"compare", "m[top_k=1]", "m[top_k=2]", "--cache", s / "runs.db"});
  CHECK_MESSAGE(both.status == 0, both.err);
  CHECK(both.out.find("texts") == std::string::npos);
  check_one_line(run(s, {"compare", "1", "3", "--cache", s / "runs.db"}), 1, "texts have no accuracy");
}

// Into a file or a pipe: 100 columns.
static void check_width(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(moe::display_width(line) <= 100, line);
}

TEST_CASE("a run that was stopped goes on with the same command; history and compare read its store") {
  const Scratch s;
  const auto asked = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> all = {"--model", "m=" + kModel, "--tasks", kExam,
                                    "--cache", s / "runs.db", "--out",   s / out};
    all.insert(all.end(), more.begin(), more.end());
    return run(s, all);
  };
  const auto first = asked("one", {});
  REQUIRE_MESSAGE(first.status == 0, first.err);
  const auto again = asked("two", {});
  REQUIRE_MESSAGE(again.status == 0, again.err);
  CHECK(sample_file(s.dir / "one") == sample_file(s.dir / "two"));
  const Json results = Json::parse(moe_test::read_file(s.dir / "two/run.json"));
  CHECK(results["models"][0]["tasks"][0]["executed"]["total"] == 0);
  REQUIRE(asked("three", {"--top-k", "2"}).status == 0);

  const auto list = run(s, {"history", "--cache", s / "runs.db"});
  CHECK(list.status == 0);
  check_width(list.out);
  CHECK(list.out.find("m[top_k=2]") != std::string::npos);
  CHECK(list.out.find("finished") != std::string::npos);
  for (const auto& [a, b] : {std::pair{"1", "2"}, {"m", "m[top_k=2]"}}) {
    const auto gap = run(s, {"compare", a, b, "--cache", s / "runs.db"});
    CHECK_MESSAGE(gap.status == 0, gap.err);
    check_width(gap.out);
    CHECK(gap.out.find("distinguishable") != std::string::npos);
  }
  check_one_line(run(s, {"compare", "1", "9", "--cache", s / "runs.db"}), 1, "'9'");
  REQUIRE(asked("four", {"--limit", "3"}).status == 0);
  check_one_line(run(s, {"compare", "1", "3", "--cache", s / "runs.db"}), 1, "did not ask the same questions");
}

TEST_CASE("another model at the same path is asked anew; a number that was changed in the store is never shown") {
  const Scratch s;
  fs::copy(kModel, s / "m");
  const auto asked = [&](const std::string& out) {
    const auto got = run(
        s, {"--model", "m=" + s / "m", "--tasks", kExam, "--limit", "2", "--cache", s / "runs.db", "--out", s / out});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    return Json::parse(moe_test::read_file(s.dir / out / "run.json"))["models"][0];
  };
  const Json first = asked("one"), again = asked("two");
  CHECK(again["tasks"][0]["executed"]["total"] == 0);
  CHECK(first["content_hash"].get<std::string>().size() == 64);
  CHECK(first["content_hash"] == again["content_hash"]);
  std::string weights = moe_test::read_file(s / "m/model.safetensors");
  weights[weights.size() - 2] = static_cast<char>(weights[weights.size() - 2] ^ 1);
  s.write("m/model.safetensors", weights);
  const Json other = asked("three");
  CHECK(other["content_hash"] != first["content_hash"]);
  CHECK(other["tasks"][0]["executed"] == first["tasks"][0]["executed"]);

  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((s / "runs.db").c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "UPDATE runs SET accuracy = 1 WHERE id = 1", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  check_one_line(run(s, {"history", "--cache", s / "runs.db"}), 1, "runs.db is damaged");
  check_one_line(run(s, {"compare", "1", "2", "--cache", s / "runs.db"}), 1, "runs.db is damaged");
}

TEST_CASE("a directory with one GGUF file: its answers are that file's, and run.json names keys that nothing read") {
  const Scratch s;
  const fs::path files = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/gguf";
  fs::create_directory(s.dir / "m");
  const auto executed = [&](const std::string& out) {
    const auto got = run(s, {"--model", s / "m", "--tasks", kExam, "--cache", s / "runs.db", "--out", s / out});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    const Json model = Json::parse(moe_test::read_file(s.dir / out / "run.json"))["models"][0];
    CHECK(model["unread_keys"] == Json::array());
    CHECK(model["notes"] == Json::array());
    return model["tasks"][0]["executed"]["total"].get<std::int64_t>();
  };
  fs::copy_file(files / "qwen3_moe-q8_0.gguf", s.dir / "m/model.gguf");
  CHECK(executed("one") > 0);
  CHECK(executed("two") == 0);  // known already
  fs::copy_file(files / "deepseek_v3_yarn-q8_0.gguf", s.dir / "m/model.gguf", fs::copy_options::overwrite_existing);
  CHECK(executed("three") > 0);  // another model under the same name

  fs::create_directory(s.dir / "hf");
  for (const char* name : {"model.safetensors", "tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(fs::path(kModel) / name, s.dir / "hf" / name);
  Json config = Json::parse(moe_test::read_file(fs::path(kModel) / "config.json"));
  config["made_up"] = 1;
  std::ofstream(s.dir / "hf/config.json") << config.dump();
  REQUIRE(run(s, {"--model", s / "hf", "--tasks", kExam, "--limit", "2", "--out", s / "four"}).status == 0);
  CHECK(Json::parse(moe_test::read_file(s.dir / "four/run.json"))["models"][0]["unread_keys"] == Json{"made_up"});
}

TEST_CASE("questions from a pipe: -, /dev/stdin and a FIFO give the scores of the file") {
  const Scratch s;
  const std::string right = R"({"question":"one?","choices":["x","y"],"answer":"B"})"
                            "\n"
                            R"({"question":"two?","choices":["x","y","z"],"answer":2.0})"
                            "\n";
  const std::string file = s.write("exam.jsonl", right), fifo = s / "fifo.jsonl";
  const auto samples = [&](const std::string& before, const std::string& task, const std::string& name) {
    const ProgramOutcome got = run(s, {"--model", kModel, "--tasks", task, "--out", s / ("out_" + name)}, before);
    CHECK_MESSAGE(got.status == 0, got.err);
    return sample_file(s.dir / ("out_" + name), "samples_" + name);
  };
  const std::string expected = samples("", file, "exam");
  CHECK(std::count(expected.begin(), expected.end(), '\n') == 2);
  const std::string pipe = "cat " + moe_test::shell_quoted(file) + " | ";
  CHECK(samples(pipe, "-", "stdin") == expected);
  fs::remove_all(s.dir / "out_stdin");
  CHECK(samples(pipe, "/dev/stdin", "stdin") == expected);
  CHECK(samples("exec 7<" + moe_test::shell_quoted(file) + "; ", "/dev/fd/7", "fd7") == expected);
  CHECK(samples("mkfifo " + moe_test::shell_quoted(fifo) + "; cat " + moe_test::shell_quoted(file) + " >" +
                    moe_test::shell_quoted(fifo) + " & ",
                fifo, "fifo") == expected);
}

TEST_CASE("an input that is none, or never ends, is one line at once") {
  const Scratch s;
  const auto asked = [&](const std::string& task, const std::string& before = "") {
    return run(s, {"--model", kModel, "--tasks", task}, before);
  };
  for (const char* device : {"/dev/zero", "/dev/urandom", "/dev/null"}) check_one_line(asked(device), 1, device);
  check_one_line(asked("-", "exec </dev/zero; "), 1, "standard input: is a character device");
  check_one_line(asked("-", "exec <&-; "), 1, "standard input");
  check_one_line(asked("-", "printf '{}' | "), 1, "standard input:1: question");
  const std::string fifo = s / "f.jsonl", task = s / "f.json";
  check_one_line(asked(fifo, "mkfifo " + moe_test::shell_quoted(fifo) + " " + moe_test::shell_quoted(task) + "; "), 1,
                 fifo + ": is a FIFO that nobody writes into");
  check_one_line(asked(task), 1, task + ": is a FIFO that nobody writes into");
  fs::create_directory(s.dir / "folder.json");
  check_one_line(asked(s / "folder.json"), 1, "is a directory");
  check_one_line(asked(s.write("named.json", R"({"task":"t","questions":"./f.jsonl","prompt":"{question}",)"
                                             R"("metrics":["acc"]})")),
                 1, "f.jsonl: is a FIFO that nobody writes into");
  const std::string sparse = s.write("sparse.jsonl", "");
  fs::resize_file(sparse, std::uintmax_t{1} << 36);
  check_one_line(asked(sparse), 1, sparse);
}

TEST_CASE("what is written is never what is read, nor the store") {
  const Scratch s;
  fs::copy(kModel, s / "model", fs::copy_options::recursive);
  fs::create_directories(s / "linked");
  fs::create_symlink("../c.db-wal", s / "linked/run.json");
  const std::string exam = s.write("run.json", moe_test::read_file(kExam));
  fs::create_hard_link(exam, s / "exam.jsonl");
  const auto asked = [&](const std::string& task, std::vector<std::string> more) {
    std::vector<std::string> all = {"--model", "m=" + (s / "model"), "--tasks", task};
    all.insert(all.end(), more.begin(), more.end());
    return run(s, all);
  };
  check_one_line(asked(kExam, {"--out", s / "o", "--cache", s / "o/run.json"}), 1, "an output of --out");
  check_one_line(asked(kExam, {"--out", s / "o", "--cache", s / "./o/../o/run.json"}), 1, "an output of --out");
  check_one_line(asked(kExam, {"--out", s / "o", "--cache", s / "o/m"}), 1, "an output of --out");
  check_one_line(asked(kExam, {"--out", s / "linked", "--cache", s / "c.db"}), 1, "c.db-wal is an output of --out");
  check_one_line(asked(kExam, {"--cache", s / "model/config.json"}), 1, "which the model is read from");
  check_one_line(asked(s / "exam.jsonl", {"--out", s.dir.string()}), 1, "read as well");
  check_one_line(asked(s / "exam.jsonl", {"--cache", exam}), 1, "read as well");
  check_one_line(asked(kExam, {"--out", s / "model"}), 1, "the model's folder");
  check_one_line(run(s, {"--model", s / "model", "--tasks", kExam, "--out", s.dir.string()}), 1, "the model's folder");
  CHECK_FALSE(fs::exists(s / "o"));
  CHECK_FALSE(fs::exists(s / "c.db"));
  CHECK(moe_test::read_file(exam) == moe_test::read_file(kExam));
  // Beside the outputs is a good place.
  const auto good = asked(kExam, {"--limit", "1", "--out", s / "o", "--cache", s / "o/c.db"});
  CHECK_MESSAGE(good.status == 0, good.err);
}

TEST_CASE("one content under two names: each has its runs, the answers are shared") {
  const Scratch s;
  const auto asked = [&](std::vector<std::string> names, const std::string& out) {
    std::vector<std::string> all = {"--tasks", kExam, "--limit", "4", "--cache", s / "c.db", "--out", s / out};
    for (const std::string& name : names) all.insert(all.end(), {"--model", name + "=" + kModel});
    return run(s, all);
  };
  REQUIRE(asked({"old"}, "one").status == 0);
  const auto again = asked({"new", "other"}, "two");
  REQUIRE_MESSAGE(again.status == 0, again.err);
  const Json two = Json::parse(moe_test::read_file(s.dir / "two/run.json"));
  for (const auto& model : two["models"]) CHECK(model["tasks"][0]["executed"]["total"] == 0);
  const auto list = run(s, {"history", "--cache", s / "c.db"});
  for (const char* name : {" old ", " new ", " other "})
    CHECK_MESSAGE(list.out.find(name) != std::string::npos, list.out);
  const auto gap = run(s, {"compare", "new", "old", "--cache", s / "c.db"});
  CHECK_MESSAGE(gap.status == 0, gap.err);
  CHECK(gap.out.find("not distinguishable") != std::string::npos);
}

TEST_CASE("a sweep has a row for each of its values, and no value twice, empty or against another option") {
  const Scratch s;
  const auto asked = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"--model", "m=" + kModel, "--tasks", kExam, "--limit", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run(s, all);
  };
  for (const char* sweep : {"top_k=1,", "top_k=,1", "top_k=1,,2", "precision=auto,", "kv=f16,,f32"})
    check_one_line(asked({"--sweep", sweep}), 2, "a value is empty");
  check_one_line(asked({"--sweep", "top_k=1,01"}), 2, "m[top_k=01] is the setting of m[top_k=1]");
  check_one_line(asked({"--sweep", "kv=f16,f32,f16"}), 2, "two models are called 'm[kv=f16]'");
  check_one_line(asked({"--sweep", "top_k=1,2", "--top-k", "3"}), 2,
                 "--sweep 'top_k=1,2': --top-k says something else");
  check_one_line(asked({"--sweep", "kv=f16", "--kv", "f32"}), 2, "--kv says something else");
  check_one_line(asked({"--sweep", "precision=auto", "--precision", "auto"}), 2, "--precision says something else");
  const auto good = asked({"--sweep", "kv=f16,q8_0", "--top-k", "2"});
  CHECK_MESSAGE(good.status == 0, good.err);
  CHECK(good.out.find("m[top_k=2][kv=q8_0]") != std::string::npos);
}

TEST_CASE("a second word behind --sweep is no value of it") {
  const Scratch s;
  check_one_line(run(s, {"--model", kModel, "--tasks", kExam, "--sweep", "kv=f16", "precision=auto"}), 2,
                 "precision=auto");
}

TEST_CASE("runs on two files of one name are not compared, though their questions have the same ids") {
  const Scratch s;
  for (const char* folder : {"one", "two"}) {
    fs::create_directories(s.dir / folder);
    std::string text;
    for (int i = 0; i < 4; ++i)
      text += R"({"question": ")" + std::string(folder) + std::to_string(i) +
              R"(?", "choices": ["a", "b"], "answer": 0})" + "\n";
    s.write(std::string(folder) + "/exam.jsonl", text);
    const auto got = run(
        s, {"--model", "m=" + kModel, "--tasks", s / (std::string(folder) + "/exam.jsonl"), "--cache", s / "runs.db"});
    REQUIRE_MESSAGE(got.status == 0, got.err);
  }
  check_one_line(run(s, {"compare", "1", "2", "--cache", s / "runs.db"}), 1, "did not ask the same questions");
}

TEST_CASE("a swept precision has the cache type that it has without a sweep") {
  const Scratch s;
  const auto kv_of = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--model", "m=" + kModel, "--tasks", kExam, "--limit", "1", "--out", s / "results"};
    all.insert(all.end(), more.begin(), more.end());
    const auto got = run(s, all);
    CHECK_MESSAGE(got.status == 0, got.err);
    std::string out;
    const Json results = Json::parse(moe_test::read_file(s.dir / "results/run.json"));
    for (const Json& model : results["models"])
      out += model["precision"].get<std::string>() + " " + model["kv"].get<std::string>() + ", ";
    return out;
  };
  CHECK(kv_of({"--sweep", "precision=auto,reference"}) == "auto f16, reference f32, ");
  CHECK(kv_of({"--sweep", "precision=auto,reference", "--kv", "q8_0"}) == "auto q8_0, reference q8_0, ");
  CHECK(kv_of({"--sweep", "precision=reference", "--sweep", "kv=f16"}) == "reference f16, ");
}

TEST_CASE("standard input that is closed is called so") {
  const Scratch s;
  const auto got = run(s, {"--model", kModel, "--tasks", "-"}, "exec <&-; ");
  CHECK(got.status == 1);
  CHECK(got.err == "moe-eval: standard input: is closed, expected a file or a pipe\n");
}

}  // namespace eval_programs_test
