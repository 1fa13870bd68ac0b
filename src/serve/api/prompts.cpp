#include "serve/api/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "serve/api/endpoints.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

// The bytes of each token in the client's text: an added BOS has none, and SentencePiece's leading space is not
// included.
std::vector<std::string_view> shown_of_text(const std::vector<TokenId>& ids, std::string_view text,
                                            const Tokenizer& tokenizer) {
  std::vector<std::string_view> shown;
  std::size_t first = 0;
  if (!ids.empty() && ids.front() == tokenizer.bos() && !text.starts_with(tokenizer.bytes_of(ids.front()))) first = 1;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto bytes = i < first ? std::string_view() : tokenizer.bytes_of(ids[i]);
    if (i == first && bytes.starts_with(' ') && !text.starts_with(' ')) bytes.remove_prefix(1);
    shown.push_back(bytes);
  }
  return shown;
}

Checked<PromptPart> text_prompt(std::string text, bool add, const Context& context) {
  auto ids = encode_text(context, text, add);
  if (!ids) return pass_on(ids);
  PromptPart part{std::move(*ids), std::move(text), {}};
  if (part.ids.empty()) return invalid("prompt", "a prompt is empty, and the tokenizer adds no BOS to begin with");
  part.shown = shown_of_text(part.ids, part.echo, context.tokenizer());
  return part;
}

// The first space of SentencePiece and Metaspace is in the tokens, but not in the text that decode() makes of them.
void remove_excess(std::vector<std::string_view>& shown, std::size_t bytes_of_text) {
  std::size_t bytes = 0;
  for (const std::string_view token : shown) bytes += token.size();
  for (std::string_view& token : shown) {
    if (bytes <= bytes_of_text) return;
    const std::size_t excess = std::min(bytes - bytes_of_text, token.size());
    token.remove_prefix(excess);
    bytes -= excess;
  }
}

Checked<PromptPart> id_prompt(JsonValue list, SpecialTokens special, const Context& context) {
  auto ids = read_ids(list, "prompt", context.tokenizer());
  if (!ids) return pass_on(ids);
  if (ids->empty()) return invalid("prompt", "a prompt has no tokens");
  const std::int64_t rows = context.model->config().vocab_size;  // a published tokenizer may have more tokens
  for (const TokenId id : *ids)
    if (id >= rows)
      return invalid("prompt",
                     fmt::format("prompt holds {}, expected token ids from 0 to {} (rows of the model)", id, rows - 1));
  PromptPart part{std::move(*ids), {}, {}};
  auto text = context.tokenizer().decode(part.ids, special);
  if (!text) return tl::unexpected<ApiError>(from_library(text.error()));
  part.echo = std::move(*text);
  for (const TokenId id : part.ids) {
    const bool hidden = special == SpecialTokens::hide && context.tokenizer().is_control(id);
    part.shown.push_back(hidden ? std::string_view() : context.tokenizer().bytes_of(id));
  }
  remove_excess(part.shown, part.echo.size());
  return part;
}

}  // namespace

Checked<std::vector<PromptPart>> read_prompts(const Fields& fields, const Context& context, SpecialTokens special) {
  const auto prompt = fields.find("prompt");
  if (!prompt) return invalid("prompt", "there is no prompt");
  const bool add = fields.has("add_special_tokens") ? fields.flag("add_special_tokens") : true;
  std::vector<PromptPart> out;
  const auto take = [&](Checked<PromptPart> part) -> Checked<void> {
    if (!part) return pass_on(part);
    out.push_back(std::move(*part));
    return {};
  };
  if (prompt->is_string()) {
    if (auto ok = take(text_prompt(prompt->get<std::string>(), add, context)); !ok) return pass_on(ok);
    return out;
  }
  if (!prompt->is_array() || prompt->empty())
    return invalid("prompt",
                   fmt::format("prompt is {}, expected a string, token ids, or a list of them", prompt->in_ascii(60)));
  if (prompt->front().is_number()) {
    if (auto ok = take(id_prompt(*prompt, special, context)); !ok) return pass_on(ok);
    return out;
  }
  if (prompt->size() > context.options.max_prompts)
    return invalid("prompt", fmt::format("prompt is a list of {}, expected at most {}", prompt->size(),
                                         context.options.max_prompts));
  for (const JsonValue one : *prompt) {
    if (!one.is_string() && !one.is_array())
      return invalid("prompt", "prompt holds " + one.in_ascii(60) + ", expected strings or lists of token ids");
    auto ok = one.is_string() ? take(text_prompt(one.get<std::string>(), add, context))
                              : take(id_prompt(one, special, context));
    if (!ok) return pass_on(ok);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::serve::api
