#include "bench/eval_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "bench/disk_limit.hpp"
#include "bench/eval_cost.hpp"
#include "bench/eval_setup.hpp"
#include "moe/pack.hpp"
#include "support/bytes_in_words.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace eval_plan {
namespace {

namespace eval = moe::eval;
using cli::time_in_words;
using moe::bytes_in_words;

// Of the int8 peak, what prompts of hundreds of tokens reach (docs/PERFORMANCE.md). Precision::reference reaches about the
// same of the float32 peak.
constexpr double kShareOfPeak = 0.6;
// Where there is only a config.json.
constexpr moe::Format kAssumed = moe::Format::q4_0;

moe::Result<moe::ModelInfo> sizes_of(const eval_rows::Setting& row, Plan& plan) {
  auto info = moe::Model::inspect(row.path);
  if (!info) return info;
  plan.weights = info->format_summary;
  if (info->packed.expert.empty()) {
    info->packed = moe::assumed_sizes(info->config, kAssumed);
    plan.weights = fmt::format("{} is assumed: there is only a config.json", moe::name_of(kAssumed));
    const std::int64_t block = moe::format_info(kAssumed).block_values;
    const moe::ModelConfig& c = info->config;
    for (const std::int64_t width : {c.hidden_size, c.router.expert_count > 0 ? c.moe_intermediate_size : block})
      if (width % block != 0)
        plan.weights += fmt::format("; rows of {} weights are float32, for {} weights are a block", width, block);
  }
  return info;
}

moe::Result<moe::ModelConfig> config_of(const eval_rows::Setting& row, const moe::ModelInfo& info) {
  if (row.experts.is_default()) return info.config;
  auto changed = moe::with_experts(info.config, row.experts.options);
  if (!changed) return moe::fail(changed.error().code, row.path + ": " + changed.error().message);
  return changed;
}

moe::Result<void> count_cost(const eval_rows::Options& o, const eval_rows::Setting& row, const eval_chat::Rows& chat,
                             const moe::ModelInfo& info, const std::vector<eval::PreparedTask>& tasks,
                             const moe::ParallelFor& threads, Plan& plan, eval_setup::QuestionNeeds& needs) {
  const auto config = config_of(row, info);
  if (!config) return moe::forward(config);
  const auto asked = eval_setup::prompts_of(row, o, chat, info, tasks);
  if (!asked) return moe::forward(asked);
  const auto counted = eval_cost::count(row, *config, asked->tasks.empty() ? tasks : asked->tasks, o, threads);
  if (!counted) return moe::forward(counted);
  if (config->router.expert_count > 0)
    plan.share_of_experts =
        static_cast<double>(config->router.top_k) / static_cast<double>(config->router.expert_count);
  plan.is_reference = row.precision == moe::Precision::reference;
  plan.cost = counted->cost, plan.has_tokenizer = counted->has_tokenizer;
  needs.costs.push_back(counted->cost);
  needs.bytes += eval_cost::row_bytes(tasks, asked->tasks);
  return {};
}

// Where experts are read from: the packed file, or else a folder of the disk that would hold it.
std::vector<std::string> places_of(const std::string& model, const std::string& pack) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> places;
  const bool is_file = pack.ends_with(".moepack");
  const std::string folder = is_file ? fs::path(pack).parent_path().string() : pack;
  if (!pack.empty() && fs::is_directory(folder.empty() ? "." : folder, error)) {
    if (const auto path = moe::packed_path(pack, model); path && fs::is_regular_file(*path, error))
      places.push_back(*path);
    places.push_back(folder.empty() ? "." : folder);
  }
  const std::string own = fs::is_directory(model, error) ? model : fs::path(model).parent_path().string();
  places.push_back(own.empty() ? "." : own);
  return places;
}

moe::Result<moe_bench::DiskLimit> measure_place(const std::string& place, std::int64_t read_bytes) {
  cli::ProgressLine line("measuring the disk of " + place);
  const auto file = moe_bench::DiskFile::open(place, cli::interrupted);
  if (!file) return moe::forward(file);
  return file->measure({read_bytes, moe::LoadOptions{}.read_threads}, cli::interrupted);
}

// Errors: cancelled; that a disk cannot be measured is part of the plan.
moe::Result<Disk> measure_disk(const std::string& model, const std::string& pack, std::int64_t read_bytes) {
  std::string why;
  for (const std::string& place : places_of(model, pack)) {
    const auto disk = measure_place(place, read_bytes);
    if (!disk && disk.error().code == moe::ErrorCode::cancelled) return moe::forward(disk);
    if (!disk) {
      why += (why.empty() ? "" : "; ") + disk.error().message;
      continue;
    }
    std::error_code error;
    std::string how = moe::printable(place);
    if (std::filesystem::is_directory(place, error))
      how = "a new file of 1 GiB in " + how + ", which may be faster than a long one";
    if (!disk->is_direct) how += ", through the page cache";
    return Disk{disk->bytes_per_second, how};
  }
  return Disk{0.0, why};
}

// All rows that read experts; those of one model share the measurement.
moe::Result<void> measure_disks(std::vector<Plan>& plans, const std::vector<eval_rows::Setting>& rows,
                                const std::string& pack) {
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (!plans[i].memory.streams_experts) continue;
    std::size_t same = 0;
    while (same < i && (rows[same].path != rows[i].path || plans[same].disk.how.empty())) ++same;
    auto disk = same < i ? moe::Result<Disk>(plans[same].disk) : measure_disk(rows[i].path, pack, plans[i].read_bytes);
    if (!disk) return moe::forward(disk);
    plans[i].disk = std::move(*disk);
  }
  return {};
}

// Pieces of an expert's size, as they are read.
std::int64_t bytes_of_read(const moe::PackedSizes& sizes) {
  constexpr std::int64_t kPage = 4096, kMost = std::int64_t{4} << 20;
  std::int64_t bytes = 1;
  for (const std::int64_t expert : sizes.expert) bytes = std::max(bytes, expert);
  return std::min((bytes + kPage - 1) / kPage * kPage, kMost);
}

}  // namespace

// As many as have room in the cache, with what their prompts do not share (SessionModel).
std::int64_t Plan::replies_side_by_side() const {
  const std::int64_t tokens = std::max<std::int64_t>(1, cost.reply_prompt_tokens + cost.reply_tokens);
  const std::int64_t have_room = cache_tokens * cost.replies / tokens;
  return std::max<std::int64_t>(1, std::min({have_room, std::int64_t{64}, memory.chunk_tokens, cost.replies}));
}

std::int64_t Plan::prompt_passes() const {
  return (cost.computed_tokens + memory.chunk_tokens - 1) / memory.chunk_tokens;
}

std::int64_t Plan::reply_passes() const {
  const std::int64_t replies = replies_side_by_side();
  return (cost.reply_tokens + replies - 1) / replies;
}

// A pass over prompts needs every expert, one over a few replies at most those that its tokens choose.
std::int64_t Plan::bytes_to_read() const {
  const double chosen = std::min(1.0, static_cast<double>(replies_side_by_side()) * share_of_experts);
  const auto some = [&](std::int64_t bytes) { return static_cast<std::int64_t>(chosen * static_cast<double>(bytes)); };
  if (!memory.streams_experts)
    return prompt_passes() * memory.weight_bytes +
           reply_passes() * (memory.weight_bytes - memory.all_expert_bytes + some(memory.all_expert_bytes));
  if (memory.pass_bytes() == 0) return memory.all_expert_bytes;  // once, and then they stay
  return prompt_passes() * memory.pass_bytes() + reply_passes() * some(memory.pass_bytes());
}

double Plan::bytes_per_second(const moe_bench::Peaks& peaks) const {
  return memory.streams_experts ? disk.bytes_per_second : peaks.read_bytes;
}

double Plan::read_seconds(const moe_bench::Peaks& peaks) const {
  return static_cast<double>(bytes_to_read()) / bytes_per_second(peaks);
}

double Plan::peak_ops(const moe_bench::Peaks& peaks) const { return is_reference ? peaks.float_ops : peaks.int8_ops; }

double Plan::compute_seconds(const moe_bench::Peaks& peaks) const {
  return static_cast<double>(cost.flops) / (kShareOfPeak * peak_ops(peaks));
}

namespace {

// Reading is hidden behind computing, or computing behind reading.
void add_times(const Plan& plan, const moe_bench::Peaks& peaks, moe::TextTable& table) {
  const double rate = plan.bytes_per_second(peaks), computing = plan.compute_seconds(peaks);
  const std::string computed =
      fmt::format("{} at {:.0f} % of {:.2f} {}", time_in_words(computing), 100.0 * kShareOfPeak,
                  plan.peak_ops(peaks) / 1e12, plan.is_reference ? "TFLOP/s" : "TOP/s");
  if (rate <= 0.0) {
    table.add({"reading", "not measured (" + plan.disk.how + ")"});
    table.add({"computing", computed});
    table.add({"time", fmt::format("at least {}, and as long as reading takes", time_in_words(computing))});
    return;
  }
  const double reading = plan.read_seconds(peaks);
  table.add(
      {"reading", fmt::format("{} at {}/s{}", time_in_words(reading), bytes_in_words(static_cast<std::int64_t>(rate)),
                              plan.disk.how.empty() ? "" : " (" + plan.disk.how + ")")});
  table.add({"computing", computed});
  table.add({"time", fmt::format("about {}", time_in_words(std::max(reading, computing)))});
}

}  // namespace

std::string text_of(const Plan& plan, const moe_bench::Peaks& peaks) {
  const moe::MemoryPlan& m = plan.memory;
  const eval::RunCost& c = plan.cost;
  moe::TextTable table({moe::shown_name(plan.name), ""}, moe::TextTable::Align::words);
  const auto line = [&](const char* what, std::string text) { table.add({what, std::move(text)}); };
  line("weights", plan.weights);
  line("memory", fmt::format("{} of {} allowed", bytes_in_words(m.total_bytes()), bytes_in_words(m.limit)));
  line("  always", bytes_in_words(m.weight_bytes) + (m.streams_experts ? " of weights" : ": all weights"));
  if (m.streams_experts)
    line("  experts",
         bytes_in_words(m.expert_bytes) +
             (m.pass_bytes() > 0 ? fmt::format(": {} of {} stay in memory, the others are read in each pass",
                                               bytes_in_words(m.kept_expert_bytes), bytes_in_words(m.all_expert_bytes))
                                 : ": all of them stay in memory"));
  line("  cache", fmt::format("{} for {} tokens", bytes_in_words(m.cache_bytes), m.cache_tokens));
  line("  activations", fmt::format("{} for {} tokens in a pass", bytes_in_words(m.scratch_bytes), m.chunk_tokens));
  line("  other", bytes_in_words(m.other_bytes));
  line("tokens", fmt::format("{} to compute; {} without shared prefixes{}", c.computed_tokens, c.tokens,
                             plan.has_tokenizer ? "" : "; estimated at 4 bytes each, there is no tokenizer"));
  if (c.reply_tokens > 0)
    line("replies", fmt::format("at most {} tokens, {}", c.reply_tokens,
                                plan.replies_side_by_side() == 1
                                    ? "one reply after the other"
                                    : fmt::format("{} replies side by side", plan.replies_side_by_side())));
  line("FLOPs", fmt::format("{:.3g}", static_cast<double>(c.flops)));
  line("passes", fmt::format("{}", plan.prompt_passes() + plan.reply_passes()));
  if (m.streams_experts)
    line("to read", m.pass_bytes() > 0
                        ? fmt::format("{} per pass of prompts, {} in all", bytes_in_words(m.pass_bytes()),
                                      bytes_in_words(plan.bytes_to_read()))
                        : fmt::format("{}, once", bytes_in_words(plan.bytes_to_read())));
  add_times(plan, peaks, table);
  if (m.streams_experts && !plan.has_pack) line("needed", "--pack-cache DIR, for the file that experts are read from");
  return table.render();
}

namespace {

// As eval_setup::session_options.
std::int64_t cache_tokens_of(const moe::MemoryPlan& memory, const eval_rows::Options& o) {
  const bool binds = o.memory > 0 || (memory.streams_experts && !o.pack.path.empty());
  const std::int64_t token_bytes = (memory.cache_bytes - memory.state_bytes) / memory.cache_tokens;
  if (binds || token_bytes == 0) return memory.cache_tokens;
  return std::max(memory.cache_tokens, eval::SessionModelOptions().cache_bytes / token_bytes);
}

// Of every row, as the run does it.
moe::Result<void> plan_memory(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows,
                              const moe::ParallelFor& threads, const std::vector<moe::ModelInfo>& infos,
                              const eval_setup::QuestionNeeds& needs, std::vector<Plan>& plans) {
  std::vector<moe::MemoryRequest> requests = eval_setup::memory_requests(rows, threads, o, needs);
  if (auto ok = eval_setup::check_memory(rows, infos, requests, o, true); !ok) return ok;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (const auto usual = cli::default_limit(); usual && requests[i].limit == 0) requests[i].limit = usual->bytes;
    const auto memory = cli::plan_memory(infos[i], requests[i], o.pack);
    if (!memory) return moe::fail(memory.error().code, rows[i].path + ": " + memory.error().message);
    plans[i].memory = *memory;
    plans[i].cache_tokens = cache_tokens_of(*memory, o);
    plans[i].read_bytes = bytes_of_read(infos[i].packed);
  }
  return {};
}

}  // namespace

moe::Result<void> run(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows,
                      const eval_chat::Rows& chat) {
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  const auto tasks = eval_setup::prepare_tasks(o, chat.conversations);
  if (!tasks) return moe::forward(tasks);
  std::vector<Plan> plans;
  std::vector<moe::ModelInfo> infos;
  eval_setup::QuestionNeeds needs;
  needs.bytes = eval_cost::question_bytes(*tasks);
  for (const eval_rows::Setting& row : rows) {
    Plan& plan = plans.emplace_back();
    plan.name = row.name, plan.has_pack = !o.pack.path.empty();
    auto info = sizes_of(row, plan);
    if (!info) return moe::forward(info);
    if (auto ok = count_cost(o, row, chat, *info, *tasks, *threads, plan, needs); !ok) return ok;
    infos.push_back(std::move(*info));
  }
  if (auto ok = plan_memory(o, rows, *threads, infos, needs, plans); !ok) return ok;
  const auto peaks = moe_bench::measure_peaks(threads->worker_count, cli::interrupted, o.memory);
  if (!peaks) return moe::forward(peaks);
  if (auto ok = measure_disks(plans, rows, o.pack.path); !ok) return ok;
  std::string text;
  for (const Plan& plan : plans) text += (text.empty() ? "" : "\n") + text_of(plan, *peaks);
  return cli::print(text);
}

}  // namespace eval_plan
