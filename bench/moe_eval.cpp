// moe-eval: accuracy with its error bar beside the FLOPs that the answers cost. Thin over moe::eval.

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <optional>

#include "bench/store_commands.hpp"
#include "moe/cpu.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

namespace eval = moe::eval;

constexpr moe::Bounds<std::int64_t> kTopK{1, 4096};

struct Options {
  std::vector<std::string> models, tasks;
  std::string data, out, baseline, precision = "auto", kv, sweep, cache, system_instruction;
  std::optional<std::int64_t> num_fewshot;  // the task's own number
  std::int64_t top_k = 0, max_length = 0;
  double limit = 0;
  std::int32_t threads = 0;
  std::uint64_t seed = 1234;
  std::string a, b;  // of compare
};

// What one row of the tables runs with.
struct Setting {
  std::string name, path;
  std::int64_t top_k = 0;  // 0: the model's own
  moe::Precision precision = moe::Precision::automatic;
  moe::KvType kv = moe::KvType::f16;
};

moe::Result<moe::KvType> kv_of(const std::string& text) {
  if (text == "f32") return moe::KvType::f32;
  if (text == "f16") return moe::KvType::f16;
  if (text == "bf16") return moe::KvType::bf16;
  return moe::fail(moe::ErrorCode::bad_argument, "--kv '" + text + "': expected f32, f16 or bf16");
}

moe::Result<moe::Precision> precision_of(const std::string& text) {
  if (text == "auto") return moe::Precision::automatic;
  if (text == "reference") return moe::Precision::reference;
  return moe::fail(moe::ErrorCode::bad_argument, "precision '" + text + "': expected auto or reference");
}

// Applies KEY=VALUE of a sweep; the row's name says so.
moe::Result<void> apply(Setting& row, const std::string& key, const std::string& value) {
  if (key == "top_k") {
    const auto top_k = moe::parse_number("--sweep top_k", value, kTopK);
    if (!top_k) return moe::forward(top_k);
    row.top_k = *top_k;
  } else if (key == "precision") {
    const auto precision = precision_of(value);
    if (!precision) return moe::forward(precision);
    row.precision = *precision;
  } else if (key == "kv") {
    const auto kv = kv_of(value);
    if (!kv) return moe::forward(kv);
    row.kv = *kv;
  } else {
    return moe::fail(moe::ErrorCode::bad_argument, "--sweep '" + key + "': expected top_k, precision or kv");
  }
  row.name += "[" + key + "=" + value + "]";
  return {};
}

// One row per model and value of the sweep.
moe::Result<std::vector<Setting>> settings_of(const Options& o) {
  std::vector<Setting> rows;
  const auto precision = precision_of(o.precision);
  if (!precision) return moe::forward(precision);
  const auto kv = o.kv.empty() ? moe::Result<moe::KvType>(*precision == moe::Precision::reference ? moe::KvType::f32
                                                                                                  : moe::KvType::f16)
                               : kv_of(o.kv);
  if (!kv) return moe::forward(kv);
  std::string key;
  std::vector<std::string> values;
  if (!o.sweep.empty()) {
    const std::size_t equals = o.sweep.find('=');
    if (equals == std::string::npos || equals + 1 == o.sweep.size())
      return moe::fail(moe::ErrorCode::bad_argument, "--sweep '" + o.sweep + "': expected KEY=V1,V2");
    key = o.sweep.substr(0, equals);
    for (const std::string& v : CLI::detail::split(o.sweep.substr(equals + 1), ',')) values.push_back(v);
  }
  for (const std::string& model : o.models) {
    Setting row;
    const std::size_t equals = model.find('=');
    const bool named = equals != std::string::npos && equals > 0 && model.find('/') > equals;
    row.path = named ? model.substr(equals + 1) : model;
    // "dir/" has no stem of its own.
    std::filesystem::path path(row.path);
    if (path.filename().empty()) path = path.parent_path();
    row.name = named ? model.substr(0, equals) : (path.extension() == ".gguf" ? path.stem() : path.filename()).string();
    row.top_k = o.top_k, row.precision = *precision, row.kv = *kv;
    if (o.top_k > 0) row.name += "[top_k=" + std::to_string(o.top_k) + "]";
    if (values.empty()) rows.push_back(row);
    for (const std::string& value : values) {
      Setting swept = row;
      if (auto applied = apply(swept, key, value); !applied) return moe::forward(applied);
      rows.push_back(swept);
    }
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name.empty() || rows[i].name == "." || rows[i].name == "..")
      return moe::fail(moe::ErrorCode::bad_argument,
                       "--model " + rows[i].path + ": give it a name, as NAME=" + rows[i].path);
    for (std::size_t j = 0; j < i; ++j)
      if (rows[i].name == rows[j].name)
        return moe::fail(moe::ErrorCode::bad_argument,
                         "two models are called '" + rows[i].name + "': name them, as NAME=PATH");
  }
  if (!o.baseline.empty() &&
      std::none_of(rows.begin(), rows.end(), [&](const Setting& s) { return s.name == o.baseline; }))
    return moe::fail(moe::ErrorCode::bad_argument, "--baseline '" + o.baseline + "' is none of the models");
  return rows;
}

moe::Result<std::vector<eval::PreparedTask>> prepare_tasks(const Options& o) {
  std::vector<eval::PreparedTask> tasks;
  for (const std::string& name : o.tasks) {
    const auto spec = eval::load_task(name);
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
                                      .cancelled = cli::interrupted});
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

// Asks one row all tasks; what is finished stays in `report` when a later task fails.
moe::Result<void> run_row(const Setting& row, const std::shared_ptr<const moe::Model>& model,
                          const moe::ParallelFor& threads, const Options& o, eval::RunStore* store,
                          eval::RunReport& report) {
  eval::SessionModelOptions options;
  options.precision = row.precision;
  options.kv = row.kv;
  options.threads = threads;
  options.max_length = o.max_length;
  auto scorer = eval::SessionModel::create(model, options);
  if (!scorer) return moe::fail(scorer.error().code, row.path + ": " + scorer.error().message);
  const eval::StoreSetting setting = store_setting(row, *model, (*scorer)->max_length());
  eval::ModelRun& run = report.models.emplace_back();
  run.name = row.name, run.path = row.path;
  run.info = model->info();
  run.info.config = model->config();
  run.content_hash = model->content_hash();
  run.precision = row.precision, run.kv = row.kv;
  run.resident_bytes = model->resident_bytes();
  run.max_length = (*scorer)->max_length();
  run.tokenizer = model->tokenizer();
  for (const eval::PreparedTask& task : report.tasks) {
    cli::ProgressLine line(row.name + " " + task.spec.name);
    eval::EvaluateOptions how;
    how.threads = threads;
    how.hooks.on_progress = [&](std::int64_t done, std::int64_t total) {
      line.update({done, total}, std::to_string(done) + " of " + std::to_string(total) + " answers scored");
    };
    how.hooks.cancelled = cli::interrupted;
    auto outcome = run_task(row, task, o, **scorer, setting, store, how);
    if (!outcome && outcome.error().code == moe::ErrorCode::cancelled)
      return moe::fail(moe::ErrorCode::cancelled,
                       "interrupted while " + row.name + " answered " + task.spec.name +
                           (store != nullptr ? "; the same command goes on from here"
                                             : " (with --cache FILE the same command would go on from here)"));
    if (!outcome)
      return moe::fail(outcome.error().code, row.name + ", " + task.spec.name + ": " + outcome.error().message);
    run.outcomes.push_back(std::move(*outcome));
    run.session_bytes = (*scorer)->session_bytes();
  }
  return {};
}

// Tables first: whatever happens to a file, what was found out is there to be read. One file that cannot be written, or
// a reader that has gone, does not cost the others. `complete`: every row has answered every task.
moe::Result<void> put_out(eval::RunReport& report, const std::string& out, bool complete) {
  std::erase_if(report.models, [](const eval::ModelRun& run) { return run.outcomes.empty(); });  // no row
  moe::Result<void> result = cli::print(eval::render_tables(report));
  const auto note = [&](const moe::Result<void>& written) {
    if (!written && (result || cli::is_broken_pipe(result.error()))) result = written;
  };
  if (out.empty()) return result;
  for (const eval::ModelRun& run : report.models) note(eval::write_harness_files(report, run, out, cli::interrupted));
  if (complete) note(eval::write_run_file(report, out, cli::interrupted));
  return result;
}

// A model that cannot be opened or has too few experts, results that would meet in one file, a folder that is none.
moe::Result<void> check_rows(const std::vector<Setting>& rows, const std::vector<eval::PreparedTask>& tasks,
                             const std::string& out) {
  std::vector<std::string> names;
  for (const Setting& row : rows) {
    names.push_back(row.name);
    const auto info = moe::Model::inspect(row.path);
    if (!info) return moe::forward(info);
    if (const auto ok = moe::with_top_k(info->config, row.top_k); row.top_k > 0 && !ok)
      return moe::fail(ok.error().code, row.path + ": " + ok.error().message);
  }
  if (auto ok = eval::check_names(tasks, names); !ok) return ok;
  if (out.empty()) return {};
  const auto made = eval::make_output_folders(out, names);
  return made ? made : moe::Result<void>(moe::fail(made.error().code, "--out " + made.error().message));
}

moe::Result<void> evaluate_all(const Options& o, const std::vector<Setting>& rows) {
  const auto start = std::chrono::steady_clock::now();
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  eval::RunReport report;
  report.started = iso_time();
  report.baseline = o.baseline, report.limit = o.limit, report.seed = o.seed;
  report.system_instruction = o.system_instruction;
  auto tasks = prepare_tasks(o);
  if (!tasks) return moe::forward(tasks);
  report.tasks = std::move(*tasks);
  // What is wrong is found now, not after the models before it have answered for an hour.
  if (auto ok = check_rows(rows, report.tasks, o.out); !ok) return ok;
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
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Setting& row = rows[i];
    // The rows of a sweep share one copy of the weights; otherwise one model is in memory at a time.
    if (i == 0 || rows[i - 1].path != row.path) {
      loaded = nullptr;
      loaded = load(row, *threads, store != nullptr || !o.out.empty() ? moe::ContentHash(moe::sha256) : nullptr);
    }
    const auto model = loaded ? with_setting(*loaded, row) : loaded;
    result = model ? run_row(row, *model, *threads, o, store.get(), report) : moe::Result<void>(moe::forward(model));
    if (!result) break;
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto written = put_out(report, o.out, result.has_value());
  return result ? written : result;
}

constexpr const char* kExamples = R"(Examples:
  moe-eval --model smollm2=models/real/SmolLM2-135M-Instruct.Q4_1.gguf --tasks mmlu --limit 5 --data DATA
  moe-eval --model a=one.gguf --model b=two.gguf --tasks arc_easy,hellaswag --data DATA --out runs/today
  moe-eval --model moe=DIR --tasks my_exam.jsonl --sweep top_k=1,2,4,8
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
  app.add_option("--model", o.models, "[NAME=]PATH of a .gguf file or a Hugging Face folder; repeat it to compare");
  app.add_option("--tasks", o.tasks,
                 "comma-separated: " + known + "; a .jsonl question file, or - for standard input; a .json task file")
      ->delimiter(',');
  app.add_option("--data", o.data, "folder with questions/ and fewshot/");
  cli::add_number(app, "--num-fewshot", o.num_fewshot, moe::Bounds<std::int64_t>{0, 1000},
                  "worked examples before each question (default: the task's own number)");
  cli::add_number(app, "--limit", o.limit, moe::Bounds<double>{0, std::numeric_limits<double>::max(), true},
                  "only the first N questions of each subject, or that share of them when below 1");
  app.add_option("--system-instruction", o.system_instruction, "text that stands before every prompt");
  cli::add_number(app, "--max-length", o.max_length, moe::Bounds<std::int64_t>{2, std::int64_t{1} << 30},
                  "tokens that the model sees at most (default: what it was made for)");
  cli::add_threads(app, o.threads);
  app.add_option("--precision", o.precision, "auto (int8 activations) or reference (float32)")->capture_default_str();
  app.add_option("--kv", o.kv,
                 "type of the key/value cache: f32, f16 or bf16 (default f16; f32 with --precision reference)");
  cli::add_number(app, "--top-k", o.top_k, kTopK, "routed experts per token instead of the model's own");
  app.add_option("--sweep", o.sweep, "KEY=V1,V2,...: a row for each value of top_k, precision or kv");
  app.add_option("--out", o.out, "folder for results, samples and run.json");
  app.add_option("--cache", o.cache,
                 "file that keeps every answer as soon as it is known: a run that was stopped goes on where it was");
  app.add_option("--baseline", o.baseline, "NAME of the model that the others are compared with (default: every pair)");
  cli::add_number(app, "--seed", o.seed, moe::Bounds<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()},
                  "of worked examples that are drawn at random (1234)");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Asks language models benchmark questions: accuracy with its error bar, and what the answers cost.",
               "moe-eval");
  Options options;
  add_options(app, options);
  CLI::App* history = app.add_subcommand("history", "lists the runs of a --cache file");
  CLI::App* compare = app.add_subcommand("compare", "paired comparison of two finished runs of a --cache file");
  for (CLI::App* command : {history, compare}) command->add_option("--cache", options.cache, "the file")->required();
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
    auto settings = settings_of(options);
    if (!settings) {
      usage = cli::kUsage;
      return moe::forward(settings);
    }
    return evaluate_all(options, *settings);
  });
  return status == cli::kBadInput && usage != cli::kDone ? usage : status;
}
