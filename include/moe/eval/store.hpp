#pragma once
// The run store: a SQLite file with every answer and every run, which survives a crash.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moe/eval/evaluate.hpp"
#include "moe/eval/shard.hpp"
#include "moe/eval/statistics.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// Everything that an answer depends on, except the question itself.
struct StoreSetting {
  std::string model_hash = {};  ///< Model::content_hash
  std::string formats = {};     ///< quantisation, as ModelInfo::format_summary
  Precision precision = Precision::automatic;
  KvType kv = KvType::f16;
  std::int64_t top_k = 0, max_length = 0;
  std::uint64_t tokenizer = 0;  ///< its fingerprint
  int numerics_version = kNumericsVersion;
  std::string experts = {};  ///< expert_setting() of the model
  std::string chat = {};     ///< digest of the chat template and its settings; empty: no template
};

/// The expert settings beyond a single top_k: "top_k=4,4,3", "top_k=4 expert_mass=0.9 renormalised". Empty with the
/// same top_k in all layers and nothing else.
MOE_API std::string expert_setting(const ModelConfig& config);

/// The setting of a model with a tokenizer. `chat`: chat_digest (moe/eval/chat_prompts.hpp).
MOE_API StoreSetting store_setting(const Model& model, Precision precision, KvType kv, std::int64_t max_length,
                                   const std::string& chat);

/// The answers of one model to one task.
struct StoredRun {
  std::int64_t id = 0;
  std::string started = {}, finished = {};  ///< ISO 8601 times; `finished` is empty for an unfinished run
  std::string model = {}, path = {};
  StoreSetting setting = {};
  std::string task = {}, task_hash = {}, questions_hash = {};  ///< SHA-256 of the task file, of all prompts
  std::int64_t num_fewshot = 0, question_count = 0;
  double limit = 0;
  std::uint64_t seed = 0;
  std::optional<double> accuracy = {}, standard_error = {};  ///< for tasks that have one
  std::int64_t model_flops = 0;
  double seconds = 0;  ///< duration of the call that finished it
};

/// One question of a finished run.
struct StoredAnswer {
  std::string question = {};  ///< its id, and a digest of the question: two files may have the same ids
  std::string cluster = {};
  double correct = 0;
};

/// One finished call with all its models and tasks.
struct StoredEvaluation {
  std::int64_t id = 0;
  std::string started = {};   ///< RunReport::started
  std::string run_file = {};  ///< run_file_text(); empty if not requested
};

/// Several programs may use a file at a time. Errors of all calls: io (cannot write, disk full, locked), bad_file
/// (damaged, or no store). Data stored before an error stays. Every row has a checksum that is verified on each read;
/// runs list their answers, so missing ones are detected too.
class MOE_API RunStore {
 public:
  /// Opens the file, or creates it.
  static Result<std::unique_ptr<RunStore>> open(const std::string& path);
  /// Opens an existing store for runs() and answers(), without changing it; read permission is enough.
  /// Errors: not_found.
  static Result<std::unique_ptr<RunStore>> open_read_only(const std::string& path);
  ~RunStore();

  /// Records that a run begins or continues; returns its number. Runs are the same when everything except paths and
  /// times is; another name of the model makes a new run with the same answers.
  Result<std::int64_t> begin_run(const StoredRun& run);
  Result<void> finish_run(std::int64_t id, const std::string& finished, const PreparedTask& task,
                          const TaskOutcome& outcome);
  /// Stores the results of a finished call, for reports; returns its number.
  Result<std::int64_t> add_evaluation(const std::string& started, const std::string& run_file);
  /// In the order in which they were added, without their run files.
  Result<std::vector<StoredEvaluation>> evaluations() const;
  /// Errors: not_found.
  Result<StoredEvaluation> evaluation(std::int64_t id) const;
  /// Verifies every row of every table. Errors: bad_file.
  Result<void> verify() const;
  /// In the order in which they began.
  Result<std::vector<StoredRun>> runs() const;
  Result<std::vector<StoredAnswer>> answers(std::int64_t run) const;

  /// Answers by key. A key is 16 bytes.
  Result<std::optional<Score>> find_score(const std::string& key) const;
  Result<std::optional<Generation>> find_reply(const std::string& key) const;
  /// All of them or none.
  Result<void> add(const std::vector<std::pair<std::string, Score>>& scores,
                   const std::vector<std::pair<std::string, Generation>>& replies);

 private:
  struct Impl;
  explicit RunStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What merge_store found in the store that it read.
struct MergedCounts {
  std::int64_t added = 0, known = 0;       ///< answers: new ones, and those that both stores hold
  std::int64_t runs = 0, evaluations = 0;  ///< new ones
};

/// Adds all that the store `from` holds to the store `into`, which is made where there is none: the answers that either
/// knows, and the runs. All of it or nothing. What both know must be equal to the bit, as the same model gives the same
/// answer on every machine. Progress is in rows of `from`.
/// Errors: those of RunStore; not_found for `from`; bad_argument for one store with itself; bad_file, naming both stores
/// and both answers, when they answer the same question in two ways: one of the machines is broken; cancelled.
MOE_API Result<MergedCounts> merge_store(const std::string& into, const std::string& from, const ReadHooks& hooks = {});

/// SHA-256 of a task file, for StoredRun::task_hash.
MOE_API std::string hash_task(const TaskSpec& task);
/// SHA-256 of all prompts and answers of a task, for StoredRun::questions_hash.
MOE_API std::string hash_questions(const PreparedTask& task);

/// A model with a cache of answers: looks each up in the store first, and stores new ones after each step, so a killed
/// run loses one step at most. Keys contain the setting and the prompt, so an edited task, template or example is asked
/// again.
class MOE_API StoredModel : public LanguageModel {
 public:
  /// `model` and `store` must live as long as this. Without setting.model_hash every call is bad_argument.
  StoredModel(LanguageModel& model, RunStore& store, const StoreSetting& setting);

  Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks = {}) override;
  Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests, const Hooks& hooks = {}) override;
  Result<std::vector<Score>> score_texts(std::span<const TextRequest> requests, const Hooks& hooks = {}) override;
  Work text_work(std::int64_t tokens, std::int64_t experts) const override { return model_.text_work(tokens, experts); }
  Work pass_work(std::int64_t tokens, std::int64_t rows, std::int64_t experts) const override {
    return model_.pass_work(tokens, rows, experts);
  }
  Work executed() const override { return model_.executed(); }
  ExpertLoad expert_load() const override { return model_.expert_load(); }
  std::int64_t stored_answers() const override { return stored_answers_ + model_.stored_answers(); }

 private:
  Result<void> check_setting() const;

  LanguageModel& model_;
  RunStore& store_;
  std::string setting_;  // its digest; empty without a model's hash
  std::int64_t stored_answers_ = 0;
};

/// evaluate() with the store, which also records the run. In `run` the caller sets model, path, setting, limit and
/// seed. Answers before an error are kept: the same call continues from there. Errors: those of evaluate and of the
/// store.
MOE_API Result<TaskOutcome> evaluate_stored(const PreparedTask& task, LanguageModel& model, RunStore& store,
                                            StoredRun run, const EvaluateOptions& options = {});

/// Answers the shard's questions into the store; gives their number. `run` as in evaluate_stored: it is noted as begun, and
/// finished by whoever evaluates the whole task through a store that holds the answers of all shards (merge_store).
/// Errors: those of answer(), questions_of and the store.
MOE_API Result<std::int64_t> answer_shard(const PreparedTask& task, const Shard& shard, LanguageModel& model,
                                          RunStore& store, StoredRun run, const Hooks& hooks = {});

/// Local time with microseconds, for RunReport::started: "2026-11-28T17:30:00.000000".
MOE_API std::string iso_time();

}  // namespace moe::inline MOE_ABI::eval
