// What a process holds at most stays within --memory, whatever it does beside running the model.

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "memory_runs.hpp"

namespace memory_peaks_test {

namespace {

using namespace memory_runs;

using Words = std::vector<std::string>;

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// With the least memory that the program names when it is refused.
void check_peak(const Scratch& s, const std::string& program, const Words& words) {
  const Words packed = joined(words, {"--pack-cache", s / "packs"});
  const ProgramOutcome refused = run_program(s, "MOE_THREADS=2", program, joined(packed, {"--memory", "1M"}));
  CHECK(refused.status == 3);
  const std::string least = least_of(refused);
  const std::int64_t peak = peak_bytes(s, program, joined(packed, {"--memory", least}));
#if defined(__SANITIZE_ADDRESS__)
  std::puts("SKIPPED peaks of memory: the sanitizer has memory of its own");
  CHECK(peak > 0);
#else
  MESSAGE(program << ": " << peak << " of " << least << " bytes");
  CHECK(peak <= std::stoll(least));
#endif
}

using Json = nlohmann::json;

// Into `to`: the model of `from` with another configuration and other sizes, sized(tensor, size). All of its weights
// are 0; its file is sparse.
template <class Sized>
void write_model(const fs::path& from, const fs::path& to, const Json& config, Sized&& sized) {
  fs::create_directories(to);
  std::ofstream(to / "config.json") << config.dump();
  const std::string file = moe_test::read_file(from / "model.safetensors");
  std::uint64_t length = 0;
  file.copy(reinterpret_cast<char*>(&length), sizeof length);
  Json header = Json::parse(file.substr(sizeof length, length));
  std::int64_t end = 0;
  for (auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    std::int64_t bytes = tensor["dtype"] == "F32" ? 4 : 2;
    for (Json& n : tensor["shape"]) {
      n = sized(name, n.template get<std::int64_t>());
      bytes *= n.template get<std::int64_t>();
    }
    tensor["data_offsets"] = {end, end + bytes};
    end += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  length = text.size();
  std::ofstream(to / "model.safetensors") << std::string(reinterpret_cast<const char*>(&length), sizeof length) << text;
  fs::resize_file(to / "model.safetensors", sizeof length + length + static_cast<std::uint64_t>(end));
}

// nano-dense-params with a much wider feed-forward network: 102 MB of weights.
std::string large_draft(const Scratch& s) {
  constexpr std::int64_t kWidth = 58880;
  const fs::path from = fs::path(kNano) / "nano-dense-params";
  Json config = Json::parse(moe_test::read_file(from / "config.json"));
  const auto width = config["intermediate_size"].get<std::int64_t>();
  config["intermediate_size"] = kWidth;
  write_model(from, s.dir / "draft", config,
              [&](const std::string&, std::int64_t n) { return n == width ? kWidth : n; });
  fs::copy_file(from / "tokenizer.json", s.dir / "draft/tokenizer.json");
  return s / "draft";
}

// A hybrid with 18 MiB of states in each sequence: 3 layers of 96 matrices of 128 x 128.
std::string large_states(const Scratch& s) {
  constexpr std::int64_t kHeads = 96;
  const fs::path data = fs::path(MOE_SOURCE_DIR) / "tests/data", from = data / "shapes/qwen3_5_text";
  Json config = Json::parse(moe_test::read_file(from / "config.json"));
  config["linear_num_value_heads"] = kHeads;
  config["max_position_embeddings"] = 4096;  // keys of many sequences
  config["linear_key_head_dim"] = config["linear_value_head_dim"] = 128;
  const std::map<std::int64_t, std::int64_t> sizes = {
      {2, kHeads}, {16, 128}, {32, kHeads * 128}, {96, (2 + 2 + kHeads) * 128}};
  write_model(from, s.dir / "states", config, [&](const std::string& name, std::int64_t n) {
    const auto found = sizes.find(n);
    return name.find(".linear_attn.") == std::string::npos || found == sizes.end() ? n : found->second;
  });
  fs::copy_file(data / "golden/qwen3_moe/tokenizer.json", s.dir / "states/tokenizer.json");
  return s / "states";
}

}  // namespace

TEST_CASE("moe-run") {
  const Scratch s;
  check_peak(s, MOE_RUN, {"--model", kNano + "nano-moe", "--prompt", "In which month", "-n", "12"});
}

TEST_CASE("moe-run --routing of many tokens") {
  const Scratch s;
  const fs::path from = fs::path(kNano) / "nano-moe";
  fs::create_directories(s.dir / "long");
  for (const char* file : {"model.safetensors", "tokenizer.json"}) fs::copy_file(from / file, s.dir / "long" / file);
  Json config = Json::parse(moe_test::read_file(from / "config.json"));
  config["max_position_embeddings"] = 32768;
  s.write("long/config.json", config.dump());
  constexpr std::size_t kTokens = 30000;  // as JSON values their experts would take 60 MB
  std::string ids;
  for (std::size_t i = 0; i < kTokens; ++i) ids += "7 ";
  check_peak(s, MOE_RUN, {"--model", s / "long", "--tokens", ids, "-n", "3", "--routing", s / "routing.json"});
  const Json routing = Json::parse(moe_test::read_file(s / "routing.json"))["routing"];
  REQUIRE(routing.size() > 0);
  for (const Json& layer : routing) CHECK(layer["experts"].size() == kTokens + 3);
}

TEST_CASE("moe-run with a draft model, which is in memory whole") {
  const Scratch s;
  const Words words = {"--model", kNano + "nano-moe", "--prompt", "In which month", "-n", "12"};
  const Words drafted = joined(words, {"--draft", large_draft(s)});
  check_peak(s, MOE_RUN, drafted);
  // The draft that is too large is the reason, and the reply is the model's own.
  const auto least = [&](const Words& w) {
    const Words refused = joined(w, {"--pack-cache", s / "packs", "--memory", "1M"});
    return std::stoll(least_of(run_program(s, "MOE_THREADS=2", MOE_RUN, refused)));
  };
  CHECK(least(drafted) > least(words) + 100000000);
  CHECK(run_program(s, "MOE_THREADS=2", MOE_RUN, drafted).out == run_program(s, "MOE_THREADS=2", MOE_RUN, words).out);
  check_one_line(run_program(s, "", MOE_RUN, joined(words, {"--draft", s / "absent"})), 1, "--draft: ");
}

TEST_CASE("moe-bench, which measures the machine too") {
  const Scratch s;
  check_peak(s, MOE_BENCH, {"--model", kNano + "nano-moe", "--pp", "16", "--tg", "8", "--reps", "1"});
}

TEST_CASE("moe-eval --peaks") {
  const Scratch s;
  check_peak(
      s, MOE_EVAL,
      {"--model", "nano=" + kNano + "nano-moe", "--tasks", kNano + "nano_exam.jsonl", "--limit", "5", "--peaks"});
}

TEST_CASE("moe-eval with a hybrid: many short sequences, the states of which would not fit in one step") {
  const Scratch s;
  Json question = {{"choices", Json::array()}, {"answer", 0}};
  for (char c = 'a'; c < 'k'; ++c) question["choices"].push_back(std::string(1, c) + ":;?");
  std::string exam;
  for (int i = 0; i < 15; ++i) {
    question["question"] = std::to_string(i) + "?";
    exam += question.dump() + "\n";
  }
  s.write("exam.jsonl", exam);
  check_peak(s, MOE_EVAL, {"--model", "states=" + large_states(s), "--tasks", s / "exam.jsonl"});
}

TEST_CASE("moe-eval --until-known, which holds all rows at a time") {
  const Scratch s;
  const Words words = {"--model",      "a=" + kNano + "nano-moe",
                       "--model",      "b=" + kNano + "nano-dense-flops",
                       "--tasks",      kNano + "nano_exam.jsonl",
                       "--limit",      "20",
                       "--sweep",      "kv=f16,f32",
                       "--until-known"};
  check_peak(s, MOE_EVAL, words);
}

}  // namespace memory_peaks_test
