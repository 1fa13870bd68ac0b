#include "bench/bench_output.hpp"

#include "support/json_text.hpp"
#include "support/same_file.hpp"
#include "tools/common/program.hpp"

namespace moe_bench {

moe::Result<BenchOutput> BenchOutput::open(const std::string& json, const std::string& model) {
  BenchOutput output;
  if (json.empty()) return output;
  if (!model.empty())
    if (auto ok = moe::check_not_of_model(json, model); !ok)
      return moe::fail(ok.error().code, "--json: " + ok.error().message);
  auto opened = moe::OutputFile::create(json, {.cancelled = cli::interrupted});
  if (!opened) return moe::forward(opened);
  output.file_.emplace(std::move(*opened));
  return output;
}

moe::Result<void> BenchOutput::write(const std::string& table, const nlohmann::ordered_json& json) {
  const auto printed = cli::print(table);
  if (file_) {
    const std::string text = (file_->is_stream() ? moe::ascii_json_text(json) : moe::json_text(json)) + "\n";
    if (auto ok = file_->write(text); !ok) return ok;
    if (auto ok = file_->finish(); !ok) return ok;
  }
  return printed;
}

}  // namespace moe_bench
