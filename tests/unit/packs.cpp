// Packed files that are damaged, hostile, foreign or old.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "pack/pack_load.hpp"
#include "unit/packed_model.hpp"

namespace packs_test {

namespace {

using namespace moe_test;
namespace fs = std::filesystem;
using moe::ErrorCode;
using moe::pack::PackFile;
using moe::pack::PackMatrix;
using moe::pack::PackSource;
using moe::pack::PackSourceFile;
using moe::pack::PackStart;

/// An error that names the file and what is wrong with it.
void check_refused(const moe::Result<std::shared_ptr<const PackFile>>& got, const std::string& path,
                   const std::string& names = "") {
  REQUIRE(!got.has_value());
  const std::string message = got.error().message;
  CAPTURE(message);
  CHECK((got.error().code == ErrorCode::bad_file || got.error().code == ErrorCode::io));
  CHECK(message.find(path) != std::string::npos);
  CHECK(message.find(names) != std::string::npos);
}

}  // namespace

TEST_CASE("a packed file whose header has a flipped bit is not used") {
  for (const char* name : {"qwen3_moe", "deepseek_v3_yarn"}) {
    const Packed packed(name);
    const PackPlan plan(packed.model);
    REQUIRE(*plan.open(packed.path) != nullptr);
    REQUIRE(packed.bytes.size() == plan.layout.file_bytes);
    std::fstream file(packed.path, std::ios::in | std::ios::out | std::ios::binary);
    for (std::size_t at = 0; at < plan.layout.header_bytes; ++at) {
      const auto put = [&](char byte) {
        file.seekp(static_cast<std::streamoff>(at));
        file.put(byte).flush();
      };
      put(static_cast<char>(packed.bytes[at] ^ (1 << at % 8)));
      const auto got = plan.open(packed.path);
      const bool is_version = at >= offsetof(PackStart, format_version) && at < offsetof(PackStart, format_version) + 4;
      const bool good = is_version ? got.has_value() && *got == nullptr
                                   : !got && got.error().message.find(packed.path) != std::string::npos;
      if (!good) FAIL_CHECK(std::string(name) << ": byte " << at << " was changed unnoticed");
      put(packed.bytes[at]);
    }
    CHECK(*plan.open(packed.path) != nullptr);
  }
}

TEST_CASE("panels and their order are those of this kPanelVersion") {
  // A difference here means that files of older versions hold other bytes: raise the version, then write the new sums.
  REQUIRE(moe::pack::kPanelVersion == 2);
  const std::pair<const char*, std::uint32_t> known[] = {{"qwen3_moe", 0x926e01a7}, {"deepseek_v3_yarn", 0xc22ff139}};
  for (const auto& one : known) {
    const Packed packed(one.first);
    const auto panels = std::as_bytes(std::span(packed.bytes)).subspan(PackPlan(packed.model).layout.header_bytes);
    CAPTURE(one.first);
    CHECK(moe::crc32c(panels) == one.second);
  }
}

TEST_CASE("a packed file that is cut off or has more bytes is an error") {
  const Packed packed("deepseek_v3_yarn");
  const PackPlan plan(packed.model);
  std::vector<std::size_t> ends = {0,
                                   1,
                                   8,
                                   sizeof(PackStart) - 1,
                                   sizeof(PackStart),
                                   sizeof(PackStart) + 36,
                                   plan.layout.header_bytes - 1,
                                   plan.layout.header_bytes,
                                   packed.bytes.size() - 1};
  for (const auto& matrix : plan.layout.matrices) ends.push_back(matrix.offset);
  for (const auto& block : plan.layout.blocks) ends.push_back(block.offset + 1);
  for (const std::size_t end : ends) {
    CAPTURE(end);
    overwrite(packed.path, packed.bytes.substr(0, end));
    check_refused(plan.open(packed.path), packed.path, "delete the packed file");
    CHECK(!packed.load());
  }
  overwrite(packed.path, packed.bytes + '\0');
  check_refused(plan.open(packed.path), packed.path, "expected");
}

TEST_CASE("a packed file of another version or another source is made again") {
  const Packed packed;
  const PackPlan plan(packed.model);
  const std::pair<std::size_t, std::size_t> fields[] = {
      // where, bytes
      {offsetof(PackStart, format_version), 4},
      {offsetof(PackStart, numerics_version), 4},
      {offsetof(PackStart, panel_version), 4},
      {sizeof(PackStart) + offsetof(PackSource, header_hash), 8},
      {sizeof(PackStart) + offsetof(PackSource, file_count), 4},
      {sizeof(PackStart) + sizeof(PackSource) + offsetof(PackSourceFile, bytes), 8},
      {sizeof(PackStart) + sizeof(PackSource) + offsetof(PackSourceFile, modified_ns), 8}};
  for (const auto& field : fields)
    for (std::size_t i = 0; i < field.second; ++i) {
      CAPTURE(field.first + i);
      std::string other = packed.bytes;
      other[field.first + i] = static_cast<char>(other[field.first + i] ^ 1);
      repair_header(other);
      overwrite(packed.path, other);
      const auto got = plan.open(packed.path);
      REQUIRE(got.has_value());
      CHECK(*got == nullptr);
      if (i > 0) continue;
      CHECK(packed.load().has_value());
      CHECK(read_file(packed.path) == packed.bytes);
    }
  std::string more_files = packed.bytes;
  put_at(more_files, offsetof(PackStart, source_bytes),
         static_cast<std::uint32_t>(plan.source.size() + sizeof(PackSourceFile)));
  repair_header(more_files);
  overwrite(packed.path, more_files);
  CHECK(*plan.open(packed.path) == nullptr);
}

TEST_CASE("a model that was changed gets a new packed file") {
  const Packed packed;
  const fs::path weights = fs::path(packed.model) / "model.safetensors";
  fs::last_write_time(weights, fs::last_write_time(weights) - std::chrono::seconds(5));
  CHECK(*PackPlan(packed.model).open(packed.path) == nullptr);
  const auto loaded = packed.load();
  REQUIRE(loaded.has_value());
  const std::vector<std::string>& notes = (*loaded)->info().notes;
  CHECK(std::any_of(notes.begin(), notes.end(), [&](const std::string& note) {
    return note.find(packed.path + ": was of another model, or") != std::string::npos;
  }));
  const auto again = packed.load();
  REQUIRE(again.has_value());
  CHECK((*again)->info().notes.size() + 1 == notes.size());
  CHECK(read_file(packed.path) != packed.bytes);
  CHECK(*PackPlan(packed.model).open(packed.path) != nullptr);
}

TEST_CASE("numbers of the directory are compared and never used") {
  const Packed packed("deepseek_v3_yarn");
  const PackPlan plan(packed.model);
  const std::size_t directory = sizeof(PackStart) + plan.source.size();
  const std::uint64_t hostile[] = {0, 1, 0x7fffffffffffffff, 0x8000000000000000, ~std::uint64_t{0}};
  for (std::size_t m = 0; m < plan.layout.matrices.size(); ++m)
    for (std::size_t word = 0; word < sizeof(PackMatrix) / 8; ++word) {
      std::string other = packed.bytes;
      put_at(other, directory + m * sizeof(PackMatrix) + 8 * word, hostile[(m + word) % std::size(hostile)] ^ m);
      if (other == packed.bytes) continue;
      repair_header(other);
      overwrite(packed.path, other);
      const auto got = plan.open(packed.path);
      REQUIRE(!got.has_value());
      const auto& matrix = plan.layout.matrices[m];
      CHECK(got.error().message.find("expected " + std::string(name_of(matrix.kind))) != std::string::npos);
    }
  for (const std::size_t field : {offsetof(PackStart, header_bytes), offsetof(PackStart, file_bytes)})
    for (const std::uint64_t number : hostile) {
      std::string other = packed.bytes;
      put_at(other, field, number);
      repair_header(other);
      overwrite(packed.path, other);
      check_refused(plan.open(packed.path), packed.path);
    }
}

TEST_CASE("a flipped bit of any panel is an error that names the matrix") {
  const Packed packed;
  PackPlan plan(packed.model);
  for (const auto& block : plan.layout.blocks) {
    const std::size_t at = block.offset + static_cast<std::uint64_t>(block.bytes) / 2;
    CAPTURE(at);
    std::string other = packed.bytes;
    other[at] = static_cast<char>(other[at] ^ 16);
    overwrite(packed.path, other);
    for (const auto use : {moe::PackUse::read, moe::PackUse::map}) {
      const auto loaded = packed.load({.pack_use = use});
      REQUIRE(!loaded.has_value());
      CHECK(loaded.error().code == ErrorCode::bad_file);
      CHECK(loaded.error().message.find(packed.path) != std::string::npos);
      CHECK(loaded.error().message.find(moe::pack::item_at(plan.layout, block.offset)) != std::string::npos);
    }
  }
}

TEST_CASE("an expert is read alone, and a flipped bit is an error that names it") {
  const Packed packed;
  PackPlan plan(packed.model);
  const moe::LoadOptions options{.pack = packed.path};
  const auto loaded =
      moe::pack::load_packed(packed.model, *plan.file, plan.plan, options, {.experts = false}, plan.weights);
  REQUIRE(loaded.has_value());
  for (const auto& m : moe::pack::matrices_of(plan.weights).resident) CHECK(m.matrix->data != nullptr);
  for (const auto& m : moe::pack::matrices_of(plan.weights).experts) CHECK(m.matrix->data == nullptr);
  const std::int64_t layer = plan.weights.layers.front().experts.empty() ? 1 : 0;
  const moe::ExpertReader& reader = *loaded->experts;
  const auto bytes = static_cast<std::size_t>(reader.bundle_bytes(layer));
  auto memory = moe::AlignedBuffer<std::byte>::create(bytes + 4096);
  void* at = memory->data();
  std::size_t space = memory->size();
  REQUIRE(std::align(4096, bytes, at, space) != nullptr);
  const std::span<std::byte> out(static_cast<std::byte*>(at), bytes);
  CHECK(read_parts(reader, layer, 1, out).has_value());
  CHECK(std::memcmp(out.data(), packed.bytes.data() + reader.position(layer, 1), bytes) == 0);
  const std::span<std::byte> unaligned = memory->span().subspan(1, bytes);
  CHECK(read_parts(reader, layer, 1, unaligned).has_value());
  CHECK(std::memcmp(unaligned.data(), packed.bytes.data() + reader.position(layer, 1), bytes) == 0);
  for (const std::int64_t expert : {std::int64_t{-1}, std::int64_t{1} << 40})
    CHECK(!reader.read(layer, expert, 0, out));
  for (const std::int64_t part : {std::int64_t{-1}, reader.part_count(layer)}) CHECK(!reader.read(layer, 0, part, out));
  CHECK(!reader.read(-1, 0, 0, out));
  CHECK(!reader.read(1000, 0, 0, out));
  CHECK(!reader.read(layer, 0, 0, out.first(64)));

  std::string other = packed.bytes;
  const std::size_t place = reader.position(layer, 2) + 100;
  other[place] = static_cast<char>(other[place] ^ 1);
  overwrite(packed.path, other);
  PackPlan again(packed.model);
  const auto damaged =
      moe::pack::load_packed(packed.model, *again.file, again.plan, options, {.experts = false}, again.weights);
  REQUIRE(damaged.has_value());
  CHECK(read_parts(*damaged->experts, layer, 1, out).has_value());
  const auto refused = read_parts(*damaged->experts, layer, 2, out);
  REQUIRE(!refused.has_value());
  CHECK(refused.error().message.find("expert 2 of layer") != std::string::npos);
  CHECK(refused.error().message.find(packed.path) != std::string::npos);
  // The file is changed while it is in use.
  overwrite(packed.path, packed.bytes.substr(0, packed.bytes.size() / 2));
  CHECK(read_parts(*damaged->experts, layer, 1, out).error().code == ErrorCode::io);
}

TEST_CASE("a packed file that others may have written is refused") {
  const Packed packed;
  const PackPlan plan(packed.model);
  for (const int mode : {0620, 0602, 0666, 0622}) {
    fs::permissions(packed.path, fs::perms(mode));
    check_refused(plan.open(packed.path), packed.path,
                  fmt::format("and its mode is {:o}, expected a file of yours", mode));
    CHECK(!packed.load());
  }
  fs::permissions(packed.path, fs::perms(0644));
  CHECK(packed.load().has_value());
  if (::geteuid() != 0) return report_skip("a packed file of another user", "only root can make one");
  REQUIRE(::chown(packed.path.c_str(), 65534, 65534) == 0);
  check_refused(plan.open(packed.path), packed.path, "user 65534 owns it");
}

TEST_CASE("a packed file is of its user alone, and nothing else is replaced by one") {
  const Packed packed;
  CHECK((fs::status(packed.path).permissions() & fs::perms::mask) == fs::perms(0600));
  fs::permissions(packed.path, fs::perms(0666));  // not those of the file that it replaces
  CHECK(moe::write_pack(packed.model, packed.path).has_value());
  CHECK((fs::status(packed.path).permissions() & fs::perms::mask) == fs::perms(0600));
  CHECK(read_file(packed.path) == packed.bytes);
  CHECK(files_in(packed.scratch.dir) == 2);

  const std::string text =
      packed.scratch.write("notes.moepack", "what somebody wrote down, and more than a few bytes of it");
  const std::string longer = packed.scratch.write("longer.moepack", std::string(4096, 'x'));
  const std::string shorter = packed.scratch.write("shorter.moepack", "hello\n");
  for (const std::string& file : {text, longer, shorter}) {
    const std::string before = read_file(file);
    CHECK(moe::write_pack(packed.model, file).error().code == ErrorCode::bad_argument);
    const auto loaded = packed.load({.pack = file});
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().message.find(file + ": is not a packed file (it begins with '" + before.substr(0, 5)) !=
          std::string::npos);
    CHECK(read_file(file) == before);
  }
  CHECK(moe::write_pack(packed.model, packed.scratch / "model.gguf").error().code == ErrorCode::bad_argument);
  CHECK(moe::write_pack(packed.model, packed.scratch / "no/such/folder/a.moepack").error().code ==
        ErrorCode::bad_argument);
}

TEST_CASE("the matrices of routed experts are counted, with gates and without") {
  const ScratchDir scratch("moe_packs_counts");
  for (const int each : {3, 2}) {
    CAPTURE(each);
    const fs::path model = each == 3 ? "golden/qwen3_moe" : "shapes/nemotron_h";
    const auto report =
        moe::write_pack((fs::path(MOE_SOURCE_DIR) / "tests/data" / model).string(), scratch / "model.moepack");
    REQUIRE_MESSAGE(report.has_value(), report.error().message);
    CHECK(report->expert_count > 0);
    CHECK(report->expert_matrix_count == each * report->expert_count);
    CHECK(report->matrix_count > report->expert_matrix_count);
  }
}

TEST_CASE("a model's hash is the same with a packed file, whatever it was made with") {
  const moe::ContentHash other = [](std::span<const std::byte> bytes) {
    moe::ContentDigest digest{};
    digest[0] = static_cast<std::uint8_t>(bytes.size());
    return digest;
  };
  const moe::ContentHash sha256 = moe::sha256;
  for (const moe::ContentHash made_with : {moe::ContentHash(nullptr), sha256, other}) {
    Packed packed("qwen3_moe", made_with);
    CHECK(packed.hash_of(packed.path) == packed.hash_of(""));
    // Texts are hashed at every load.
    std::ofstream(fs::path(packed.model) / "tokenizer_config.json", std::ios::app) << "\n";
    CHECK(packed.hash_of(packed.path) == packed.hash_of(""));
    CHECK(read_file(packed.path) == packed.bytes);
  }
}

}  // namespace packs_test
