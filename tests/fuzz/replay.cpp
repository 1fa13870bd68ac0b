// main() for an entry of libFuzzer where libFuzzer is not: PROGRAM FILE_OR_FOLDER... runs it over each file, and over
// damaged ones for a second. So every build compiles and runs the entries, not those with clang alone.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "mutate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

void run(const std::string& bytes) {
  static_cast<void>(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

std::vector<std::string> read_all(int count, char** paths) {
  std::vector<fs::path> files;
  for (int i = 0; i < count; ++i) {
    if (!fs::is_directory(paths[i]))
      files.emplace_back(paths[i]);
    else
      for (const auto& entry : fs::recursive_directory_iterator(paths[i]))
        if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> all;
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    if (all.back().empty()) {
      std::fprintf(stderr, "%s: is empty or cannot be read\n", file.c_str());
      return {};
    }
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> seeds = read_all(argc - 1, argv + 1);
  if (seeds.empty()) return 2;
  run({});
  for (const std::string& seed : seeds) run(seed);
  std::mt19937_64 random(20261128);
  std::size_t done = 0;
  for (const moe_test::Budget budget(1); budget.left(); ++done) {
    const std::string& seed = seeds[done % seeds.size()];
    run(moe_test::mutate(seed, random, seed.size()));
  }
  std::printf("%zu seeds and %zu damaged ones\n", seeds.size(), done);
  return 0;
}
