#pragma once
// How an instruct model is asked: the conversations of a task as the model's chat template writes them.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "moe/chat.hpp"
#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

struct ChatSetting {
  /// Template, variables and date; `end` is the prompt's own. With no template named, "default" is used.
  ChatOptions options = {};
  /// The NAME of the reference harness's --apply_chat_template: a template that must exist and is reported, while
  /// "default" writes the prompts. That is what the harness (0.4.13) does; a model with one template has no names.
  std::string reported_name = {};
  /// A variable of that name, which wins over options.variables. True: for tasks with replies alone.
  std::optional<bool> enable_thinking = {};
};

/// Immutable; one object may be used from several threads at once.
class MOE_API ChatPrompts {
 public:
  /// Errors: as render_chat() in moe/chat.hpp.
  static Result<ChatPrompts> create(const ChatTemplates& templates, const ChatSetting& setting);
  ~ChatPrompts();
  ChatPrompts(ChatPrompts&&) noexcept;
  ChatPrompts& operator=(ChatPrompts&&) noexcept;

  /// The task with contexts and continuations as this template wants them; it was prepared with
  /// PrepareOptions::conversations. A conversation that the template refuses (raise_exception, an undefined value) is
  /// written once more without its system text, which PreparedTask::chat_retries counts.
  /// Errors: bad_argument naming task, question and line of the template, or a task whose answers are scored where the
  /// setting lets the model think first; cancelled.
  Result<PreparedTask> apply(const PreparedTask& task, const std::function<bool()>& cancelled = {}) const;

  /// What result files name: see ChatSetting::reported_name.
  const std::string& reported_text() const;
  /// The one that writes the prompts.
  const std::string& template_text() const;
  const ChatSetting& setting() const;

 private:
  struct Impl;
  explicit ChatPrompts(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

/// StoreSetting::chat: a digest of all that says how tasks are asked through a template (null: through none), and of
/// PrepareOptions::conversations and think_end. Empty where there is neither template nor think_end.
MOE_API std::string chat_digest(const ChatPrompts* prompts, Conversations conversations, const std::string& think_end);

}  // namespace moe::inline MOE_ABI::eval
