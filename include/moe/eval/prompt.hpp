#pragma once
// Builds the exact prompts of a task from its question files.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/chat.hpp"
#include "moe/eval/task.hpp"

namespace moe::inline MOE_ABI::eval {

/// Whether prompts are also built as conversations, for chat templates (moe/eval/chat_prompts.hpp).
enum class Conversations {
  none,
  multiturn,   ///< every worked example is two turns
  singleturn,  ///< everything except the system text and the beginning of the answer is one turn
};
constexpr std::string_view name_of(Conversations value) noexcept {
  switch (value) {
    case Conversations::none: return "none";
    case Conversations::multiturn: return "multiturn";
    case Conversations::singleturn: return "singleturn";
  }
  return "";
}

struct PrepareOptions {
  std::string data_dir = {};                     ///< holds questions/ and fewshot/
  std::optional<std::int64_t> num_fewshot = {};  ///< worked examples before each question; empty: the task's number
  double limit = 0;                   ///< per subtask: >= 1 its first L questions, < 1 that fraction rounded up; 0 all
  std::uint64_t fewshot_seed = 1234;  ///< of random worked examples
  std::string system_instruction = {};  ///< placed before the description, separated by an empty line
  Conversations conversations = Conversations::none;
  std::string think_end = {};  ///< the answer begins after its last occurrence ("</think>"); empty: no thinking
  ReadHooks hooks = {};        ///< while questions are read and prompts are built
};

/// A prompt as messages, for a chat template.
struct Conversation {
  std::vector<ChatMessage> messages = {};
  bool unfinished = false;  ///< the last message is the beginning of the answer
};

/// A question with its prompts and answers.
struct Document {
  Question question = {};
  std::vector<std::string> contexts = {};            ///< one, or one per continuation
  std::vector<std::string> continuations = {};       ///< delimiter included; none for generation tasks
  std::vector<Conversation> conversations = {};      ///< of PrepareOptions::conversations: as many as contexts, or none
  std::vector<std::string> chat_continuations = {};  ///< follow a conversation, if not `continuations`
  std::vector<std::int32_t> lengths = {};            ///< of the continuations without delimiter, in code points
  std::vector<std::int32_t> byte_lengths = {};       ///< the same in bytes of UTF-8
  std::string target = {};            ///< the right answer as the reference harness prints it; the reply must equal it
  std::string cluster = {};           ///< questions with the same non-empty text are one cluster
  std::int64_t words = 0, bytes = 0;  ///< of a text scored as a whole: re.split(r"\s+") pieces, bytes of UTF-8

  const std::string& context_of(std::size_t continuation) const {
    return contexts[contexts.size() == 1 ? 0 : continuation];
  }
};

struct Subtask {
  std::string name = {}, alias = {}, subject = {};
  std::vector<Document> documents = {};
  std::int64_t original_count = 0;           ///< before the limit
  std::vector<std::int64_t> positions = {};  ///< indices of the documents in the whole subtask; empty: 0, 1, 2, ...

  std::int64_t position(std::size_t document) const {
    return positions.empty() ? static_cast<std::int64_t>(document) : positions[document];
  }
};

/// One question of a PreparedTask.
struct QuestionIndex {
  std::size_t subtask = 0, document = 0;
  friend bool operator==(const QuestionIndex&, const QuestionIndex&) = default;
  friend auto operator<=>(const QuestionIndex&, const QuestionIndex&) = default;
};

struct PreparedTask {
  TaskSpec spec = {};
  std::int64_t num_fewshot = 0;
  std::vector<Subtask> subtasks = {};  ///< in reporting order
  std::string data_path = {};
  std::int64_t chat_retries = 0;  ///< prompts without the system text, because the chat template refuses it

  std::int64_t question_count() const {
    std::int64_t n = 0;
    for (const Subtask& s : subtasks) n += static_cast<std::int64_t>(s.documents.size());
    return n;
  }
};

/// Every question, in file order of the subtasks.
MOE_API std::vector<QuestionIndex> all_questions(const PreparedTask& task);
/// The task with these questions only, in ascending order; subtasks without any are left out.
MOE_API PreparedTask select_questions(const PreparedTask& task, std::span<const QuestionIndex> questions);

/// Reads the question files and builds every prompt.
/// Errors: those of load_questions; bad_file when a question lacks a field of the template, or when there are more
/// subjects than a report has tables for; bad_argument when the task has fewer examples than num_fewshot asks for.
MOE_API Result<PreparedTask> prepare(const TaskSpec& task, const PrepareOptions& options = {});

}  // namespace moe::inline MOE_ABI::eval
