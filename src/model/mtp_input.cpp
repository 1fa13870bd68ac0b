// States: what the final norm makes of the residual stream, for the head and for an MTP layer, which reads them.
#include <algorithm>

#include "model/forward.hpp"

namespace moe::inline MOE_ABI {

// The embeddings, in the residual stream, become an MTP layer's input: eh_proj [enorm(embedding); hnorm(state)]
// (DeepSeek-V3, arXiv 2412.19437, equation 21, with the halves in the order of the published weights).
void Forward::add_states() {
  const std::int64_t D = c_->hidden_size;
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  const Weights& w = *model_->weights;
  const bool quantise = engine_.wants_q8(w.eh_proj);
  engine_.enter(Stage::quantising);
  engine_.run_each(tokens(), 4 * D, [&](std::int64_t t, std::int32_t) {
    float* row = ws_.mtp_in.data() + t * 2 * D;
    engine_.table().rms_norm(ws_.hidden.data() + t * D, w.enorm.data(), eps, D, row);
    engine_.table().rms_norm(chunk_->states[static_cast<std::size_t>(t)], w.hnorm.data(), eps, D, row + D);
    if (quantise) ws_.q8_mtp_in.quantise(engine_.table(), t, row);
  });
  const kernels::Q8Rows q8 = quantise ? ws_.q8_mtp_in.rows() : kernels::Q8Rows{};
  const LinearJob job = {&w.eh_proj, {ws_.mtp_in.data(), 2 * D, q8}, nullptr, tokens(), ws_.hidden.data(), D};
  engine_.enter(Stage::projections);
  engine_.linear(std::span(&job, 1), &Work::mtp_projection);
}

void Forward::record_states() {
  if (!options_->record_states) return;
  const std::int64_t D = c_->hidden_size;
  const std::size_t before = recorded_states.size();
  recorded_states.resize(before + static_cast<std::size_t>(tokens() * D));
  engine_.enter(Stage::quantising);
  engine_.run_each(tokens(), 2 * D, [&](std::int64_t t, std::int32_t) {
    engine_.table().rms_norm(ws_.hidden.data() + t * D, model_->weights->final_norm.data(),
                             static_cast<float>(c_->rms_norm_eps), D, recorded_states.data() + before + t * D);
  });
}

}  // namespace moe::inline MOE_ABI
