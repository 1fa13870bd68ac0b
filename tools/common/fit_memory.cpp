#include "tools/common/fit_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "support/bytes_in_words.hpp"
#include "support/number.hpp"
#include "tools/common/memory_options.hpp"

namespace cli {
namespace {

// `step` must be set as well: Slurm's batch scripts, which are one process, have none.
struct LocalVariable {
  const char *counts, *step;
};
constexpr LocalVariable kLocalVariables[] = {{"OMPI_COMM_WORLD_LOCAL_SIZE", nullptr},
                                             {"MPI_LOCALNRANKS", nullptr},
                                             {"SLURM_STEP_TASKS_PER_NODE", "SLURM_STEP_ID"},
                                             {"SLURM_NTASKS_PER_NODE", "SLURM_STEP_ID"}};

// The largest number of "4(x2),3", which is Slurm's way to write 4 on each of two machines and 3 on another.
std::optional<std::int32_t> largest(std::string_view counts) {
  std::int32_t most = 0;
  for (std::size_t begin = 0; begin <= counts.size();) {
    const std::size_t end = std::min(counts.find(',', begin), counts.size());
    const std::string_view group = counts.substr(begin, end - begin);
    const auto count = moe::parse_number<std::int32_t>("tasks", group.substr(0, group.find("(x")), {1, 65536});
    if (!count) return std::nullopt;
    most = std::max(most, *count);
    begin = end + 1;
  }
  return most;
}

}  // namespace

LocalProcesses local_processes(const std::function<const char*(const char*)>& environment) {
  for (const LocalVariable& variable : kLocalVariables) {
    const char* counts = environment(variable.counts);
    if (counts == nullptr || (variable.step != nullptr && environment(variable.step) == nullptr)) continue;
    const auto number = largest(counts);
    if (number && *number > 1) return {*number, variable.counts};
    if (number) break;  // alone on this machine
  }
  return {};
}

std::string DefaultLimit::in_words() const {
  std::string text = "80 % of what is free, or of a container's limit";
  if (shared_by.count > 1) text += fmt::format(", divided by {}={}", shared_by.variable, shared_by.count);
  return text;
}

std::optional<DefaultLimit> default_limit() {
  const auto bytes = moe::default_memory_limit();
  if (!bytes) return std::nullopt;
  LocalProcesses shared_by = local_processes([](const char* name) { return std::getenv(name); });
  return DefaultLimit{*bytes / shared_by.count, std::move(shared_by)};
}

moe::Result<WholeModel> plan_whole(const std::string& model, moe::MemoryRequest request) {
  auto info = moe::Model::inspect(model);
  if (!info) return moe::forward(info);
  request.limit = std::numeric_limits<std::int64_t>::max() / 2;
  const auto plan = moe::plan_memory(*info, request);
  if (!plan) return moe::fail(plan.error().code, model + ": " + plan.error().message);
  return WholeModel{std::move(*info), *plan};
}

moe::Result<moe::MemoryPlan> plan_memory(const moe::ModelInfo& info, moe::MemoryRequest request,
                                         const PackCache& pack) {
  auto plan = moe::plan_memory(info, request);
  if (plan || plan.error().code != moe::ErrorCode::out_of_memory || !pack.path.empty()) return plan;
  request.without_pack = true;
  plan = moe::plan_memory(info, request);
  if (plan || info.config.router.expert_count == 0) return plan;
  return moe::fail(plan.error().code, plan.error().message + " (--pack-cache DIR)");
}

moe::Result<std::optional<moe::MemoryPlan>> fit_memory(std::string_view program, const std::string& model,
                                                       const moe::MemoryRequest& asked, const PackCache& pack,
                                                       moe::LoadOptions& load) {
  pack.apply(load);
  const auto info = moe::Model::inspect(model);
  if (!info) return moe::forward(info);
  const bool is_asked = asked.limit > 0;
  const auto usual = is_asked ? std::nullopt : default_limit();
  moe::MemoryRequest request = asked;
  if (usual) request.limit = usual->bytes;
  request.without_pack = is_asked && pack.path.empty();
  const auto plan = plan_memory(*info, request, pack);
  if (!plan && is_asked) return moe::fail(plan.error().code, model + ": " + plan.error().message);
  if (!plan && plan.error().code == moe::ErrorCode::out_of_memory) {
    const std::string why = plan.error().message + "; the default is " + (usual ? usual->in_words() : "none") +
                            ": --memory SIZE sets another";
    // Where even the least is too much, the system would kill a process that loads all of it.
    if (!pack.path.empty()) return moe::fail(plan.error().code, model + ": " + why);
    complain(program, model + ": note: " + why);
  }
  if (!plan) return std::optional<moe::MemoryPlan>();  // the system decides
  if (!plan->streams_experts) return is_asked ? std::optional(*plan) : std::nullopt;
  if (pack.path.empty()) {
    complain(program, fmt::format("{}: note: the model needs {} beside what it computes with, and {} are allowed: its "
                                  "experts can stay in a file with --pack-cache DIR",
                                  model, moe::bytes_in_words(plan->weight_bytes + plan->all_expert_bytes),
                                  moe::bytes_in_words(plan->limit)));
    return std::optional<moe::MemoryPlan>();
  }
  load.expert_bytes = plan->expert_bytes;
  return std::optional(*plan);
}

std::string traffic_in_words(const moe::ExpertTraffic& t) {
  if (t.hits + t.misses == 0) return {};
  const double seconds = static_cast<double>(t.read_ns) * 1e-9;
  return fmt::format("experts: {} hits, {} misses, {} read{}", t.hits, t.misses, moe::bytes_in_words(t.read_bytes),
                     seconds > 0.0 ? fmt::format(" at {:.0f} MB/s", static_cast<double>(t.read_bytes) * 1e-6 / seconds)
                                   : std::string());
}

}  // namespace cli
