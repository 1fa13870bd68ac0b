// libmoe.evaluate: models, tasks, tables and result files, as in moe-eval.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chat_request.hpp"
#include "errors.hpp"
#include "model.hpp"
#include "moe/cpu.hpp"
#include "moe/eval/chat_prompts.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/run_report.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/store.hpp"

namespace moe_python {
namespace {

namespace eval = moe::eval;

/// Arguments of Python's evaluate(), with defaults filled in.
struct EvaluationSettings {
  std::string data, baseline, system_instruction, cache, think_end;
  std::optional<std::int64_t> num_fewshot;
  double limit = 0;
  std::uint64_t seed = 1234;
  std::int64_t max_length = 0;
  std::optional<ChatRequest> chat;  // template, variables and date; none: tasks are asked without a template
  std::string reported_template;
  std::optional<bool> fewshot_as_multiturn, enable_thinking;

  eval::Conversations conversations() const {
    if (!chat) return eval::Conversations::none;
    return fewshot_as_multiturn.value_or(true) ? eval::Conversations::multiturn : eval::Conversations::singleturn;
  }
};

/// The prompts of one model, if rendered by a template.
struct Asked {
  std::vector<eval::PreparedTask> tasks;
  std::optional<eval::ChatUse> use;
  std::string digest;
};

/// One model's result on one task.
struct ResultRow {
  std::string model, task;
  std::int64_t questions = 0;
  std::map<std::string, double> metrics;
  std::map<std::string, std::optional<double>> standard_errors;
  double gflops_per_question = 0, seconds = 0;
};

class Evaluation {
 public:
  Evaluation(const std::vector<std::string>& tasks, const EvaluationSettings& settings) : settings_(settings) {
    report_.started = eval::iso_time();
    report_.baseline = settings.baseline;
    report_.limit = settings.limit;
    report_.seed = settings.seed;
    report_.system_instruction = settings.system_instruction;
    report_.think_end = settings.think_end;
    report_.fewshot_as_multiturn = settings.fewshot_as_multiturn;
    report_.isa = moe::active_isa();
    Watch watch;
    for (const std::string& name : tasks)
      report_.tasks.push_back(unwrap(watch.run([&] { return prepare(name, watch); })));
  }

  /// Call it before the first model runs: finds results that would collide in one file.
  void check(const std::vector<std::string>& names, const std::string& directory) {
    unwrap(eval::check_names(report_.tasks, names));
    if (!directory.empty()) unwrap(eval::make_output_folders(directory, names));
    if (!settings_.cache.empty()) store_ = unwrap(eval::RunStore::open(settings_.cache));
  }

  /// The same for the prompts of each model; returns notes for the user.
  std::vector<std::string> plan(const std::string& name, const moe::ModelInfo& info) {
    Asked& asked = asked_[name];
    if (!settings_.chat) {
      asked.digest = eval::chat_digest(nullptr, eval::Conversations::none, settings_.think_end);
      return {};
    }
    const auto about = [&](const moe::Error& error) { raise({error.code, name + ": " + error.message}); };
    const auto prompts = eval::ChatPrompts::create(info.chat_templates, chat_setting());
    if (!prompts) about(prompts.error());
    std::vector<std::string> notes;
    Watch watch;
    for (const eval::PreparedTask& task : report_.tasks) {
      auto written = watch.run([&] { return prompts->apply(task, [&] { return watch.cancelled(); }); });
      if (!written) about(written.error());
      if (written->chat_retries > 0)
        notes.push_back(name + ", " + task.spec.name + ": the chat template refuses a system text: " +
                        std::to_string(written->chat_retries) + " prompts have none");
      asked.tasks.push_back(std::move(*written));
    }
    const eval::Conversations conversations = settings_.conversations();
    const moe::ChatOptions& options = prompts->setting().options;
    asked.use = eval::ChatUse{prompts->reported_text(), conversations == eval::Conversations::multiturn,
                              options.variables, options.date, settings_.enable_thinking};
    asked.digest = eval::chat_digest(&*prompts, conversations, settings_.think_end);
    return notes;
  }

  void ask(const std::string& name, const LoadedModel& model, nb::object progress) {
    Watch watch(std::move(progress));
    eval::SessionModelOptions options;
    options.precision = model.session.precision, options.kv = model.session.kv;
    options.threads = model.threads, options.max_length = settings_.max_length;
    const auto asked = unwrap(eval::SessionModel::create(model.model, options));
    eval::ModelRun run = run_of(name, model, *asked);
    Asked& what = asked_[name];
    run.tasks = std::move(what.tasks), run.chat = std::move(what.use);
    const eval::StoreSetting setting =
        eval::store_setting(*model.model, run.precision, run.kv, run.max_length, what.digest);
    eval::EvaluateOptions how;
    how.threads = model.threads;
    how.hooks.cancelled = [&] { return watch.cancelled(); };
    how.hooks.on_progress = [&](std::int64_t done, std::int64_t total) { watch.report(done, total); };
    for (std::size_t t = 0; t < report_.tasks.size(); ++t) {
      const eval::PreparedTask& task = run.task(report_.tasks, t);
      auto outcome = watch.run([&] { return answers_of(task, run, *asked, setting, how); });
      if (!outcome) raise({outcome.error().code, name + ", " + task.spec.name + ": " + outcome.error().message});
      report_.seconds += outcome->seconds;
      run.outcomes.push_back(std::move(*outcome));
    }
    run.session_bytes = asked->session_bytes();
    report_.thread_count = model.threads.worker_count;
    report_.models.push_back(std::move(run));
  }

  /// Of a run that is finished.
  void keep() const {
    if (store_ == nullptr) return;
    Watch watch;
    unwrap(watch.run([&] { return store_->add_evaluation(report_.started, eval::run_file_text(report_)); }));
  }

  void write(const std::string& directory) const {
    Watch watch;
    const auto cancelled = [&] { return watch.cancelled(); };
    unwrap(watch.run([&]() -> moe::Result<void> {
      for (const eval::ModelRun& run : report_.models)
        if (auto ok = eval::write_harness_files(report_, run, directory, cancelled); !ok) return ok;
      return eval::write_run_file(report_, directory, cancelled);
    }));
  }

  std::vector<ResultRow> rows() const {
    std::vector<ResultRow> out;
    for (const eval::ModelRun& run : report_.models)
      for (std::size_t t = 0; t < run.outcomes.size(); ++t) out.push_back(row_of(run, t));
    return out;
  }

  std::string tables(std::int64_t columns, bool verbose) const {
    if (columns < 40)
      raise(moe::ErrorCode::bad_argument, "columns is " + std::to_string(columns) + ", expected at least 40");
    return eval::render_tables(report_, {.columns = static_cast<std::size_t>(columns), .verbose = verbose});
  }
  std::string run_file() const { return eval::run_file_text(report_); }

 private:
  moe::Result<eval::PreparedTask> prepare(const std::string& name, Watch& watch) const {
    const auto cancelled = [&] { return watch.cancelled(); };
    const auto spec = eval::load_task(name, cancelled);
    if (!spec) return moe::forward(spec);
    for (const eval::PreparedTask& before : report_.tasks)
      if (before.spec.name == spec->name)
        return moe::fail(moe::ErrorCode::bad_argument, "task '" + spec->name + "' is named twice");
    if (settings_.data.empty() && !spec->data_is_path)
      return moe::fail(moe::ErrorCode::bad_argument,
                       "task '" + name + "' needs data=DIR, the folder that holds questions/" + spec->data);
    eval::PrepareOptions options;
    options.data_dir = settings_.data;
    options.num_fewshot = settings_.num_fewshot;
    options.limit = settings_.limit;
    options.fewshot_seed = settings_.seed;
    options.system_instruction = settings_.system_instruction;
    options.conversations = settings_.conversations();
    options.think_end = settings_.think_end;
    options.hooks.cancelled = cancelled;
    return eval::prepare(*spec, options);
  }

  eval::ChatSetting chat_setting() const {
    eval::ChatSetting setting;
    setting.options.template_name = settings_.chat->template_name;
    setting.options.template_text = settings_.chat->template_text;
    setting.options.variables = settings_.chat->variables;
    setting.options.date = settings_.chat->date.empty() ? report_.started.substr(0, 10) : settings_.chat->date;
    setting.reported_name = settings_.reported_template;
    setting.enable_thinking = settings_.enable_thinking;
    return setting;
  }

  moe::Result<eval::TaskOutcome> answers_of(const eval::PreparedTask& task, const eval::ModelRun& run,
                                            eval::SessionModel& asked, const eval::StoreSetting& setting,
                                            const eval::EvaluateOptions& how) {
    if (store_ == nullptr) return eval::evaluate(task, asked, how);
    eval::StoredRun record;
    record.model = run.name, record.path = run.path;
    record.limit = settings_.limit, record.seed = settings_.seed;
    record.setting = setting;
    return eval::evaluate_stored(task, asked, *store_, std::move(record), how);
  }

  static eval::ModelRun run_of(const std::string& name, const LoadedModel& model, const eval::SessionModel& asked) {
    eval::ModelRun run;
    run.name = name, run.path = model.path;
    run.info = model.model->info();
    run.info.config = model.model->config();
    run.content_hash = model.model->content_hash();
    run.precision = model.session.precision, run.kv = model.session.kv;
    run.resident_bytes = model.model->resident_bytes();
    run.max_length = asked.max_length();
    run.tokenizer = model.model->tokenizer();
    return run;
  }

  ResultRow row_of(const eval::ModelRun& run, std::size_t t) const {
    const eval::TaskOutcome& outcome = run.outcomes[t];
    ResultRow row;
    row.model = run.name, row.task = report_.tasks[t].spec.name;
    row.questions = outcome.overall.question_count;
    for (std::size_t k = 0; k < outcome.overall.kinds.size(); ++k) {
      const std::string key = outcome.overall.kinds[k].key();
      row.metrics[key] = outcome.overall.metrics[k].value;
      row.standard_errors[key] = outcome.overall.metrics[k].standard_error;
    }
    if (row.questions > 0)
      row.gflops_per_question = static_cast<double>(outcome.model_flops) / static_cast<double>(row.questions) / 1e9;
    row.seconds = outcome.seconds;
    return row;
  }

  EvaluationSettings settings_;
  eval::RunReport report_;
  std::map<std::string, Asked> asked_;  // by model
  std::unique_ptr<eval::RunStore> store_;
};

}  // namespace

void add_evaluation(nb::module_& m) {
  using Settings = EvaluationSettings;
  nb::class_<Settings>(m, "EvaluationSettings")
      .def(nb::init<>())
      .def_rw("data", &Settings::data)
      .def_rw("baseline", &Settings::baseline)
      .def_rw("system_instruction", &Settings::system_instruction)
      .def_rw("num_fewshot", &Settings::num_fewshot, nb::arg().none())
      .def_rw("limit", &Settings::limit)
      .def_rw("seed", &Settings::seed)
      .def_rw("max_length", &Settings::max_length)
      .def_rw("cache", &Settings::cache)
      .def_rw("think_end", &Settings::think_end)
      .def_rw("chat", &Settings::chat, nb::arg().none())
      .def_rw("reported_template", &Settings::reported_template)
      .def_rw("fewshot_as_multiturn", &Settings::fewshot_as_multiturn, nb::arg().none())
      .def_rw("enable_thinking", &Settings::enable_thinking, nb::arg().none());
  nb::class_<ResultRow>(m, "ResultRow", "What one model answered to one task.")
      .def_ro("model", &ResultRow::model)
      .def_ro("task", &ResultRow::task)
      .def_ro("questions", &ResultRow::questions)
      .def_ro("metrics", &ResultRow::metrics, "by the reference harness's names: 'acc,none', ...")
      .def_ro("standard_errors", &ResultRow::standard_errors, "the same; None where there is none")
      .def_ro("gflops_per_question", &ResultRow::gflops_per_question, "model FLOPs / 1e9 / questions")
      .def_ro("seconds", &ResultRow::seconds)
      .def("__repr__", [](const ResultRow& r) {
        return nb::str("ResultRow({!r}, {!r}, questions={}, metrics={}, gflops_per_question={:.4g})")
            .format(r.model, r.task, r.questions, nb::cast(r.metrics), r.gflops_per_question);
      });
  nb::class_<Evaluation>(m, "Evaluation", "The compiled part of libmoe.evaluate().")
      .def(nb::init<const std::vector<std::string>&, const Settings&>(), "tasks"_a, "settings"_a)
      .def("check", &Evaluation::check, "names"_a, "directory"_a)
      .def("plan", &Evaluation::plan, "name"_a, "info"_a)
      .def("ask", &Evaluation::ask, "name"_a, "model"_a, "progress"_a.none())
      .def("keep", &Evaluation::keep)
      .def("write", &Evaluation::write, "directory"_a)
      .def("rows", &Evaluation::rows)
      .def("tables", &Evaluation::tables, "columns"_a, "verbose"_a)
      .def("run_file", &Evaluation::run_file);
  m.def("builtin_task_names", eval::builtin_task_names, "Names of the tasks compiled in, sorted.");
}

}  // namespace moe_python
