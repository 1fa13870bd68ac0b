#include "tools/common/fit_memory.hpp"

#include <fmt/format.h>

#include "tools/common/memory_options.hpp"

namespace cli {
namespace {

std::string needs(const moe::MemoryPlan& plan) {
  return fmt::format(
      "the model needs {} beside what it computes with, and {} are allowed: its experts can stay in a "
      "file with --pack-cache DIR",
      bytes_in_words(plan.weight_bytes + plan.all_expert_bytes), bytes_in_words(plan.limit));
}

constexpr const char* kDefaultLimit =
    "; the default is 80 % of what is free, or of a container's limit: --memory SIZE sets another";

}  // namespace

moe::Result<std::optional<moe::MemoryPlan>> fit_memory(std::string_view program, const std::string& model,
                                                       const moe::MemoryRequest& request, const PackCache& pack,
                                                       moe::LoadOptions& load) {
  pack.apply(load);
  const auto info = moe::Model::inspect(model);
  if (!info) return moe::forward(info);
  const bool is_asked = request.limit > 0;
  const auto plan = moe::plan_memory(*info, request);
  if (!plan && is_asked) return moe::fail(plan.error().code, model + ": " + plan.error().message);
  if (!plan && plan.error().code == moe::ErrorCode::out_of_memory) {
    const std::string why = plan.error().message + kDefaultLimit;
    // Where even the least is too much, the system would kill a process that loads all of it.
    if (!pack.path.empty()) return moe::fail(plan.error().code, model + ": " + why);
    complain(program, model + ": note: " + why);
  }
  if (!plan) return std::optional<moe::MemoryPlan>();  // the system decides
  if (!plan->streams_experts) return is_asked ? std::optional(*plan) : std::nullopt;
  if (pack.path.empty() && is_asked) return moe::fail(moe::ErrorCode::unsupported, model + ": " + needs(*plan));
  if (pack.path.empty()) {
    complain(program, model + ": note: " + needs(*plan));
    return std::optional<moe::MemoryPlan>();
  }
  load.expert_bytes = plan->expert_bytes;
  return std::optional(*plan);
}

std::string traffic_in_words(const moe::ExpertTraffic& t) {
  if (t.hits + t.misses == 0) return {};
  const double seconds = static_cast<double>(t.read_ns) * 1e-9;
  return fmt::format("experts: {} hits, {} misses, {} read{}", t.hits, t.misses, bytes_in_words(t.read_bytes),
                     seconds > 0.0 ? fmt::format(" at {:.0f} MB/s", static_cast<double>(t.read_bytes) * 1e-6 / seconds)
                                   : std::string());
}

}  // namespace cli
