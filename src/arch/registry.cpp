// The list of families. A new one adds its file and a line here.
#include <fmt/format.h>

#include "arch/common.hpp"
#include "arch/family.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> list = {
      &kLlama,   &kQwen2, &kQwen3,        &kQwen2Moe,   &kQwen3Moe, &kDeepseekV2, &kDeepseekV3, &kMixtral, &kOlmoe,
      &kSeedOss, &kDots1, &kHunyuanDense, &kHunyuanMoe, &kGlm4,     &kGlm4Moe,    &kErnieMoe,   &kGptOss,  &kGemma3};
  return list;
}

namespace {

std::string known(bool gguf) {
  std::string names;
  for (const Family* family : families()) {
    const std::string_view name = gguf ? family->gguf_architecture : family->hf_architecture;
    if (name.empty() || (gguf && family->from_gguf == nullptr)) continue;  // listed with the family that reads it
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

Result<Recognised> checked(const Family* family, const Result<ModelConfig>& config) {
  if (!config) return forward(config);
  if (auto ok = validate(*config); !ok) return forward(ok);
  return Recognised{family, *config, {}};
}

}  // namespace

Result<Recognised> recognise_hf_config(std::string_view config_json) {
  auto json = JsonConfig::parse(config_json);
  if (!json) return forward(json);
  const std::string architecture = json->architecture();
  for (const Family* family : families())
    if (family->hf_architecture == architecture) {
      auto recognised = checked(family, family->from_hf(*json));
      if (!recognised) return recognised;
      recognised->quantization = read_quantization(*json);
      if (auto ok = json->status(); !ok) return forward(ok);
      return recognised;
    }
  return fail(ErrorCode::unsupported, fmt::format("config.json: architecture {} is not known (known: {})",
                                                  in_quotes(architecture), known(false)));
}

Result<Recognised> recognise(const checkpoint::Checkpoint& file) {
  if (file.kind() == checkpoint::Kind::hf) return recognise_hf_config(file.config_json());
  const checkpoint::MetaValue* value = file.meta("general.architecture");
  const std::string* name = value == nullptr ? nullptr : std::get_if<std::string>(value);
  if (name == nullptr) return fail(ErrorCode::bad_file, "metadata general.architecture is missing, expected a string");
  for (const Family* family : families())
    if (family->from_gguf != nullptr && family->gguf_architecture == *name) {
      auto recognised = checked(family, family->from_gguf(file));
      if (!recognised) return recognised;
      // Two families may share an architecture: Mixtral is "llama", DeepSeek-V2 is "deepseek2".
      for (const Family* other : families())
        if (other->name == recognised->config.family) recognised->family = other;
      return recognised;
    }
  return fail(ErrorCode::unsupported,
              fmt::format("architecture {} is not known (known: {})", in_quotes(*name), known(true)));
}

}  // namespace moe::inline MOE_ABI::arch
