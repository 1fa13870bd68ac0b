#pragma once
// Prompts for instruct models: a task's conversations, rendered by the model's chat template.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "moe/chat.hpp"
#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

struct ChatSetting {
  /// Template, variables and date; `end` is set per prompt. Without a template name, "default" is used.
  ChatOptions options = {};
  /// The NAME of the reference harness's --apply_chat_template. The harness (0.4.13) requires that template and reports
  /// it, but renders prompts with "default"; so does libmoe. A model with a single template has no names.
  std::string reported_name = {};
  /// A variable of that name, which overrides options.variables. True: for generation tasks only.
  std::optional<bool> enable_thinking = {};
};

/// Immutable; several threads may use one object.
class MOE_API ChatPrompts {
 public:
  /// Errors: as render_chat() in moe/chat.hpp.
  static Result<ChatPrompts> create(const ChatTemplates& templates, const ChatSetting& setting);
  ~ChatPrompts();
  ChatPrompts(ChatPrompts&&) noexcept;
  ChatPrompts& operator=(ChatPrompts&&) noexcept;

  /// The task with contexts and continuations rendered by the template; it must have been prepared with
  /// PrepareOptions::conversations. A conversation that the template refuses (raise_exception, an undefined value) is
  /// rendered again without its system text; PreparedTask::chat_retries counts these.
  /// Errors: bad_argument naming task, question and line of the template, or for a task with scored answers when the
  /// model is set to think first; cancelled.
  Result<PreparedTask> apply(const PreparedTask& task, const std::function<bool()>& cancelled = {}) const;

  /// The template named in result files: see ChatSetting::reported_name.
  const std::string& reported_text() const;
  /// The template that renders the prompts.
  const std::string& template_text() const;
  const ChatSetting& setting() const;

 private:
  struct Impl;
  explicit ChatPrompts(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

/// StoreSetting::chat: a digest of the template with all its settings (null: no template),
/// PrepareOptions::conversations and think_end. Empty with neither template nor think_end.
MOE_API std::string chat_digest(const ChatPrompts* prompts, Conversations conversations, const std::string& think_end);

}  // namespace moe::inline MOE_ABI::eval
