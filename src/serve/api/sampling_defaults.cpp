#include "serve/api/sampling_defaults.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "serve/api/tables.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

constexpr std::string_view kFile = "generation_config.";
constexpr std::string_view kFields[] = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty"};

Result<double> checked(std::string_view name, const MetadataValue& value) {
  const auto* whole = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  const RequestTable table = completions_table();
  const auto rule = std::find_if(table.begin(), table.end(), [&](const FieldRule& r) { return r.name == name; });
  const double number = whole != nullptr ? static_cast<double>(*whole) : real != nullptr ? *real : rule->least - 1;
  const bool is_good = number >= rule->least && number <= rule->most && (name != "top_p" || number > 0) &&
                       (rule->type != FieldType::integer || whole != nullptr);
  if (is_good) return number;
  return fail(ErrorCode::bad_file,
              fmt::format("generation_config.json: {} is {}, expected {}a number from {} to {}", name,
                          whole != nullptr || real != nullptr ? fmt::format("{}", number) : "no number",
                          rule->type == FieldType::integer ? "whole " : "", rule->least, rule->most));
}

}  // namespace

Result<SamplingDefaults> sampling_defaults(const Model& model, bool use_generation_config) {
  SamplingDefaults out;
  if (!use_generation_config) return out;
  const Metadata& metadata = model.metadata();
  for (const std::string_view name : kFields) {
    const auto found = metadata.find(std::string(kFile) + std::string(name));
    if (found == metadata.end()) continue;
    const auto value = checked(name, found->second);
    if (!value) return forward(value);
    out.emplace(name, *value);
  }
  if (const bool* samples = find_metadata<bool>(metadata, "generation_config.do_sample");
      samples != nullptr && !*samples)
    out["temperature"] = 0;
  if (out.empty())
    return fail(ErrorCode::unsupported,
                "the model has no generation_config.json that says how to sample, and requests were to follow it");
  return out;
}

}  // namespace moe::inline MOE_ABI::serve::api
