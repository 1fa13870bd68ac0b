// routing_conformance [--engine LIBRARY] [FILE.json ...]: judges a router by cases. Without --engine libmoe's own, of
// which the lower index is required for equal scores. Without files: the available reference cases and cases.json here.

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "libmoe_engine.hpp"
#include "runner.hpp"

namespace {

namespace fs = std::filesystem;

/// routing.json of MOE_GOLDEN_DIR, or of where this project keeps such data; then our own cases.
std::vector<std::string> default_files() {
  const fs::path root = MOE_SOURCE_DIR;
  const char* named = std::getenv("MOE_GOLDEN_DIR");
  std::vector<std::string> files;
  const std::vector<fs::path> places =
      named != nullptr ? std::vector<fs::path>{named}
                       : std::vector<fs::path>{root / "../shared/golden", root / "tests/data/golden"};
  for (const fs::path& place : places)
    if (files.empty() && fs::exists(place / "routing.json")) files.push_back((place / "routing.json").string());
  files.push_back((root / "tests/conformance/cases.json").string());
  return files;
}

moe_router load(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  void* symbol = handle == nullptr ? nullptr : dlsym(handle, "moe_conformance_route");
  if (symbol == nullptr) std::fprintf(stderr, "routing_conformance: %s\n", dlerror());
  moe_router router = nullptr;
  std::memcpy(&router, &symbol, sizeof router);  // POSIX's way from an object pointer to a function
  return router;
}

}  // namespace

int main(int argc, char** argv) {
  conformance::Options options;
  options.router = libmoe_route;
  options.lower_index_first = true;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--engine") == 0 && i + 1 < argc) {
      options.router = load(argv[++i]);
      options.lower_index_first = false;
      if (options.router == nullptr) return 1;
    } else if (argv[i][0] == '-') {
      std::fprintf(stderr, "usage: routing_conformance [--engine LIBRARY] [FILE.json ...]\n");
      return 2;
    } else {
      files.emplace_back(argv[i]);
    }
  }
  if (files.empty()) files = default_files();
  bool good = true;
  for (const std::string& file : files) {
    conformance::Report report;
    std::string problem;
    if (!conformance::run_file(file, options, report, problem)) {
      std::fprintf(stderr, "routing_conformance: %s\n", problem.c_str());
      return 1;
    }
    for (const std::string& line : report.failures) std::printf("FAILED %s\n", line.c_str());
    for (const std::string& method : report.skipped)
      std::printf("SKIPPED method %s: the engine does not have it\n", method.c_str());
    std::printf("%s: %d passed, %zu failed\n", file.c_str(), report.passed, report.failures.size());
    good = good && report.failures.empty() && report.passed > 0;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fprintf(stderr, "routing_conformance: cannot write the output\n");
    return 1;
  }
  return good ? 0 : 1;
}
