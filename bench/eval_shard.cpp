#include "bench/eval_shard.hpp"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "bench/eval_setup.hpp"
#include "moe/content_hash.hpp"
#include "moe/eval/store.hpp"
#include "support/number.hpp"
#include "support/text_table.hpp"
#include "tools/common/program.hpp"

namespace eval_shard {
namespace {

namespace eval = moe::eval;

// Where a launcher says which of its processes this is. `step` must be set as well: Slurm's batch scripts have none. A
// step may be smaller than its job: the shell of `salloc` is a step of one process.
struct Launcher {
  const char *rank, *size, *step;
};
constexpr Launcher kLaunchers[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", nullptr},
                                   {"PMI_RANK", "PMI_SIZE", nullptr},
                                   {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"},
                                   {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID"}};

moe::Result<std::optional<Wanted>> of_launcher(const Launcher& launcher, const char* rank, const char* size) {
  const moe::Bounds<std::int32_t> sizes{1, eval::kMaxShards};
  const auto count = moe::parse_number<std::int32_t>(launcher.size, size, sizes);
  if (!count) return moe::forward(count);
  const auto index = moe::parse_number<std::int32_t>(launcher.rank, rank, {0, *count - 1});
  if (!index) return moe::forward(index);
  if (*count == 1) return std::optional<Wanted>();
  const eval::Shard shard{*index + 1, *count};
  return std::optional(Wanted{shard, fmt::format("shard {}, as {}={} and {}={} say; --shard 1/1 asks everything",
                                                 eval::to_string(shard), launcher.rank, rank, launcher.size, size)});
}

moe::Result<std::int64_t> answer(const eval_rows::Setting& row, const eval::PreparedTask& task,
                                 const eval_rows::Options& o, const eval_until_known::Row& opened,
                                 eval::RunStore& store, const eval::Shard& shard, const moe::ParallelFor& threads) {
  cli::ProgressLine line(fmt::format("{} {}, shard {}", row.name, task.spec.name, eval::to_string(shard)));
  return eval::answer_shard(task, shard, *opened.scorer, store, eval_setup::record_of(row, o, opened.setting),
                            eval_setup::evaluate_options(threads, line).hooks);
}

}  // namespace

void add_options(CLI::App& app, std::string& shard) {
  app.add_option("--shard", shard,
                 "I/N: answer only part I of N of the questions, into --cache; processes on any machines take a part "
                 "each, moe-eval merge puts their stores together")
      ->type_name("I/N")
      ->check([](const std::string& text) {
        const auto named = eval::parse_shard(text);
        return named ? std::string() : named.error().message;
      });
}

moe::Result<std::optional<Wanted>> wanted(const std::string& shard,
                                          const std::function<const char*(const char*)>& environment) {
  if (!shard.empty()) {
    const auto named = eval::parse_shard(shard);
    if (!named) return moe::forward(named);
    return *named == eval::Shard{} ? std::optional<Wanted>() : std::optional(Wanted{*named, {}});
  }
  for (const Launcher& launcher : kLaunchers) {
    const char *rank = environment(launcher.rank), *size = environment(launcher.size);
    const char* step = launcher.step != nullptr ? environment(launcher.step) : "";
    if (rank != nullptr && size != nullptr && step != nullptr) return of_launcher(launcher, rank, size);
  }
  return std::optional<Wanted>();
}

moe::Result<void> check(const eval_rows::Options& o, const Wanted& wanted) {
  const std::string why = wanted.note.empty() ? "" : " (" + wanted.note + ")";
  const std::pair<bool, const char*> of_results[] = {{!o.out.empty(), "--out"},
                                                     {o.until_known.wanted, "--until-known"},
                                                     {!o.families.families.empty(), "--families"},
                                                     {!o.families.reference.empty(), "--reference"},
                                                     {!o.baseline.empty(), "--baseline"},
                                                     {o.peaks, "--peaks"},
                                                     {o.verbose, "--verbose"}};
  for (const auto& [given, name] : of_results)
    if (given)
      return moe::fail(moe::ErrorCode::bad_argument,
                       fmt::format("a shard answers questions and compares nothing: {} belongs to the run without "
                                   "--shard, when all shards are done{}",
                                   name, why));
  if (!o.cache.empty()) return {};
  return moe::fail(moe::ErrorCode::bad_argument, "a shard needs --cache FILE, which keeps its answers" + why);
}

moe::Result<void> run(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows,
                      const eval_chat::Rows& chat, const std::string& started, const Wanted& wanted) {
  const eval::Shard& shard = wanted.shard;
  auto run = eval_setup::prepare_run(o, rows, chat, started);
  if (!run) return moe::forward(run);
  if (!wanted.note.empty()) cli::complain("moe-eval", "note: " + wanted.note);
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (run->asked[i].shows_date)
      return moe::fail(moe::ErrorCode::bad_argument,
                       fmt::format("{}: the chat template shows the date, and shards of two days would ask different "
                                   "questions; give all of them --chat-date {}",
                                   rows[i].name, started.substr(0, 10)));
  const eval::RunReport& report = run->report;
  eval_setup::RowModels models(run->threads, o, moe::sha256);
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const eval_rows::Setting& row = rows[i];
    const auto model = models.model_of(row, run->requests[i]);
    if (!model) return moe::forward(model);
    auto opened =
        eval_setup::open_row(row, std::move(run->asked[i]), *model, models.memory(), run->threads, o, run->report);
    if (!opened) return moe::forward(opened);
    const moe::ExpertTraffic before = (*model)->expert_traffic();
    for (std::size_t t = 0; t < report.tasks.size(); ++t) {
      const eval::PreparedTask& task = report.models.back().task(report.tasks, t);
      const auto answered = answer(row, task, o, *opened, *run->store, shard, run->threads);
      if (!answered && answered.error().code == moe::ErrorCode::cancelled)
        return moe::fail(moe::ErrorCode::cancelled,
                         fmt::format("interrupted while {} answered shard {} of {}; the same "
                                     "command goes on from here",
                                     row.name, eval::to_string(shard), task.spec.name));
      if (!answered)
        return moe::fail(answered.error().code,
                         fmt::format("{}, {}: {}", row.name, task.spec.name, answered.error().message));
      text += fmt::format("shard {}: {} has answered {} of the {} questions of {}\n", eval::to_string(shard),
                          moe::shown_name(row.name), *answered, task.question_count(), moe::shown_name(task.spec.name));
    }
    eval_setup::tell_traffic(row, (*model)->expert_traffic() - before);
  }
  return cli::print(text);
}

}  // namespace eval_shard
