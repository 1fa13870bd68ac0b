#include "bench/eval_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "bench/eval_cost.hpp"
#include "bench/eval_outputs.hpp"
#include "bench/peaks.hpp"
#include "moe/cpu.hpp"
#include "support/bytes_in_words.hpp"
#include "support/show.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/threads.hpp"

namespace eval_setup {
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

// Finds models that cannot be opened or have too few experts, chat templates that are missing or refuse a question, and
// outputs that collide with each other or with inputs. Returns the prompts of each row.
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
    if (!row.experts.is_default())
      if (const auto ok = moe::with_experts(info->config, row.experts.options); !ok)
        return moe::fail(ok.error().code, row.experts.asked + ": " + row.path + ": " + ok.error().message);
    auto prompts = prompts_of(row, o, chat, *info, tasks);
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

std::vector<std::string> names_of(const std::vector<Setting>& rows) {
  std::vector<std::string> names;
  for (const Setting& row : rows) names.push_back(row.name);
  return names;
}

moe::Result<std::shared_ptr<const moe::Model>> load(const Setting& row, const moe::ParallelFor& threads,
                                                    const Options& o, const moe::MemoryRequest& request,
                                                    moe::ContentHash content_hash,
                                                    std::optional<moe::MemoryPlan>& memory) {
  cli::ProgressLine line("loading " + row.name);
  moe::LoadOptions options;
  options.threads = threads;
  options.on_progress = [&](moe::Progress p) { line.update(p); };
  options.cancelled = cli::interrupted;
  options.content_hash = content_hash;
  if (o.pipeline != nullptr) {
    const auto info = moe::Model::inspect(row.path);
    if (!info) return moe::forward(info);
    const auto layers = o.pipeline->layers_of(*info);
    if (!layers) return moe::forward(layers);
    options.layers = *layers;
    return moe::Model::load(row.path, options);
  }
  auto plan = cli::fit_memory("moe-eval", row.path, request, o.pack, options);
  if (!plan) return moe::forward(plan);
  memory = std::move(*plan);
  auto model = moe::Model::load(row.path, options);
  line.clear();
  if (model)
    for (const std::string& note : (*model)->info().notes) cli::complain("moe-eval", row.path + ": note: " + note);
  return model;
}

moe::Result<std::shared_ptr<const moe::Model>> with_setting(const std::shared_ptr<const moe::Model>& model,
                                                            const Setting& row) {
  if (row.experts.is_default()) return model;
  auto changed = model->with_experts(row.experts.options);
  if (!changed) return moe::fail(changed.error().code, row.path + ": " + changed.error().message);
  return changed;
}

// What the questions of each row take, where memory is planned: as long as encoding all prompts once more. Rows with the
// same prompts are counted once.
moe::Result<QuestionNeeds> needs_of(const Options& o, const std::vector<Setting>& rows, const Run& run) {
  QuestionNeeds needs;
  if (o.pipeline != nullptr || (o.memory == 0 && o.pack.path.empty())) return needs;
  std::vector<eval::RunCost>& costs = needs.costs;
  const std::vector<eval::PreparedTask>& tasks = run.report.tasks;
  needs.bytes = eval_cost::question_bytes(tasks);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<eval::PreparedTask>& own = run.asked[i].tasks;
    needs.bytes += eval_cost::row_bytes(tasks, own);
    std::size_t same = 0;
    while (same < i && (rows[same].path != rows[i].path || run.asked[same].digest != run.asked[i].digest)) ++same;
    if (same < i) {
      costs.push_back(costs[same]);
      continue;
    }
    const auto info = moe::Model::inspect(rows[i].path);
    if (!info) return moe::forward(info);
    const auto counted = eval_cost::count(rows[i], info->config, own.empty() ? tasks : own, o, run.threads);
    if (!counted) return moe::forward(counted);
    costs.push_back(counted->cost);
  }
  return needs;
}

// Limits of rows that are all loaded at a time. A pipeline's processes hold a part of the layers each.
moe::Result<void> divide_memory(const Options& o, const std::vector<Setting>& rows,
                                std::vector<moe::MemoryRequest>& requests) {
  if (o.pipeline != nullptr) return {};
  std::vector<eval_until_known::Load> loads;
  for (std::size_t i = 0; i < rows.size(); ++i) loads.push_back({rows[i].path, requests[i]});
  const auto limits = eval_until_known::limits(loads, !o.pack.path.empty());
  if (!limits) return moe::forward(limits);
  for (std::size_t i = 0; i < limits->size(); ++i) requests[i].limit = (*limits)[i];
  return {};
}

// A row's model is loaded for the other one as well, where memory is planned.
bool share_a_plan(const Setting& a, const Setting& b) { return a.path == b.path && a.kv == b.kv; }

bool share_a_plan(const std::vector<Setting>& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const Setting& row) { return share_a_plan(row, rows.front()); });
}

}  // namespace

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

moe::Result<eval_chat::Asked> prompts_of(const Setting& row, const Options& o, const eval_chat::Rows& chat,
                                         const moe::ModelInfo& info, const std::vector<eval::PreparedTask>& tasks) {
  if (!row.chat) return eval_chat::ask_plainly(o.chat);
  return eval_chat::ask_through(*row.chat, o.chat, chat, row.name, info.chat_templates, tasks);
}

moe::Result<std::shared_ptr<const moe::Model>> RowModels::model_of(const Setting& row,
                                                                   const moe::MemoryRequest& request) {
  // Rows with another cache type need another plan: how much of the model stays in memory depends on it.
  if (loaded_ == nullptr || path_ != row.path || (memory_ && kv_ != row.kv)) {
    loaded_ = nullptr;  // before the next one is loaded
    auto loaded = load(row, threads_, o_, request, content_hash_, memory_);
    if (!loaded) return loaded;
    loaded_ = std::move(*loaded), path_ = row.path, kv_ = row.kv;
  }
  return with_setting(loaded_, row);
}

eval::StoredRun record_of(const Setting& row, const Options& o, const eval::StoreSetting& setting) {
  eval::StoredRun record;
  record.model = row.name, record.path = row.path;
  record.limit = o.limit, record.seed = o.seed;
  record.setting = setting;
  return record;
}

std::vector<moe::MemoryRequest> memory_requests(const std::vector<Setting>& rows, const moe::ParallelFor& threads,
                                                const Options& o, const QuestionNeeds& questions) {
  const std::vector<eval::RunCost>& costs = questions.costs;
  std::int64_t reserved = questions.bytes;
  for (const eval::RunCost& cost : costs) reserved = std::max(reserved, questions.bytes + cost.request_bytes);
  std::vector<moe::MemoryRequest> requests;
  for (const Setting& row : rows) {
    // Of rows that are loaded at the same time, the first has the room for the questions.
    const bool has_questions = requests.empty() || !o.until_known.wanted;
    moe::MemoryRequest& request = requests.emplace_back();
    request.reserved_bytes = has_questions ? reserved : 0;
    request.limit = o.memory;
    request.whole_passes = true;
    request.session.kv = row.kv;
    request.session.threads = threads;
    request.session.chunk_tokens = moe::kMaxChunkTokens;
    std::int64_t most = 0;  // experts per token; all rows of a model say how many, or none does
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!share_a_plan(row, rows[i])) continue;
      for (const std::int64_t top_k : rows[i].experts.options.top_k) most = std::max(most, top_k);
      if (!costs.empty())
        request.session.max_tokens = std::max(request.session.max_tokens, costs[i].least_cache_tokens);
    }
    if (most > 0) request.experts.top_k = {most};
  }
  return requests;
}

moe::Result<void> check_memory(const std::vector<Setting>& rows, const std::vector<moe::ModelInfo>& infos,
                               const std::vector<moe::MemoryRequest>& requests, const Options& o, bool may_stream) {
  const auto usual = o.memory > 0 ? std::nullopt : cli::default_limit();
  const std::int64_t limit = usual ? usual->bytes : o.memory;
  if (limit == 0 || share_a_plan(rows)) return {};  // a single plan speaks for itself
  struct Most {
    std::int64_t bytes = 0;
    std::size_t row = 0;
    void take(std::int64_t other, std::size_t i) {
      if (other > bytes) bytes = other, row = i;
    }
  };
  Most resident, streamed;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto least = moe::least_memory(infos[i], requests[i]);
    if (!least) return moe::fail(least.error().code, rows[i].path + ": " + least.error().message);
    resident.take(least->resident, i), streamed.take(least->streamed, i);
  }
  const bool has_pack = !o.pack.path.empty();
  if (limit >= (may_stream || has_pack ? streamed : resident).bytes) return {};
  const auto with_words = [&](const Most& most) {
    return fmt::format("{} ({}) for {}", most.bytes, moe::bytes_in_words(most.bytes),
                       moe::shown_name(rows[most.row].name));
  };
  std::string expected = with_words(has_pack ? streamed : resident);
  if (!has_pack && streamed.bytes < resident.bytes)
    expected += fmt::format(", or {} if experts stay in packed files (--pack-cache DIR)", with_words(streamed));
  return moe::fail(moe::ErrorCode::out_of_memory,
                   fmt::format("{} bytes ({}) of memory are allowed{}, expected at least {}", limit,
                               moe::bytes_in_words(limit), usual ? " (" + usual->in_words() + ")" : "", expected));
}

eval::SessionModelOptions session_options(const Setting& row, const std::optional<moe::MemoryPlan>& memory,
                                          const moe::ParallelFor& threads, const Options& o) {
  eval::SessionModelOptions options;
  options.precision = row.precision;
  options.kv = row.kv;
  options.threads = threads;
  options.max_length = o.max_length;
  if (memory) {
    options.batch_tokens = memory->chunk_tokens;
    options.cache_bytes = memory->cache_bytes - memory->state_bytes;
    options.state_bytes = memory->state_bytes;
    options.cache_is_limited = true;
  }
  if (o.pipeline != nullptr) {
    options.stages = o.pipeline->stages();
    options.before_session = [pipeline = o.pipeline, name = row.name](const moe::SessionOptions& session) {
      return pipeline->tell_session(name, session);
    };
  }
  return options;
}

eval::EvaluateOptions evaluate_options(const moe::ParallelFor& threads, cli::ProgressLine& line) {
  eval::EvaluateOptions how;
  how.threads = threads;
  how.hooks.on_progress = [&line](std::int64_t done, std::int64_t total) {
    line.update({done, total}, std::to_string(done) + " of " + std::to_string(total) + " answers scored");
  };
  how.hooks.cancelled = cli::interrupted;
  return how;
}

moe::Result<eval_until_known::Row> open_row(const Setting& row, eval_chat::Asked asked,
                                            const std::shared_ptr<const moe::Model>& model,
                                            const std::optional<moe::MemoryPlan>& memory,
                                            const moe::ParallelFor& threads, const Options& o,
                                            eval::RunReport& report) {
  auto scorer = eval::SessionModel::create(model, session_options(row, memory, threads, o));
  if (!scorer) return moe::fail(scorer.error().code, row.path + ": " + scorer.error().message);
  eval::StoreSetting setting =
      eval::store_setting(*model, row.precision, row.kv, (*scorer)->max_length(), asked.digest);
  eval::ModelRun& run = report.models.emplace_back();
  run.name = row.name, run.path = row.path;
  run.info = model->info();
  run.info.config = model->config();
  run.content_hash = model->content_hash();
  run.precision = row.precision, run.kv = row.kv;
  run.resident_bytes = model->resident_bytes() + model->expert_traffic().memory_bytes;
  run.max_length = (*scorer)->max_length();
  run.tokenizer = model->tokenizer();
  run.chat = std::move(asked.use);
  run.tasks = std::move(asked.tasks);
  return eval_until_known::Row{std::move(*scorer), std::move(setting)};
}

namespace {

// Where a plan binds the rows, one after the other.
moe::Result<void> check_planned(const Options& o, const std::vector<Setting>& rows,
                                const std::vector<moe::MemoryRequest>& requests) {
  const bool is_bound = o.memory > 0 || !o.pack.path.empty();
  if (o.pipeline != nullptr || o.until_known.wanted || !is_bound || share_a_plan(rows)) return {};
  std::vector<moe::ModelInfo> infos;
  for (const Setting& row : rows) {
    auto info = moe::Model::inspect(row.path);
    if (!info) return moe::forward(info);
    infos.push_back(std::move(*info));
  }
  return check_memory(rows, infos, requests, o, false);
}

}  // namespace

moe::Result<Run> prepare_run(const Options& o, const std::vector<Setting>& rows, const eval_chat::Rows& chat,
                             const std::string& started) {
  Run run;
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  run.threads = *threads;
  eval::RunReport& report = run.report;
  report.started = started;
  report.command = o.command;
  report.baseline = o.baseline, report.limit = o.limit, report.seed = o.seed;
  report.system_instruction = o.system_instruction;
  report.think_end = o.chat.think_end;
  report.fewshot_as_multiturn = o.chat.multiturn;
  report.thread_count = threads->worker_count;
  report.isa = moe::active_isa();
  auto tasks = prepare_tasks(o, chat.conversations);
  if (!tasks) return moe::forward(tasks);
  report.tasks = std::move(*tasks);
  // Errors are found now, not after earlier models have run for an hour.
  auto asked = check_rows(o, rows, chat, report);
  if (!asked) return moe::forward(asked);
  run.asked = std::move(*asked);
  if (auto ok = eval_families::set(o.families, names_of(rows), report); !ok) return moe::forward(ok);
  if (o.until_known.wanted)
    if (auto ok = eval_until_known::check(o.until_known, rows.size(), report); !ok) return moe::forward(ok);
  const auto questions = needs_of(o, rows, run);
  if (!questions) return moe::forward(questions);
  run.requests = memory_requests(rows, *threads, o, *questions);
  if (o.until_known.wanted)
    if (auto ok = divide_memory(o, rows, run.requests); !ok) return moe::forward(ok);
  if (auto ok = check_planned(o, rows, run.requests); !ok) return moe::forward(ok);
  if (!o.cache.empty()) {
    auto opened = eval::RunStore::open(o.cache);
    if (!opened) return moe::forward(opened);
    run.store = std::move(*opened);
  }
  return run;
}

void tell_traffic(const Setting& row, const moe::ExpertTraffic& traffic) {
  const std::string text = cli::traffic_in_words(traffic);
  if (!text.empty()) cli::complain("moe-eval", row.name + ": " + text);
}

moe::Result<void> measure_peaks(const eval_rows::Options& o, eval::RunReport& report) {
  if (!o.peaks) return {};
  cli::ProgressLine line("measuring the machine");
  const auto peaks = moe_bench::measure_peaks(report.thread_count, cli::interrupted, o.memory);
  if (!peaks) return moe::forward(peaks);
  report.peaks = {.threads = peaks->threads,
                  .int8_ops = peaks->int8_ops,
                  .float_ops = peaks->float_ops,
                  .read_bytes = peaks->read_bytes};
  return {};
}

}  // namespace eval_setup
