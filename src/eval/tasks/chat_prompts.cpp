// Renders a task's conversations to prompts, as in the reference harness (HFLM.apply_chat_template).

#include "moe/eval/chat_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "chat/renderer.hpp"
#include "chat/select.hpp"
#include "support/json.hpp"
#include "support/json_text.hpp"
#include "support/sha256.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// The variables with one more, as JSON.
Result<std::string> with_thinking(const std::string& variables, bool enable_thinking) {
  std::string out = fmt::format("{{\"enable_thinking\":{}", enable_thinking);
  if (!variables.empty()) {
    const auto object = parse_json_object(variables, "the variables for a chat template");
    if (!object) return fail(ErrorCode::bad_argument, object.error().message);
    for (const auto& [key, value] : object->root().items())
      if (key != "enable_thinking") out += fmt::format(",{}:{}", json_text(nlohmann::json(key)), value.in_ascii());
  }
  return out + "}";
}

bool has_system_text(const std::vector<ChatMessage>& messages) {
  return std::any_of(messages.begin(), messages.end(), [](const ChatMessage& m) { return m.role == "system"; });
}

}  // namespace

struct ChatPrompts::Impl {
  chat::Renderer renderer;
  std::string reported;
  ChatSetting setting;

  tl::expected<chat::Rendered, chat::Fault> render(const std::vector<ChatMessage>& messages, bool unfinished) const {
    const auto conversation = chat::conversation_of(messages);
    if (!conversation)
      return tl::unexpected(chat::Fault{chat::FaultKind::python, "ValueError", conversation.error().message, 0});
    return renderer.render(*conversation, unfinished ? ChatEnd::unfinished : ChatEnd::reply);
  }

  Result<std::string> prompt_of(const Conversation& conversation, std::int64_t& retries) const {
    auto text = render(conversation.messages, conversation.unfinished);
    if (!text && text.error().kind == chat::FaultKind::refused && has_system_text(conversation.messages)) {
      std::vector<ChatMessage> rest = conversation.messages;
      std::erase_if(rest, [](const ChatMessage& m) { return m.role == "system"; });
      text = render(rest, conversation.unfinished);
      if (text) ++retries;
    }
    if (!text) return tl::unexpected<Error>(chat::as_error(text.error(), in_quotes(renderer.name())));
    return std::move(text->text);
  }
};

ChatPrompts::ChatPrompts(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
ChatPrompts::~ChatPrompts() = default;
ChatPrompts::ChatPrompts(ChatPrompts&&) noexcept = default;
ChatPrompts& ChatPrompts::operator=(ChatPrompts&&) noexcept = default;

Result<ChatPrompts> ChatPrompts::create(const ChatTemplates& templates, const ChatSetting& setting) {
  ChatOptions options = setting.options;
  std::string reported;
  if (!setting.reported_name.empty() && templates.are_named) {
    auto named = chat::select_template(templates, {.template_name = setting.reported_name});
    if (!named) return forward(named);
    reported = std::move(named->source);
  }
  if (setting.enable_thinking) {
    auto variables = with_thinking(options.variables, *setting.enable_thinking);
    if (!variables) return forward(variables);
    options.variables = std::move(*variables);
  }
  auto renderer = chat::Renderer::create(templates, options);
  if (!renderer) return forward(renderer);
  if (reported.empty()) reported = renderer->source();
  return ChatPrompts(std::make_unique<const Impl>(Impl{std::move(*renderer), std::move(reported), setting}));
}

Result<PreparedTask> ChatPrompts::apply(const PreparedTask& task, const std::function<bool()>& cancelled) const {
  const bool is_scored = task.spec.kind == TaskKind::multiple_choice || task.spec.kind == TaskKind::cloze;
  if (impl_->setting.enable_thinking.value_or(false) && is_scored)
    return fail(ErrorCode::bad_argument,
                fmt::format("enable_thinking is true, but the answers of task {} are scored and not written, so the "
                            "model cannot think first",
                            in_quotes(task.spec.name)));
  PreparedTask out = task;
  for (Subtask& subtask : out.subtasks)
    for (Document& document : subtask.documents) {
      if (cancelled && cancelled()) return fail(ErrorCode::cancelled, "writing the prompts was cancelled");
      if (document.conversations.empty() && task.spec.kind != TaskKind::rolling)
        return fail(ErrorCode::bad_argument, fmt::format("task {} was prepared without PrepareOptions::conversations",
                                                         shortened(task.spec.name, 60)));
      for (std::size_t i = 0; i < document.conversations.size(); ++i) {
        auto prompt = impl_->prompt_of(document.conversations[i], out.chat_retries);
        if (!prompt)
          return fail(prompt.error().code, fmt::format("{}, question {}: {}", shortened(subtask.name, 60),
                                                       in_quotes(document.question.id), prompt.error().message));
        document.contexts[i] = std::move(*prompt);
      }
      if (!document.chat_continuations.empty()) document.continuations = std::move(document.chat_continuations);
      document.conversations.clear();
      document.chat_continuations.clear();
    }
  return out;
}

const std::string& ChatPrompts::reported_text() const { return impl_->reported; }
const std::string& ChatPrompts::template_text() const { return impl_->renderer.source(); }
const ChatSetting& ChatPrompts::setting() const { return impl_->setting; }

std::string chat_digest(const ChatPrompts* prompts, Conversations conversations, const std::string& think_end) {
  std::string digest;
  if (prompts != nullptr) {
    const ChatSetting& setting = prompts->setting();
    std::string all;
    // Fields with their lengths, so that the concatenation is unambiguous. The date is in the prompts, where they show it.
    for (const std::string& field : {prompts->template_text(), setting.options.variables, std::string()})
      all += fmt::format("{}:", field.size()) + field;
    all += conversations == Conversations::multiturn ? " multiturn" : " singleturn";
    if (setting.enable_thinking) all += *setting.enable_thinking ? " thinking" : " no thinking";
    digest = sha256_hex(all);
  }
  return think_end.empty() ? digest : sha256_hex(digest + " think " + think_end);
}

}  // namespace moe::inline MOE_ABI::eval
