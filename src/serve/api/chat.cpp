// /v1/chat/completions, and prompts from conversations.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "moe/chat.hpp"
#include "serve/api/endpoints.hpp"
#include "serve/api/tables.hpp"
#include "support/json.hpp"
#include "support/json_copy.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};

Checked<void> check_message(JsonValue message, std::size_t index) {
  if (!message.is_object()) return invalid("messages", fmt::format("messages[{}] is no object", index));
  const auto role = message.find("role");
  const bool known =
      role && role->is_string() && std::find(std::begin(kRoles), std::end(kRoles), role->text()) != std::end(kRoles);
  if (!known)
    return invalid("messages",
                   fmt::format("messages[{}].role is {}, expected system, developer, user, assistant or tool", index,
                               role ? role->in_ascii(60) : "not there"));
  const auto content = message.find("content");
  if (!content || content->is_null()) {
    if (role->text() == "assistant") return {};
    return invalid("messages", fmt::format("messages[{}] has no content", index));
  }
  if (content->is_string()) return {};
  if (!content->is_array())
    return invalid("messages", fmt::format("messages[{}].content is no string and no list", index));
  for (const JsonValue part : *content) {
    const auto type = part.find("type");
    const auto text = part.find("text");
    if (!type || !type->is_string() || type->text() != "text" || !text || !text->is_string())
      return tl::unexpected<ApiError>(
          {400,
           fmt::format("messages[{}].content has a part that is no text, expected {{\"type\": \"text\", \"text\"}}",
                       index),
           "messages",
           "unsupported_parameter",
           {}});
  }
  return {};
}

// Clients send the arguments of a call as a text of JSON; templates read the object. Other text stays as it is.
void open_arguments(Json& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return;
  for (Json& call : *calls) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
    Json& function = call["function"];
    if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
    const auto text = function["arguments"].get<std::string>();
    const auto read = JsonDocument::parse(text);
    if (read && read->root().is_object()) function["arguments"] = copy_json<Json>(read->root());
  }
}

// The message for the template: parts of text joined, null left out.
ChatMessage message_of(JsonValue message) {
  Json json = copy_json<Json>(message);
  open_arguments(json);
  if (json.contains("content") && json["content"].is_array()) {
    std::string joined;
    for (const Json& part : json["content"]) joined += part["text"].get<std::string>();
    json["content"] = std::move(joined);
  }
  ChatMessage out;
  out.json = json_text(json);
  return out;
}

std::string object_text(const Fields& fields, std::string_view name) {
  const auto value = fields.find(name);
  return value ? json_text(copy_json<Json>(*value)) : std::string();
}

Checked<void> read_end(const Fields& fields, ChatOptions& options) {
  const bool adds = fields.flag("add_generation_prompt");
  if (fields.flag("continue_final_message")) {
    if (adds && fields.has("add_generation_prompt"))
      return invalid("continue_final_message",
                     "continue_final_message and add_generation_prompt are both true, expected one of them");
    options.end = ChatEnd::unfinished;
  } else {
    options.end = adds ? ChatEnd::reply : ChatEnd::message;
  }
  return {};
}

struct RenderedRequest {
  RenderedChat chat;
  std::string model, ignored;
};

Checked<RenderedRequest> render(const Fields& fields, const Context& context) {
  RenderedRequest out;
  auto model = model_of(fields, context);
  if (!model) return pass_on(model);
  out.model = std::move(*model);
  const auto messages = fields.find("messages");
  if (!messages) return invalid("messages", "there are no messages");
  const auto chat = read_chat(fields, *messages, context);
  if (!chat) return pass_on(chat);
  auto rendered = encode_conversation(context, *chat);
  if (!rendered) return pass_on(rendered);
  out.chat = std::move(*rendered);
  const auto bos = context.tokenizer().bos();
  if (fields.flag("add_special_tokens") && context.tokenizer().adds_bos() && bos &&
      (out.chat.ids.empty() || out.chat.ids.front() != *bos))
    out.chat.ids.insert(out.chat.ids.begin(), *bos);
  if (out.chat.ids.empty()) return invalid("messages", "the template makes an empty prompt of the messages");
  out.ignored = ignored_header(fields);
  return out;
}

Checked<Fields> chat_fields(const JsonDocument& body, const Context& context) {
  return Fields::check(body.root(), chat_table(), context.options.strict);
}

Checked<CallPlan> chat_plan(const Fields& fields, const Context& context) {
  CallPlan plan;
  plan.is_chat = true;
  auto settings = read_reply_settings(fields, context, {});
  if (!settings) return pass_on(settings);
  plan.settings = std::move(*settings);
  if (plan.settings.max_tokens == 0) return invalid("max_tokens", "max_tokens is 0, expected at least 1");
  if (fields.flag("logprobs")) plan.logprobs = plan.settings.options.log_probabilities = fields.integer("top_logprobs");
  if (fields.integer("top_logprobs") > 0 && !plan.logprobs)
    return invalid("top_logprobs", "top_logprobs needs logprobs: true");
  auto rendered = render(fields, context);
  if (!rendered) return pass_on(rendered);
  plan.model = std::move(rendered->model);
  plan.ignored = std::move(rendered->ignored);
  plan.prompts.push_back({std::move(rendered->chat.ids), {}, {}});
  if (auto ok = fit_prompt(plan.prompts.front().ids, plan.settings, context.context_tokens); !ok) return pass_on(ok);
  if (auto ok = check_lists(plan, context); !ok) return pass_on(ok);
  return plan;
}

Checked<RenderedRequest> rendered_body(const Arrival& arrival, std::optional<JsonDocument>& keep) {
  auto body = read_body(arrival.request.body);
  if (!body) return pass_on(body);
  keep = std::move(*body);
  const auto fields = chat_fields(*keep, arrival.context);
  if (!fields) return pass_on(fields);
  return render(*fields, arrival.context);
}

}  // namespace

Checked<RenderedChat> encode_conversation(const Context& context, const Chat& chat) {
  if (!context.options.parse_user_control_tokens) {
    auto rendered = encode_chat(*context.model, chat);
    if (!rendered) return tl::unexpected<ApiError>(from_library(rendered.error()));
    return std::move(*rendered);
  }
  RenderedChat out;
  auto text = render_chat(*context.model, chat);
  if (!text) return tl::unexpected<ApiError>(from_library(text.error()));
  out.text = std::move(*text);
  auto ids = context.tokenizer().encode(out.text, {.ends = TextEnds::none, .special = SpecialText::parse});
  if (!ids) return tl::unexpected<ApiError>(from_library(ids.error()));
  out.ids = std::move(*ids);
  return out;
}

Checked<Chat> read_chat(const Fields& fields, JsonValue messages, const Context& context) {
  Chat chat;
  if (messages.empty()) return invalid("messages", "messages is empty, expected at least one");
  std::size_t index = 0;
  for (const JsonValue message : messages) {
    if (auto ok = check_message(message, index++); !ok) return pass_on(ok);
    chat.messages.push_back(message_of(message));
  }
  ChatOptions& o = chat.options;
  o.template_name = context.options.chat_template_name;
  o.template_text = context.options.chat_template_text;
  if (fields.has("chat_template")) {
    if (!context.options.trust_request_template)
      return tl::unexpected<ApiError>({400,
                                       "chat_template of a request is not taken: the server was started without "
                                       "--trust-request-template",
                                       "chat_template",
                                       "unsupported_parameter",
                                       {}});
    o.template_text = fields.text("chat_template");
    o.template_name.clear();
  }
  o.tools = object_text(fields, "tools");
  o.documents = object_text(fields, "documents");
  Json variables = Json::object();
  if (fields.has("reasoning_effort")) variables["reasoning_effort"] = fields.text("reasoning_effort");
  if (const auto kwargs = fields.find("chat_template_kwargs")) variables.update(copy_json<Json>(*kwargs));
  o.variables = variables.empty() ? std::string() : json_text(variables);
  if (auto ok = read_end(fields, o); !ok) return pass_on(ok);
  return chat;
}

Checked<void> chat_completions(Arrival& arrival) {
  const auto body = read_body(arrival.request.body);
  if (!body) return pass_on(body);
  const auto fields = chat_fields(*body, arrival.context);
  if (!fields) return pass_on(fields);
  auto plan = chat_plan(*fields, arrival.context);
  if (!plan) return pass_on(plan);
  plan->owner = arrival.notes->owner;
  start_call(arrival.context, std::move(*plan), arrival.responder, arrival.notes);
  return {};
}

Checked<void> apply_template(Arrival& arrival) {
  std::optional<JsonDocument> body;
  const auto rendered = rendered_body(arrival, body);
  if (!rendered) return pass_on(rendered);
  arrival.responder.answer({200, json_text({{"prompt", rendered->chat.text}}), "application/json", {}});
  return {};
}

Checked<void> count_input_tokens(Arrival& arrival) {
  std::optional<JsonDocument> body;
  const auto rendered = rendered_body(arrival, body);
  if (!rendered) return pass_on(rendered);
  arrival.responder.answer({200, json_text({{"input_tokens", rendered->chat.ids.size()}}), "application/json", {}});
  return {};
}

}  // namespace moe::inline MOE_ABI::serve::api
