// The list of families. A new one adds its file and a line here.
#include <fmt/format.h>

#include <algorithm>

#include "arch/defaults.hpp"
#include "arch/family.hpp"
#include "arch/quantization_config.hpp"
#include "checkpoint/tokenizer_metadata.hpp"
#include "moe/model.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> list = {
      &kLlama,    &kMistral, &kQwen2,   &kQwen3,         &kQwen2Moe,     &kQwen3Moe,    &kDeepseekV2, &kDeepseekV3,
      &kMixtral,  &kOlmoe,   &kSeedOss, &kDots1,         &kHunyuanDense, &kHunyuanMoe,  &kGlm4,       &kGlm4Moe,
      &kErnieMoe, &kGptOss,  &kGemma2,  &kGemma3,        &kMinistral3,   &kGlm4MoeLite, &kMinimaxM2,  &kHyV3,
      &kErnie,    &kOlmo2,   &kOlmo3,   &kSmolLm3,       &kPhi3,         &kQwen3Next,   &kQwen35,     &kQwen35Moe,
      &kGemma4,   &kLfm2,    &kLfm2Moe, &kGraniteHybrid, &kNemotronH,    &kDeepseekV32, &kGlmMoeDsa};
  return list;
}

namespace {

const Family* family_named(std::string_view name) {
  for (const Family* family : families())
    if (family->name == name) return family;
  return nullptr;
}

const Family* gguf_family_named(std::string_view name) {
  for (const Family* family : families())
    if (family->from_gguf != nullptr && (family->gguf_architecture == name || family->gguf_moe_architecture == name))
      return family;
  return nullptr;
}

std::string known(bool gguf) {
  std::string names;
  for (const Family* family : families()) {
    const std::string_view name = gguf ? family->gguf_architecture : family->hf_architecture;
    if (name.empty() || (gguf && family->from_gguf == nullptr)) continue;  // listed with the family that reads it
    if (!names.empty()) names += ", ";
    names += name;
    if (gguf && !family->gguf_moe_architecture.empty()) names += fmt::format(", {}", family->gguf_moe_architecture);
  }
  std::string_view before;
  for (const Wrapper& wrapper : wrappers()) {
    if (!gguf && wrapper.model_type != before) names += fmt::format(", {}", wrapper.hf_architecture);
    before = wrapper.model_type;
  }
  return names;
}

/// Errors of a configuration, the reader's first.
Result<Recognised> checked(const Family* family, const Result<void>& read, Recognised model) {
  if (!read) return forward(read);
  model.family = family;
  if (auto ok = validate(model.config); !ok) return fail(ok.error().code, ok.error().message + about_assumed(model));
  return model;
}

/// By architectures[0], as in published files; without it by model_type.
Result<const Family*> family_of(const JsonConfig& json) {
  const std::string architecture = json.architecture(), type = json.string_or("model_type", "");
  if (auto ok = json.status(); !ok) return forward(ok);
  const Family* by_type = family_named(type);
  for (const Family* family : families()) {
    if (architecture.empty() ||
        (family->hf_architecture != architecture && family->hf_other_architecture != architecture))
      continue;
    if (by_type != nullptr && by_type != family)
      return fail(ErrorCode::bad_config,
                  fmt::format("config.json: architectures is {} and model_type is {}, expected one family",
                              in_quotes(architecture), in_quotes(type)));
    return family;
  }
  if (architecture.empty() && by_type != nullptr) return by_type;
  return fail(ErrorCode::unsupported, fmt::format("config.json: architecture {} is not known (known: {})",
                                                  in_quotes(architecture.empty() ? type : architecture), known(false)));
}

/// By the model_type of text_config: its architectures, where it has any, are those of a file of its own.
Result<const Family*> family_of(const Wrapper& wrapper, const JsonConfig& text) {
  const std::string type = text.string_or("model_type", wrapper.texts.front().model_type);
  std::string names;
  for (const WrappedText& one : wrapper.texts) {
    if (one.model_type == type) return family_named(one.family);
    names += (names.empty() ? "" : ", ") + std::string(one.model_type);
  }
  if (auto ok = text.status(); !ok) return forward(ok);
  return fail(ErrorCode::unsupported, fmt::format("config.json: text_config.model_type is {}, expected {} in a {}",
                                                  in_quotes(type), names, wrapper.hf_architecture));
}

/// Keys outside the architecture's that were not read and may matter.
std::vector<std::string> foreign_keys(const checkpoint::Checkpoint& file, std::string_view architecture) {
  std::vector<std::string> out;
  for (const std::string& key : file.meta_keys())
    if (!key.starts_with(std::string(architecture) + ".") && !checkpoint::is_tokenizer_key(key) &&
        !never_matters_outside(key))
      out.push_back(key);
  return out;
}

Result<Recognised> from_gguf(const checkpoint::Checkpoint& file, const Family* family, std::string_view architecture) {
  GgufConfig meta(file, architecture);
  Recognised model;
  model.config = family->from_gguf(meta);
  model.config.recurrent.tiled_heads = family->gguf_tiled_heads;
  model.notes = meta.notes();
  auto recognised = checked(family, meta.status(), std::move(model));
  if (!recognised) return recognised;
  auto unread = judge_unread_gguf(meta.unread(), architecture, recognised->config);
  if (!unread) return forward(unread);
  recognised->unread_keys = std::move(*unread);
  for (std::string& key : foreign_keys(file, architecture)) recognised->unread_keys.push_back(std::move(key));
  // Two families may share an architecture: Mixtral is "llama", DeepSeek-V2 is "deepseek2".
  for (const Family* other : families())
    if (other->name == recognised->config.family) recognised->family = other;
  return recognised;
}

}  // namespace

std::string about_assumed(const Recognised& model) {
  if (model.assumed.empty()) return {};
  std::string names;
  for (std::size_t i = 0; i < model.assumed.size() && i < 12; ++i) names += (i > 0 ? ", " : "") + model.assumed[i];
  return fmt::format(" (config.json does not give {}: there, the defaults of {} hold)", names, model.family->name);
}

namespace {

/// Unknown keys of a wrapper outside the text model's.
void add_outer_keys(const JsonConfig& json, Recognised& model) {
  for (const UnreadKey& unread : json.unread()) {
    const std::string_view first = std::string_view(unread.key).substr(0, unread.key.find('.'));
    const auto& about_towers = model.wrapper->keys;
    if (first != "text_config" && !never_matters_json(first) && !never_matters_json(unread.key) &&
        std::find(about_towers.begin(), about_towers.end(), first) == about_towers.end())
      model.unread_keys.push_back(unread.key);
  }
}

/// tie_word_embeddings of the text model; older files have it only at the top level.
void read_outer_tie(const JsonConfig& json, const JsonConfig& text, Recognised& model) {
  constexpr std::string_view kKey = "tie_word_embeddings";
  model.wrapper_ties = model.wrapper->ties;
  if (!json.in_file(kKey)) return;
  const bool outer = json.boolean(kKey);
  model.wrapper_ties = outer;
  if (!text.in_file(kKey))
    model.config.tie_word_embeddings = outer;
  else if (outer != model.config.tie_word_embeddings)
    model.notes.push_back(
        fmt::format("config.json: {} is {} and {} is {}: the latter counts", kKey, outer, text.path(kKey), !outer));
}

}  // namespace

bool names_family(const JsonConfig& json) {
  const Wrapper* wrapper = wrapper_of(json.architecture(), json.string_or("model_type", ""));
  if (wrapper == nullptr) return family_of(json).has_value();
  return json.has("text_config") && family_of(*wrapper, json.object("text_config")).has_value();
}

bool names_gguf_family(std::string_view architecture) { return gguf_family_named(architecture) != nullptr; }

Result<Recognised> recognise_hf_config(std::string_view config_json) {
  auto json = JsonConfig::parse(config_json);
  if (!json) return forward(json);
  Recognised model;
  const std::string architecture = json->architecture(), type = json->string_or("model_type", "");
  if (auto ok = json->status(); !ok) return forward(ok);
  model.wrapper = wrapper_of(architecture, type);
  if (model.wrapper != nullptr && !json->has("text_config"))
    return fail(ErrorCode::bad_config,
                fmt::format("config.json: text_config is missing, expected the configuration of the text model in a {}",
                            model.wrapper->hf_architecture));
  JsonConfig text = model.wrapper == nullptr ? *json : json->object("text_config");
  const auto family = model.wrapper == nullptr ? family_of(text) : family_of(*model.wrapper, text);
  if (!family) return forward(family);
  if (const ClassDefaults* defaults = defaults_of((*family)->name)) text.use(*defaults);
  model.config = (*family)->from_hf(text);
  model.quantization = read_quantization(text.has("quantization_config") ? text : *json);
  model.notes = json->notes();
  if (model.wrapper != nullptr) read_outer_tie(*json, text, model);
  model.assumed = json->assumed();
  auto recognised = checked(*family, json->status(), std::move(model));
  if (!recognised) return recognised;
  auto unread = judge_unread_json(text.unread(), text.path(""), recognised->config);
  if (!unread) return forward(unread);
  recognised->unread_keys = std::move(*unread);
  if (recognised->wrapper != nullptr) add_outer_keys(*json, *recognised);
  return recognised;
}

Result<Recognised> recognise(const checkpoint::Checkpoint& file) {
  if (file.kind() == checkpoint::Kind::hf) {
    auto recognised = recognise_hf_config(file.config_json());
    if (recognised && recognised->wrapper != nullptr) recognised->prefix = recognised->wrapper->prefix_of(file);
    if (recognised) tie_missing_head(file, *recognised);
    if (recognised)
      if (auto ok = untie_own_head(file, *recognised); !ok) return forward(ok);
    return recognised;
  }
  const checkpoint::MetaValue* value = file.meta("general.architecture");
  const std::string* name = value == nullptr ? nullptr : std::get_if<std::string>(value);
  if (name == nullptr) return fail(ErrorCode::bad_file, "metadata general.architecture is missing, expected a string");
  if (const Family* family = gguf_family_named(*name)) return from_gguf(file, family, *name);
  return fail(ErrorCode::unsupported,
              fmt::format("architecture {} is not known (known: {})", in_quotes(*name), known(true)));
}

}  // namespace moe::inline MOE_ABI::arch
