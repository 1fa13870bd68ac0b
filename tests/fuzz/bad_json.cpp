// Everything that reads JSON from outside, given the same values: too deep, a key twice, a number beyond a double, and
// wide ones, which must not cost more than 8 times the text.

#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "allocation_meter.hpp"
#include "arch/json_config.hpp"
#include "bad_input.hpp"
#include "model/model_info.hpp"
#include "moe/eval/prompt.hpp"
#include "support.hpp"
#include "unit/tokenizer_support.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;
using moe::ErrorCode;
using moe::Result;

const std::string kConfig = R"({"architectures": ["LlamaForCausalLM"], "x": )";
const std::string kTensor = R"("a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]})";
const std::string kQuestion = R"({"question": "?", "choices": ["a", "b"], "answer": 0)";

template <class T>
Result<void> outcome(const Result<T>& result) {
  if (result) return {};
  return moe::forward(result);
}

Result<void> open_directory(const std::string& config, const std::string& header, const std::string& index = {}) {
  const TemporaryDirectory dir;
  dir.write("config.json", config);
  dir.write(index.empty() ? "model.safetensors" : "a.safetensors", safetensors_bytes(header, 24));
  if (!index.empty()) dir.write("model.safetensors.index.json", index);
  return outcome(moe::checkpoint::open(dir.path()));
}

/// A tokenizer.json with an unread key, and the token that ends small_gguf()'s texts.
std::string tokenizer_json(const std::string& value) {
  const auto v = small_vocabulary("gpt-2");
  nlohmann::json vocab = nlohmann::json::object();
  for (std::size_t id = 0; id < v.tokens.size(); ++id) vocab[v.tokens[id]] = id;
  return R"({"added_tokens": [{"id": 256, "content": "<|end|>"}], "pre_tokenizer": {"type": "ByteLevel"}, "model": {"merges": [], "vocab": )" +
         vocab.dump() + R"(}, "x": )" + value + "}";
}

Result<void> open_gguf(const std::string& json) {
  GgufFile file = small_gguf();
  file.metadata.push_back(string_entry("tokenizer.huggingface.json", json));
  const MemoryFile stored(file.bytes());
  const auto opened = moe::checkpoint::open(stored.path());
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  return outcome((*opened)->load_tokenizer(300));
}

Result<void> describe(const std::string& config) {
  const TemporaryDirectory dir;
  dir.write("config.json", config);
  const auto described = moe::describe_config_only(dir.path());
  // This one is no whole configuration.
  if (!described && described.error().code == ErrorCode::bad_config) return {};
  return outcome(described);
}

Result<void> load_questions(const std::string& line) {
  const TemporaryDirectory dir;
  return outcome(moe::eval::load_questions(dir.write("q.jsonl", line), moe::eval::TaskKind::multiple_choice));
}

Result<void> load_examples(const std::string& line) {
  const TemporaryDirectory dir;
  moe::eval::TaskSpec task;
  task.name = "t";
  task.prompt = "{question}";
  task.data = dir.write("q.jsonl", kQuestion + "}");
  task.data_is_path = task.fewshot.is_path = true;
  task.fewshot.examples = dir.write("shots.jsonl", line);
  return outcome(moe::eval::prepare(task, {.num_fewshot = 1}));
}

struct Reader {
  const char* name;
  bool unread;  ///< the value stands where any value is welcome
  std::function<Result<void>(const std::string&)> read;
};

const std::vector<Reader>& readers() {
  static const std::vector<Reader> all = {
      {"config.json", true,
       [](const std::string& v) { return open_directory(kConfig + v + "}", "{" + kTensor + "}"); }},
      {"config.json without weights", true, [](const std::string& v) { return describe(kConfig + v + "}"); }},
      {"safetensors header", false,
       [](const std::string& v) {
         return open_directory(kConfig + "1}", "{" + kTensor + R"(, "__metadata__": )" + v + "}");
       }},
      {"index", true,
       [](const std::string& v) {
         return open_directory(kConfig + "1}", "{" + kTensor + "}",
                               R"({"weight_map": {"a": "a.safetensors"}, "x": )" + v + "}");
       }},
      {"tokenizer.json", true,
       [](const std::string& v) {
         return outcome(moe::Tokenizer::create(moe::JsonTokenizer{tokenizer_json(v), {}}));
       }},
      {"tokenizer_config.json", true,
       [](const std::string& v) {
         return outcome(moe::Tokenizer::create(moe::JsonTokenizer{tokenizer_json("1"), R"({"x": )" + v + "}"}));
       }},
      {"tokenizer.json in GGUF", true, [](const std::string& v) { return open_gguf(tokenizer_json(v)); }},
      {"task", false,
       [](const std::string& v) {
         return outcome(moe::eval::parse_task(
             R"({"task": "t", "questions": "q", "prompt": "p", "metrics": ["acc"], "max_tokens": )" + v + "}",
             "t.json"));
       }},
      {"questions", true, [](const std::string& v) { return load_questions(kQuestion + ", \"x\": " + v + "}"); }},
      {"answer", false,
       [](const std::string& v) {
         return load_questions(R"({"question": "?", "choices": ["a", "b"], "answer": )" + v + "}");
       }},
      {"worked examples", true, [](const std::string& v) { return load_examples(kQuestion + ", \"x\": " + v + "}"); }},
  };
  return all;
}

std::string repeat(const std::string& piece, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += piece;
  return out;
}

}  // namespace

TEST_CASE("every reader of JSON refuses the same values in one line") {
  const std::vector<std::pair<std::string, const char*>> values = {
      {repeat("[", 200'000) + repeat("]", 200'000), "deeper than 64"},
      {repeat("{\"a\":", 200'000) + "1" + repeat("}", 200'000), "deeper than 64"},
      {repeat("[", 1'000'000), "deeper than 64"},
      {R"({"twin": 1, "twin": 1})", "'twin' twice"},
      {R"([{"b": {"": 0, "": 0}}])", "'' twice"},
      {"[1e999]", "beyond a double"},
      {"\"\\ud800\"", "no valid JSON"},
      {"\"\xc3\x28\"", "no valid JSON"},
      {"[nan]", "no valid JSON"},
      {"[1", "no valid JSON"},
      {"", "no valid JSON"},
  };
  for (const Reader& reader : readers())
    for (const auto& [value, says] : values) {
      CAPTURE(std::string(reader.name));
      const std::string begin = value.substr(0, 40);  // clang 14 captures no structured binding
      CAPTURE(begin);
      check_refused(reader.read(value), ErrorCode::bad_file, {says});
    }
}

TEST_CASE("values nobody asks for are passed over, as Python writes them") {
  for (const Reader& reader : readers())
    for (const char* value :
         {"1", "NaN", "[Infinity, -Infinity]", "{\"a\": {\"a\": [[]]}}", "1e-400", "12345678901234567890123"}) {
      CAPTURE(std::string(reader.name));
      CAPTURE(std::string(value));
      const Result<void> read = reader.read(value);
      if (reader.unread) CHECK_MESSAGE(read.has_value(), read.error().message);
      if (!read) CHECK(is_one_printable_line(read.error().message));
    }
}

TEST_CASE("a number of config.json that is not finite is refused by the name of its key") {
  const auto parsed = moe::arch::JsonConfig::parse(R"({"a": {"b": NaN, "c": -Infinity}})");
  REQUIRE(parsed.has_value());
  CHECK(parsed->status().has_value());
  static_cast<void>(parsed->object("a").number_or("b", 1));
  check_refused(parsed->status(), ErrorCode::bad_config, {"a.b is NaN", "finite number"});
  const auto other = moe::arch::JsonConfig::parse(R"({"a": {"b": NaN, "c": -Infinity}})");
  static_cast<void>(other->object("a").integer("c", 0, 9));
  check_refused(other->status(), ErrorCode::bad_config, {"a.c is -Infinity", "integer"});
}

TEST_CASE("wide values: no reader takes more than 8 times the text") {
  constexpr std::size_t kBytes = 1 << 20;
  std::string keys = "{\"\":0";
  for (int i = 0; keys.size() < kBytes; ++i) keys += ",\"" + std::to_string(i) + "\":0";
  const std::vector<std::pair<const char*, std::string>> values = {
      {"zeros", "[" + repeat("0,", kBytes / 2) + "0]"},
      {"empty lists", "[" + repeat("[],", kBytes / 3) + "0]"},
      {"empty objects", "[" + repeat("{},", kBytes / 3) + "0]"},
      {"objects of one key", "[" + repeat("{\"\":0},", kBytes / 7) + "0]"},
      {"keys", keys + "}"},
      {"strings", "[" + repeat("\"a\",", kBytes / 4) + "0]"},
      {"one string", "\"" + std::string(kBytes, 'a') + "\""},
      {"a string without end", "\"" + std::string(kBytes, 'a')},
  };
  for (const Reader& reader : readers())
    for (const auto& [name, value] : values) {
      CAPTURE(std::string(reader.name));
      const std::string what = name;
      CAPTURE(what);
      start_allocation_meter();
      const Result<void> read = reader.read(value);
      if (!read) CHECK(is_one_printable_line(read.error().message));
      // What the test itself holds is counted as well: the value put into its place, and the file in memory.
      CHECK(allocation_peak() <= 10 * value.size() + (1 << 18));
    }
}
