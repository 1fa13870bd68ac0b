// Hugging Face directories and split GGUF files that must be refused.

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <functional>
#include <tuple>

#include "bad_input.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;
using moe::ErrorCode;

const std::string kConfig = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 32})";
const std::string kHeader = R"({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},)"
                            R"( "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}})";

/// A directory with config.json and one model.safetensors.
void check_header(const std::string& name, const std::string& bytes, const std::vector<std::string>& says) {
  CAPTURE(name);
  TemporaryDirectory dir;
  dir.write("config.json", kConfig);
  dir.write("model.safetensors", bytes);
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::bad_file, says);
}

std::string one(const std::string& entry) { return R"({"a": )" + entry + "}"; }
std::string with_shape(const std::string& shape, const std::string& offsets = "[0, 24]",
                       const std::string& dtype = "F32") {
  return one(R"({"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" + offsets + "}");
}

}  // namespace

TEST_CASE("the directory that all cases change is accepted") {
  TemporaryDirectory dir;
  dir.write("config.json", kConfig);
  dir.write("model.safetensors", safetensors_bytes(kHeader + "   ", 32));
  const auto opened = moe::checkpoint::open(dir.path());
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  REQUIRE((*opened)->tensors().size() == 2);
  CHECK((*opened)->tensors()[0].name == "a");
  CHECK((*opened)->find("b")->format == moe::Format::bf16);
  CHECK((*opened)->load_tokenizer().error().code == ErrorCode::not_found);
}

TEST_CASE("safetensors: header length") {
  const std::string whole = safetensors_bytes(kHeader, 32);
  for (std::size_t n = 0; n < 8; ++n)
    check_header("file of " + std::to_string(n) + " bytes", whole.substr(0, n), {"length", "left"});
  for (const std::uint64_t n :
       {std::uint64_t{1000}, std::uint64_t{1} << 32, std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - 7})
    check_header("header length " + std::to_string(n), safetensors_bytes(kHeader, 32, n),
                 {"length is " + std::to_string(n), "at most"});
  check_header("header length 0", safetensors_bytes(kHeader, 32, 0), {"no valid JSON"});
  check_header("header one byte short", safetensors_bytes(kHeader, 32, kHeader.size() - 1), {"no valid JSON"});
}

TEST_CASE("safetensors: JSON of another form") {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  const std::vector<std::pair<std::string, std::vector<std::string>>> headers = {
      {"[]", {"array"}},
      {"null", {"null"}},
      {"17", {"17"}},
      {"{} {}", {"no valid JSON"}},
      {"{\"a\": 1}", {"'a'", "number 1"}},
      {"{\"a\": null}", {"'a'", "null"}},
      {"{\"a\": []}", {"'a'", "array"}},
      {"{\"a\": {}}", {"'a'", "lacks"}},
      {one(R"({"dtype": "F32", "shape": [6]})"), {"'a'", "lacks"}},
      {one(R"({"dtype": "F32", "data_offsets": [0, 24]})"), {"'a'", "lacks"}},
      {one(R"({"shape": [6], "data_offsets": [0, 24]})"), {"'a'", "lacks"}},
      {one(R"({"dtype": "F32", "shape": [6], "data_offsets": [0, 24], "extra": 1})"), {"'a'", "unknown key 'extra'"}},
      {one(R"({"dtype": "F32", "dtype": "F32", "shape": [6], "data_offsets": [0, 24]})"), {"'dtype' twice"}},
      {one(R"({"dtype": "F32", "shape": [6], "shape": [6], "data_offsets": [0, 24]})"), {"'shape' twice"}},
      {one(R"({"dtype": "F32", "shape": [6], "data_offsets": [0, 24], "data_offsets": [0, 24]})"),
       {"'data_offsets' twice"}},
      {one(R"({"dtype": 1, "shape": [6], "data_offsets": [0, 24]})"), {"'dtype'", "number 1"}},
      {one(R"({"dtype": "F32", "shape": "6", "data_offsets": [0, 24]})"), {"'a'", "'shape'", "string \"6\""}},
      {one(R"({"dtype": "F32", "shape": [6], "data_offsets": 24})"), {"'data_offsets'", "24"}},
      {one(R"({"dtype": "F32", "shape": {"x": 1}, "data_offsets": [0, 24]})"), {"'shape'", "object"}},
      {with_shape("[[6]]"), {"'shape'", "array"}},
      {with_shape("[6.0]"), {"6.0"}},
      {with_shape("[-6]"), {"-6"}},
      {with_shape("[18446744073709551616]"), {"1.8446744073709552e+19"}},
      {with_shape("[18446744073709551615]"), {"18446744073709551615"}},
      {with_shape("[1e400]"), {"1e400", "beyond a double"}},
      {with_shape("[1e2]"), {"100.0"}},
      {with_shape("[NaN]"), {"'shape'", "NaN"}},
      {with_shape("[1,1,1,1,1,1,1,1,6]"), {"'shape' has 9 numbers", "at most 8"}},
      {with_shape("[6]", "[0]"), {"1 data_offsets", "expected 2"}},
      {with_shape("[6]", "[0, 24, 24]"), {"'data_offsets' has 3 numbers", "at most 2"}},
      {with_shape("[6]", "[0, 24]", "F33"), {"'a'", "'F33'", "not known"}},
      {with_shape("[6]", "[0, 24]", "f32"), {"'f32'"}},
      {R"({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}, "a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}})",
       {"'a'", "twice"}},
      {R"({"__metadata__": {"x": 1}})", {"number 1"}},
      {R"({"__metadata__": {"x": {"y": "z"}}})", {"object"}},
      {R"({"__metadata__": "x"})", {"string \"x\""}},
      {R"({"__metadata__": {"x": "", "x": ""}})", {"'x' twice"}},
      {R"({"": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}})", {"empty"}},
      {R"({"a\u0000": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}})", {"NUL"}},
      {"{\"\xff\": 1}", {"no valid JSON"}},
      {"{\"\\ud800\": 1}", {"no valid JSON"}},
      {deep, {"deeper than 64"}},
      {"{\"a\": " + deep + "}", {"deeper than 64"}},
      {"{\"a\":", {"no valid JSON"}},
  };
  for (const auto& [header, says] : headers) check_header(header.substr(0, 100), safetensors_bytes(header, 24), says);
}

TEST_CASE("safetensors: shapes and offsets against the data") {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a": {"dtype": "U8", "shape": [8], "data_offsets": )" + first +
           R"(}, "b": {"dtype": "U8", "shape": [8], "data_offsets": )" + second + "}}";
  };
  const std::vector<std::tuple<std::string, std::uint64_t, std::vector<std::string>>> cases = {
      {with_shape("[5]"), 24, {"'a'", "24 bytes", "expected 20"}},
      {with_shape("[7]"), 24, {"'a'", "24 bytes", "expected 28"}},
      {with_shape("[]"), 24, {"expected 4"}},
      {with_shape("[6, 0]"), 24, {"expected 0"}},
      {with_shape("[4611686018427387904, 4, 6]"), 24, {"2^64"}},
      {with_shape("[9223372036854775807, 2]"), 24, {"2^64"}},
      {with_shape("[3]", "[0, 2]", "F4"), 2, {"no whole bytes"}},
      {with_shape("[6]", "[24, 0]"), 24, {"[24, 0]", "24 bytes"}},
      {with_shape("[6]", "[0, 25]"), 24, {"[0, 25]", "24 bytes"}},
      {with_shape("[6]", "[9223372036854775783, 9223372036854775807]"), 24, {"24 bytes"}},
      {with_shape("[6]", "[8, 32]"), 32, {"begins at 8", "expected 0", "gap"}},
      {with_shape("[6]"), 25, {"end at byte 24", "expected 25"}},
      {with_shape("[6]"), 23, {"[0, 24]", "23 bytes"}},
      {"{}", 1, {"end at byte 0", "expected 1"}},
      {two("[0, 8]", "[4, 12]"), 12, {"'b'", "begins at 4", "expected 8", "overlap"}},
      {two("[0, 8]", "[0, 8]"), 8, {"begins at 0", "expected 8", "overlap"}},
      {two("[0, 8]", "[12, 20]"), 20, {"'b'", "begins at 12", "expected 8", "gap"}},
  };
  for (const auto& [header, data, says] : cases) check_header(header, safetensors_bytes(header, data), says);
  // Out of order in the header is fine: the offsets count.
  TemporaryDirectory dir;
  dir.write("config.json", kConfig);
  dir.write("model.safetensors", safetensors_bytes(two("[8, 16]", "[0, 8]"), 16));
  const auto opened = moe::checkpoint::open(dir.path());
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  REQUIRE((*opened)->unsupported().size() == 2);
  CHECK((*opened)->unsupported()[0].name == "b");
  CHECK((*opened)->unsupported()[0].type == "U8");
}

TEST_CASE("config.json that is none") {
  const std::vector<std::pair<std::string, std::vector<std::string>>> configs = {
      {"", {"no valid JSON"}},
      {"[]", {"array", "expected an object"}},
      {"{\"a\": 1, \"a\": 2}", {"'a'", "twice"}},
      {"{\"a\": {\"b\": 1, \"b\": 1}}", {"'b'", "twice"}},
      {"{\"a\": 1e999}", {"1e999", "beyond a double"}},
      {"{\"a\": -NaN}", {"no valid JSON"}},
      {"{\"a\": \"\xc3\x28\"}", {"no valid JSON"}},
      {"{\"a\": 1", {"no valid JSON"}},
      {"{\"a\": 1} x", {"no valid JSON"}},
      {std::string("{\"a\0\": 1}", 9), {"no valid JSON"}},
      {"{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}", {"deeper than 64"}},
      {[] {
         std::string s;
         for (int i = 0; i < 100000; ++i) s += "{\"a\":";
         return s;
       }(),
       {"deeper than 64"}},
  };
  for (const auto& [config, says] : configs) {
    const std::string begin = config.substr(0, 60);
    CAPTURE(begin);
    TemporaryDirectory dir;
    dir.write("config.json", config);
    dir.write("model.safetensors", safetensors_bytes(kHeader, 32));
    std::vector<std::string> parts = says;
    parts.push_back("config.json");
    check_refused(moe::checkpoint::open(dir.path()), ErrorCode::bad_file, parts);
  }
}

TEST_CASE("directories in which a file is missing or is something else") {
  TemporaryDirectory dir;
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::not_found, {"config.json"});
  dir.write("config.json", kConfig);
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::not_found,
                {"model.safetensors", "model.safetensors.index.json"});
  const auto model = dir.path() / "model.safetensors";
  std::filesystem::create_directory(model);
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::bad_file, {"model.safetensors", "not a regular file"});
  std::filesystem::remove(model);
  REQUIRE(::mkfifo(model.c_str(), 0600) == 0);  // must not wait for a writer
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::bad_file, {"model.safetensors", "not a regular file"});
  std::filesystem::remove(model);
  std::filesystem::create_symlink("model.safetensors", model);  // a link to itself
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::io, {"model.safetensors"});
  std::filesystem::remove(model);
  std::filesystem::create_symlink("/dev/zero", model);
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::bad_file, {"not a regular file"});
  check_refused(moe::checkpoint::open("/dev/null"), ErrorCode::bad_file, {"/dev/null"});
  check_refused(moe::checkpoint::open(std::string("/tmp\0x", 6)), ErrorCode::bad_argument,
                {"'/tmp\\x00x'", "zero byte"});
  check_refused(moe::checkpoint::open(""), ErrorCode::bad_argument, {"''", "not empty"});
}

TEST_CASE("index files that lead astray") {
  const auto index = [](const std::string& a, const std::string& b) {
    return R"({"metadata": {"total_size": 32}, "weight_map": {"a": )" + a + R"(, "b": )" + b + "}}";
  };
  const std::string first = R"("model-00001-of-00002.safetensors")", second = R"("model-00002-of-00002.safetensors")";
  const std::string header_a = R"({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}})";
  const std::string header_b = R"({"b": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}})";
  struct Case {
    std::string index;
    std::vector<std::string> says;
    ErrorCode code = ErrorCode::bad_file;
  };
  const std::vector<Case> cases = {
      {index(first, R"("../model-00002-of-00002.safetensors")"),
       {"'../model-00002-of-00002.safetensors'", "same directory"}},
      {index(first, R"("/etc/passwd")"), {"'/etc/passwd'", "same directory"}},
      {index(first, R"("/tmp/x.safetensors")"), {"same directory"}},
      {index(first, R"("sub/x.safetensors")"), {"same directory"}},
      {index(first, R"("sub\\x.safetensors")"), {"same directory"}},
      {index(first, R"("x.safetensors\u0000.safetensors")"), {"same directory"}},
      {index(first, R"("pytorch_model.bin")"), {"'pytorch_model.bin'", "same directory"}},
      {index(first, R"("..")"), {"same directory"}},
      {index(first, R"("")"), {"same directory"}},
      {index(first, "7"), {"'b'", "number", "file name"}},
      {index(first, R"("model-00003-of-00002.safetensors")"),
       {"missing", "model-00003-of-00002.safetensors"},
       ErrorCode::not_found},
      {index(first, first), {"'b'", "model-00001-of-00002.safetensors", "it is not"}},
      {"{}", {"weight_map"}},
      {R"({"weight_map": []})", {"weight_map"}},
      {R"({"weight_map": {}})", {"weight_map"}},
      {R"({"weight_map": {"a": "x", "a": "y"}})", {"'a'", "twice"}},
      {"[]", {"object"}},
      {"", {"no valid JSON"}},
  };
  TemporaryDirectory dir;
  dir.write("config.json", kConfig);
  dir.write("model-00001-of-00002.safetensors", safetensors_bytes(header_a, 24));
  dir.write("model-00002-of-00002.safetensors", safetensors_bytes(header_b, 8));
  dir.write("model.safetensors.index.json", index(first, second));
  const auto whole = moe::checkpoint::open(dir.path());
  REQUIRE_MESSAGE(whole.has_value(), whole.error().message);
  CHECK((*whole)->tensors().size() == 2);
  CHECK((*whole)->find("b")->file == 1);
  for (const Case& c : cases) {
    CAPTURE(c.index);
    dir.write("model.safetensors.index.json", c.index);
    check_refused(moe::checkpoint::open(dir.path()), c.code, c.says);
  }
  dir.write("model.safetensors.index.json", index(first, second));
  dir.write(
      "model-00002-of-00002.safetensors",
      safetensors_bytes(
          R"({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}, "b": {"dtype": "F16", "shape": [4], "data_offsets": [8, 16]}})",
          16));
  check_refused(moe::checkpoint::open(dir.path()), ErrorCode::bad_file,
                {"'a'", "model-00001-of-00002", "model-00002-of-00002"});
}

namespace {

/// Two shards of the small file; `change` may spoil the second.
void write_split(const TemporaryDirectory& dir, const std::function<void(GgufFile&)>& change = {}) {
  GgufFile first = small_gguf(), second;
  second.tensors = {first.tensors[2]};
  first.tensors.pop_back();
  int number = 0;
  for (GgufFile* f : {&first, &second}) {
    f->metadata.push_back(number_entry<std::uint16_t>("split.no", kU16, static_cast<std::uint16_t>(number++)));
    f->metadata.push_back(number_entry<std::uint16_t>("split.count", kU16, 2));
    f->metadata.push_back(number_entry<std::int32_t>("split.tensors.count", kI32, 3));
  }
  if (change) change(second);
  dir.write("m-00001-of-00002.gguf", first.bytes());
  dir.write("m-00002-of-00002.gguf", second.bytes());
}

}  // namespace

TEST_CASE("split GGUF files: any shard opens all") {
  TemporaryDirectory dir;
  write_split(dir);
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const auto opened = moe::checkpoint::open(dir.path() / name);
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    CHECK((*opened)->tensors().size() == 3);
    CHECK((*opened)->find("output_norm.weight")->file == 1);
    CHECK((*opened)->meta("llama.block_count") != nullptr);
    CHECK((*opened)->file_bytes() == std::filesystem::file_size(dir.path() / "m-00001-of-00002.gguf") +
                                         std::filesystem::file_size(dir.path() / "m-00002-of-00002.gguf"));
    std::vector<std::byte> data(128);
    REQUIRE((*opened)->read(*(*opened)->find("output_norm.weight"), 0, data).has_value());
    CHECK(data[1] == std::byte{42});
  }
}

TEST_CASE("split GGUF files that do not belong together") {
  struct Case {
    std::string name;
    std::function<void(GgufFile&)> change;
    std::vector<std::string> says;
  };
  const std::vector<Case> cases = {
      {"wrong number",
       [](GgufFile& f) { f.entry("split.no") = number_entry<std::uint16_t>("split.no", kU16, 0); },
       {"shard 1 of 2", "expected 2 of 2"}},
      {"number = count",
       [](GgufFile& f) { f.entry("split.no") = number_entry<std::uint16_t>("split.no", kU16, 2); },
       {"split.no is 2", "less than"}},
      {"other count",
       [](GgufFile& f) { f.entry("split.count") = number_entry<std::uint16_t>("split.count", kU16, 3); },
       {"of 3", "expected 2 of 2"}},
      {"other total",
       [](GgufFile& f) { f.entry("split.tensors.count") = number_entry<std::int32_t>("split.tensors.count", kI32, 4); },
       {"4 tensors", "with 3"}},
      {"negative total",
       [](GgufFile& f) {
         f.entry("split.tensors.count") = number_entry<std::int32_t>("split.tensors.count", kI32, -1);
       },
       {"split.tensors.count", "-1"}},
      {"count as a string",
       [](GgufFile& f) { f.entry("split.count") = string_entry("split.count", "2"); },
       {"split.count", "string"}},
      {"a tensor too many",
       [](GgufFile& f) {
         f.tensors.push_back({"x", {32}, 0, 128});
       },
       {"4 tensors", "expected 3"}},
      {"no tensor", [](GgufFile& f) { f.tensors.clear(); }, {"2 tensors", "expected 3"}},
      {"a tensor of the first",
       [](GgufFile& f) { f.tensors[0].name = "token_embd.weight"; },
       {"'token_embd.weight'", "m-00001", "m-00002"}},
      {"not GGUF", [](GgufFile& f) { f.magic = "GGML"; }, {"m-00002-of-00002.gguf", "'GGML'"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    TemporaryDirectory dir;
    write_split(dir, c.change);
    check_refused(moe::checkpoint::open(dir.path() / "m-00001-of-00002.gguf"), ErrorCode::bad_file, c.says);
  }
  TemporaryDirectory dir;
  write_split(dir);
  std::filesystem::rename(dir.path() / "m-00001-of-00002.gguf", dir.path() / "renamed.gguf");
  check_refused(moe::checkpoint::open(dir.path() / "renamed.gguf"), ErrorCode::bad_file,
                {"renamed.gguf", "-00001-of-00002.gguf"});
  check_refused(moe::checkpoint::open(dir.path() / "m-00002-of-00002.gguf"), ErrorCode::not_found,
                {"shard 1 of 2", "missing", "m-00001-of-00002.gguf"});
}

TEST_CASE("a file that changes after it was opened is an error value") {
  TemporaryDirectory dir;
  const std::string bytes = small_gguf().bytes();
  const std::string path = dir.write("m.gguf", bytes);
  std::vector<std::byte> data(128);
  const auto read_after = [&](const std::function<void()>& change) {
    dir.write("m.gguf", bytes);
    const auto opened = moe::checkpoint::open(path);
    REQUIRE(opened.has_value());
    const auto* last = (*opened)->find("output_norm.weight");
    REQUIRE(last != nullptr);
    CHECK((*opened)->read(*last, 0, data).has_value());
    change();
    return (*opened)->read(*last, 0, data);
  };
  check_refused(read_after([&] { std::filesystem::resize_file(path, bytes.size() - 1); }), ErrorCode::io,
                {"'output_norm.weight'", "m.gguf", std::to_string(bytes.size())});
  check_refused(read_after([&] { std::filesystem::resize_file(path, 0); }), ErrorCode::io,
                {"'output_norm.weight'", "0 bytes"});
  check_refused(read_after([&] {
                  std::filesystem::last_write_time(
                      path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
                }),
                ErrorCode::io, {"'output_norm.weight'", "modified"});
  // A file that was removed stays readable: the descriptor holds it.
  CHECK(read_after([&] { std::filesystem::remove(path); }).has_value());
}
