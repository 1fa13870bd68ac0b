// libFuzzer entry: any byte string as a task file of moe-eval and, behind a zero byte, the questions it asks: every prompt
// is built, and a reply goes through the task's filters.

#include "entry.hpp"
#include "eval/score/filter.hpp"
#include "memory_file.hpp"
#include "moe/eval/prompt.hpp"
#include "tokenizer/unicode.hpp"

namespace {

using namespace moe_test;
using namespace moe::eval;

/// A task file may name any file of the disk, and standard input. This one asks what is in the input.
void point_to(const std::string& path, TaskSpec& task) {
  task.data = path;
  task.data_is_path = true;
  task.csv_questions = task.csv_examples = {};
  if (!task.fewshot.examples.empty()) task.fewshot.examples = path;
  task.fewshot.is_path = true;
}

std::size_t checked_bytes(const std::string& text) {
  if (!moe::tokenizer::is_valid_utf8(text)) complain("a prompt is not UTF-8");
  return text.size();
}

/// Returns the bytes of its texts.
std::size_t check_document(const Document& document) {
  const std::size_t asked = document.continuations.size();
  if (document.contexts.size() != 1 && document.contexts.size() != asked) complain("contexts without continuations");
  if (document.lengths.size() != asked || document.byte_lengths.size() != asked) complain("lengths of other texts");
  if (document.question.answer >= static_cast<std::int64_t>(asked) && document.question.answer > 0 && asked > 1)
    complain("the answer is none of the continuations");
  std::size_t bytes = 0;
  for (const auto* texts : {&document.contexts, &document.continuations, &document.chat_continuations})
    for (const std::string& text : *texts) bytes += checked_bytes(text);
  for (const Conversation& conversation : document.conversations)
    for (const moe::ChatMessage& message : conversation.messages) bytes += message.content.size() + sizeof message;
  return bytes + sizeof document;
}

void check_reply(const TaskSpec& task, std::string_view reply) {
  for (const FilterSpec& filter : task.filters) {
    const auto answer = apply_filter(filter, {std::string(reply)});
    if (!answer) {
      check(answer.error());
      continue;
    }
    const auto equal = exact_match(task.exact_match, *answer, *answer);
    if (!equal)
      check(equal.error());
    else if (!*equal)
      complain("an answer is not equal to itself");
  }
}

}  // namespace

void moe_test::try_input(std::string_view input) {
  const auto parts = parts_of(input, 2);
  auto task = parse_task(parts[0], "task.json");
  if (!task) return check(task.error());
  if (task->source != parts[0]) complain("a task has another text than its file");
  check_reply(*task, parts[1].substr(0, 256));
  const MemoryFile file(parts[1]);
  point_to(file.path(), *task);
  const auto questions = load_questions(file.path(), task->kind);
  if (!questions) return check(questions.error());
  // A prompt repeats its template and its examples: what may be taken follows from what was made, and where the last one
  // was refused nobody knows that.
  const auto prepared = prepare(*task, {.limit = 4, .conversations = Conversations::multiturn});
  if (!prepared) {
    allow_memory(std::size_t{1} << 30);
    return check(prepared.error());
  }
  std::size_t bytes = 0;
  for (const Subtask& subtask : prepared->subtasks)
    for (const Document& document : subtask.documents) bytes += check_document(document);
  allow_memory(8 * bytes);
}
