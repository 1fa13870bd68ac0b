#pragma once
// What holds for every configuration that was accepted, and for every file that could be opened.

#include <string>

#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "moe/outline.hpp"
#include "moe/session.hpp"
#include "readable_error.hpp"

namespace moe_test {

/// Empty, or what is wrong with the numbers that follow from it; their arithmetic is watched by the sanitizers.
inline std::string exercise_config(const moe::ModelConfig& config) {
  if (const auto ok = moe::validate(config); !ok) return "an accepted configuration is refused: " + ok.error().message;
  const moe::ParameterCount count = moe::count_parameters(config);
  if (count.matrices <= 0 || count.total < count.matrices || moe::count_mtp_parameters(config) < 0)
    return "the parameters do not add up";
  if (count.active_without_head < 0 || count.active_with_embedding > count.total)
    return "a token meets more parameters than there are";
  const auto bytes = [](const moe::WeightShape& weight, std::int64_t rows) { return 2 * rows * weight.cols; };
  if (moe::weight_bytes_stored(config, bytes) != 2 * count.total) return "the weights have other bytes than parameters";
  if (moe::weight_flops_per_token(config) <= 0 || moe::cache_values_per_token(config) < 0)
    return "a token costs nothing";
  if (moe::cache_values_per_token(config) == 0 && moe::recurrent_state_bytes(config) <= 0)
    return "a sequence has neither keys nor states";
  for (const auto form : {moe::MlaForm::absorbed, moe::MlaForm::expanded})
    if (moe::forward_work(config, config.max_position - 1, 1, 1, form).total() < moe::weight_flops_per_token(config))
      return "the last token of a context costs less than its weights";
  if (config.moe_layer_count() > 0)
    if (const auto fewer = moe::with_top_k(config, 1); !fewer) return complain_about(fewer.error());
  return {};
}

/// Facts of an opened file or directory; of one of a known family also what a session would take.
inline std::string exercise_model(const std::string& path) {
  const auto outline = moe::outline(path);
  if (!outline) return "what can be opened has no outline: " + outline.error().message;
  const auto info = moe::Model::inspect(path);
  if (!info) return complain_about(info.error());
  if (info->total_parameters < 0 || info->weight_bytes < 0 || info->touched_bytes < 0) return "a size below zero";
  const moe::MemoryEstimate memory = moe::Session::estimate_memory(*info);
  if (memory.weight_bytes < 0 || memory.cache_bytes < 0 || memory.scratch_bytes < 0)
    return "a session of less than nothing";
  return exercise_config(info->config);
}

}  // namespace moe_test
