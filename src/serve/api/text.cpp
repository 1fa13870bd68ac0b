// /tokenize and /detokenize

#include <fmt/format.h>

#include "serve/api/endpoints.hpp"
#include "serve/api/tables.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

Checked<std::vector<TokenId>> conversation_ids(const Fields& fields, JsonValue messages, const Context& context) {
  const auto chat = read_chat(fields, messages, context);
  if (!chat) return pass_on(chat);
  auto rendered = encode_conversation(context, *chat);
  if (!rendered) return pass_on(rendered);
  return std::move(rendered->ids);
}

Checked<std::vector<TokenId>> ids_of(const Fields& fields, const Context& context) {
  const auto special = fields.flag("parse_special") ? SpecialText::parse : SpecialText::plain;
  const auto prompt = fields.find("prompt");
  if (fields.has("prompt") + fields.has("content") + fields.has("messages") > 1)
    return invalid("prompt", "there are more than one of prompt, content and messages");
  if (const auto messages = fields.find("messages")) return conversation_ids(fields, *messages, context);
  // lm-eval sends a conversation as "prompt".
  if (prompt && prompt->is_array() && !prompt->empty() && prompt->front().is_object())
    return conversation_ids(fields, *prompt, context);
  if (prompt && !prompt->is_string())
    return invalid("prompt", "prompt is " + prompt->in_ascii(60) + ", expected a string or messages");
  if (!prompt && !fields.has("content")) return invalid("prompt", "there is no prompt, content or messages");
  // Behaves like vLLM for its field and like llama-server for its own.
  bool add = prompt.has_value();
  for (const auto name : {"add_special", "add_special_tokens"})
    if (fields.has(name)) add = fields.flag(name);
  return encode_text(context, fields.text(prompt ? "prompt" : "content"), add, special);
}

// llama-server's pieces: text, or numbers if bytes are not whole characters.
Json piece_of(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  Json numbers = Json::array();
  for (const char c : bytes) numbers.push_back(static_cast<unsigned char>(c));
  return numbers;
}

}  // namespace

Checked<std::vector<TokenId>> encode_text(const Context& context, std::string_view text, bool add,
                                          SpecialText special) {
  const Tokenizer& tokenizer = context.tokenizer();
  const auto bos = tokenizer.bos();
  // A text that begins with BOS needs none added. EOS is left to the model.
  const bool begins = bos && !tokenizer.bytes_of(*bos).empty() && text.starts_with(tokenizer.bytes_of(*bos));
  auto ids = tokenizer.encode(text, {.ends = add && !begins ? TextEnds::as_model : TextEnds::none, .special = special});
  if (!ids) return tl::unexpected<ApiError>(from_library(ids.error()));
  return std::move(*ids);
}

Checked<void> tokenize(Arrival& arrival) {
  const Context& context = arrival.context;
  const auto body = read_body(arrival.request.body);
  if (!body) return pass_on(body);
  const auto fields = Fields::check(body->root(), tokenize_table(), context.options.strict);
  if (!fields) return pass_on(fields);
  if (auto model = model_of(*fields, context); !model) return pass_on(model);
  const auto ids = ids_of(*fields, context);
  if (!ids) return pass_on(ids);
  Json tokens = Json::array(), texts = Json::array();
  for (const TokenId id : *ids) {
    const auto bytes = context.tokenizer().bytes_of(id);
    tokens.push_back(fields->flag("with_pieces") ? Json{{"id", id}, {"piece", piece_of(bytes)}} : Json(id));
    if (fields->flag("return_token_strs")) texts.push_back(token_text(bytes));
  }
  Json answer = {{"tokens", std::move(tokens)}, {"count", ids->size()}, {"max_model_len", context.context_tokens}};
  if (fields->flag("return_token_strs")) answer["token_strs"] = std::move(texts);
  arrival.responder.answer({200, json_text(answer), "application/json", {}});
  return {};
}

Checked<void> detokenize(Arrival& arrival) {
  const Context& context = arrival.context;
  const auto body = read_body(arrival.request.body);
  if (!body) return pass_on(body);
  const auto fields = Fields::check(body->root(), detokenize_table(), context.options.strict);
  if (!fields) return pass_on(fields);
  if (auto model = model_of(*fields, context); !model) return pass_on(model);
  const auto list = fields->find("tokens");
  if (!list) return invalid("tokens", "there are no tokens");
  const auto ids = read_ids(*list, "tokens", context.tokenizer());
  if (!ids) return pass_on(ids);
  const auto text = context.tokenizer().decode(*ids);
  if (!text) return tl::unexpected<ApiError>(from_library(text.error()));
  arrival.responder.answer({200, json_text({{"prompt", *text}, {"content", *text}}), "application/json", {}});
  return {};
}

}  // namespace moe::inline MOE_ABI::serve::api
