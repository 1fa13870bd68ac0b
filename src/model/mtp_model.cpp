#include "model/mtp_model.hpp"

#include <fmt/format.h>

#include <set>

#include "model/loader.hpp"
#include "model/packed_sizes.hpp"
#include "moe/flops.hpp"

namespace moe::inline MOE_ABI {
namespace {

const arch::Family* family_named(std::string_view name) {
  for (const arch::Family* family : arch::families())
    if (family->name == name) return family;
  return nullptr;
}

std::string families_with_mtp() {
  std::string names;
  for (const arch::Family* family : arch::families())
    if (family->has_mtp) names += (names.empty() ? "" : ", ") + std::string(family->name);
  return names;
}

ModelInfo info_of(const MtpPlan& mtp) {
  ModelInfo info;
  info.config = mtp.config;
  info.packed = packed_sizes(mtp.plan, *mtp.weights);
  info.total_parameters = count_parameters(mtp.config).total;
  std::set<const checkpoint::TensorInfo*> tensors;
  for (const MatrixJob& job : mtp.plan.matrices) tensors.insert(job.tensor);
  for (const VectorJob& job : mtp.plan.vectors) tensors.insert(job.tensor);
  for (const checkpoint::TensorInfo* tensor : tensors) info.weight_bytes += static_cast<std::int64_t>(tensor->bytes);
  if (mtp.config.moe_layer_count() > 0) {
    info.routed_bytes = info.packed.expert.front();
    info.layer_routed_bytes = {info.routed_bytes};
  }
  const Matrix& embedding = mtp.weights->embedding;
  info.touched_bytes = info.packed.always - embedding.bytes() + info.routed_bytes * mtp.config.router.top_k;
  return info;
}

}  // namespace

Result<ModelConfig> mtp_config(const ModelConfig& config, std::int64_t parameters) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::unsupported, fmt::format("the {} model {}", config.family, why));
  };
  const arch::Family* family = family_named(config.family);
  const bool has_layer = config.mtp_layer_count > 0 || parameters > 0;
  const bool counts_layers = family != nullptr && family->hf_mtp_layer.empty();
  if (family == nullptr || !family->has_mtp)
    return refuse(fmt::format("has {}, expected one of {}",
                              has_layer ? "an MTP layer that libmoe does not run" : "no MTP layer that libmoe runs",
                              families_with_mtp()));
  if (config.mtp_layer_count == 0 && (counts_layers || parameters == 0))
    return refuse("has no MTP layer: num_nextn_predict_layers (GGUF: nextn_predict_layers) is 0, expected 1");
  if (config.mtp_layer_count > 1)
    return refuse(fmt::format("has {} MTP layers, expected 1: several in a row are not run", config.mtp_layer_count));
  if (config.rope.scaling == RopeScaling::longrope)
    return refuse("has LongRoPE and an MTP layer, which are not run together");
  ModelConfig mtp = config;
  mtp.first_k_dense_replace = config.layer_is_moe(config.layer_count) ? 0 : 1;
  mtp.layer_count = 1;
  mtp.mtp_layer_count = 0;
  mtp.is_mtp_layer = true;
  mtp.tie_word_embeddings = false;
  mtp.mlp_only_layers.clear(), mtp.layer_top_k.clear(), mtp.nope_layers.clear(), mtp.sliding_layers.clear();
  mtp.mixers.clear(), mtp.recurrent = {};
  mtp.indexer.shared_layers.clear();
  if (auto ok = validate(mtp); !ok) return forward(ok);
  return mtp;
}

Result<ModelConfig> mtp_config(const ModelConfig& config) { return mtp_config(config, 0); }

Result<MtpPlan> plan_mtp_model(const checkpoint::Checkpoint& file, const arch::Recognised& recognised,
                               std::int64_t parameters) {
  auto config = mtp_config(recognised.config, parameters);
  if (!config) return forward(config);
  auto weights = std::make_shared<Weights>();
  auto plan = plan_mtp(file, recognised, *weights);
  if (!plan) return forward(plan);
  return MtpPlan{std::move(*config), std::move(weights), std::move(*plan)};
}

Result<std::shared_ptr<const Model>> load_mtp(const checkpoint::Checkpoint& file, MtpPlan mtp,
                                              const LoadOptions& options, const ModelImpl& model) {
  auto impl = std::make_shared<ModelImpl>();
  impl->info = info_of(mtp);
  impl->layers = {0, mtp.config.layer_count};
  if (auto ok = load_weights(file, mtp.plan, options, *mtp.weights, nullptr); !ok) return forward(ok);
  impl->resident_bytes = static_cast<std::int64_t>(mtp.weights->memory.size_bytes());
  for (const VectorJob& job : mtp.plan.vectors)
    impl->resident_bytes += static_cast<std::int64_t>(job.out->size() * sizeof(float));
  Weights& w = *mtp.weights;
  if (w.embedding.empty()) w.embedding = model.weights->embedding;
  if (w.head.empty()) w.head = model.weights->head_matrix(), impl->info.touched_bytes += w.head.bytes();
  w.mapping = model.weights;
  impl->tokenizer = model.tokenizer;
  impl->tokenizer_error = model.tokenizer_error;
  impl->weights = std::move(mtp.weights);
  return model_of(std::move(impl));
}

}  // namespace moe::inline MOE_ABI
