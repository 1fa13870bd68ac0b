#pragma once
// moe-eval's preparation before the first question: reads tasks, opens models, finds errors.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/eval_rows.hpp"
#include "moe/eval/cost_model.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"
#include "moe/memory_plan.hpp"
#include "tools/common/program.hpp"

namespace eval_setup {

/// Errors: of the task or its questions; cancelled.
moe::Result<std::vector<moe::eval::PreparedTask>> prepare_tasks(const eval_rows::Options& o,
                                                                moe::eval::Conversations conversations);

/// A row's prompts, through its chat template where it has one. Errors: as eval_chat::ask_through.
moe::Result<eval_chat::Asked> prompts_of(const eval_rows::Setting& row, const eval_rows::Options& o,
                                         const eval_chat::Rows& chat, const moe::ModelInfo& info,
                                         const std::vector<moe::eval::PreparedTask>& tasks);

/// The result of the preparation.
struct Run {
  moe::ParallelFor threads;
  moe::eval::RunReport report;
  std::vector<eval_chat::Asked> asked;  // [row]
  std::unique_ptr<moe::eval::RunStore> store;
  std::vector<moe::MemoryRequest> requests;  // [row]
};
moe::Result<Run> prepare_run(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows,
                             const eval_chat::Rows& chat, const std::string& started);

/// The models of rows, one after the other. Rows of a sweep share one copy of the weights; otherwise one model is in memory
/// at a time.
class RowModels {
 public:
  RowModels(const moe::ParallelFor& threads, const eval_rows::Options& o, moe::ContentHash content_hash)
      : threads_(threads), o_(o), content_hash_(content_hash) {}
  /// `request`: of memory; a pipeline's stages have no plan.
  moe::Result<std::shared_ptr<const moe::Model>> model_of(const eval_rows::Setting& row,
                                                          const moe::MemoryRequest& request = {});
  /// Of the last one, where a plan binds it.
  const std::optional<moe::MemoryPlan>& memory() const { return memory_; }

 private:
  moe::ParallelFor threads_;
  const eval_rows::Options& o_;
  moe::ContentHash content_hash_;
  std::string path_;
  moe::KvType kv_ = moe::KvType::f16;
  std::shared_ptr<const moe::Model> loaded_;
  std::optional<moe::MemoryPlan> memory_;
};

/// What a run store notes about the run of a row.
moe::eval::StoredRun record_of(const eval_rows::Setting& row, const eval_rows::Options& o,
                               const moe::eval::StoreSetting& setting);

/// What reading experts came to, on stderr; nothing where none were read.
void tell_traffic(const eval_rows::Setting& row, const moe::ExpertTraffic& traffic);

/// RunReport::peaks, with --peaks. Errors: those of moe_bench::measure_peaks.
moe::Result<void> measure_peaks(const eval_rows::Options& o, moe::eval::RunReport& report);

/// A loaded model, and its run in `report`.
moe::Result<eval_until_known::Row> open_row(const eval_rows::Setting& row, eval_chat::Asked asked,
                                            const std::shared_ptr<const moe::Model>& model,
                                            const std::optional<moe::MemoryPlan>& memory,
                                            const moe::ParallelFor& threads, const eval_rows::Options& o,
                                            moe::eval::RunReport& report);

moe::eval::SessionModelOptions session_options(const eval_rows::Setting& row,
                                               const std::optional<moe::MemoryPlan>& memory,
                                               const moe::ParallelFor& threads, const eval_rows::Options& o);
/// What the questions of a run take.
struct QuestionNeeds {
  std::vector<moe::eval::RunCost> costs;  // [row]; empty: not counted
  std::int64_t bytes = 0;                 // files, prompts and answers of all rows
};
/// Of each row: whole passes within --memory. Rows that share their weights have one plan, which suits all of them.
std::vector<moe::MemoryRequest> memory_requests(const std::vector<eval_rows::Setting>& rows,
                                                const moe::ParallelFor& threads, const eval_rows::Options& o,
                                                const QuestionNeeds& questions);
/// That every row has its memory, before the first one runs: an error names what all of them need. `may_stream`: experts
/// may stay in packed files, also without --pack-cache. Errors: out_of_memory; those of moe::least_memory.
moe::Result<void> check_memory(const std::vector<eval_rows::Setting>& rows, const std::vector<moe::ModelInfo>& infos,
                               const std::vector<moe::MemoryRequest>& requests, const eval_rows::Options& o,
                               bool may_stream);
moe::eval::EvaluateOptions evaluate_options(const moe::ParallelFor& threads, cli::ProgressLine& line);

}  // namespace eval_setup
