#include "model/model_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "arch/family.hpp"
#include "checkpoint/chat_templates.hpp"
#include "checkpoint/text_files.hpp"
#include "model/model_metadata.hpp"
#include "moe/flops.hpp"
#include "support/directory.hpp"
#include "support/text_file.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// visit(tensor, format in memory, name of the format in the file) for every tensor of the text model, including those
/// that are widened or rearranged at load.
template <class Visit>
void each_tensor(const checkpoint::Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan,
                 Visit&& visit) {
  const auto is_tower = [&](const std::string& name) {
    return model.wrapper != nullptr && model.wrapper->is_tower(name);
  };
  for (const checkpoint::TensorInfo& tensor : file.tensors())
    if (!is_tower(tensor.name)) visit(tensor, tensor.format, name_of(tensor.format));
  if (file.kind() != checkpoint::Kind::hf) return;
  for (const checkpoint::UnsupportedTensor& tensor : file.unsupported()) {
    if (is_tower(tensor.name)) continue;
    if (tensor.type == "F8_E4M3") visit(tensor.where, Format::e4m3, "f8_e4m3");
    if (tensor.type == "I8" && tensor.name.ends_with(".weight"))
      visit(tensor.where, Format::int8, name_of(Format::int8));
    if (const auto bits = plan.code_bits.find(&tensor.where); bits != plan.code_bits.end()) {
      const Format format = bits->second == 8 ? Format::int8 : Format::int4;
      visit(tensor.where, format, name_of(format));
    }
    if (tensor.type == "U8") visit(tensor.where, Format::mxfp4, name_of(Format::mxfp4));
  }
}

std::vector<FormatUse> formats_of(const checkpoint::Checkpoint& file, const arch::Recognised& model,
                                  const LoadPlan& plan) {
  std::map<std::string, FormatUse> uses;
  each_tensor(file, model, plan, [&](const checkpoint::TensorInfo& tensor, Format format, std::string_view name) {
    FormatUse& use = uses[std::string(name)];
    use.format = format;
    use.name = name;
    use.tensor_count += 1;
    use.bytes += static_cast<std::int64_t>(tensor.bytes);
  });
  std::vector<FormatUse> out;
  for (const auto& [name, use] : uses) out.push_back(use);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return out;
}

/// The number after "model.layers.", "backbone.layers." or "blk.", or -1.
std::int64_t layer_of(std::string_view name) {
  for (const std::string_view prefix : {"model.layers.", "backbone.layers.", "blk."}) {
    if (!name.starts_with(prefix)) continue;
    std::int64_t layer = -1;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
    return layer;
  }
  return -1;
}

/// Tensors of routed experts: one by one, stacked, or stacked under Granite's names.
bool is_of_experts(std::string_view name) {
  for (const std::string_view part :
       {".experts.", "_exps.", "block_sparse_moe.input_linear", "block_sparse_moe.output_"})
    if (name.find(part) != std::string_view::npos) return true;
  return false;
}

/// Whole tensors, except: K of E routed experts, one row of the embedding (all of it if the head is tied), and no MTP
/// layers.
void count_touched_bytes(const checkpoint::Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan,
                         ModelInfo& info) {
  const ModelConfig& c = model.config;
  const std::string embedding = arch::embedding_name(file, model);
  const std::string head = arch::tensor_name(model, file.kind(), arch::Role::head);
  std::int64_t always = 0;
  std::vector<std::int64_t> experts(static_cast<std::size_t>(c.layer_count), 0);
  each_tensor(file, model, plan, [&](const checkpoint::TensorInfo& tensor, Format, std::string_view) {
    const auto bytes = static_cast<std::int64_t>(tensor.bytes);
    const std::int64_t layer = layer_of(model.prefix.without(tensor.name));
    if (layer >= c.layer_count || arch::is_leftover(file.kind(), tensor.name)) return;
    if (arch::is_mtp(model, file.kind(), tensor.name)) return;
    if (c.tie_word_embeddings && tensor.name == head && head != embedding) return;  // the embedding once more
    if (c.layer_input_size > 0 && tensor.name == arch::tensor_name(model, file.kind(), arch::Role::layer_embedding))
      always += bytes / std::max<std::int64_t>(tensor.rows(), 1);
    else if (tensor.name == embedding)
      always += bytes / std::max<std::int64_t>(tensor.rows(), 1) + (c.tie_word_embeddings ? bytes : 0);
    else if (is_of_experts(tensor.name))
      experts[static_cast<std::size_t>(std::max<std::int64_t>(layer, 0))] += bytes;
    else
      always += bytes;
  });
  c.for_each_moe_layer([&](std::int64_t layer, std::int64_t) {
    info.layer_routed_bytes.push_back(experts[static_cast<std::size_t>(layer)] / c.router.expert_count);
    info.routed_bytes += info.layer_routed_bytes.back();
  });
  info.touched_bytes = always + touched_expert_bytes(info);
}

}  // namespace

ModelInfo describe(const checkpoint::Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan) {
  ModelInfo info;
  info.config = model.config;
  info.notes = model.notes;
  info.unread_keys = model.unread_keys;
  info.formats = formats_of(file, model, plan);
  for (const FormatUse& use : info.formats) {
    info.weight_bytes += use.bytes;
    info.format_summary += fmt::format("{}{} {}", info.format_summary.empty() ? "" : ", ", use.tensor_count, use.name);
  }
  count_touched_bytes(file, model, plan, info);
  info.hash = file.header_hash();
  info.metadata = metadata_of(file);
  return info;
}

bool is_config_only(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_regular_file(fs::path(path) / "config.json", error)) return false;
  const auto names = names_in(path);
  return names && std::none_of(names->begin(), names->end(), [](const std::string& name) {
           return name.find(".safetensors") != std::string::npos || name.ends_with(".gguf");
         });
}

Result<ModelInfo> describe_config_only(const std::string& path) {
  const std::string name = (std::filesystem::path(path) / "config.json").string();
  const auto text = read_text(name, checkpoint::kConfigLimit);
  if (!text) return forward(text);
  auto recognised = arch::recognise_hf_config(*text);
  if (!recognised) return forward(recognised);
  ModelInfo info;
  info.config = recognised->config;
  info.notes = recognised->notes;
  info.unread_keys = recognised->unread_keys;
  info.total_parameters = count_parameters(info.config).total;
  info.mtp_parameters = count_mtp_parameters(info.config);
  add_json_metadata(*text, "", info.metadata);
  info.chat_templates = checkpoint::read_hf_chat_templates(checkpoint::TextFiles(path, nullptr));
  return info;
}

std::int64_t touched_expert_bytes(const ModelInfo& info) {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < info.layer_routed_bytes.size(); ++i)
    bytes += info.config.moe_layer_top_k(static_cast<std::int64_t>(i)) * info.layer_routed_bytes[i];
  return bytes;
}

Result<ModelConfig> with_experts(const ModelConfig& config, const ExpertOptions& options) {
  if (config.moe_layer_count() == 0)  // also if a config has experts but no layer uses them
    return fail(ErrorCode::bad_config,
                options.top_k.empty()
                    ? fmt::format("expert_mass: the {} model is dense, it has no experts", config.family)
                    : fmt::format("top_k {}: the {} model is dense, it has no experts", fmt::join(options.top_k, ","),
                                  config.family));
  ModelConfig changed = config;
  const std::vector<std::int64_t>& top_k = options.top_k;
  if (!top_k.empty()) {
    if (top_k.size() > 1 && static_cast<std::int64_t>(top_k.size()) != config.moe_layer_count())
      return fail(ErrorCode::bad_config,
                  fmt::format("top_k has {} numbers, expected 1 or {}, as many as the model has MoE layers",
                              top_k.size(), config.moe_layer_count()));
    changed.router.top_k = *std::max_element(top_k.begin(), top_k.end());
    // A list of equal numbers is the same setting as one number.
    const bool differ = std::any_of(top_k.begin(), top_k.end(), [&](std::int64_t k) { return k != top_k[0]; });
    changed.layer_top_k = differ ? top_k : std::vector<std::int64_t>();
    // Before the router's check, whose message does not name layers.
    const RouterConfig& r = config.router;
    if (differ)
      changed.router.top_k =
          std::clamp<std::int64_t>(changed.router.top_k, 1, r.expert_count / r.group_count * r.topk_group);
  }
  if (options.expert_mass) changed.router.expert_mass = *options.expert_mass;
  if (options.mass_variant) changed.router.mass_variant = *options.mass_variant;
  if (changed.router.expert_mass == 1.0) changed.router.mass_variant = MassVariant::renormalised;
  if (auto ok = validate(changed); !ok) return forward(ok);
  return changed;
}

}  // namespace moe::inline MOE_ABI
