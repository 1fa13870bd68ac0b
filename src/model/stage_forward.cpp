// What a stage of a pipeline does with a chunk: the residual stream comes from the stage before and goes to the one
// after. Stage 0 sends several chunks before it takes the first one's logits, so that all stages have work.

#include "model/forward.hpp"

namespace moe::inline MOE_ABI {

Result<void> Forward::run_stage(float* logits) {
  const auto values = static_cast<std::size_t>(tokens() * c_->hidden_size);
  record_ = StageRecord{};
  if (!link_->is_first())
    if (auto ok = link_->receive({ws_.hidden.data(), values}, record_); !ok) return ok;
  if (auto ok = run_layers(); !ok) return ok;
  std::span<const float> out(ws_.hidden.data(), values);
  if (link_->is_last()) {
    if (auto ok = head({.data = logits}); !ok) return ok;
    out = {logits, chunk_->logit_rows.size() * static_cast<std::size_t>(c_->vocab_size)};
  }
  if (!link_->is_first()) record_.work += engine_.collect_work();
  if (auto ok = link_->send(out, record_); !ok) return ok;
  if (!link_->is_first()) return {};
  under_way_.push_back({*chunk_, logits});
  while (under_way_.size() > link_->most_under_way())
    if (auto ok = take_logits(); !ok) return ok;
  return {};
}

Result<void> Forward::take_logits() {
  const UnderWay oldest = std::move(under_way_.front());
  under_way_.pop_front();
  const std::size_t rows = oldest.chunk.logit_rows.size();
  StageRecord record;
  if (auto ok = link_->receive({oldest.logits, rows * static_cast<std::size_t>(c_->vocab_size)}, record); !ok)
    return ok;
  elsewhere_ += record.work;
  chunk_ = &oldest.chunk;
  count_routes(record);
  chunk_ = nullptr;
  return {};
}

Result<void> Forward::end_step(Result<void> done) {
  const auto told = link_->tell_end(done);
  if (done) done = told;
  while (done && !under_way_.empty()) done = take_logits();
  under_way_.clear();
  return link_->settle(done);
}

void Forward::note_routes(std::int64_t layer) {
  if (link_->is_first() || !c_->layer_is_moe(layer)) return;
  const std::int64_t stride = c_->router.top_k;
  for (std::int64_t t = 0; t < tokens(); ++t) {
    const std::int32_t count = ws_.expert_counts[static_cast<std::size_t>(t)];
    record_.routes.push_back(static_cast<std::uint16_t>(count));
    // A layer may have fewer experts than the most of all layers: what is behind them was not written.
    for (std::int64_t i = 0; i < stride; ++i)
      record_.routes.push_back(
          i < count ? static_cast<std::uint16_t>(ws_.expert_ids[static_cast<std::size_t>(t * stride + i)]) : 0);
  }
}

// The layers behind those of stage 0, as if they had been computed here. What came from outside is checked: a wrong
// number would be an index.
void Forward::count_routes(const StageRecord& record) {
  const std::int64_t stride = c_->router.top_k, E = c_->router.expert_count;
  std::size_t at = 0;
  for (std::int64_t layer = model_->layers.end; layer < c_->layer_count; ++layer) {
    if (!c_->layer_is_moe(layer)) continue;
    if (record.routes.size() - at < static_cast<std::size_t>(tokens() * (1 + stride))) return;
    for (std::int64_t t = 0; t < tokens(); ++t) {
      const std::int64_t sent = std::min<std::int64_t>(record.routes[at++], stride);
      std::int64_t count = sent;
      for (std::int64_t i = 0; i < stride; ++i) {
        const std::int64_t expert = record.routes[at++];
        if (i < sent && expert >= E) count = 0;
        ws_.expert_ids[static_cast<std::size_t>(t * stride + i)] = static_cast<std::int32_t>(expert);
      }
      ws_.expert_counts[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(count);
    }
    count_load(layer);
  }
}

}  // namespace moe::inline MOE_ABI
