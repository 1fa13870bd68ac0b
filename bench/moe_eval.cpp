// moe-eval: accuracy with its error bar beside the FLOPs that the answers cost. Thin over moe::eval.

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <optional>

#include "bench/eval_outputs.hpp"
#include "bench/eval_rows.hpp"
#include "bench/store_commands.hpp"
#include "moe/cpu.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

namespace eval = moe::eval;
using eval_rows::Options;
using eval_rows::Setting;

// Ctrl-C and a line on stderr for each step of the preparation.
eval::ReadHooks reading_hooks(std::optional<cli::ProgressLine>& line) {
  eval::ReadHooks hooks;
  hooks.cancelled = cli::interrupted;
  hooks.on_progress = [&line, label = std::string()](std::string_view what, std::int64_t done,
                                                     std::int64_t total) mutable {
    if (!line || label != what) line.emplace(label = what);
    line->update({done, total});
  };
  return hooks;
}

moe::Result<std::vector<eval::PreparedTask>> prepare_tasks(const Options& o, eval::Conversations conversations) {
  std::vector<eval::PreparedTask> tasks;
  std::optional<cli::ProgressLine> line;
  for (const std::string& name : o.tasks) {
    const auto spec = eval::load_task(name, cli::interrupted);
    if (!spec) return moe::forward(spec);
    for (const eval::PreparedTask& before : tasks)
      if (before.spec.name == spec->name)
        return moe::fail(moe::ErrorCode::bad_argument, "task '" + spec->name + "' is named twice");
    if (o.data.empty() && !spec->data_is_path)
      return moe::fail(moe::ErrorCode::bad_argument,
                       "task '" + name + "' needs --data DIR, the folder that holds questions/" + spec->data);
    auto task = eval::prepare(*spec, {.data_dir = o.data,
                                      .num_fewshot = o.num_fewshot,
                                      .limit = o.limit,
                                      .fewshot_seed = o.seed,
                                      .system_instruction = o.system_instruction,
                                      .conversations = conversations,
                                      .think_end = o.chat.think_end,
                                      .hooks = reading_hooks(line)});
    if (!task) return moe::forward(task);
    tasks.push_back(std::move(*task));
  }
  return tasks;
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

moe::Result<std::shared_ptr<const moe::Model>> load(const Setting& row, const moe::ParallelFor& threads,
                                                    moe::ContentHash content_hash) {
  cli::ProgressLine line("loading " + row.name);
  moe::LoadOptions options;
  options.threads = threads;
  options.on_progress = [&](moe::Progress p) { line.update(p); };
  options.cancelled = cli::interrupted;
  options.content_hash = content_hash;
  auto model = moe::Model::load(row.path, options);
  line.clear();
  if (model)
    for (const std::string& note : (*model)->info().notes) cli::complain("moe-eval", row.path + ": note: " + note);
  return model;
}

moe::Result<std::shared_ptr<const moe::Model>> with_setting(const std::shared_ptr<const moe::Model>& model,
                                                            const Setting& row) {
  if (row.top_k == 0) return model;
  auto changed = model->with_top_k(row.top_k);
  if (!changed) return moe::fail(changed.error().code, row.path + ": " + changed.error().message);
  return changed;
}

eval::StoreSetting store_setting(const Setting& row, const moe::Model& model, std::int64_t max_length) {
  eval::StoreSetting out;
  out.model_hash = model.content_hash();
  out.formats = model.info().format_summary;
  out.precision = row.precision, out.kv = row.kv;
  out.top_k = model.config().router.top_k, out.max_length = max_length;
  out.tokenizer = model.tokenizer()->fingerprint();
  return out;
}

// One task, through the store where there is one.
moe::Result<eval::TaskOutcome> run_task(const Setting& row, const eval::PreparedTask& task, const Options& o,
                                        eval::LanguageModel& scorer, const eval::StoreSetting& setting,
                                        eval::RunStore* store, const eval::EvaluateOptions& how) {
  if (store == nullptr) return eval::evaluate(task, scorer, how);
  eval::StoredRun record;
  record.started = iso_time();
  record.model = row.name, record.path = row.path;
  record.setting = setting;
  record.task = task.spec.name;
  record.task_hash = eval::hash_task(task.spec);
  record.questions_hash = eval::hash_questions(task);
  record.num_fewshot = task.num_fewshot, record.question_count = task.question_count();
  record.limit = o.limit, record.seed = o.seed;
  const auto id = store->begin_run(record);
  if (!id) return moe::forward(id);
  eval::StoredModel stored(scorer, *store, setting);
  auto outcome = eval::evaluate(task, stored, how);
  if (!outcome) return outcome;
  if (auto kept = store->finish_run(*id, iso_time(), task, *outcome); !kept) return moe::forward(kept);
  return outcome;
}

// A model that can be asked, and its run in the report.
moe::Result<eval_until_known::Row> open_row(const Setting& row, eval_chat::Asked asked,
                                            const std::shared_ptr<const moe::Model>& model,
                                            const moe::ParallelFor& threads, const Options& o,
                                            eval::RunReport& report) {
  eval::SessionModelOptions options;
  options.precision = row.precision;
  options.kv = row.kv;
  options.threads = threads;
  options.max_length = o.max_length;
  auto scorer = eval::SessionModel::create(model, options);
  if (!scorer) return moe::fail(scorer.error().code, row.path + ": " + scorer.error().message);
  eval::StoreSetting setting = store_setting(row, *model, (*scorer)->max_length());
  setting.chat = eval_chat::store_digest(asked, o.chat);
  eval::ModelRun& run = report.models.emplace_back();
  run.name = row.name, run.path = row.path;
  run.info = model->info();
  run.info.config = model->config();
  run.content_hash = model->content_hash();
  run.precision = row.precision, run.kv = row.kv;
  run.resident_bytes = model->resident_bytes();
  run.max_length = (*scorer)->max_length();
  run.tokenizer = model->tokenizer();
  run.chat = std::move(asked.use);
  run.tasks = std::move(asked.tasks);
  return eval_until_known::Row{std::move(*scorer), std::move(setting)};
}

// Asks one row all tasks; what is finished stays in `report` when a later task fails.
moe::Result<void> run_row(const Setting& row, eval_chat::Asked asked, const std::shared_ptr<const moe::Model>& model,
                          const moe::ParallelFor& threads, const Options& o, eval::RunStore* store,
                          eval::RunReport& report) {
  auto opened = open_row(row, std::move(asked), model, threads, o, report);
  if (!opened) return moe::forward(opened);
  auto& [scorer, setting] = *opened;
  eval::ModelRun& run = report.models.back();
  for (std::size_t t = 0; t < report.tasks.size(); ++t) {
    const eval::PreparedTask& task = run.task(report.tasks, t);
    cli::ProgressLine line(row.name + " " + task.spec.name);
    eval::EvaluateOptions how;
    how.threads = threads;
    how.hooks.on_progress = [&](std::int64_t done, std::int64_t total) {
      line.update({done, total}, std::to_string(done) + " of " + std::to_string(total) + " answers scored");
    };
    how.hooks.cancelled = cli::interrupted;
    auto outcome = run_task(row, task, o, *scorer, setting, store, how);
    if (!outcome && outcome.error().code == moe::ErrorCode::cancelled)
      return moe::fail(moe::ErrorCode::cancelled,
                       "interrupted while " + row.name + " answered " + task.spec.name +
                           (store != nullptr ? "; the same command goes on from here"
                                             : " (with --cache FILE the same command would go on from here)"));
    if (!outcome)
      return moe::fail(outcome.error().code, row.name + ", " + task.spec.name + ": " + outcome.error().message);
    run.outcomes.push_back(std::move(*outcome));
    run.session_bytes = scorer->session_bytes();
  }
  return {};
}

// Tables first: whatever happens to a file, what was found out is there to be read. One file that cannot be written, or
// a reader that has gone, does not cost the others. `complete`: every row has answered every task.
moe::Result<void> put_out(eval::RunReport& report, const std::string& out, bool complete) {
  std::erase_if(report.models, [](const eval::ModelRun& run) { return run.outcomes.empty(); });  // no row
  moe::Result<void> result =
      cli::print(report.until_known ? eval::render_until_known(report) : eval::render_tables(report));
  const auto note = [&](const moe::Result<void>& written) {
    if (!written && (result || cli::is_broken_pipe(result.error()))) result = written;
  };
  if (out.empty()) return result;
  for (const eval::ModelRun& run : report.models) note(eval::write_harness_files(report, run, out, cli::interrupted));
  if (complete) note(eval::write_run_file(report, out, cli::interrupted));
  return result;
}

// A model that cannot be opened or has too few experts, a chat template that is missing or refuses a question, results
// that would meet in one file or in one that is read, a folder that is none. Gives what each row is asked.
moe::Result<std::vector<eval_chat::Asked>> check_rows(const Options& o, const std::vector<Setting>& rows,
                                                      const eval_chat::Rows& chat, const eval::RunReport& report) {
  const std::vector<eval::PreparedTask>& tasks = report.tasks;
  const std::string& out = o.out;
  std::vector<std::string> names, paths;
  std::vector<eval_chat::Asked> asked;
  for (const Setting& row : rows) {
    names.push_back(row.name), paths.push_back(row.path);
    const auto info = moe::Model::inspect(row.path);
    if (!info) return moe::forward(info);
    if (const auto ok = moe::with_top_k(info->config, row.top_k); row.top_k > 0 && !ok)
      return moe::fail(ok.error().code, row.top_k_option + " " + std::to_string(row.top_k) + ": " + row.path + ": " +
                                            ok.error().message);
    auto prompts = row.chat ? eval_chat::ask_through(*row.chat, chat, row.name, info->chat_templates, tasks)
                            : moe::Result<eval_chat::Asked>(eval_chat::Asked());
    if (!prompts) return moe::forward(prompts);
    asked.push_back(std::move(*prompts));
  }
  if (auto ok = eval::check_names(tasks, names); !ok) return moe::forward(ok);
  if (auto ok = eval_outputs::check({names, paths, o.tasks, tasks, out, o.cache, report.started}); !ok)
    return moe::forward(ok);
  if (out.empty()) return asked;
  const auto made = eval::make_output_folders(out, names);
  if (!made) return moe::fail(made.error().code, "--out " + made.error().message);
  return asked;
}

moe::Result<void> evaluate_all(const Options& o, const std::vector<Setting>& rows, const eval_chat::Rows& chat,
                               const std::string& started) {
  const auto start = std::chrono::steady_clock::now();
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  eval::RunReport report;
  report.started = started;
  report.baseline = o.baseline, report.limit = o.limit, report.seed = o.seed;
  report.system_instruction = o.system_instruction;
  report.think_end = o.chat.think_end;
  report.fewshot_as_multiturn = o.chat.multiturn;
  auto tasks = prepare_tasks(o, chat.conversations);
  if (!tasks) return moe::forward(tasks);
  report.tasks = std::move(*tasks);
  // What is wrong is found now, not after the models before it have answered for an hour.
  if (auto ok = eval_chat::check_tasks(o.chat, report.tasks); !ok) return ok;
  auto asked = check_rows(o, rows, chat, report);
  if (!asked) return moe::forward(asked);
  std::vector<std::string> paths;
  for (const Setting& row : rows) paths.push_back(row.path);
  if (o.until_known.wanted)
    if (auto ok = eval_until_known::check(o.until_known, paths, report.tasks); !ok) return ok;
  std::unique_ptr<eval::RunStore> store;
  if (!o.cache.empty()) {
    auto opened = eval::RunStore::open(o.cache);
    if (!opened) return moe::forward(opened);
    store = std::move(*opened);
  }
  report.thread_count = threads->worker_count;
  report.isa = moe::active_isa();

  moe::Result<void> result;
  moe::Result<std::shared_ptr<const moe::Model>> loaded(nullptr);
  std::vector<eval_until_known::Row> side_by_side;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Setting& row = rows[i];
    // The rows of a sweep share one copy of the weights; otherwise one model is in memory at a time.
    if (i == 0 || rows[i - 1].path != row.path) {
      loaded = nullptr;
      loaded = load(row, *threads, store != nullptr || !o.out.empty() ? moe::ContentHash(moe::sha256) : nullptr);
    }
    const auto model = loaded ? with_setting(*loaded, row) : loaded;
    if (model && o.until_known.wanted) {
      auto opened = open_row(row, std::move((*asked)[i]), *model, *threads, o, report);
      result = opened ? moe::Result<void>() : moe::forward(opened);
      if (!opened) break;
      side_by_side.push_back(std::move(*opened));
      continue;
    }
    result = model ? run_row(row, std::move((*asked)[i]), *model, *threads, o, store.get(), report)
                   : moe::Result<void>(moe::forward(model));
    if (!result) break;
  }
  if (result && o.until_known.wanted)
    result = eval_until_known::ask(o.until_known, side_by_side, *threads, store.get(), report);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto written = put_out(report, o.out, result.has_value());
  return result ? written : result;
}

constexpr const char* kExamples = R"(Examples:
  moe-eval --model smollm2=models/real/SmolLM2-135M-Instruct.Q4_1.gguf --tasks mmlu --limit 5 --data DATA
  moe-eval --model a=one.gguf --model b=two.gguf --tasks arc_easy,hellaswag --data DATA --out runs/today
  moe-eval --model moe=DIR --tasks my_exam.jsonl --sweep top_k=1,2,4,8
  moe-eval --model chat=one.gguf --tasks arc_easy,gsm8k --data DATA --apply-chat-template
  moe-eval --model chat=one.gguf --tasks arc_easy --data DATA --sweep chat_template=none,default
  moe-eval --model a=one.gguf --tasks mmlu --data DATA --cache runs.db     and after a crash, the same line again
  moe-eval history --cache runs.db
  moe-eval compare 1 2 --cache runs.db
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
  app.add_option("--system-instruction", o.system_instruction, "text that stands before every prompt");
  eval_chat::add_options(app, o.chat);
  cli::add_number(app, "--max-length", o.max_length, moe::Bounds<std::int64_t>{2, std::int64_t{1} << 30},
                  "tokens that the model sees at most (default: what it was made for)");
  cli::add_threads(app, o.threads);
  app.add_option("--precision", o.precision, "auto (int8 activations, the default) or reference (float32)");
  app.add_option("--kv", o.kv,
                 "type of the key/value cache: f32, f16 or bf16 (default f16; f32 with --precision reference)");
  cli::add_number(app, "--top-k", o.top_k, eval_rows::kTopK, "routed experts per token instead of the model's own");
  app.add_option(
      "--sweep", o.sweep,
      "KEY=V1,V2,...: a row for each value of top_k, precision, kv or chat_template (none, default or a name)");
  cli::add_path(app, "--out", o.out, "folder for results, samples and run.json");
  cli::add_path(app, "--cache", o.cache,
                "file that keeps every answer as soon as it is known: a run that was stopped goes on where it was");
  eval_until_known::add_options(app, o.until_known);
  app.add_option("--baseline", o.baseline, "NAME of the model that the others are compared with (default: every pair)");
  cli::add_number(app, "--seed", o.seed, moe::Bounds<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()},
                  "of worked examples that are drawn at random, and of the order of --until-known (1234)");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Asks language models benchmark questions: accuracy with its error bar, and what the answers cost.",
               "moe-eval");
  Options options;
  add_options(app, options);
  CLI::App* history = app.add_subcommand("history", "lists the runs of a --cache file");
  CLI::App* compare = app.add_subcommand("compare", "paired comparison of two finished runs of a --cache file");
  for (CLI::App* command : {history, compare})
    cli::add_path(*command, "--cache", options.cache, "the file")->required();
  compare->add_option("A", options.a, "number of a run (moe-eval history), or name of a model: its last runs")
      ->required();
  compare->add_option("B", options.b, "what A is compared with")->required();
  int usage = cli::kDone;
  const int status = cli::run(app, argc, argv, [&]() -> moe::Result<void> {
    if (history->parsed()) return store_commands::history(options.cache);
    if (compare->parsed()) return store_commands::compare(options.cache, options.a, options.b);
    if (options.tasks.empty()) throw CLI::RequiredError("--tasks");
    if (options.models.empty())
      return moe::fail(moe::ErrorCode::not_found,
                       "no --model NAME=PATH (scripts/evaluate without arguments runs the models of models/nano)");
    const std::string started = iso_time();
    const auto sweep = eval_rows::sweep_of(options);
    if (!sweep) {
      usage = cli::kUsage;
      return moe::forward(sweep);
    }
    const auto chat = eval_chat::rows_of(options.chat, sweep->is_of_chat(), sweep->values, started);
    if (!chat) return moe::forward(chat);
    const auto settings = eval_rows::settings_of(options, *sweep, *chat);
    if (!settings) {
      usage = cli::kUsage;
      return moe::forward(settings);
    }
    return evaluate_all(options, *settings, *chat, started);
  });
  return status == cli::kBadInput && usage != cli::kDone ? usage : status;
}
