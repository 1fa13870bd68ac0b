#include "moe/model.hpp"

#include <optional>

#include "arch/family.hpp"
#include "checkpoint/about.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/loader.hpp"
#include "model/model_impl.hpp"
#include "model/model_info.hpp"
#include "model/mtp_model.hpp"
#include "model/packed_sizes.hpp"
#include "model/plan.hpp"
#include "pack/pack_load.hpp"
#include "support/float_environment.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::about;

ModelInfo make_info(const checkpoint::Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan,
                    const Weights& weights) {
  ModelInfo info = describe(file, model, plan);
  info.packed = packed_sizes(plan, weights);
  info.notes.insert(info.notes.end(), plan.notes.begin(), plan.notes.end());
  info.total_parameters = plan.total_parameters;
  info.mtp_parameters = plan.mtp_parameters;
  if (const auto mtp = plan_mtp_model(file, model, plan.mtp_parameters)) info.mtp_bytes = packed_bytes(mtp->plan);
  info.tower_tensors = plan.tower_tensors;
  info.tower_parameters = plan.tower_parameters;
  info.chat_templates = file.chat_templates();
  return info;
}

Result<void> load(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options,
                  Weights& weights, ModelImpl& impl) {
  std::optional<checkpoint::ContentHasher> hash;
  if (options.content_hash != nullptr) hash.emplace(file.sources(), options.content_hash);
  if (auto ok = load_weights(file, plan, options, weights, hash ? &*hash : nullptr); !ok) return ok;
  if (!hash) return {};
  auto value = hash->value();
  if (!value) return forward(value);
  auto digests = hash->named_digests();
  if (!digests) return forward(digests);
  impl.content_hash = std::move(*value), impl.file_digests = std::move(*digests);
  return {};
}

/// Experts stay in the packed file where LoadOptions::expert_bytes says so.
Result<void> load_from_pack(const std::string& path, checkpoint::Checkpoint& file, const LoadPlan& plan,
                            const LoadOptions& options, Weights& weights, ModelImpl& impl) {
  const bool streams = options.expert_bytes && impl.info.config.moe_layer_count() > 0;
  auto loaded = pack::load_packed(path, file, plan, options, {.experts = !streams}, weights);
  if (!loaded) return forward(loaded);
  impl.content_hash = std::move(loaded->content_hash);
  if (!loaded->note.empty()) impl.info.notes.push_back(std::move(loaded->note));
  if (!streams) return {};
  auto source =
      ExpertSource::create(std::move(loaded->experts), weights, {*options.expert_bytes, options.read_threads});
  if (!source) return forward(source);
  impl.experts = std::move(*source);
  return {};
}

}  // namespace

Model::Model(std::shared_ptr<const ModelImpl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

Result<std::shared_ptr<const Model>> Model::load(const std::string& path, const LoadOptions& options) {
  const FloatEnvironment environment;
  if (auto ok = check_workers(options.threads); !ok) return forward(ok);
  if (options.expert_bytes && options.pack.empty())
    return fail(ErrorCode::bad_argument,
                "LoadOptions::expert_bytes is given, expected LoadOptions::pack as well: "
                "experts that are not in memory are read from a packed file");
  if (options.layers && !options.pack.empty())
    return fail(ErrorCode::unsupported,
                "LoadOptions::layers and LoadOptions::pack are both given, expected one: a packed "
                "file is loaded with all of its layers");
  if (options.layers && options.mtp)
    return fail(ErrorCode::unsupported,
                "LoadOptions::layers and LoadOptions::mtp are both given, expected one: an MTP layer reads the states "
                "of a whole model");
  auto file = checkpoint::open(path, options.content_hash);
  if (!file) return about(path, file);
  auto recognised = arch::recognise(**file);
  if (!recognised) return about(path, recognised);
  auto weights = std::make_shared<Weights>();
  auto plan = plan_weights(**file, *recognised, *weights);
  if (!plan) return about(path, plan);
  std::optional<MtpPlan> mtp;
  if (options.mtp) {
    auto planned = plan_mtp_model(**file, *recognised, plan->mtp_parameters);
    if (!planned) return about(path, planned);
    mtp = std::move(*planned);
  }

  auto impl = std::make_shared<ModelImpl>();
  impl->info = make_info(**file, *recognised, *plan, *weights);
  if (options.tokenizer == TokenizerUse::none) {
    impl->tokenizer_error = "it was not asked for (TokenizerUse::none)";
  } else if (auto tokenizer = (*file)->load_tokenizer(recognised->config.vocab_size)) {
    impl->tokenizer = *tokenizer;
  } else {
    if (options.tokenizer == TokenizerUse::required) return about(path, tokenizer);
    impl->tokenizer_error = tokenizer.error().message;
  }

  impl->layers = options.layers.value_or(LayerRange{0, recognised->config.layer_count});
  if (auto ok = keep_layers(impl->layers, *plan, *weights); !ok) return about(path, ok);
  auto loaded = options.pack.empty() ? moe::load(**file, *plan, options, *weights, *impl)
                                     : load_from_pack(path, **file, *plan, options, *weights, *impl);
  if (!loaded) return about(path, loaded);
  impl->resident_bytes = static_cast<std::int64_t>(weights->memory.size_bytes()) + weights->mapped_bytes;
  for (const VectorJob& job : plan->vectors)
    impl->resident_bytes += static_cast<std::int64_t>(job.out->size() * sizeof(float));
  impl->weights = std::move(weights);
  if (mtp) {
    auto layer = load_mtp(**file, std::move(*mtp), options, *impl);
    if (!layer) return about(path, layer);
    impl->mtp = std::move(*layer);
    impl->resident_bytes += impl->mtp->resident_bytes();
  }
  return model_of(std::move(impl));
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
  return make_info(**file, *recognised, *plan, shapes);
}

const ModelConfig& Model::config() const { return impl_->info.config; }
const ModelInfo& Model::info() const { return impl_->info; }
const Metadata& Model::metadata() const { return impl_->info.metadata; }
const std::shared_ptr<const Tokenizer>& Model::tokenizer() const { return impl_->tokenizer; }
const std::string& Model::tokenizer_error() const { return impl_->tokenizer_error; }
LayerRange Model::layers() const { return impl_->layers; }
const std::string& Model::content_hash() const { return impl_->content_hash; }
const std::shared_ptr<const Model>& Model::mtp() const { return impl_->mtp; }
std::int64_t Model::resident_bytes() const { return impl_->resident_bytes; }
ExpertTraffic Model::expert_traffic() const {
  return impl_->experts == nullptr ? ExpertTraffic{} : impl_->experts->traffic();
}

Result<std::shared_ptr<const Model>> Model::with_experts(const ExpertOptions& options) const {
  auto changed = moe::with_experts(config(), options);
  if (!changed) return forward(changed);
  auto impl = std::make_shared<ModelImpl>(*impl_);
  ModelInfo& info = impl->info;
  info.touched_bytes -= touched_expert_bytes(info);
  info.config = std::move(*changed);
  info.touched_bytes += touched_expert_bytes(info);
  return model_of(std::move(impl));
}

}  // namespace moe::inline MOE_ABI
