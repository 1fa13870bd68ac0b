// moe-run and moe-inspect as a script sees them: exit status, one-line errors, whole files or none.

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "moe/model.hpp"
#include "program.hpp"

namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;
using moe_test::check_one_line;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_programs") {}
};

moe_test::ProgramOutcome run(const Scratch& scratch, const std::string& program,
                             const std::vector<std::string>& arguments) {
  return moe_test::run_program(scratch, "MOE_THREADS=1", program, arguments);  // nothing here is about threads
}

/// The small model that is in the tree.
const std::string kModel = std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe";

}  // namespace

TEST_CASE("bad input and wrong usage end with one line and their status") {
  const Scratch scratch;
  const std::string moe_run = MOE_RUN, inspect = MOE_INSPECT;
  check_one_line(run(scratch, moe_run, {"--model", "/absent.gguf", "--tokens", "1"}), 1, "/absent.gguf");
  check_one_line(run(scratch, moe_run, {"--model", "/ab\nse\x1bnt", "--tokens", "1"}), 1, "\\x0a");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", "1 320"}), 1, "320");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", "1 -1"}), 2, "-1");
  std::string many;
  for (int i = 0; i < 300; ++i) many += "7 ";
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", many}), 1, "300");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", "1", "--logits", "/absent/x.npy"}), 1,
                 "/absent/x.npy");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", "1 x"}), 2, "'x'");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens=", "-n", "3"}), 2, "--tokens: holds no token id");
  check_one_line(run(scratch, moe_run, {"--model", kModel}), 2, "--prompt");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", "1", "--temp", "nan"}), 2, "--temp");
  check_one_line(run(scratch, moe_run, {"--model", kModel, "--tokens", "1", "--kv", "f8"}), 2, "--kv");
  check_one_line(run(scratch, moe_run, {"--no-such-option"}), 2, "--");
  check_one_line(run(scratch, inspect, {}), 2, "path");
  check_one_line(run(scratch, inspect, {"/absent"}), 1, "/absent");
  fs::create_directory(scratch.dir / "unknown");
  std::ofstream(scratch.dir / "unknown/config.json") << R"({"architectures": ["NobodysModel"]})";
  auto unknown = run(scratch, inspect, {scratch / "unknown"});
  CHECK(unknown.out.find("NobodysModel") != std::string::npos);  // what can be said of it nevertheless
  unknown.out.clear();
  check_one_line(unknown, 1, "NobodysModel");
}

TEST_CASE("a directory without a model: the message names what is there, and each path once") {
  const Scratch scratch;
  const fs::path dir = scratch.dir / "dir";
  fs::create_directory(dir);
  const auto error = [&](int status) {
    const auto got = run(scratch, MOE_RUN, {"--model", dir.string(), "--prompt", "a"});
    CHECK(got.status == status);
    const std::size_t first = got.err.find(dir.string());
    CHECK_MESSAGE((first != std::string::npos && got.err.find(dir.string(), first + 1) == std::string::npos), got.err);
    return got.err;
  };
  const auto holds = [](const std::string& text, const char* part) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  };
  holds(error(1), "holds nothing, expected a config.json or a .gguf file");
  std::ofstream(dir / "pytorch_model.bin") << "x";
  std::ofstream(dir / "notes.txt") << "x";
  holds(error(1), "holds 'notes.txt', 'pytorch_model.bin', expected a config.json or a .gguf file");
  // Endings in capitals, and a later shard alone, are seen; what is wrong with the file itself is the message.
  std::ofstream(dir / "X.GGUF") << "nothing";
  holds(error(1), "X.GGUF");
  fs::remove(dir / "X.GGUF");
  std::ofstream(dir / "m-00002-of-00002.gguf") << "nothing";
  holds(error(1), "m-00002-of-00002.gguf");
  fs::remove_all(dir);
  fs::copy(kModel, dir);
  std::ofstream(dir / "tokenizer.json") << "{}";
  holds(error(1), "--tokens works without a tokenizer");
}

TEST_CASE("logits and routing of given tokens are those of the reference") {
  const Scratch scratch;
  const json golden = json::parse(moe_test::read_file(kModel + "/golden.json"));
  for (const json& prompt : golden["prompts"]) {
    std::string ids;
    for (const json& id : prompt["ids"]) ids += id.dump() + " ";
    const auto got = run(scratch, MOE_RUN,
                         {"--model", kModel, "--tokens", ids, "-n", "16", "--precision", "reference", "--logits",
                          scratch / "logits.npy", "--routing", scratch / "routing.json"});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    std::string greedy;
    for (const json& id : prompt["greedy"]) greedy += (greedy.empty() ? "" : " ") + id.dump();
    CHECK(got.out == greedy + "\n");

    const std::string npy = moe_test::read_file(scratch / "logits.npy");
    const std::size_t rows = prompt["ids"].size() + 16, cols = golden["vocab_size"].get<std::size_t>();
    REQUIRE(npy.size() == 128 + rows * cols * sizeof(float));
    std::vector<float> logits(rows * cols);
    std::memcpy(logits.data(), npy.data() + 128, npy.size() - 128);
    for (std::size_t t = 0; t + 1 < prompt["ids"].size(); ++t) {
      const float* row = logits.data() + t * cols;
      const double highest = *std::max_element(row, row + cols);
      double sum = 0.0;
      for (std::size_t v = 0; v < cols; ++v) sum += std::exp(row[v] - highest);
      const double logprob = row[prompt["ids"][t + 1].get<std::size_t>()] - highest - std::log(sum);
      CHECK(std::abs(logprob - prompt["logprobs"][t].get<double>()) <= 1e-4);
    }

    const json routing = json::parse(moe_test::read_file(scratch / "routing.json"));
    CHECK(routing["ids"] == prompt["ids"]);
    CHECK(routing["generated"] == prompt["greedy"]);
    REQUIRE(routing["routing"].size() == prompt["routing"].size());
    for (const auto& [layer, expected] : prompt["routing"].items()) {
      const json& found = routing["routing"][layer];
      REQUIRE(found["experts"].size() == rows);
      for (std::size_t t = 0; t < prompt["ids"].size(); ++t) {
        CHECK(found["experts"][t] == expected["experts"][t]);
        for (std::size_t k = 0; k < expected["weights"][t].size(); ++k)
          CHECK(std::abs(found["weights"][t][k].get<double>() - expected["weights"][t][k].get<double>()) <= 1e-5);
      }
    }
  }
}

TEST_CASE("without -n, --logits generates nothing; a prompt at the context's end stops there") {
  const Scratch scratch;
  const auto none = run(scratch, MOE_RUN, {"--model", kModel, "--tokens", "5 6 7", "--logits", scratch / "x.npy"});
  CHECK(none.status == 0);
  CHECK(none.out.empty());
  CHECK(moe_test::read_file(scratch / "x.npy").find("(3, 320)") != std::string::npos);
  std::string many;
  for (int i = 0; i < 250; ++i) many += "7 ";
  const auto full = run(scratch, MOE_RUN, {"--model", kModel, "--tokens", many, "-n", "100"});
  CHECK(full.status == 0);
  CHECK(std::count(full.out.begin(), full.out.end(), ' ') == 5);  // 6 tokens are left of 256
}

namespace {

/// A copy of the small model with one of its JSON files changed.
std::string model_with(const Scratch& scratch, const char* name, const char* file, const json& changes) {
  const fs::path copy = scratch.dir / name;
  if (!fs::exists(copy)) fs::copy(kModel, copy);
  json content = fs::exists(copy / file) ? json::parse(moe_test::read_file(copy / file)) : json::object();
  content.update(changes);
  std::ofstream(copy / file) << content;
  return copy.string();
}

}  // namespace

TEST_CASE("a reply ends at any end token of the model's files, without it; --tokens goes on") {
  const Scratch scratch;
  const auto text = [&](const std::string& model, const char* count) {
    const auto got = run(scratch, MOE_RUN, {"--model", model, "--prompt", "Numbers and words", "-n", count});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    return got.out;
  };
  // The first id of the reply that was not there before is made an end token.
  const auto prompt =
      *(*moe::Model::load(kModel))->tokenizer()->encode("Numbers and words", {.ends = moe::TextEnds::as_model});
  std::string ids;
  for (const moe::TokenId id : prompt) ids += std::to_string(id) + " ";
  std::istringstream reply(run(scratch, MOE_RUN, {"--model", kModel, "--tokens", ids, "-n", "12"}).out);
  std::vector<moe::TokenId> written;
  for (moe::TokenId id = 0; reply >> id;) written.push_back(id);
  REQUIRE(written.size() == 12);
  std::size_t n = 3;
  while (n + 1 < written.size() && std::count(written.begin(), written.begin() + static_cast<long>(n), written[n]) > 0)
    ++n;
  REQUIRE(*std::max_element(written.begin(), written.begin() + static_cast<long>(n) + 1) < 316);
  const std::string expected = text(kModel, std::to_string(n).c_str());
  CHECK(text(kModel, "12") != expected);
  const json ends = {{"eos_token_id", {1, written[n]}}};
  CHECK(text(model_with(scratch, "generation", "generation_config.json", ends), "12") == expected);
  CHECK(text(model_with(scratch, "config", "config.json", ends), "12") == expected);
  const auto ignored = run(
      scratch, MOE_RUN, {"--model", (scratch / "config"), "--prompt", "Numbers and words", "-n", "12", "--ignore-eos"});
  CHECK(ignored.out == text(kModel, "12"));
  const auto on = run(scratch, MOE_RUN, {"--model", (scratch / "config"), "--tokens", ids, "-n", "12"});
  CHECK(std::count(on.out.begin(), on.out.end(), ' ') == 11);
}

TEST_CASE("options that shape a reply act, and refuse what is no number") {
  const Scratch scratch;
  const auto out = [&](std::vector<std::string> options) {
    std::vector<std::string> all = {"--model", kModel};
    all.insert(all.end(), options.begin(), options.end());
    const auto got = run(scratch, MOE_RUN, all);
    REQUIRE_MESSAGE(got.status == 0, got.err);
    return got.out;
  };
  CHECK(out({"--tokens", "5", "-n", "3", "--logit-bias", "7=1e30"}) == "7 7 7\n");
  CHECK(out({"--tokens", "5", "-n", "3", "--logit-bias", "7=1e30", "--logit-bias", "9=2e30"}) == "9 9 9\n");
  CHECK(out({"--tokens", "5", "-n", "3", "--logit-bias", "7=1e9", "--logit-bias", "9=9e8", "--presence-penalty",
             "2e8"}) == "7 9 7\n");
  CHECK(out({"--tokens", "5", "-n", "3", "--logit-bias", "7=1e9", "--logit-bias", "9=9e8", "--frequency-penalty",
             "3e8"}) == "7 9 7\n");
  CHECK(out({"--tokens", "5", "-n", "2", "--logit-bias", "7=1e9", "--logit-bias", "5=1.5e9", "--presence-penalty",
             "-1e9"}) == "5 5\n");
  const std::vector<std::string> greedy = {"--tokens", "5 6 7", "-n", "8"};
  auto likely = greedy, penalised = greedy;
  likely.insert(likely.end(), {"--temp", "50", "--min-p", "1"});
  CHECK(out(likely) == out(greedy));
  penalised.insert(penalised.end(), {"--repetition-penalty", "1e6"});
  std::istringstream ids(out(penalised));
  std::vector<int> written{std::istream_iterator<int>(ids), {}};
  std::sort(written.begin(), written.end());
  CHECK(std::adjacent_find(written.begin(), written.end()) == written.end());

  const std::string text = out({"--prompt", "Numbers and words", "-n", "12"});
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  std::size_t at = 1;
  while (at + 2 < text.size() && !(letter(text[at]) && letter(text[at + 1]))) ++at;
  REQUIRE(at + 2 < text.size());
  const std::string stop = text.substr(at, 2);
  CHECK(out({"--prompt", "Numbers and words", "-n", "12", "--stop", "never there", "--stop", stop}) ==
        text.substr(0, text.find(stop)) + "\n");
  // Each is one text, whatever it looks like.
  for (const std::string& other : {"[" + stop + "]", "[never there," + stop + "]", std::string("--model=")})
    CHECK(out({"--prompt", "Numbers and words", "-n", "12", "--stop", other}) == text);
  const auto wrong = [&](std::vector<std::string> options, const std::string& message) {
    options.insert(options.begin(), {"--model", kModel, "--tokens", "1"});
    check_one_line(run(scratch, MOE_RUN, options), 2, message);
  };
  wrong({"--stop", "one", "two"}, "two");
  wrong({"--logit-bias", "7"}, "the bias of --logit-bias is ''");
  wrong({"--logit-bias", "[7=1]"}, "the token of --logit-bias is '[7'");
  wrong({"--logit-bias", "x=1"}, "the token of --logit-bias is 'x'");
  wrong({"--logit-bias", "7=nan"}, "the bias of --logit-bias is 'nan'");
  wrong({"--presence-penalty", "nan"}, "--presence-penalty is 'nan'");
  wrong({"--frequency-penalty", "0x1"}, "--frequency-penalty is '0x1'");
  wrong({"--repetition-penalty", "0"}, "--repetition-penalty is '0'");
  wrong({"--min-p", "2"}, "--min-p is '2'");
}

TEST_CASE("at any temperature only tokens are drawn, never a row of padding") {
  const Scratch scratch;
  for (const char* seed : {"1", "2", "3"}) {
    const auto got =
        run(scratch, MOE_RUN, {"--model", kModel, "--prompt", "A", "-n", "200", "--temp", "60", "--seed", seed});
    CHECK_MESSAGE(got.status == 0, got.err);
  }
}

TEST_CASE("a prompt that begins with the BOS that is added as well is noted once, and stays as it is") {
  const Scratch scratch;
  const std::string model =
      model_with(scratch, "bos", "tokenizer_config.json", {{"bos_token", "<|im_start|>"}, {"add_bos_token", true}});
  const auto rows = [&](const char* prompt, bool noted) {
    const auto got = run(scratch, MOE_RUN, {"--model", model, "--prompt", prompt, "--logits", scratch / "b.npy"});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    const std::size_t note = got.err.find("note: the prompt begins with <|im_start|>, the BOS token");
    CHECK((note != std::string::npos) == noted);
    CHECK(got.err.find("note:", note == std::string::npos ? note : note + 1) == std::string::npos);
    return (moe_test::read_file(scratch / "b.npy").size() - 128) / (320 * sizeof(float));
  };
  CHECK(rows("<|im_start|>a", true) == 3);
  CHECK(rows("a", false) == 2);
  CHECK(rows("a<|im_start|>", false) == 3);
}

namespace {
/// The digits behind `what`; empty if it is not there.
std::string number_behind(const std::string& text, const std::string& what) {
  const std::size_t at = text.find(what);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + what.size(), end = text.find_first_not_of("0123456789", begin);
  return text.substr(begin, end - begin);
}
}  // namespace

TEST_CASE("moe-run --draft prints the same reply, and says what was drafted") {
  const Scratch scratch;
  const std::string nano = std::string(MOE_SOURCE_DIR) + "/models/nano/";
  const std::vector<std::string> plain = {
      "--model", nano + "nano-moe", "--prompt", "Question: Who was born", "-n", "40", "--ignore-eos", "--temp", "0.5"};
  const auto expected = run(scratch, MOE_RUN, plain);
  REQUIRE_MESSAGE(expected.status == 0, expected.err);
  CHECK(expected.err.find("drafted") == std::string::npos);
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = plain;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(scratch, MOE_RUN, arguments);
  };
  for (const std::string& who : {std::string("ngram"), nano + "nano-dense-flops"}) {
    const auto got = with({"--draft", who, "--draft-tokens", "3"});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    CHECK(got.out == expected.out);
    CHECK(got.err.find("\ndrafted ") != std::string::npos);
    // Both exact: of tokens that were run, more than the draft model's.
    const std::string own = number_behind(got.err, "; executed "), draft = number_behind(got.err, ", the draft model ");
    CHECK(own.size() >= 6);
    CHECK(draft.empty() == (who == "ngram"));
    CHECK(draft.size() <= own.size());
    CHECK(got.err.find(own + " FLOPs" + (draft.empty() ? "\n" : ", the draft model " + draft + " of them\n")) !=
          std::string::npos);
  }
  CHECK(with({"--draft", "ngram", "--draft-tokens", "0"}).err.find("drafted 0 tokens") != std::string::npos);
  check_one_line(with({"--draft", "no/such"}), 1, "--draft: ");
  check_one_line(with({"--draft", std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe"}), 1,
                 "vocabulary differs");
  CHECK(with({"--draft", "ngram", "--draft-tokens", "65"}).status == 2);
  check_one_line(with({"--draft", ""}), 2, "--draft: ");
  check_one_line(with({"--draft="}), 2, "--draft");
  check_one_line(with({"--draft-tokens", "3"}), 2, "--draft-tokens requires --draft");
}

#ifdef MOE_EXAMPLE_GENERATE
TEST_CASE("examples/generate prints what moe-run prints, on a padded vocabulary and on one of words with spaces") {
  const Scratch scratch;
  const auto compare = [&](const std::string& model) {
    const auto expected = run(scratch, MOE_RUN, {"--model", model, "--prompt", "Hello", "-n", "12", "--kv", "f16"});
    REQUIRE_MESSAGE(expected.status == 0, expected.err);
    const auto got = run(scratch, MOE_EXAMPLE_GENERATE, {model, "Hello", "12"});
    REQUIRE_MESSAGE(got.status == 0, got.err);
    CHECK(got.out.starts_with("Hello" + expected.out));
    return expected.out;
  };
  // Every token but single characters is a word with a space in front, as in SentencePiece's vocabularies.
  json tokenizer = json::parse(R"({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "pre_tokenizer": null, "post_processor": null, "added_tokens": [],
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": null, "fuse_unk": true, "byte_fallback": false, "merges": []}})");
  for (const char* first : {"H", "e", "l", "o", "\u2581"}) {
    json& vocab = tokenizer["model"]["vocab"];
    vocab[first] = vocab.size();
  }
  for (int id = 5; id < 300; ++id) tokenizer["model"]["vocab"]["\u2581w" + std::to_string(id)] = id;  // of 320 rows
  const std::string model = model_with(scratch, "words", "tokenizer_config.json", {{"eos_token", nullptr}});
  std::ofstream(model + "/tokenizer.json") << tokenizer;
  CHECK(compare(model).find(" w") != std::string::npos);
  fs::remove(model + "/tokenizer.json");
  const auto none = run(scratch, MOE_EXAMPLE_GENERATE, {model, "Hello", "12"});
  check_one_line(none, 1, "tokenizer.json");
}
#endif

TEST_CASE("moe-inspect's JSON carries the closed forms") {
  const Scratch scratch;
  const auto got =
      run(scratch, MOE_INSPECT,
          {std::string(MOE_SOURCE_DIR) + "/tests/data/published/DeepSeek-V3", "--json", "--context", "4096"});
  REQUIRE_MESSAGE(got.status == 0, got.err);
  const json all = json::parse(got.out);
  CHECK(all["config_only"] == true);
  CHECK(all["parameters"]["total"] == 671026419200);
  CHECK(all["experts"]["routed"] == 256);
  CHECK(all["cache_bytes_per_token"]["f16"] == 61 * 576 * 2);
  CHECK(all["cache_bytes_per_token"]["q8_0"] == 61 * (512 + 512 / 32 * 2 + 64 * 2));
  CHECK(all["cache_bytes_at_context"]["q8_0"] == 61LL * (512 + 512 / 32 * 2 + 64 * 2) * 4096);
  CHECK(all["flops_per_token"]["attention_decode"] == 61LL * 128 * 320 * 2 * 4096);
  const auto text = run(scratch, MOE_INSPECT, {kModel});
  CHECK(text.status == 0);
  CHECK(text.out.find("bf16") != std::string::npos);
  CHECK(text.out.find("4 of 10 per token") != std::string::npos);
}

TEST_CASE("JSON on standard output is ASCII, whatever names it repeats") {
  const Scratch scratch;
  // A control sequence of one code point, a line end, and a mark that turns the direction of text.
  const std::string name = scratch / "a\u009b31m\u0085\u202e\x7f";
  std::filesystem::copy(kModel, name, std::filesystem::copy_options::recursive);
  const auto got = run(scratch, MOE_INSPECT, {name, "--json"});
  REQUIRE_MESSAGE(got.status == 0, got.err);
  for (const char c : got.out) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
  CHECK(got.out.find("a\\u009b31m\\u0085\\u202e\\u007f") != std::string::npos);
}

TEST_CASE("moe-inspect lists keys that nothing read, and programs print notes") {
  const Scratch scratch;
  const fs::path model = scratch.dir / "model";
  fs::create_directory(model);
  fs::copy_file(kModel + "/model.safetensors", model / "model.safetensors");
  json config = json::parse(moe_test::read_file(kModel + "/config.json"));
  config["made_up"] = 1;
  config["made\x1b[2Jup\ntoo"] = 2;  // nothing that a terminal would obey
  config["rope_scaling"] = {{"rope_type", "default"}, {"rope_theta", config["rope_theta"].get<double>() + 1.0}};
  std::ofstream(model / "config.json") << config;
  const auto text = run(scratch, MOE_INSPECT, {model.string()});
  REQUIRE_MESSAGE(text.status == 0, text.err);
  CHECK_MESSAGE(text.out.find("made\\x1b[2Jup\\x0atoo, made_up\n") != std::string::npos, text.out);
  CHECK(text.out.find("rope_scaling.rope_theta is ") != std::string::npos);
  const auto shown = run(scratch, MOE_INSPECT, {model.string(), "--json"});
  REQUIRE(shown.status == 0);
  const json all = json::parse(shown.out);
  CHECK(all["unread_keys"] == json({"made\x1b[2Jup\ntoo", "made_up"}));
  CHECK(all["notes"].size() == 1);
  const auto ran = run(scratch, MOE_RUN, {"--model", model.string(), "--tokens", "5 6 7", "-n", "1"});
  CHECK(ran.status == 0);
  CHECK_MESSAGE(ran.err.find("note: config.json: rope_scaling.rope_theta is ") != std::string::npos, ran.err);
}
