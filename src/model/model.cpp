#include "moe/model.hpp"

#include <optional>

#include "arch/family.hpp"
#include "checkpoint/about.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/loader.hpp"
#include "model/model_impl.hpp"
#include "model/model_info.hpp"
#include "model/plan.hpp"
#include "pack/pack_load.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::about;

ModelInfo make_info(const checkpoint::Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan) {
  ModelInfo info = describe(file, model);
  info.notes.insert(info.notes.end(), plan.notes.begin(), plan.notes.end());
  info.total_parameters = plan.total_parameters;
  info.mtp_parameters = plan.mtp_parameters;
  info.tower_tensors = plan.tower_tensors;
  info.tower_parameters = plan.tower_parameters;
  info.chat_templates = file.chat_templates();
  return info;
}

/// Both give Model::content_hash().
Result<std::string> load_and_hash(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options,
                                  Weights& weights) {
  std::optional<checkpoint::ContentHasher> hash;
  if (options.content_hash != nullptr) hash.emplace(file.sources(), options.content_hash);
  if (auto ok = load_weights(file, plan, options, weights, hash ? &*hash : nullptr); !ok) return forward(ok);
  return hash ? hash->value() : std::string();
}
Result<std::string> load_from_pack(const std::string& path, checkpoint::Checkpoint& file, const LoadPlan& plan,
                                   const LoadOptions& options, Weights& weights) {
  auto loaded = pack::load_packed(path, file, plan, options, {}, weights);
  if (!loaded) return forward(loaded);
  return std::move(loaded->content_hash);
}

}  // namespace

Model::Model(std::shared_ptr<const ModelImpl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

Result<std::shared_ptr<const Model>> Model::load(const std::string& path, const LoadOptions& options) {
  if (auto ok = check_workers(options.threads); !ok) return forward(ok);
  auto file = checkpoint::open(path, options.content_hash);
  if (!file) return about(path, file);
  auto recognised = arch::recognise(**file);
  if (!recognised) return about(path, recognised);
  auto weights = std::make_shared<Weights>();
  auto plan = plan_weights(**file, *recognised, *weights);
  if (!plan) return about(path, plan);

  auto impl = std::make_shared<ModelImpl>();
  impl->info = make_info(**file, *recognised, *plan);
  if (options.tokenizer == TokenizerUse::none) {
    impl->tokenizer_error = "it was not asked for (TokenizerUse::none)";
  } else if (auto tokenizer = (*file)->load_tokenizer(recognised->config.vocab_size)) {
    impl->tokenizer = *tokenizer;
  } else {
    if (options.tokenizer == TokenizerUse::required) return about(path, tokenizer);
    impl->tokenizer_error = tokenizer.error().message;
  }

  auto hash = options.pack.empty() ? load_and_hash(**file, *plan, options, *weights)
                                   : load_from_pack(path, **file, *plan, options, *weights);
  if (!hash) return about(path, hash);
  impl->content_hash = std::move(*hash);
  impl->resident_bytes = static_cast<std::int64_t>(weights->memory.size_bytes()) + weights->mapped_bytes;
  for (const VectorJob& job : plan->vectors)
    impl->resident_bytes += static_cast<std::int64_t>(job.out->size() * sizeof(float));
  impl->weights = std::move(weights);
  return std::shared_ptr<const Model>(new Model(std::move(impl)));
}

Result<ModelInfo> Model::inspect(const std::string& path) {
  if (is_config_only(path)) {
    auto info = describe_config_only(path);
    if (!info) return about(path, info);
    return info;
  }
  auto file = checkpoint::open(path);
  if (!file) return about(path, file);
  auto recognised = arch::recognise(**file);
  if (!recognised) return about(path, recognised);
  Weights shapes;
  auto plan = plan_weights(**file, *recognised, shapes);
  if (!plan) return about(path, plan);
  return make_info(**file, *recognised, *plan);
}

const ModelConfig& Model::config() const { return impl_->info.config; }
const ModelInfo& Model::info() const { return impl_->info; }
const Metadata& Model::metadata() const { return impl_->info.metadata; }
const std::shared_ptr<const Tokenizer>& Model::tokenizer() const { return impl_->tokenizer; }
const std::string& Model::tokenizer_error() const { return impl_->tokenizer_error; }
const std::string& Model::content_hash() const { return impl_->content_hash; }
std::int64_t Model::resident_bytes() const { return impl_->resident_bytes; }

Result<std::shared_ptr<const Model>> Model::with_experts(const ExpertOptions& options) const {
  auto changed = moe::with_experts(config(), options);
  if (!changed) return forward(changed);
  auto impl = std::make_shared<ModelImpl>(*impl_);
  ModelInfo& info = impl->info;
  info.touched_bytes -= touched_expert_bytes(info);
  info.config = std::move(*changed);
  info.touched_bytes += touched_expert_bytes(info);
  return std::shared_ptr<const Model>(new Model(std::move(impl)));
}

}  // namespace moe::inline MOE_ABI
