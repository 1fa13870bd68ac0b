#include "c/model_info.hpp"

#include <nlohmann/json.hpp>

#include "moe/flops.hpp"
#include "support/json_text.hpp"

namespace moe::inline MOE_ABI::c {
namespace {

using json = nlohmann::ordered_json;

json tokenizer_json(const Model& model) {
  const Tokenizer* tokenizer = model.tokenizer().get();
  if (tokenizer == nullptr) return {{"usable", false}, {"why", model.tokenizer_error()}};
  json out = {{"usable", true}, {"vocab_size", tokenizer->vocab_size()}, {"adds_bos", tokenizer->adds_bos()}};
  if (tokenizer->bos()) out["bos"] = *tokenizer->bos();
  if (tokenizer->eos()) out["eos"] = *tokenizer->eos();
  out["stop_ids"] = tokenizer->stop_ids();
  return out;
}

json chat_templates_json(const ChatTemplates& templates) {
  json out = json::array();
  for (const auto& named : templates.texts) out.push_back(named.first);
  return out;
}

json metadata_json(const Metadata& metadata) {
  json out = json::object();
  for (const auto& [key, value] : metadata) {
    json& place = out[key];
    std::visit([&place](const auto& v) { place = v; }, value);
  }
  return out;
}

json parameters_json(const ModelInfo& info) {
  const ParameterCount count = count_parameters(info.config);
  return {{"total", info.total_parameters},       {"mtp", info.mtp_parameters},
          {"matrices", count.matrices},           {"active_with_embedding", count.active_with_embedding},
          {"active_matmul", count.active_matmul}, {"active_without_head", count.active_without_head}};
}

}  // namespace

std::string info_json(const ModelInfo& info, const Model* model) {
  const ModelConfig& c = info.config;
  json out = {{"family", c.family},
              {"config_only", info.formats.empty()},
              {"layer_count", c.layer_count},
              {"hidden_size", c.hidden_size},
              {"vocab_size", c.vocab_size},
              {"max_position", c.max_position},
              {"tie_word_embeddings", c.tie_word_embeddings},
              {"attention", name_of(c.attention)},
              {"head_count", c.head_count}};
  if (c.router.expert_count > 0)
    out["experts"] = {{"routed", c.router.expert_count},   {"per_token", c.router.top_k},
                      {"shared", c.shared_expert_count},   {"group_count", c.router.group_count},
                      {"topk_group", c.router.topk_group}, {"width", c.moe_intermediate_size}};
  out["notes"] = info.notes;
  out["unread_keys"] = info.unread_keys;
  out["parameters"] = parameters_json(info);
  out["flops_per_token"] = {{"weights", weight_flops_per_token(c)},
                            {"weights_without_head", weight_flops_per_token(c, HeadFlops::exclude)}};
  const std::int64_t values = cache_values_per_token(c);
  out["cache_bytes_per_token"] = {{"f32", 4 * values}, {"f16", 2 * values}, {"bf16", 2 * values}};
  if (!info.formats.empty()) {
    out["weight_bytes"] = info.weight_bytes;
    out["weight_bytes_touched_per_token"] = info.touched_bytes;
    for (const FormatUse& use : info.formats)
      out["formats"].push_back({{"format", use.name}, {"tensors", use.tensor_count}, {"bytes", use.bytes}});
  }
  out["chat_templates"] = chat_templates_json(info.chat_templates);
  if (model != nullptr) out["tokenizer"] = tokenizer_json(*model);
  out["metadata"] = metadata_json(info.metadata);
  return json_text(out);
}

}  // namespace moe::inline MOE_ABI::c
