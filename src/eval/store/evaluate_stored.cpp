// Evaluates a task with a store.

#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

#include "moe/eval/store.hpp"

namespace moe::inline MOE_ABI::eval {

StoreSetting store_setting(const Model& model, Precision precision, KvType kv, std::int64_t max_length,
                           const std::string& chat) {
  StoreSetting out;
  out.model_hash = model.content_hash();
  out.formats = model.info().format_summary;
  out.precision = precision, out.kv = kv;
  out.top_k = model.config().router.top_k, out.max_length = max_length;
  out.experts = expert_setting(model.config());
  if (model.tokenizer() != nullptr) out.tokenizer = model.tokenizer()->fingerprint();
  out.chat = chat;
  return out;
}

std::string iso_time() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1000000;
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[64], out[96];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &local);
  std::snprintf(out, sizeof out, "%s.%06d", text, static_cast<int>(micros));
  return out;
}

namespace {

Result<std::int64_t> begin_run(const PreparedTask& task, RunStore& store, StoredRun run) {
  run.started = iso_time();
  run.task = task.spec.name;
  run.task_hash = hash_task(task.spec);
  run.questions_hash = hash_questions(task);
  run.num_fewshot = task.num_fewshot, run.question_count = task.question_count();
  return store.begin_run(run);
}

}  // namespace

Result<TaskOutcome> evaluate_stored(const PreparedTask& task, LanguageModel& model, RunStore& store, StoredRun run,
                                    const EvaluateOptions& options) {
  const auto id = begin_run(task, store, run);
  if (!id) return forward(id);
  StoredModel stored(model, store, run.setting);
  auto outcome = evaluate(task, stored, options);
  if (!outcome) return outcome;
  if (auto kept = store.finish_run(*id, iso_time(), task, *outcome); !kept) return forward(kept);
  return outcome;
}

Result<std::int64_t> answer_shard(const PreparedTask& task, const Shard& shard, LanguageModel& model, RunStore& store,
                                  StoredRun run, const Hooks& hooks) {
  const auto questions = questions_of(task, shard);
  if (!questions) return forward(questions);
  const StoreSetting setting = run.setting;
  if (const auto id = begin_run(task, store, std::move(run)); !id) return forward(id);
  StoredModel stored(model, store, setting);
  const auto answers = answer(task, *questions, stored, hooks);
  if (!answers) return forward(answers);
  return static_cast<std::int64_t>(questions->size());
}

}  // namespace moe::inline MOE_ABI::eval
