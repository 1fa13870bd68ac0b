// Endpoints without a body: models, version, tokenizer.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "moe/cpu.hpp"
#include "moe/flops.hpp"
#include "serve/api/endpoints.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

Json model_object(const Context& context, std::string_view id) {
  const ModelInfo& info = context.model->info();
  Json out = {{"id", id},
              {"object", "model"},
              {"created", context.created},
              {"owned_by", "libmoe"},
              {"max_model_len", context.context_tokens},
              {"meta",
               {{"parameters", info.total_parameters},
                {"active", count_parameters(context.model->config()).active_matmul},
                {"formats", info.format_summary},
                {"hash", fmt::format("{:016x}", info.hash)},
                {"vocab_size", context.tokenizer().vocab_size()}}}};
  // Default sampling settings; OpenAI's are not listed.
  if (!context.sampling_defaults.empty()) out["meta"]["generation_config"] = context.sampling_defaults;
  return out;
}

}  // namespace

Checked<void> check_model_name(const ServerOptions& options, std::string_view id) {
  if (std::find(options.names.begin(), options.names.end(), id) != options.names.end()) return {};
  std::string names;
  for (const std::string& name : options.names) names += (names.empty() ? "" : ", ") + name;
  return tl::unexpected<ApiError>({404,
                                   fmt::format("there is no model '{}', expected one of: {}", id.substr(0, 200), names),
                                   "model",
                                   "model_not_found",
                                   {}});
}

Checked<std::string> model_of(const Fields& fields, const Context& context) {
  if (!fields.has("model")) return context.name();
  std::string asked = fields.text("model");
  if (context.options.any_model_name) return asked;
  if (auto known = check_model_name(context.options, asked); !known) return pass_on(known);
  return asked;
}

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string models_json(const Context& context) {
  Json list = Json::array();
  for (const std::string& name : context.options.names) list.push_back(model_object(context, name));
  return json_text({{"object", "list"}, {"data", std::move(list)}});
}

std::string model_json(const Context& context, std::string_view id) { return json_text(model_object(context, id)); }

std::string version_json(const Context& context) {
  return json_text({{"version", context.options.revision},
                    {"numerics_version", kNumericsVersion},
                    {"isa", std::string(active_isa())},
                    {"model_hash", fmt::format("{:016x}", context.model->info().hash)},
                    {"system_fingerprint", context.fingerprint}});
}

std::string tokenizer_info_json(const Context& context) {
  const ChatTemplates& chat = context.model->chat_templates();
  // null instead of absent keys, for lm-eval, which reads eos_token.
  const auto special = [&](const char* name, std::optional<TokenId> id) -> Json {
    if (const auto found = chat.special_tokens.find(name); found != chat.special_tokens.end()) return found->second;
    if (id) return std::string(context.tokenizer().bytes_of(*id));
    return nullptr;
  };
  Json used = nullptr;
  const std::string& name = context.options.chat_template_name;
  if (!context.options.chat_template_text.empty())
    used = context.options.chat_template_text;
  else if (const auto found = chat.texts.find(name.empty() ? "default" : name); found != chat.texts.end())
    used = found->second;
  return json_text({{"bos_token", special("bos_token", context.tokenizer().bos())},
                    {"eos_token", special("eos_token", context.tokenizer().eos())},
                    {"pad_token", special("pad_token", {})},
                    {"chat_template", std::move(used)},
                    {"add_bos_token", context.tokenizer().adds_bos()},
                    {"vocab_size", context.tokenizer().vocab_size()},
                    {"tokenizer_class", "libmoe"}});
}

}  // namespace moe::inline MOE_ABI::serve::api
