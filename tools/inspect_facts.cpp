#include "tools/inspect_facts.hpp"

#include <algorithm>

#include "moe/cpu.hpp"
#include "support/json.hpp"
#include "support/text_file.hpp"
#include "tools/common/interrupt.hpp"
#include "tools/common/threads.hpp"

namespace inspect {

using moe::MlaForm;
using moe::ModelConfig;

Limit limit_of(const Facts& f, std::int64_t touched_bytes, bool int8) {
  const double bytes = static_cast<double>(touched_bytes + f.cache_at_context(moe::KvType::f16));
  const double reading = bytes / f.peaks->read_bytes;
  const double computing = static_cast<double>(f.flops_per_token) / (int8 ? f.peaks->int8_ops : f.peaks->float_ops) +
                           static_cast<double>(f.attention_decode_absorbed) / f.peaks->float_ops;
  return {1.0 / std::max(reading, computing), reading >= computing};
}

Limit limit_of(const Facts& f) {
  return limit_of(f, f.info.touched_bytes, moe::multiplies_int8(f.info.formats.front().format));
}

moe::Result<moe_bench::Peaks> read_peaks(const std::string& source) {
  if (source == "measure") {
    const auto threads = cli::start_threads(0);
    if (!threads) return moe::forward(threads);
    return moe_bench::measure_peaks(threads->worker_count, cli::interrupted);
  }
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;
  const auto text = moe::read_text(source, {kMostBytes, moe::Streams::allowed, cli::interrupted});
  if (!text) return moe::forward(text);
  const auto document = moe::parse_json_object(*text, source);
  if (!document) return moe::forward(document);
  const auto found = document->root().find("peaks");
  const auto all = found ? found->find("all") : std::nullopt;
  const auto number = [&](const char* key) {
    const auto value = all ? all->find(key) : std::nullopt;
    return value && value->is_number() ? value->get<double>() * 1e9 : 0.0;
  };
  moe_bench::Peaks peaks;
  peaks.int8_ops = number("int8_gops");
  peaks.float_ops = number("float32_gflops");
  peaks.read_bytes = number("read_gigabytes_per_second");
  if (!(peaks.int8_ops > 0.0 && peaks.float_ops > 0.0 && peaks.read_bytes > 0.0))
    return moe::fail(moe::ErrorCode::bad_file, source + ": has no peaks, expected the file of moe-bench --json");
  return peaks;
}

Facts gather(moe::ModelInfo info, std::int64_t context) {
  Facts f;
  const ModelConfig& c = info.config;
  f.context = context;
  f.parameters = moe::count_parameters(c);
  f.flops_per_token = moe::weight_flops_per_token(c);
  f.flops_per_token_without_head = moe::weight_flops_per_token(c, moe::HeadFlops::exclude);
  f.attention_decode = moe::attention_flops(c, context, MlaForm::expanded);
  f.attention_decode_absorbed = moe::attention_flops(c, context, MlaForm::absorbed);
  f.attention_prefill_mean = moe::attention_flops(c, std::max<std::int64_t>(1, context / 2), MlaForm::expanded);
  ModelConfig seeing_all = c;
  seeing_all.sliding_layers.clear();
  seeing_all.indexer = {};
  f.attention_decode_all_keys = moe::attention_flops(seeing_all, context, MlaForm::expanded);
  f.info = std::move(info);
  return f;
}

}  // namespace inspect
