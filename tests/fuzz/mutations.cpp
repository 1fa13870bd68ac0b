// Any byte string gives a model or an error value: no crash, no hang, no memory beyond a multiple of the file.

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

#include "allocation_meter.hpp"
#include "bad_input.hpp"
#include "exercise.hpp"
#include "mutate.hpp"
#include "support.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;
namespace fs = std::filesystem;

/// Memory that a file of this size may cost: read buffers and fixed tables, and a multiple for the parsed form.
std::size_t memory_bound(std::size_t file_bytes) { return 40 * file_bytes + (std::size_t{4} << 20); }

/// Tables of Unicode that the first tokenizer of a process builds (4.5 MB) are no file's memory.
void build_fixed_tables() {
  static const Outcome good = [] {
    const MemoryFile file(small_gguf().bytes());
    return exercise(file.path());
  }();
  CHECK(good.complaint.empty());
}

bool check_survives(const std::string& path, std::size_t file_bytes) {
  build_fixed_tables();
  start_allocation_meter();
  const Outcome outcome = exercise(path);
  const std::size_t peak = allocation_peak();
  if (!outcome.complaint.empty()) FAIL_CHECK(outcome.complaint);
  if (peak > memory_bound(file_bytes)) FAIL_CHECK(peak << " bytes were allocated for a file of " << file_bytes);
  return outcome.accepted;
}

fs::path golden() { return reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden"); }

/// The smallest files of a kind: the header is what is tested, not the weights.
std::vector<fs::path> smallest_gguf_files(std::size_t count) {
  std::vector<fs::path> found;
  const fs::path dir = golden() / "gguf";
  if (fs::exists(dir))
    for (const auto& entry : fs::directory_iterator(dir))
      if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return fs::file_size(a) < fs::file_size(b); });
  found.resize(std::min(found.size(), count));
  return found;
}

void mutate_gguf(const std::string& name, const std::string& whole, std::size_t header_bytes, int rounds,
                 double seconds) {
  std::mt19937_64 random(20240607);
  const Budget budget(seconds);
  int done = 0, accepted = 0;
  for (; done < rounds && budget.left(); ++done) {
    CAPTURE(name);
    CAPTURE(done);
    const std::string damaged = mutate(whole, random, header_bytes);
    const MemoryFile file(damaged);
    accepted += check_survives(file.path(), damaged.size()) ? 1 : 0;
  }
  std::cout << name << ": " << done << " mutations, " << accepted << " accepted" << std::endl;
  CHECK(done > 100);
}

/// A name of three characters for each number below 64^3.
std::string short_name(int number) {
  std::string name;
  for (int i = 0; i < 3; ++i, number /= 64) name += static_cast<char>('0' + number % 64);
  return name;
}

}  // namespace

TEST_CASE("files of 0 to 64 bytes, and a header cut anywhere") {
  const GgufFile good = small_gguf();
  const std::string header = good.header(), whole = good.bytes();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    const MemoryFile file(whole.substr(0, n));
    check_survives(file.path(), n);
    CHECK_FALSE(moe::checkpoint::open(file.path()).has_value());
  }
  for (std::size_t n = 0; n <= 64; ++n)
    for (const char fill : {'\0', '\xff', '{', 'G'}) {
      const MemoryFile file(std::string(n, fill));
      check_survives(file.path(), n);
      CHECK_FALSE(moe::checkpoint::open(file.path()).has_value());
      if (!exercise_safetensors(file.path()).complaint.empty()) FAIL_CHECK("safetensors of " << n << " bytes");
    }
}

TEST_CASE("a small GGUF file, mutated") {
  const GgufFile good = small_gguf();
  mutate_gguf("the small file", good.bytes(), good.header().size(), 20000, 3.0);
}

TEST_CASE("reference GGUF files, mutated") {
  const auto files = smallest_gguf_files(2);
  if (files.empty()) return report_skip("mutated GGUF files", "no reference directory with gguf/");
  for (const fs::path& path : files) mutate_gguf(path.filename().string(), read_file(path), 1 << 14, 5000, 3.0);
}

TEST_CASE("a Hugging Face directory, one file at a time mutated") {
  fs::path model;
  if (!golden().empty())
    for (const auto& entry : fs::directory_iterator(golden()))
      if (fs::exists(entry.path() / "model.safetensors") && fs::exists(entry.path() / "tokenizer.json") &&
          (model.empty() ||
           fs::file_size(entry.path() / "model.safetensors") < fs::file_size(model / "model.safetensors")))
        model = entry.path();
  if (model.empty()) return report_skip("mutated directories", "no reference directory with a model");
  // Links to files in memory: the disk is slow, and links are what the Hugging Face cache consists of.
  TemporaryDirectory dir;
  std::map<std::string, std::string> texts;
  std::map<std::string, MemoryFile> files;
  std::size_t total = 0;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    if (!fs::exists(model / name)) continue;
    const std::string& text = texts[name] = read_file(model / name);
    fs::create_symlink(files.try_emplace(name, text).first->second.path(), dir.path() / name);
    total += text.size();
  }
  std::mt19937_64 random(7);
  for (auto& [name, file] : files) {
    const std::string what = name;
    const Budget budget(2.0);
    int done = 0, accepted = 0;
    for (; done < 3000 && budget.left(); ++done) {
      CAPTURE(what);
      CAPTURE(done);
      REQUIRE(file.assign(mutate(texts[name], random, 1 << 14)));
      accepted += check_survives(dir.path().string(), total) ? 1 : 0;
    }
    REQUIRE(file.assign(texts[name]));
    std::cout << name << " of " << model.filename().string() << ": " << done << " mutations, " << accepted
              << " accepted" << std::endl;
    CHECK(done > 20);
  }
  CHECK(exercise(dir.path().string()).accepted);
}

TEST_CASE("headers that swell: memory stays a multiple of the file") {
  const auto gguf_with = [](const GgufEntry& entry) {
    GgufFile f = small_gguf();
    f.metadata.push_back(entry);
    return f.bytes();
  };
  std::vector<std::pair<std::string, std::string>> files;
  files.emplace_back("a million bytes as integers",
                     gguf_with(array_entry("x", kU8, std::vector<std::uint8_t>(1'000'000, 1))));
  files.emplace_back("empty strings", gguf_with(array_entry("x", kString, std::vector<std::string>(200'000))));
  files.emplace_back("booleans", gguf_with(array_entry("x", kBool, std::vector<std::uint8_t>(1'000'000, 1))));
  // As small in the file as an entry can be, where so many have names of their own.
  GgufFile many = small_gguf();
  for (int i = 0; i < 200'000; ++i) many.metadata.push_back(number_entry<std::uint8_t>(short_name(i), kU8, 1));
  files.emplace_back("many keys", many.bytes());
  for (const std::uint32_t type : {0u, 24u}) {  // F32, and I8, which kernels do not read
    GgufFile tensors = small_gguf();
    tensors.metadata.push_back(u32_entry("general.alignment", 1));
    tensors.alignment = 1;
    tensors.tensors.clear();
    for (int i = 0; i < 100'000; ++i) tensors.tensors.push_back({short_name(i), {1}, type, type == 0 ? 4u : 1u});
    files.emplace_back("many tensors of type " + std::to_string(type), tensors.bytes());
  }
  for (const auto& [name, bytes] : files) {
    const std::string what = name;
    CAPTURE(what);
    const MemoryFile file(bytes);
    start_allocation_meter();
    CHECK(moe::checkpoint::open(file.path()).has_value());
    std::cout << name << ": " << allocation_peak() << " bytes for a file of " << bytes.size() << std::endl;
    CHECK(allocation_peak() <= 8 * bytes.size() + (1 << 20));
  }
}

TEST_CASE("safetensors headers that swell") {
  std::string deep = "{\"a\":" + std::string(1'000'000, '['), entries = "{", metadata = "{\"__metadata__\":{\"a\":\"\"";
  for (int i = 0; i < 20'000; ++i) {
    const std::string n = std::to_string(i);
    entries += (i == 0 ? "\"" : ",\"") + n + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    metadata += ",\"" + n + "\":\"\"";
  }
  for (const std::string& header : {deep, entries + "}", metadata + "}}", std::string(1'000'000, ' ')}) {
    const std::string bytes = safetensors_bytes(header, 0);
    const MemoryFile file(bytes);
    start_allocation_meter();
    const Outcome outcome = exercise_safetensors(file.path());
    CHECK(outcome.complaint.empty());
    std::cout << "safetensors " << header.substr(0, 12) << "..: " << allocation_peak() << " bytes for a file of "
              << bytes.size() << std::endl;
    CHECK(allocation_peak() <= 8 * bytes.size());
  }
}
