#pragma once
// What moe-inspect says of a model: counts of its configuration, and the speed that a machine's peaks allow.

#include <cstdint>
#include <optional>
#include <string>

#include "bench/peaks.hpp"
#include "moe/flops.hpp"
#include "moe/model.hpp"

namespace inspect {

/// All that is printed, in either form.
struct Facts {
  moe::ModelInfo info;
  moe::ParameterCount parameters;
  std::int64_t context = 0;
  std::int64_t flops_per_token = 0, flops_per_token_without_head = 0;
  std::int64_t attention_decode = 0;           ///< one token that sees `context` keys
  std::int64_t attention_decode_absorbed = 0;  ///< the same in the form that runs; equal without latent attention
  std::int64_t attention_decode_all_keys = 0;  ///< as if no layer had a window or an indexer
  std::int64_t attention_prefill_mean = 0;     ///< one token of a prefill, at half of the context
  std::optional<moe_bench::Peaks> peaks;
  bool config_only() const { return info.formats.empty(); }
  std::int64_t cache_per_token(moe::KvType type) const { return moe::cache_bytes_per_token(info.config, type); }
  std::int64_t cache_at_context(moe::KvType type) const { return context * cache_per_token(type); }
};

/// The most tokens per second that decoding one sequence at this context can reach: every touched byte is read once per
/// token, every operation is done, whichever takes longer.
struct Limit {
  double tokens_per_second = 0.0;
  bool by_bytes = true;
};

Limit limit_of(const Facts& facts, std::int64_t touched_bytes, bool int8);
/// Of a file: its largest format decides about the arithmetic.
Limit limit_of(const Facts& facts);

/// "measure", or a file that `moe-bench --json` wrote.
moe::Result<moe_bench::Peaks> read_peaks(const std::string& source);

Facts gather(moe::ModelInfo info, std::int64_t context);

}  // namespace inspect
