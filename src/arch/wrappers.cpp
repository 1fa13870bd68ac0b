#include "arch/wrappers.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

// The two layouts of published files, and that of a text model alone.
constexpr TextPrefix kPrefixes[] = {{"language_model.model.", "language_model."}, {"model.language_model.", ""}, {}};

constexpr WrappedText kGemma3Texts[] = {{"gemma3_text", "gemma3_text"}};
constexpr WrappedText kGemma4Texts[] = {{"gemma4_text", "gemma4_text"}};
constexpr WrappedText kMistral3Texts[] = {{"mistral", "mistral"}, {"ministral3", "ministral3"}};
constexpr WrappedText kKimiTexts[] = {{"kimi_k2", "deepseek_v3"}, {"deepseek_v3", "deepseek_v3"}};

constexpr WrappedText kQwen35Texts[] = {{"qwen3_5_text", "qwen3_5_text"}};
constexpr WrappedText kQwen35MoeTexts[] = {{"qwen3_5_moe_text", "qwen3_5_moe_text"}};

constexpr std::string_view kQwenTowers[] = {"visual."};
constexpr std::string_view kVisionTowers[] = {"vision_tower.", "multi_modal_projector."};
constexpr std::string_view kGemma4Towers[] = {"vision_tower.", "audio_tower.", "embed_vision.", "embed_audio."};
constexpr std::string_view kKimiTowers[] = {"vision_tower.", "mm_projector."};

constexpr std::string_view kGemma3Keys[] = {"vision_config",   "mm_tokens_per_image", "image_token_index",
                                            "image_token_id",  "boi_token_index",     "boi_token_id",
                                            "eoi_token_index", "eoi_token_id"};
constexpr std::string_view kGemma4Keys[] = {"vision_config",   "audio_config",   "vision_soft_tokens_per_image",
                                            "image_token_id",  "video_token_id", "audio_token_id",
                                            "boi_token_id",    "boa_token_id",   "eoi_token_id",
                                            "eoi_token_index", "eoa_token_id",   "eoa_token_index"};
constexpr std::string_view kMistral3Keys[] = {
    "vision_config",        "image_token_index",  "image_token_id",           "projector_hidden_act",
    "vision_feature_layer", "spatial_merge_size", "multimodal_projector_bias"};
constexpr std::string_view kKimiKeys[] = {
    "vision_config",    "projection_hidden_size", "projection_layer_norm_eps", "image_token_id",
    "video_token_id",   "vision_start_token_id",  "vision_end_token_id",       "media_placeholder_token_id",
    "video_placeholder"};

constexpr std::string_view kQwenKeys[] = {"vision_config", "image_token_id", "video_token_id", "vision_start_token_id",
                                          "vision_end_token_id"};

constexpr Wrapper kWrappers[] = {
    {"Gemma3ForConditionalGeneration", "gemma3", kGemma3Texts, kVisionTowers, kGemma3Keys},
    {"Gemma4ForConditionalGeneration", "gemma4", kGemma4Texts, kGemma4Towers, kGemma4Keys},
    {"Mistral3ForConditionalGeneration", "mistral3", kMistral3Texts, kVisionTowers, kMistral3Keys, true},
    {"Qwen3_5ForConditionalGeneration", "qwen3_5", kQwen35Texts, kQwenTowers, kQwenKeys},
    {"Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", kQwen35MoeTexts, kQwenTowers, kQwenKeys},
    // The names in the model's own code and in transformers.
    {"KimiK25ForConditionalGeneration", "kimi_k25", kKimiTexts, kKimiTowers, kKimiKeys, true},
    {"Kimi_K25ForConditionalGeneration", "kimi_k25", kKimiTexts, kKimiTowers, kKimiKeys, true},
};

}  // namespace

std::string TextPrefix::in_file(std::string_view name) const {
  constexpr std::string_view kModel = "model.";
  if (name.empty()) return {};
  if (name.starts_with(kModel)) return std::string(model) + std::string(name.substr(kModel.size()));
  return std::string(rest) + std::string(name);
}

std::string TextPrefix::without(std::string_view name) const {
  if (name.starts_with(model)) return "model." + std::string(name.substr(model.size()));
  if (!rest.empty() && name.starts_with(rest)) name.remove_prefix(rest.size());
  return std::string(name);
}

bool Wrapper::is_tower(std::string_view tensor) const {
  constexpr std::string_view kModel = "model.";
  if (tensor.starts_with(kModel)) tensor.remove_prefix(kModel.size());
  for (const std::string_view tower : towers)
    if (tensor.starts_with(tower)) return true;
  return false;
}

TextPrefix Wrapper::prefix_of(const checkpoint::Checkpoint& file) const {
  for (const TextPrefix& prefix : kPrefixes)
    for (const char* name : {"model.embed_tokens.weight", "model.norm.weight"})
      if (file.find(prefix.in_file(name)) != nullptr) return prefix;
  return kPrefixes[0];
}

const Wrapper* wrapper_of(std::string_view architecture, std::string_view model_type) {
  for (const Wrapper& wrapper : kWrappers)
    if (architecture.empty() ? wrapper.model_type == model_type : wrapper.hf_architecture == architecture)
      return &wrapper;
  return nullptr;
}

std::span<const Wrapper> wrappers() { return kWrappers; }

JsonConfig text_config(const JsonConfig& json) {
  const bool wrapped = wrapper_of(json.architecture(), json.string_or("model_type", "")) != nullptr;
  return wrapped ? json.object("text_config") : json;
}

}  // namespace moe::inline MOE_ABI::arch
