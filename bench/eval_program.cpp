#include "bench/eval_program.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "bench/eval_plan.hpp"
#include "bench/eval_rows.hpp"
#include "bench/eval_setup.hpp"
#include "bench/eval_shard.hpp"
#include "bench/index_command.hpp"
#include "bench/report_command.hpp"
#include "bench/search_command.hpp"
#include "bench/store_commands.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/program.hpp"
#include "tools/common/stage_options.hpp"
#include "tools/common/terminal.hpp"
#include "tools/common/threads.hpp"

namespace {

namespace eval = moe::eval;
using eval_rows::Options;
using eval_rows::Setting;

// One task, through the store where there is one.
moe::Result<eval::TaskOutcome> run_task(const Setting& row, const eval::PreparedTask& task, const Options& o,
                                        eval::LanguageModel& scorer, const eval::StoreSetting& setting,
                                        eval::RunStore* store, const eval::EvaluateOptions& how) {
  if (store == nullptr) return eval::evaluate(task, scorer, how);
  return eval::evaluate_stored(task, scorer, *store, eval_setup::record_of(row, o, setting), how);
}

// The model of a row; of a pipeline, the layers of this process, while the other stages load theirs.
moe::Result<std::shared_ptr<const moe::Model>> load_row(eval_setup::RowModels& models, const Setting& row,
                                                        const Options& o, const moe::ParallelFor& threads,
                                                        const moe::MemoryRequest& request) {
  if (o.pipeline == nullptr) return models.model_of(row, request);
  if (auto ok = o.pipeline->tell_load(row.name); !ok) return moe::forward(ok);
  auto model = models.model_of(row);
  if (model)
    if (auto ok = eval_stages::check_canary(o, row, *model, threads); !ok) return moe::forward(ok);
  return model;
}

// Evaluates one row on all tasks; finished ones stay in `report` when a later task fails.
moe::Result<void> run_row(const Setting& row, eval_chat::Asked asked, const std::shared_ptr<const moe::Model>& model,
                          const std::optional<moe::MemoryPlan>& memory, const moe::ParallelFor& threads,
                          const Options& o, eval::RunStore* store, eval::RunReport& report) {
  auto opened = eval_setup::open_row(row, std::move(asked), model, memory, threads, o, report);
  if (!opened) return moe::forward(opened);
  auto& [scorer, setting] = *opened;
  eval::ModelRun& run = report.models.back();
  const moe::ExpertTraffic before = model->expert_traffic();
  for (std::size_t t = 0; t < report.tasks.size(); ++t) {
    const eval::PreparedTask& task = run.task(report.tasks, t);
    cli::ProgressLine line(row.name + " " + task.spec.name);
    const eval::EvaluateOptions how = eval_setup::evaluate_options(threads, line);
    auto outcome = run_task(row, task, o, *scorer, setting, store, how);
    if (!outcome && outcome.error().code == moe::ErrorCode::cancelled)
      return moe::fail(moe::ErrorCode::cancelled,
                       "interrupted while " + row.name + " answered " + task.spec.name +
                           (store != nullptr ? "; the same command continues from here"
                                             : " (with --cache FILE the same command would go on from here)"));
    if (!outcome)
      return moe::fail(outcome.error().code, row.name + ", " + task.spec.name + ": " + outcome.error().message);
    run.outcomes.push_back(std::move(*outcome));
    run.session_bytes = scorer->session_bytes();
    run.expert_traffic = model->expert_traffic() - before;
  }
  eval_setup::tell_traffic(row, run.expert_traffic);
  return {};
}

// Tables first, so that results are visible even if a file cannot be written. If one output fails, the others are still
// written. `complete`: every row has finished every task.
moe::Result<void> put_out(eval::RunReport& report, const Options& o, bool complete) {
  const std::string& out = o.out;
  const cli::Terminal terminal = cli::standard_output();
  std::erase_if(report.models, [](const eval::ModelRun& run) { return run.outcomes.empty(); });  // no row
  const eval::TableOptions tables = {.columns = terminal.columns,
                                     .verbose = o.verbose,
                                     .is_terminal = terminal.is_terminal,
                                     .colour = terminal.colour};
  moe::Result<void> result =
      cli::print(report.until_known ? eval::render_until_known(report, tables)
                                    : eval::render_tables(report, tables) + eval::render_families(report, tables));
  const auto note = [&](const moe::Result<void>& written) {
    if (!written && (result || cli::is_broken_pipe(result.error()))) result = written;
  };
  if (out.empty()) return result;
  for (const eval::ModelRun& run : report.models) note(eval::write_harness_files(report, run, out, cli::interrupted));
  if (!complete) return result;
  note(eval::write_run_file(report, out, cli::interrupted));
  note(report_command::write_beside(report, out));
  return result;
}

// Of models that answered in turns. Rows that share weights share what was read, which the first of them shows.
void note_traffic(const std::vector<Setting>& rows, const std::vector<std::shared_ptr<const moe::Model>>& loaded,
                  eval::RunReport& report) {
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    if (i > 0 && rows[i].path == rows[i - 1].path && rows[i].kv == rows[i - 1].kv) continue;
    report.models[i].expert_traffic = loaded[i]->expert_traffic();
    eval_setup::tell_traffic(rows[i], report.models[i].expert_traffic);
  }
}

moe::Result<void> evaluate_all(const Options& o, const std::vector<Setting>& rows, const eval_chat::Rows& chat,
                               const std::string& started) {
  const auto start = std::chrono::steady_clock::now();
  auto run = eval_setup::prepare_run(o, rows, chat, started);
  if (!run) return moe::forward(run);
  eval::RunReport& report = run->report;
  for (std::size_t i = 0; i < rows.size() && run->store != nullptr; ++i)
    if (run->asked[i].shows_date)
      cli::complain("moe-eval", fmt::format("{}: note: the chat template shows the date: from tomorrow on, --cache "
                                            "asks every question again unless --chat-date {} is given",
                                            rows[i].name, started.substr(0, 10)));
  if (auto measured = eval_setup::measure_peaks(o, report); !measured) return measured;
  const bool needs_hash = run->store != nullptr || !o.out.empty() || o.pipeline != nullptr;

  moe::Result<void> result;
  eval_setup::RowModels models(run->threads, o, needs_hash ? moe::ContentHash(moe::sha256) : nullptr);
  std::vector<eval_until_known::Row> side_by_side;
  std::vector<std::shared_ptr<const moe::Model>> loaded;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Setting& row = rows[i];
    const auto model = load_row(models, row, o, run->threads, run->requests[i]);
    if (model && o.until_known.wanted) {
      auto opened =
          eval_setup::open_row(row, std::move(run->asked[i]), *model, models.memory(), run->threads, o, report);
      result = opened ? moe::Result<void>() : moe::forward(opened);
      if (!opened) break;
      side_by_side.push_back(std::move(*opened));
      loaded.push_back(*model);
      continue;
    }
    result = model ? run_row(row, std::move(run->asked[i]), *model, models.memory(), run->threads, o, run->store.get(),
                             report)
                   : moe::Result<void>(moe::forward(model));
    if (!result) break;
  }
  if (result && o.until_known.wanted)
    result = eval_until_known::ask(o.until_known, side_by_side, run->threads, run->store.get(), report);
  if (result) note_traffic(rows, loaded, report);
  if (result) result = eval_families::compare(report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  auto written = put_out(report, o, result.has_value());
  if (result && run->store != nullptr)
    if (const auto kept = run->store->add_evaluation(report.started, eval::run_file_text(report)); !kept && written)
      written = moe::forward(kept);
  return result ? written : result;
}

// One model, whose numbers of experts are searched.
moe::Result<void> search_experts(const Options& o, const std::vector<Setting>& rows, const eval_chat::Rows& chat,
                                 const std::string& started, double budget) {
  const Setting& row = rows.front();
  auto run = eval_setup::prepare_run(o, rows, chat, started);
  if (!run) return moe::forward(run);
  eval_setup::RowModels models(run->threads, o, run->store != nullptr ? moe::ContentHash(moe::sha256) : nullptr);
  const auto model = models.model_of(row, run->requests.front());
  if (!model) return moe::forward(model);
  const eval_chat::Asked& asked = run->asked.front();
  search_command::Search search;
  search.name = row.name, search.model = *model;
  search.tasks = asked.tasks.empty() ? run->report.tasks : asked.tasks;
  search.budget = budget, search.seed = o.seed;
  search.ask = [&](const std::shared_ptr<const moe::Model>& setting, const eval::PreparedTask& task,
                   const std::string& label) -> moe::Result<eval::TaskOutcome> {
    auto scorer =
        eval::SessionModel::create(setting, eval_setup::session_options(row, models.memory(), run->threads, o));
    if (!scorer) return moe::fail(scorer.error().code, row.path + ": " + scorer.error().message);
    cli::ProgressLine line(label);
    const eval::EvaluateOptions how = eval_setup::evaluate_options(run->threads, line);
    if (run->store == nullptr) return eval::evaluate(task, **scorer, how);
    const eval::StoreSetting key =
        eval::store_setting(*setting, row.precision, row.kv, (*scorer)->max_length(), asked.digest);
    eval::StoredModel stored(**scorer, *run->store, key);
    return eval::evaluate(task, stored, how);
  };
  return search_command::run(search);
}

constexpr const char* kExamples = R"(Examples:
  moe-eval --model smollm2=SmolLM2-135M-Instruct.Q4_1.gguf --tasks mmlu --limit 5 --data DATA
  moe-eval --model a=one.gguf --model b=two.gguf --tasks arc_easy,mmlu --data DATA --out runs/today
  moe-eval --model moe=DIR --tasks my_exam.jsonl --sweep top_k=1,2,4,8
  moe-eval --model moe=DIR --tasks my_exam.jsonl --sweep expert_mass=0.5,0.7,0.9
  moe-eval --model a=one.gguf --model b=two.gguf --tasks my_exam.jsonl --until-known --margin 2
  moe-eval --model a=A --model b=B --model c=C --tasks exam.jsonl --families US=a,b --families CN=c
  moe-eval search --budget 0.9 --model moe=DIR --tasks my_exam.jsonl
  moe-eval --model chat=one.gguf --tasks arc_easy,gsm8k --data DATA --apply-chat-template
  moe-eval --model chat=one.gguf --tasks arc_easy --data DATA --sweep chat_template=none,default
  moe-eval --model a=one.gguf --tasks mmlu --data DATA --cache runs.db
  moe-eval history --cache runs.db
  moe-eval compare 1 2 --cache runs.db
  moe-eval --model a=one.gguf --tasks mmlu --data DATA --cache part2.db --shard 2/3
  moe-eval merge all.db part1.db part2.db part3.db
  moe-eval report runs/today
  moe-eval report --cache runs.db --out runs/again
  moe-eval index runs/today
After a crash the same line with --cache continues where it stopped.
DATA holds questions/<task>.jsonl and fewshot/<task>.jsonl (docs/EVALUATION.md). A question is a line
  {"id": "1", "subject": "s", "question": "...", "choices": ["...", "..."], "answer": 0}
Exit status: 0 done, 1 bad input, 2 wrong usage, 3 internal error or out of memory, 130 interrupted.)";

void add_options(CLI::App& app, Options& o) {
  std::string known;
  for (const std::string& name : eval::builtin_task_names()) known += (known.empty() ? "" : ", ") + name;
  app.footer(kExamples);
  cli::add_path(app, "--model", o.models, "[NAME=]PATH of a .gguf file or a Hugging Face folder; repeat it to compare");
  cli::add_path(app, "--tasks", o.tasks,
                "comma-separated: " + known + "; a .jsonl question file, or - for standard input; a .json task file")
      ->delimiter(',');
  cli::add_path(app, "--data", o.data, "folder with questions/ and fewshot/");
  cli::add_number(app, "--num-fewshot", o.num_fewshot, moe::Bounds<std::int64_t>{0, 1000},
                  "worked examples before each question (default: the task's own number)");
  cli::add_number(app, "--limit", o.limit, moe::Bounds<double>{0, std::numeric_limits<double>::max(), true},
                  "only the first N questions of each subject, or that share of them when below 1");
  app.add_option("--system-instruction", o.system_instruction, "text before every prompt");
  eval_chat::add_options(app, o.chat);
  cli::add_number(app, "--max-length", o.max_length, moe::Bounds<std::int64_t>{2, std::int64_t{1} << 30},
                  "most tokens that the model sees (default: its context)");
  cli::add_threads(app, o.threads);
  cli::add_pack_cache(app, o.pack);
  app.add_option("--precision", o.precision, "auto (int8 activations, the default) or reference (float32)");
  cli::add_kv(app, o.kv);
  eval_experts::add_options(app, o.experts);
  app.add_option("--sweep", o.sweeps,
                 "KEY=V1,V2,...: a row for each value of top_k, expert_mass, expert_mass_variant, precision, kv or "
                 "chat_template (none, default or a name); repeat it for every combination")
      ->allow_extra_args(false)
      ->type_name("KEY=V1,V2");
  cli::add_path(app, "--out", o.out, "folder for results, samples, run.json and report.html");
  cli::add_path(app, "--cache", o.cache,
                "file that stores every answer: an interrupted run continues where it stopped");
  eval_shard::add_options(app, o.shard);
  eval_until_known::add_options(app, o.until_known);
  eval_families::add_options(app, o.families);
  app.add_option("--baseline", o.baseline, "NAME of the model that the others are compared with (default: every pair)");
  cli::add_memory(app, o.memory);
  app.add_flag("--plan", o.plan,
               "answer nothing: print memory, passes, bytes, FLOPs and an estimated time; a folder with a config.json "
               "and no weights will do");
  app.add_flag("--peaks", o.peaks, "measure the machine first (2 seconds): peak operations and bytes per second");
  app.add_flag("--verbose", o.verbose, "also memory, bytes, executed work and every counter in the tables");
  cli::add_number(app, "--seed", o.seed, moe::Bounds<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()},
                  "of worked examples that are drawn at random, and of the order of --until-known (1234)");
}

constexpr const char* kStageExamples =
    "\n"
    "Each process loads some of the layers and reads the whole model once, to compare its bytes. Process 0 asks and "
    "prints; the answers are those of moe-eval, to the bit. moe-eval-stages takes the options of moe-eval except "
    "--shard, --until-known, --memory, --pack-cache, --plan and the subcommand search, which it refuses by name; the "
    "command line is the same in every process.\n"
    R"(
Examples:
  mpirun -n 2 moe-eval-stages --model a=model.gguf --tasks my_exam.jsonl --cache runs.db --out results
  mpirun --host a,b,c moe-eval-stages --model a=model.gguf --tasks my_exam.jsonl --canary 5f0c3a9e11d2b874
With --cache the same command goes on after a stage has died.
Exit status: 0 done, 1 bad input or a stage is gone, 2 wrong usage, 3 internal or out of memory, 130 interrupted.)";

// All but the subcommands that only read; `search`: the budget of a search. Says in `usage` where options contradict.
moe::Result<void> answer(Options& options, const double* search, eval_stages::Start start, int& usage) {
  if (options.tasks.empty()) throw CLI::RequiredError("--tasks");
  if (options.models.empty())
    return moe::fail(moe::ErrorCode::not_found,
                     "no --model NAME=PATH (scripts/evaluate without arguments runs the models of models/nano)");
  const std::string started = eval::iso_time();
  const auto sweeps = eval_rows::sweeps_of(options);
  if (!sweeps) {
    usage = cli::kUsage;
    return moe::forward(sweeps);
  }
  const eval_rows::Sweep* of_chat = sweeps->of_chat();
  const auto chat = eval_chat::rows_of(options.chat, of_chat != nullptr,
                                       of_chat != nullptr ? of_chat->values : std::vector<std::string>(), started);
  if (!chat) return moe::forward(chat);
  const auto settings = eval_rows::settings_of(options, *sweeps, *chat);
  if (!settings) {
    usage = cli::kUsage;
    return moe::forward(settings);
  }
  if (options.plan) {
    if (start != nullptr) throw CLI::ValidationError("--plan", "plans one process, not stages: use moe-eval");
    if (search != nullptr) throw CLI::ValidationError("--plan", "plans runs, not a search");
    if (!options.shard.empty()) throw CLI::ValidationError("--plan", "plans whole runs: leave --shard out");
    if (options.until_known.wanted)
      throw CLI::ValidationError("--plan", "cannot tell how many questions --until-known asks: leave it out");
    return eval_plan::run(options, *settings, *chat);
  }
  if (start != nullptr) {
    if (search != nullptr) throw CLI::ValidationError("search", "does not run over stages");
    return eval_stages::run(options, *settings, start,
                            [&] { return evaluate_all(options, *settings, *chat, started); });
  }
  const auto shard = eval_shard::wanted(options.shard, [](const char* name) { return std::getenv(name); });
  if (!shard) return moe::forward(shard);
  if (*shard && search != nullptr) throw CLI::ValidationError("search", "has no shards");
  if (*shard) {
    if (auto ok = eval_shard::check(options, **shard); !ok) return ok;
    return eval_shard::run(options, *settings, *chat, started, **shard);
  }
  if (search == nullptr) return evaluate_all(options, *settings, *chat, started);
  if (settings->size() > 1) throw CLI::ValidationError("search", "asks one model, without --sweep");
  if (options.until_known.wanted || !options.families.families.empty() || !options.families.reference.empty() ||
      !options.baseline.empty())
    throw CLI::ValidationError(
        "search", "asks one model, without --until-known and --families, without --reference and --baseline");
  if (options.peaks || options.verbose) throw CLI::ValidationError("search", "has no --peaks and no --verbose");
  if (!options.out.empty()) throw CLI::ValidationError("search", "prints what it found, it takes no --out");
  return search_experts(options, *settings, *chat, started, *search);
}

}  // namespace

namespace eval_program {

int run(int argc, char** argv, eval_stages::Start start) {
  CLI::App app("Evaluates language models on benchmarks: accuracy with standard errors, and the compute of answers.",
               start == nullptr ? "moe-eval" : "moe-eval-stages");
  Options options;
  options.command.assign(argv, argv + argc);
  add_options(app, options);
  if (start != nullptr) {
    app.add_option("--canary", options.canaries,
                   "refuse models with another canary than this one; repeat it for several rows")
        ->allow_extra_args(false);
    cli::add_wait(app, options.wait_seconds);
    app.footer(kStageExamples);
  }
  app.require_subcommand(0, 1);  // words behind one are its arguments, also names of others
  CLI::App* history = app.add_subcommand("history", "lists the runs of a --cache file");
  CLI::App* compare = app.add_subcommand("compare", "paired comparison of two finished runs of a --cache file");
  for (CLI::App* command : {history, compare})
    cli::add_path(*command, "--cache", options.cache, "the file")->required();
  compare->add_option("A", options.a, "number of a run (moe-eval history), or name of a model: its last runs")
      ->required();
  compare->add_option("B", options.b, "what A is compared with")->required();
  std::string merged;
  std::vector<std::string> parts;
  CLI::App* merge =
      app.add_subcommand("merge", "adds all that --cache files hold to another one: shards become a whole");
  cli::add_path(*merge, "OUT", merged, "the file that gets them; made where there is none")->required();
  cli::add_path(*merge, "IN", parts, "files of shards, or of other runs")->required();
  report_command::Options reported;
  const CLI::App* report = report_command::add(app, reported);
  search_command::Options search_options;
  const CLI::App* search = search_command::add(app, search_options);
  index_command::Options indexed;
  const CLI::App* index = index_command::add(app, indexed);
  int usage = cli::kDone;
  const int status = cli::run(app, argc, argv, [&]() -> moe::Result<void> {
    if (history->parsed()) return store_commands::history(options.cache);
    if (compare->parsed()) return store_commands::compare(options.cache, options.a, options.b);
    if (merge->parsed()) return store_commands::merge(merged, parts);
    if (report->parsed()) return report_command::run(reported);
    if (index->parsed()) return index_command::run(indexed);
    return answer(options, search->parsed() ? &search_options.budget : nullptr, start, usage);
  });
  return status == cli::kBadInput && usage != cli::kDone ? usage : status;
}

}  // namespace eval_program
