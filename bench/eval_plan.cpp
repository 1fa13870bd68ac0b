#include "bench/eval_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "bench/disk_limit.hpp"
#include "bench/eval_setup.hpp"
#include "moe/eval/evaluate.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace eval_plan {
namespace {

namespace eval = moe::eval;
using cli::bytes_in_words;
using cli::time_in_words;

// Of the int8 peak, what prompts of hundreds of tokens reach (docs/PERFORMANCE.md).
constexpr double kShareOfPeak = 0.6;
// Where there is only a config.json.
constexpr moe::Format kAssumed = moe::Format::q4_0;

moe::Result<moe::ModelInfo> sizes_of(const eval_rows::Setting& row, Plan& plan) {
  auto info = moe::Model::inspect(row.path);
  if (!info) return info;
  if (!row.experts.is_default()) {
    const auto changed = moe::with_experts(info->config, row.experts.options);
    if (!changed) return moe::fail(changed.error().code, row.path + ": " + changed.error().message);
    info->config = *changed;
  }
  plan.weights = info->format_summary;
  if (info->packed.expert.empty()) {
    info->packed = moe::assumed_sizes(info->config, kAssumed);
    plan.weights = fmt::format("{} is assumed: there is only a config.json", moe::name_of(kAssumed));
  }
  return info;
}

moe::Result<eval::RunCost> cost_of(const eval_rows::Setting& row, const moe::ModelConfig& config,
                                   const eval_rows::Options& o, const moe::ParallelFor& threads,
                                   const std::vector<eval::PreparedTask>& tasks, Plan& plan) {
  auto tokenizer = moe::Tokenizer::load(row.path);
  plan.has_tokenizer = tokenizer.has_value();
  if (!tokenizer) tokenizer = eval::estimating_tokenizer(config.vocab_size);
  eval::CostModel model(config, *tokenizer, {o.max_length, threads});
  for (const eval::PreparedTask& task : tasks) {
    cli::ProgressLine line("planning " + row.name + " " + task.spec.name);
    eval::EvaluateOptions how = eval_setup::evaluate_options(threads, line);
    how.bootstrap_count = 0;
    if (const auto counted = eval::evaluate(task, model, how); !counted) return moe::forward(counted);
  }
  return model.cost();
}

moe::Result<Speeds> measure(const std::vector<Plan>& plans, const std::vector<eval_rows::Setting>& rows,
                            std::int32_t threads) {
  Speeds speeds;
  const auto peaks = moe_bench::measure_peaks(threads, cli::interrupted);
  if (!peaks) return moe::forward(peaks);
  speeds.peaks = *peaks;
  for (std::size_t i = 0; i < plans.size() && speeds.disk_bytes == 0.0; ++i) {
    if (!plans[i].memory.streams_experts) continue;
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path path = rows[i].path;
    const std::string folder = (fs::is_directory(path, error) ? path : path.parent_path()).string();
    const moe_bench::DiskReads reads{std::int64_t{2} << 20, moe::LoadOptions{}.read_threads};  // about an expert
    cli::ProgressLine line("measuring the disk of " + folder);
    const auto file = moe_bench::DiskFile::open(folder.empty() ? "." : folder, cli::interrupted);
    if (!file) return moe::forward(file);
    const auto disk = file->measure(reads, cli::interrupted);
    if (!disk) return moe::forward(disk);
    speeds.disk_bytes = disk->bytes_per_second;
  }
  return speeds;
}

}  // namespace

std::int64_t Plan::passes() const {
  const std::int64_t tokens = memory.chunk_tokens;
  // Replies are written side by side, up to 64 in a step (SessionModel).
  constexpr std::int64_t kReplies = 64;
  return (cost.computed_tokens + tokens - 1) / tokens + (cost.reply_tokens + kReplies - 1) / kReplies;
}

double Plan::read_seconds(const Speeds& speeds) const {
  const auto n = static_cast<double>(passes());
  if (!memory.streams_experts) return n * static_cast<double>(memory.weight_bytes) / speeds.peaks.read_bytes;
  return n * static_cast<double>(memory.pass_bytes()) / speeds.disk_bytes;
}

double Plan::compute_seconds(const Speeds& speeds) const {
  return static_cast<double>(cost.flops) / (kShareOfPeak * speeds.peaks.int8_ops);
}

double Plan::seconds(const Speeds& speeds) const { return std::max(read_seconds(speeds), compute_seconds(speeds)); }

std::string text_of(const Plan& plan, const Speeds& speeds) {
  const moe::MemoryPlan& m = plan.memory;
  const eval::RunCost& c = plan.cost;
  moe::TextTable table({moe::shown_name(plan.name), ""}, moe::TextTable::Align::words);
  const auto line = [&](const char* what, std::string text) { table.add({what, std::move(text)}); };
  line("weights", plan.weights);
  line("memory", fmt::format("{} of {} allowed", bytes_in_words(m.total_bytes()), bytes_in_words(m.limit)));
  line("  always", bytes_in_words(m.weight_bytes) + (m.streams_experts ? " of weights" : ": all weights"));
  if (m.streams_experts)
    line("  experts", fmt::format("{} of {}, the others are read in each pass", bytes_in_words(m.expert_bytes),
                                  bytes_in_words(m.all_expert_bytes)));
  line("  cache", fmt::format("{} for {} tokens", bytes_in_words(m.cache_bytes), m.cache_tokens));
  line("  activations", fmt::format("{} for {} tokens in a pass", bytes_in_words(m.scratch_bytes), m.chunk_tokens));
  line("  other", bytes_in_words(m.other_bytes));
  line("tokens", fmt::format("{} to compute; {} without shared prefixes{}", c.computed_tokens, c.tokens,
                             plan.has_tokenizer ? "" : "; estimated at 4 bytes each, there is no tokenizer"));
  if (c.reply_tokens > 0) line("replies", fmt::format("at most {} tokens", c.reply_tokens));
  line("FLOPs", fmt::format("{:.3g}", static_cast<double>(c.flops)));
  line("passes", fmt::format("{}", plan.passes()));
  if (m.streams_experts)
    line("to read", fmt::format("{} per pass, {} in all", bytes_in_words(m.pass_bytes()),
                                bytes_in_words(m.pass_bytes() * plan.passes())));
  line("reading", fmt::format("{} at {}/s", time_in_words(plan.read_seconds(speeds)),
                              bytes_in_words(static_cast<std::int64_t>(m.streams_experts ? speeds.disk_bytes
                                                                                         : speeds.peaks.read_bytes))));
  line("computing", fmt::format("{} at {:.0f} % of {:.2f} TOP/s", time_in_words(plan.compute_seconds(speeds)),
                                100.0 * kShareOfPeak, speeds.peaks.int8_ops / 1e12));
  line("time", fmt::format("about {}", time_in_words(plan.seconds(speeds))));
  return table.render();
}

moe::Result<void> run(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows) {
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  const auto tasks = eval_setup::prepare_tasks(o, eval::Conversations::none);
  if (!tasks) return moe::forward(tasks);
  std::vector<Plan> plans;
  for (const eval_rows::Setting& row : rows) {
    Plan& plan = plans.emplace_back();
    plan.name = row.name;
    const auto info = sizes_of(row, plan);
    if (!info) return moe::forward(info);
    const auto memory = moe::plan_memory(*info, eval_setup::memory_request(row, *threads, o));
    if (!memory) return moe::fail(memory.error().code, row.path + ": " + memory.error().message);
    plan.memory = *memory;
    const auto cost = cost_of(row, info->config, o, *threads, *tasks, plan);
    if (!cost) return moe::forward(cost);
    plan.cost = *cost;
  }
  const auto speeds = measure(plans, rows, threads->worker_count);
  if (!speeds) return moe::forward(speeds);
  std::string text;
  for (const Plan& plan : plans) text += (text.empty() ? "" : "\n") + text_of(plan, *speeds);
  return cli::print(text);
}

}  // namespace eval_plan
