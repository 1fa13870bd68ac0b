// libFuzzer entry: any byte string as a task file of moe-eval and, behind a zero byte, the questions it asks: every prompt
// is built, and a reply goes through the task's filters.

#include "entry.hpp"
#include "eval/score/filter.hpp"
#include "eval/tasks/question.hpp"
#include "memory_file.hpp"
#include "moe/eval/prompt.hpp"
#include "support/utf8.hpp"

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
  if (!moe::is_valid_utf8(text)) complain("a prompt is not UTF-8");
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

/// At most so many bytes of texts are made of a task before one of its prompts is refused: where prepare() succeeds they are
/// counted, here nothing is left to count. Every worked example and every answer has one of each template at most, and every
/// answer has its examples before it, in two forms (text and conversation).
std::size_t most_text(const TaskSpec& task, const std::vector<Question>& questions) {
  std::size_t one = sizeof(Document) + task.target_delimiter.size() + task.fewshot_delimiter.size() +
                    task.fewshot.target_delimiter.value_or("").size();
  std::size_t fields = 0, longest = 0, answers = 0;
  for (const std::string* text : {&task.description, &task.prompt, &task.gen_prefix, &task.continuation, &task.target,
                                  &task.cluster, &task.subtask_name, &task.subtask_alias}) {
    one += text->size();
    fields += static_cast<std::size_t>(std::count(text->begin(), text->end(), '{'));
  }
  for (const std::string& label : task.labels) longest = std::max(longest, label.size());
  for (const auto& [subject, title] : task.subjects) longest = std::max(longest, title.size());
  for (const Question& question : questions) {
    longest = std::max(longest, question.json.size());
    const auto read = QuestionFields::read(question);
    answers += read ? std::max<std::size_t>(read->choices().size(), 1) : 1;
  }
  const std::size_t shots = std::min(static_cast<std::size_t>(task.num_fewshot), questions.size());
  return (questions.size() + answers * 2 * (shots + 1)) * (one + fields * longest);
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
  // A prompt repeats its template and its examples, so what may be taken follows from the prompts that were made.
  const auto prepared = prepare(*task, {.limit = 4, .conversations = Conversations::multiturn});
  if (!prepared) {
    allow_memory(8 * most_text(*task, *questions));
    return check(prepared.error());
  }
  std::size_t bytes = 0;
  for (const Subtask& subtask : prepared->subtasks)
    for (const Document& document : subtask.documents) bytes += check_document(document);
  allow_memory(8 * bytes);
}
