#include "chat/renderer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "chat/characters.hpp"
#include "chat/select.hpp"
#include "support/show.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

constexpr std::array<std::string_view, 3> kReasoning = {"reasoning_content", "thinking", "reasoning"};
constexpr std::string_view kContent = "content", kText = "text";
/// A marker after a message to continue, searched in the rendered text. Trimming templates remove its space.
constexpr std::string_view kTag = "CONTINUE_FINAL_MESSAGE_TAG";

Value text_value(std::string text, Origin origin) { return Value(Text::make(std::move(text), origin)); }

/// In some templates a role is part of control tokens ('<|' + role + '|>'). Plain words are allowed as roles.
Value role_value(std::string role) {
  const bool plain = std::all_of(role.begin(), role.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return text_value(std::move(role), plain ? Origin::from_template : Origin::from_content);
}

/// A message without the keys that have no value.
std::shared_ptr<Dict> without_nulls(const Dict& message) {
  auto out = std::make_shared<Dict>();
  for (const auto& [key, value] : message.entries()) {
    if (value.is_none()) continue;
    const bool is_role = key.is_text() && key.text().bytes() == "role" && value.is_text();
    out->set(key, is_role ? role_value(std::string(value.text().bytes())) : value);
  }
  return out;
}

/// Fills in older names of reasoning_content from it, and vice versa.
std::shared_ptr<Dict> with_reasoning(std::shared_ptr<Dict> message) {
  const Value* reasoning = nullptr;
  for (const std::string_view name : kReasoning)
    if (reasoning == nullptr) reasoning = message->find(name);
  if (reasoning == nullptr) return message;
  auto out = std::make_shared<Dict>();
  out->set(text_value("thinking", Origin::from_template), *reasoning);
  for (const auto& [key, value] : message->entries()) out->set(key, value);
  out->set(text_value("reasoning_content", Origin::from_template), *reasoning);
  return out;
}

Result<std::shared_ptr<Dict>> message_of(const ChatMessage& message) {
  if (message.json.empty()) {
    if (!is_valid_utf8(message.role) || !is_valid_utf8(message.content))
      return fail(ErrorCode::bad_argument, "is not UTF-8");
    auto out = std::make_shared<Dict>();
    out->set(text_value("role", Origin::from_template), role_value(message.role));
    out->set(text_value(std::string(kContent), Origin::from_template),
             text_value(message.content, Origin::from_content));
    return out;
  }
  if (!message.role.empty() || !message.content.empty())
    return fail(ErrorCode::bad_argument, "has a role or content beside its JSON text");
  auto value = read_json(message.json, Origin::from_content);
  if (!value) return fail(ErrorCode::bad_argument, "is not usable: " + value.error().message);
  if (!value->is(Kind::dict)) return fail(ErrorCode::bad_argument, "is no JSON object");
  return with_reasoning(without_nulls(value->as<Dict>()));
}

/// Appends text to another one, which keeps its marks.
Value with_tag(const Text& text) {
  return Value(std::make_shared<const Text>(fmt::format("{}{} ", text.bytes(), kTag), text.content(), text.markup()));
}

/// A copy with another value for a key.
Value with_value(const Dict& dict, std::string_view key, Value value) {
  auto out = std::make_shared<Dict>();
  for (const auto& [name, old] : dict.entries())
    out->set(name, name.is_text() && name.text().bytes() == key ? value : old);
  return Value(Kind::dict, std::move(out));
}

tl::unexpected<Fault> value_error(std::string message) {
  return tl::unexpected(Fault{FaultKind::python, "ValueError", std::move(message), 0});
}

/// Messages whose last one ends in the tag, and its text without the tag.
struct Tagged {
  Value messages;
  std::string last;
};

/// The text parts of a message: the last of them goes on.
tl::expected<Value, Fault> tag_parts(const Value& parts, std::string& last) {
  std::vector<Value> items = parts.items();
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    const Value* text = item->is(Kind::dict) ? item->as<Dict>().find(kText) : nullptr;
    if (text == nullptr) continue;
    if (!text->is_text())
      return tl::unexpected(Fault{FaultKind::python, "TypeError", "the text of the last part is no text", 0});
    last = text->text().bytes();
    *item = with_value(item->as<Dict>(), kText, with_tag(text->text()));
    return Value(Kind::list, std::make_shared<List>(std::move(items)));
  }
  return value_error("the last message is to go on and has no text");
}

tl::expected<Tagged, Fault> tag_last(const Value& conversation) {
  Tagged out;
  std::vector<Value> messages = conversation.items();
  const Dict& message = messages.back().as<Dict>();
  const Value* content = message.find(kContent);
  if (content == nullptr) return value_error("the last message is to go on and has no content");
  Value tagged;
  if (content->is_text()) {
    out.last = content->text().bytes();
    tagged = with_tag(content->text());
  } else if (content->is_sequence()) {
    auto parts = tag_parts(*content, out.last);
    if (!parts) return tl::unexpected(parts.error());
    tagged = std::move(*parts);
  } else {
    return tl::unexpected(Fault{FaultKind::python, "TypeError", "the last message is to go on and is no text", 0});
  }
  messages.back() = with_value(message, kContent, std::move(tagged));
  out.messages = Value(Kind::list, std::make_shared<List>(std::move(messages)));
  return out;
}

std::string_view stripped(std::string_view text) {
  text = text.substr(0, trailing_space(text));
  return text.substr(leading_space(text));
}

void cut(Rendered& rendered, std::size_t at) {
  rendered.text.resize(at);
  while (!rendered.content.empty() && rendered.content.back().begin >= at) rendered.content.pop_back();
  if (!rendered.content.empty())
    rendered.content.back().end = std::min(rendered.content.back().end, static_cast<std::uint32_t>(at));
}

/// The text up to the tag. If a template removed the space after it, it also trimmed the message.
tl::expected<Rendered, Fault> cut_at_tag(Rendered rendered, std::string_view last) {
  const std::size_t at = rendered.text.rfind(kTag);
  if (at == std::string::npos || rendered.text.find(stripped(last)) == std::string::npos)
    return value_error("the last message is to go on, but the template leaves it out or changes it");
  const std::size_t behind = at + kTag.size();
  const bool kept = behind < rendered.text.size() && rendered.text[behind] == ' ';
  cut(rendered, kept ? at : trailing_space(std::string_view(rendered.text).substr(0, at)));
  return rendered;
}

Result<Value> json_option(const char* what, const std::string& json, Origin origin, Kind kind) {
  auto value = read_json(json, origin);
  if (!value)
    return fail(ErrorCode::bad_argument, fmt::format("{} for a chat template: {}", what, value.error().message));
  if (!value->is(kind))
    return fail(ErrorCode::bad_argument, fmt::format("{} for a chat template: expected a JSON {}", what,
                                                     kind == Kind::list ? "list" : "object"));
  return value;
}

/// Names that the library sets itself, or that are not variables in transformers.
bool is_reserved(std::string_view name) {
  for (const std::string_view reserved : {"messages", "conversation", "add_generation_prompt", "continue_final_message",
                                          "chat_template", "tokenize", "return_dict"})
    if (name == reserved) return true;
  return false;
}

/// The caller's variables. Only those that name tokens may contain control tokens.
Result<void> add_variables(const std::string& json, Variables& out) {
  const auto plain = json_option("the variables", json, Origin::from_content, Kind::dict);
  if (!plain) return forward(plain);
  for (const auto& [key, value] : plain->as<Dict>().entries()) {
    const std::string name(key.text().bytes());
    if (is_reserved(name))
      return fail(ErrorCode::bad_argument,
                  fmt::format("the variables for a chat template: {} is no name for one", in_quotes(name)));
    if ((name == "tools" || name == "documents") && !value.is_none() && !value.is(Kind::list))
      return fail(ErrorCode::bad_argument,
                  fmt::format("the variables for a chat template: expected a JSON list as {}", in_quotes(name)));
    const bool is_token = name.ends_with("_token") && value.is_text();
    out[name] = is_token ? text_value(std::string(value.text().bytes()), Origin::from_template) : value;
  }
  return {};
}

DateTime local_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  return {local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, 0};
}

}  // namespace

Result<Value> conversation_of(std::span<const ChatMessage> messages) {
  std::vector<Value> items;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto message = message_of(messages[i]);
    if (!message) return fail(message.error().code, fmt::format("message {} {}", i + 1, message.error().message));
    items.emplace_back(Kind::dict, std::move(*message));
  }
  return Value(Kind::list, std::make_shared<List>(std::move(items)));
}

Result<Renderer> Renderer::create(const ChatTemplates& templates, const ChatOptions& options) {
  auto selected = select_template(templates, options);
  if (!selected) return forward(selected);
  auto compiled = ChatTemplate::parse(selected->source);
  if (!compiled) return tl::unexpected<Error>(as_error(compiled.error(), in_quotes(selected->name)));
  Renderer out(std::move(selected->name), std::move(selected->source), std::move(*compiled));
  auto now = options.date.empty() ? Result<DateTime>(local_now()) : parse_time(options.date);
  if (!now) return forward(now);
  out.now_ = *now;
  for (const auto& [name, text] : templates.special_tokens)
    out.variables_[name] = text_value(text, Origin::from_template);
  out.variables_["tools"] = out.variables_["documents"] = Value();
  for (const auto& [name, json] : {std::pair{"tools", &options.tools}, std::pair{"documents", &options.documents}}) {
    if (json->empty()) continue;
    auto list = json_option(name, *json, Origin::from_content, Kind::list);
    if (!list) return forward(list);
    out.variables_[name] = std::move(*list);
  }
  if (!options.variables.empty())
    if (auto ok = add_variables(options.variables, out.variables_); !ok) return forward(ok);
  return out;
}

tl::expected<Rendered, Fault> Renderer::render(const Value& conversation, ChatEnd end) const {
  if (conversation.items().empty()) return value_error("the conversation has no message");
  Variables variables = variables_;
  variables["add_generation_prompt"] = Value(end == ChatEnd::reply);
  if (end != ChatEnd::unfinished) {
    variables["messages"] = conversation;
    return template_.render(variables, now_);
  }
  if (source_.find(kContent) == std::string::npos)
    return value_error("the last message is to go on, but the template does not use its content");
  auto tagged = tag_last(conversation);
  if (!tagged) return tl::unexpected(tagged.error());
  variables["messages"] = std::move(tagged->messages);
  auto rendered = template_.render(variables, now_);
  if (!rendered) return rendered;
  return cut_at_tag(std::move(*rendered), tagged->last);
}

}  // namespace moe::inline MOE_ABI::chat
