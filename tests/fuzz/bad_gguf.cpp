// GGUF files that must be refused. Each case changes one thing in a file that is correct otherwise.

#include <functional>
#include <limits>

#include "bad_input.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;
using moe::ErrorCode;

constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();

/// A case made by changing the small file.
BadCase changed(std::string name, const std::function<void(GgufFile&)>& change, std::vector<std::string> says,
                ErrorCode code = ErrorCode::bad_file) {
  GgufFile f = small_gguf();
  change(f);
  return {std::move(name), f.bytes(), code, std::move(says)};
}
/// The same for the first tensor.
BadCase tensor(std::string name, const std::function<void(GgufTensor&)>& change, std::vector<std::string> says,
               ErrorCode code = ErrorCode::bad_file) {
  return changed(
      std::move(name), [&](GgufFile& f) { change(f.tensors[0]); }, std::move(says), code);
}

void check_all(const std::vector<BadCase>& cases) {
  for (const BadCase& c : cases) {
    CAPTURE(c.name);
    const MemoryFile file(c.bytes);
    check_refused(moe::checkpoint::open(file.path()), c.code, c.says);
  }
}

}  // namespace

TEST_CASE("the file that all cases change is accepted") {
  const std::string bytes = small_gguf().bytes();
  const MemoryFile file(bytes);
  const auto opened = moe::checkpoint::open(file.path());
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  CHECK((*opened)->tensors().size() == 3);
  const auto* t = (*opened)->find("blk.0.ffn_up.weight");
  REQUIRE(t != nullptr);
  CHECK(t->shape == std::vector<std::int64_t>{3, 64});
  CHECK(t->bytes == 3 * 68);
  std::vector<std::byte> data(t->bytes);
  REQUIRE((*opened)->read(*t, 0, data).has_value());
  CHECK(std::memcmp(data.data(), bytes.data() + t->offset, data.size()) == 0);
  CHECK(data[1] == std::byte{42});
  CHECK((*opened)->load_tokenizer().has_value());
}

TEST_CASE("GGUF: magic and version") {
  check_all({
      changed("magic", [](GgufFile& f) { f.magic = "GGML"; }, {"'GGML'", "expected 'GGUF'"}),
      changed("magic with control characters", [](GgufFile& f) { f.magic = "\x1b[2J"; }, {"\\x1b", "GGUF"}),
      changed(
          "version 0", [](GgufFile& f) { f.version = 0; }, {"version 0", "2 or 3"}, ErrorCode::unsupported),
      changed(
          "version 1", [](GgufFile& f) { f.version = 1; }, {"version 1", "2 or 3"}, ErrorCode::unsupported),
      changed(
          "version 4", [](GgufFile& f) { f.version = 4; }, {"version 4", "2 or 3"}, ErrorCode::unsupported),
      changed(
          "big-endian", [](GgufFile& f) { f.version = 3u << 24; }, {"big-endian"}, ErrorCode::unsupported),
  });
}

TEST_CASE("GGUF: counts beyond the bytes left") {
  std::vector<BadCase> cases;
  for (const std::uint64_t n : {std::uint64_t{1000}, std::uint64_t{1} << 31, std::uint64_t{1} << 60, kMax64}) {
    const std::string number = std::to_string(n);
    cases.push_back(changed("metadata count " + number, [n](GgufFile& f) { f.metadata_count = n; },
                            {"metadata count is " + number, "bytes are left"}));
    cases.push_back(changed("tensor count " + number, [n](GgufFile& f) { f.tensor_count = n; },
                            {"tensor count is " + number, "bytes are left"}));
    for (const std::uint32_t type : {kU8, kU64, kString, kBool, kF32})
      if (n > 1000 || type == kString || type == kU64)
        cases.push_back(
            changed("array of type " + std::to_string(type) + " and length " + number,
                    [&](GgufFile& f) { f.metadata.push_back(array_entry<std::uint8_t>("x", type, {1}, n)); },
                    {"array 'x' is " + number, "bytes are left"}));
  }
  // One entry more than there are: the reader runs into what follows.
  cases.push_back(changed("one tensor too many", [](GgufFile& f) { f.tensor_count = 4; }, {}));
  check_all(cases);
}

TEST_CASE("GGUF: string lengths, names") {
  check_all({
      changed("key longer than the file", [](GgufFile& f) { f.metadata[1].key_length = 1 << 20; },
              {"metadata key", "1048576"}),
      changed("key length 2^64-1", [](GgufFile& f) { f.metadata[1].key_length = kMax64; },
              {"metadata key", std::to_string(kMax64)}),
      changed("key length over the limit", [](GgufFile& f) { f.metadata[1].key = std::string(65536, 'k'); },
              {"65536", "at most 65535"}),
      changed("empty key", [](GgufFile& f) { f.metadata[1].key = ""; }, {"metadata key", "empty"}),
      changed("NUL in a key", [](GgufFile& f) { f.metadata[1].key = std::string("a\0b", 3); }, {"'a\\x00b'", "NUL"}),
      changed("string longer than the file", [](GgufFile& f) { f.metadata[0] = string_entry("x", "abc", 1 << 30); },
              {"metadata string", "1073741824"}),
      changed("string length 2^64-1", [](GgufFile& f) { f.metadata[0] = string_entry("x", "abc", kMax64); },
              {"metadata string"}),
      changed("string in an array",
              [](GgufFile& f) {
                GgufEntry e{"x", kArray, {}};
                put<std::uint32_t>(e.value, kString);
                put<std::uint64_t>(e.value, 2);
                put_string(e.value, "a", kMax64 - 7);
                f.metadata.push_back(e);
              },
              {"metadata string"}),
      tensor("name over the limit", [](GgufTensor& t) { t.name = std::string(65, 'n'); },
             {"tensor name", "65", "at most 64"}),
      tensor("empty name", [](GgufTensor& t) { t.name = ""; }, {"tensor name", "empty"}),
      tensor("NUL in a name", [](GgufTensor& t) { t.name = std::string("w\0", 2); }, {"'w\\x00'", "NUL"}),
  });
}

TEST_CASE("GGUF: dimensions") {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min(),
                         kMax = std::numeric_limits<std::int64_t>::max();
  const auto dims = [](std::string name, std::vector<std::int64_t> d, std::vector<std::string> says,
                       std::uint32_t type = 0) {
    says.push_back("'token_embd.weight'");
    return tensor(
        std::move(name),
        [&](GgufTensor& t) {
          t.dims = d;
          t.type = type;
        },
        says);
  };
  check_all({
      dims("zero", {32, 0}, {"dimension 0", "at least 1"}),
      dims("negative", {-1, 5}, {"dimension -1"}),
      dims("most negative", {32, kMin}, {"dimension -9223372036854775808"}),
      dims("largest", {kMax}, {"more than 2^64 bytes"}),
      dims("product wraps to the right size", {32, 5, std::int64_t{1} << 62, 4}, {"more than 2^64 bytes"}),
      dims("product wraps to zero", {std::int64_t{1} << 32, std::int64_t{1} << 32}, {"more than 2^64 bytes"}),
      dims("over 2^31", {32, 3'000'000'000}, {"needs 384000000000 bytes", "the file has"}),
      dims("one row more than there is data for", {32, 17}, {}),
      dims("no whole block", {31, 5}, {"rows of 31", "multiple of 32"}, 8),
      dims("no whole block of 256", {32, 5}, {"rows of 32", "multiple of 256"}, 12),
      tensor("no dimension", [](GgufTensor& t) { t.dims = {}; }, {"0 dimensions", "1 to 4"}),
      tensor("five dimensions",
             [](GgufTensor& t) {
               t.dims = {32, 5, 1, 1, 1};
             },
             {"5 dimensions", "1 to 4"}),
      tensor("4294967295 dimensions", [](GgufTensor& t) { t.dim_count = 0xffffffffu; }, {"4294967295 dimensions"}),
  });
}

TEST_CASE("GGUF: where the data lie") {
  const auto second = [](std::string name, std::uint64_t offset, std::vector<std::string> says) {
    says.push_back("'blk.0.ffn_up.weight'");
    return changed(
        std::move(name), [&](GgufFile& f) { f.tensors[1].offset = offset; }, says);
  };
  std::vector<BadCase> cases = {
      second("misaligned", 641, {"offset 641", "multiple of 32"}),
      second("overlap", 608, {"offset 608", "expected 640", "overlap"}),
      second("the same place", 0, {"offset 0", "expected 640", "overlap"}),
      second("gap", 672, {"offset 672", "expected 640", "gap"}),
      second("beyond the file", 1 << 30, {"offset 1073741824", "expected 640"}),
      second("offset that wraps", kMax64 - 31, {"offset 18446744073709551584", "expected 640"}),
      tensor("the first one not at the start", [](GgufTensor& t) { t.offset = 32; }, {"offset 32", "expected 0"}),
  };
  for (const std::size_t missing : {1, 4, 100, 128, 1000}) {
    const std::string whole = small_gguf().bytes();
    cases.push_back({"file shorter by " + std::to_string(missing),
                     whole.substr(0, whole.size() - missing),
                     ErrorCode::bad_file,
                     {"but the file has"}});
  }
  check_all(cases);
}

TEST_CASE("GGUF: types of tensors") {
  std::vector<BadCase> cases;
  for (const std::uint32_t type : {4u, 5u, 31u, 36u, 38u})
    cases.push_back(tensor(
        "removed type " + std::to_string(type), [=](GgufTensor& t) { t.type = type; },
        {"'token_embd.weight'", "type id " + std::to_string(type), "removed"}, ErrorCode::unsupported));
  for (const std::uint32_t type : {48u, 77u, 0x7fffffffu, 0xffffffffu})
    cases.push_back(tensor(
        "unknown type " + std::to_string(type), [=](GgufTensor& t) { t.type = type; },
        {"'token_embd.weight'", "type id " + std::to_string(type), "not known"}, ErrorCode::unsupported));
  check_all(cases);
  // Types that exist but that no kernel reads are walked over and named.
  GgufFile f = small_gguf();
  f.tensors[1] = {"positions", {10}, 26, 40};
  const MemoryFile file(f.bytes());
  const auto opened = moe::checkpoint::open(file.path());
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
  REQUIRE((*opened)->unsupported().size() == 1);
  CHECK((*opened)->unsupported()[0].name == "positions");
  CHECK((*opened)->unsupported()[0].type == "i32");
  CHECK((*opened)->find("positions") == nullptr);
  CHECK((*opened)->tensors().size() == 2);
}

TEST_CASE("GGUF: types and values of metadata") {
  const auto entry = [](std::string name, const GgufEntry& e, std::vector<std::string> says) {
    says.push_back(e.key);
    return changed(
        std::move(name), [&](GgufFile& f) { f.metadata.push_back(e); }, says);
  };
  std::vector<BadCase> cases = {
      entry("value type 13", {"x", 13, std::string(4, '\0')}, {"value type 13"}),
      entry("boolean 2", number_entry<std::uint8_t>("x", kBool, 2), {"boolean 2", "0 or 1"}),
      entry("array of arrays", array_entry<std::uint64_t>("x", kArray, {0}), {"element type 9"}),
      entry("array of type 13", array_entry<std::uint64_t>("x", 13, {0}), {"element type 13"}),
      entry("array of type 2^32-1", array_entry<std::uint64_t>("x", 0xffffffffu, {0}), {"element type 4294967295"}),
      entry("integer beyond 2^63 in an array", array_entry<std::uint64_t>("x", kU64, {kMax64}),
            {"18446744073709551615"}),
      entry("key twice", u32_entry("llama.block_count", 2), {"twice"}),
      changed("tensor twice", [](GgufFile& f) { f.tensors[2].name = f.tensors[0].name; },
              {"'token_embd.weight'", "twice"}),
  };
  for (const std::uint32_t n : {0u, 3u, 48u, 0x80000000u, 0xffffffffu})
    cases.push_back(entry("alignment " + std::to_string(n), u32_entry("general.alignment", n),
                          {std::to_string(n), "power of two"}));
  cases.push_back(entry("alignment of type uint64", number_entry<std::uint64_t>("general.alignment", kU64, 32),
                        {"value type 10", "uint32"}));
  cases.push_back(entry("alignment of type int32", number_entry<std::int32_t>("general.alignment", kI32, 32),
                        {"value type 5", "uint32"}));
  cases.push_back(entry("alignment as a string", string_entry("general.alignment", "32"), {"value type 8", "uint32"}));
  check_all(cases);
  // Another alignment than 32 is fine when the data follow it.
  GgufFile f = small_gguf();
  f.metadata.push_back(u32_entry("general.alignment", 128));
  f.alignment = 128;
  CHECK(moe::checkpoint::open(MemoryFile(f.bytes()).path()).has_value());
}
