// The MTP layer of a file: a layer as the others with the next number, and what makes its input and its logits.
#include "model/planner.hpp"

namespace moe::inline MOE_ABI {

Result<LoadPlan> Planner::run_mtp() {
  const std::int64_t D = c_.hidden_size, V = c_.vocab_size, l = c_.layer_count - 1;
  // First the tensors that only an MTP layer has. So the error of a file without an MTP layer differs from that of a
  // file with another layer in its place.
  matrix(Role::mtp_projection, D, 2 * D, w_.eh_proj, l);
  norm(Role::mtp_embedding_norm, D, w_.enorm, l);
  norm(Role::mtp_state_norm, D, w_.hnorm, l);
  // GGUF files may leave out the norm before the head where it is the model's own.
  const bool has_norm = file_.kind() == Kind::hf || find(Role::mtp_norm, l) != nullptr;
  norm(has_norm ? Role::mtp_norm : Role::final_norm, D, w_.final_norm, l);
  if (holds(Role::mtp_embedding, l)) matrix(Role::mtp_embedding, V, D, w_.embedding, l);
  if (holds(Role::mtp_head, l)) matrix(Role::mtp_head, V, D, w_.head, l);
  w_.layers.resize(1);
  if (!error_) layer(l, w_.layers.front());
  if (error_)
    return fail(
        error_->code,
        error_->message + ", as part of the MTP layer (num_nextn_predict_layers is 1, in the file or by default)");
  return std::move(plan_);
}

Result<LoadPlan> plan_mtp(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights) {
  arch::Recognised with_it = recognised;  // as its last layer, which is always one of attention
  with_it.config.layer_count += 1;
  with_it.config.is_mtp_layer = true;
  if (!with_it.config.mixers.empty()) with_it.config.mixers.push_back(Mixer::attention);
  return Planner(file, with_it, weights).run_mtp();
}

}  // namespace moe::inline MOE_ABI
