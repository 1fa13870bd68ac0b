#pragma once
// Asks a router every case of a file in the form of routing.json and judges the answers. Independent of libmoe: the
// judgement is computed here, in double.

#include <string>
#include <vector>

#include "router_case.h"

namespace conformance {

struct Options {
  moe_router router = nullptr;
  void* user = nullptr;
  bool lower_index_first = false;  ///< require the lower index for equal scores, and ids best first
  double tolerance = 1e-6;         ///< of weights, relative to max(1, scaling)
};

struct Report {
  int passed = 0;
  std::vector<std::string> failures;  ///< one line each
  std::vector<std::string> skipped;   ///< methods that the engine does not have, once each
};

/// False when the file cannot be read or is not of that form; `problem` says why.
bool run_file(const std::string& path, const Options& options, Report& report, std::string& problem);

}  // namespace conformance
