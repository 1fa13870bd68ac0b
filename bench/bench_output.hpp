#pragma once
// What moe-bench leaves: a table on standard output, and JSON where --json says.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "moe/error.hpp"
#include "support/output_file.hpp"

namespace moe_bench {

class BenchOutput {
 public:
  /// Opened early, before minutes of work could be lost. `json`: "" for none, "-" for the last line of standard output.
  /// Errors: bad_argument (the file belongs to `model`), io.
  static moe::Result<BenchOutput> open(const std::string& json, const std::string& model);

  /// Errors: io; the JSON is written also where the table could not be printed.
  moe::Result<void> write(const std::string& table, const nlohmann::ordered_json& json);

 private:
  std::optional<moe::OutputFile> file_;
};

}  // namespace moe_bench
