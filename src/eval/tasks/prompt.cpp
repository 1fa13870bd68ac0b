// Builds contexts and continuations: description + shots + question (the reference harness's rules).

#include "moe/eval/prompt.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "eval/score/text.hpp"
#include "eval/tasks/fewshot.hpp"
#include "eval/tasks/question.hpp"
#include "eval/tasks/subtasks.hpp"
#include "eval/tasks/template.hpp"
#include "eval/tasks/turns.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

struct Templates {
  Template description, prompt, gen_prefix, continuation, target, cluster, subtask_name, subtask_alias;
  // Every answer has its own prompt.
  bool own_contexts() const { return prompt.uses("choice") || prompt.uses("label"); }
};

Result<Templates> compile(const TaskSpec& task) {
  Templates out;
  for (auto [target, source] : {std::pair{&out.description, &task.description},
                                {&out.prompt, &task.prompt},
                                {&out.gen_prefix, &task.gen_prefix},
                                {&out.continuation, &task.continuation},
                                {&out.target, task.target.empty() ? &task.continuation : &task.target},
                                {&out.cluster, &task.cluster},
                                {&out.subtask_name, &task.subtask_name},
                                {&out.subtask_alias, &task.subtask_alias}}) {
    auto parsed = Template::parse(*source);
    if (!parsed) return forward(parsed);
    *target = std::move(*parsed);
  }
  return out;
}

// One worked example.
Result<std::vector<Turn>> render_shot(const TaskSpec& task, const Templates& t, const QuestionFields& shot) {
  auto text = t.prompt.render(task, shot, shot.question().answer), prefix = t.gen_prefix.render(task, shot, -1),
       answer = t.continuation.render(task, shot, shot.question().answer);
  for (const auto* part : {&text, &prefix, &answer})
    if (!*part) return forward(*part);
  TurnStyle style{std::move(*prefix), task.fewshot.target_delimiter.value_or(task.target_delimiter),
                  task.fewshot_delimiter};
  if (task.kind == TaskKind::cloze) {
    // In the reference harness, such an answer (and the assistant's message) begins with the delimiter.
    *answer = task.target_delimiter + *answer;
    if (style.target_delimiter.ends_with(task.target_delimiter) &&
        (style.prefix.empty() || task.fewshot.target_delimiter))
      style.target_delimiter.resize(style.target_delimiter.size() - task.target_delimiter.size());
  }
  return example_turns(std::move(*text), *answer, style);
}

// The prompt before an answer, in both forms.
class ContextBuilder {
 public:
  // `before`: the system's text and the worked examples.
  ContextBuilder(const TaskSpec& task, const Templates& templates, std::vector<Turn> before, Conversations form)
      : task_(task), templates_(templates), before_(std::move(before)), form_(form) {}

  Result<void> add(const QuestionFields& question, std::int64_t choice, Document& out) const {
    auto text = templates_.prompt.render(task_, question, choice);
    if (!text) return forward(text);
    auto prefix = templates_.gen_prefix.render(task_, question, -1);
    if (!prefix) return forward(prefix);
    std::vector<Turn> turns = before_;
    for (Turn& turn :
         question_turns(std::move(*text),
                        {std::move(*prefix), templates_.own_contexts() ? std::string() : task_.target_delimiter, {}}))
      turns.push_back(std::move(turn));
    out.contexts.push_back(plain_text(turns));
    if (form_ != Conversations::none) out.conversations.push_back(conversation_of(turns, form_));
    return {};
  }

  // After a conversation there is no delimiter before the answer, unless the answer has begun.
  std::optional<std::string> chat_delimiter() const {
    if (form_ == Conversations::none || task_.kind != TaskKind::multiple_choice) return {};
    const bool goes_on = !task_.gen_prefix.empty() && rstrip_length(task_.gen_prefix) == task_.gen_prefix.size();
    return goes_on ? task_.target_delimiter : std::string();
  }

 private:
  const TaskSpec& task_;
  const Templates& templates_;
  std::vector<Turn> before_;
  Conversations form_;
};

// A generation question: one context, and the target of the reply.
Result<Document> build_generation(const TaskSpec& task, const Templates& t, const QuestionFields& question,
                                  const ContextBuilder& contexts) {
  Document doc;
  if (auto ok = contexts.add(question, question.question().answer, doc); !ok) return forward(ok);
  auto target = t.target.render(task, question, question.question().answer);
  if (!target) return forward(target);
  doc.target = std::move(*target);
  return doc;
}

// A text that is scored as a whole.
Result<Document> build_text(const TaskSpec& task, const Templates& t, const QuestionFields& question) {
  Document doc;
  auto text = t.continuation.render(task, question, -1);
  if (!text) return forward(text);
  if (text->empty())
    return fail(ErrorCode::bad_file, fmt::format("question {}: the text is empty", in_quotes(question.question().id)));
  doc.words = words(*text), doc.bytes = static_cast<std::int64_t>(text->size());
  doc.target = *text;
  doc.contexts.push_back(std::move(*text));
  return doc;
}

// A question whose answers are scored.
Result<Document> build_scored(const TaskSpec& task, const Templates& t, const QuestionFields& question,
                              const ContextBuilder& contexts) {
  Document doc;
  const auto chat_delimiter = contexts.chat_delimiter();
  const bool is_cloze = task.kind == TaskKind::cloze;
  const std::int64_t count = is_cloze ? 1 : static_cast<std::int64_t>(question.choices().size());
  for (std::int64_t i = 0; i < count; ++i) {
    if (i == 0 || t.own_contexts())
      if (auto ok = contexts.add(question, i, doc); !ok) return forward(ok);
    const auto continuation = t.continuation.render(task, question, i);
    if (!continuation) return forward(continuation);
    doc.lengths.push_back(code_points(*continuation));
    doc.byte_lengths.push_back(static_cast<std::int32_t>(continuation->size()));
    doc.continuations.push_back(task.target_delimiter + *continuation);
    if (chat_delimiter) doc.chat_continuations.push_back(*chat_delimiter + *continuation);
    if (continuation->empty())
      return fail(ErrorCode::bad_file, fmt::format("question {}: {} is empty", in_quotes(question.question().id),
                                                   is_cloze ? "the target" : fmt::format("choice {}", i + 1)));
  }
  doc.target = is_cloze ? doc.continuations[0] : std::to_string(question.question().answer);
  return doc;
}

Result<Document> build(const TaskSpec& task, const Templates& t, const QuestionFields& question,
                       const ContextBuilder& contexts) {
  auto doc = task.kind == TaskKind::generation ? build_generation(task, t, question, contexts)
             : task.kind == TaskKind::rolling  ? build_text(task, t, question)
                                               : build_scored(task, t, question, contexts);
  if (!doc) return doc;
  auto cluster = t.cluster.render(task, question, -1);
  if (!cluster) return forward(cluster);
  doc->cluster = std::move(*cluster);
  return doc;
}

// DATA/<kind>/<file>, or the CSV folder in its place.
std::string locate(const std::filesystem::path& data_dir, const char* kind, const std::string& file,
                   const std::string& csv_folder) {
  const std::filesystem::path usual = data_dir / kind / file;
  std::error_code ignored;
  const bool is_csv = !csv_folder.empty() && !std::filesystem::exists(usual, ignored) &&
                      std::filesystem::is_directory(data_dir / csv_folder, ignored);
  return is_csv ? (data_dir / csv_folder).string() : usual.string();
}

// The worked examples, rendered.
Result<std::vector<Shot>> render_pool(const TaskSpec& task, const Templates& t, const std::vector<Question>& examples,
                                      const ReadHooks& hooks) {
  std::vector<Shot> pool;
  for (const Question& example : examples) {
    if (auto ok = ask_hooks(hooks, task.name, pool.size(), examples.size()); !ok) return forward(ok);
    const auto fields = QuestionFields::read(example);
    if (!fields) return forward(fields);
    auto turns = render_shot(task, t, *fields);
    if (!turns) return forward(turns);
    Shot& shot = pool.emplace_back();
    shot.turns = std::move(*turns);
    if (task.fewshot.spare) shot.json = example.json, shot.file = example.file;
    if (!task.fewshot.match.empty()) shot.match = field_of(*fields, task.fewshot.match);
  }
  return pool;
}

// Moves the examples out of `questions` and reads those of the task's own file.
Result<std::vector<Shot>> load_pool(const PreparedTask& prepared, const Templates& t, const PrepareOptions& options,
                                    std::vector<Question>& questions) {
  const TaskSpec& task = prepared.spec;
  std::vector<Question> examples;
  for (Question& q : questions)
    if (q.is_example) examples.push_back(std::move(q));
  std::erase_if(questions, [](const Question& q) { return q.is_example; });
  if (questions.empty())
    return fail(ErrorCode::bad_file, fmt::format("{} holds examples only, no question", prepared.data_path));
  if (prepared.num_fewshot == 0) return std::vector<Shot>();
  std::string file = prepared.data_path;
  if (task.fewshot.from_questions) {
    examples = questions;
  } else if (!task.fewshot.examples.empty()) {
    file = task.fewshot.is_path ? task.fewshot.examples
                                : locate(options.data_dir, "fewshot", task.fewshot.examples, task.csv_examples);
    std::error_code ignored;
    const bool is_there = std::filesystem::exists(file, ignored);
    if (!is_there && examples.empty())
      return fail(ErrorCode::not_found,
                  fmt::format("task {}: its worked examples are not there: {} (ask it with 0 shots, or put them there)",
                              shortened(task.name, 60), file));
    if (is_there) {
      auto loaded = load_questions(file, task.kind, options.hooks);
      if (!loaded) return forward(loaded);
      examples = std::move(*loaded);
      std::erase_if(examples, [](const Question& q) { return q.is_asked; });
    }
  }
  if (examples.empty())
    return fail(ErrorCode::bad_argument, fmt::format("task {} has no worked examples: ask it with 0 shots, not {}",
                                                     shortened(task.name, 60), prepared.num_fewshot));
  auto pool = render_pool(task, t, examples, options.hooks);
  if (!pool) return fail(pool.error().code, fmt::format("{}: {}", file, pool.error().message));
  return pool;
}

}  // namespace

Result<PreparedTask> prepare(const TaskSpec& task, const PrepareOptions& options) {
  if (!std::isfinite(options.limit) || options.limit < 0)
    return fail(ErrorCode::bad_argument, fmt::format("limit is {}, expected a number of at least 0", options.limit));
  if (options.num_fewshot.value_or(0) < 0)
    return fail(ErrorCode::bad_argument, fmt::format("num_fewshot is {}, expected at least 0", *options.num_fewshot));
  const auto templates = compile(task);
  if (!templates) return forward(templates);
  const std::filesystem::path data_dir = options.data_dir;
  PreparedTask out;
  out.spec = task;
  out.spec.generation.think_end = options.think_end;
  out.num_fewshot = task.kind == TaskKind::rolling ? 0 : options.num_fewshot.value_or(task.num_fewshot);
  out.data_path = task.data_is_path ? task.data : locate(data_dir, "questions", task.data, task.csv_questions);
  auto questions = load_questions(out.data_path, task.kind, options.hooks);
  if (!questions) return forward(questions);
  const auto pool = load_pool(out, *templates, options, *questions);
  if (!pool) return forward(pool);
  auto asked = split(task, std::move(*questions), options.limit, options.hooks);
  if (!asked) return fail(asked.error().code, fmt::format("{}: {}", out.data_path, asked.error().message));
  for (AskedSubtask& part : *asked) {
    Subtask& subtask = out.subtasks.emplace_back(std::move(part.subtask));
    std::vector<Question> of_part = std::move(part.questions);
    if (!task.subtask_name.empty()) {
      const auto first = QuestionFields::read(of_part.front());
      if (!first) return forward(first);
      auto name = templates->subtask_name.render(task, *first, -1);
      auto alias = templates->subtask_alias.render(task, *first, -1);
      if (!name) return forward(name);
      if (!alias) return forward(alias);
      subtask.name = std::move(*name);
      subtask.alias = alias->empty() ? subtask.name : std::move(*alias);
    }
    FewshotSampler sampler(task.fewshot, *pool, out.num_fewshot, options.fewshot_seed);
    subtask.documents.reserve(of_part.size());
    for (Question& question : of_part) {
      const std::size_t done = subtask.documents.size();
      if (auto ok = ask_hooks(options.hooks, task.name, done, of_part.size()); !ok) return forward(ok);
      const auto fields = QuestionFields::read(question);
      if (!fields) return forward(fields);
      const auto shots = sampler.before(*fields);
      if (!shots)
        return fail(shots.error().code, fmt::format("{}: {}", shortened(subtask.name, 60), shots.error().message));
      const auto description = templates->description.render(task, *fields, -1);
      if (!description) return forward(description);
      const std::string beginning = delimited(options.system_instruction, *description, task.fewshot_delimiter);
      std::vector<Turn> before;
      if (!beginning.empty()) before.push_back({Turn::Role::system, beginning, {}});
      for (const Shot* shot : *shots) before.insert(before.end(), shot->turns.begin(), shot->turns.end());
      const ContextBuilder contexts(task, *templates, std::move(before), options.conversations);
      auto built = build(task, *templates, *fields, contexts);
      if (!built) return fail(built.error().code, fmt::format("{}: {}", out.data_path, built.error().message));
      built->question = std::move(question);
      subtask.documents.push_back(std::move(*built));
    }
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
