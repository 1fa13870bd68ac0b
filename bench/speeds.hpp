#pragma once
// moe-bench's measurements, and how they are printed.

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/disk_limit.hpp"
#include "bench/peaks.hpp"
#include "moe/demand.hpp"
#include "moe/memory_plan.hpp"
#include "moe/moe.hpp"
#include "tools/common/pack_cache.hpp"

namespace moe_bench {

struct Options {
  std::string model, json;
  std::vector<std::int64_t> pp = {16, 128, 512}, tg = {32};
  std::int32_t threads = 0;
  cli::PackCache pack;
  std::int64_t memory = 0;
  std::int32_t repetitions = 3;
  std::int64_t depth = 0;  // tokens in the cache before each item
  moe::KvType kv = moe::KvType::f16;
  bool no_peaks = false;
  bool profile = false;
};

/// Of at least one value.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// pp or tg with a number of tokens.
struct Item {
  Item(bool is_prefill, std::int64_t token_count) : prefill(is_prefill), count(token_count) {}

  bool prefill;
  std::int64_t count;
  std::vector<double> seconds;  // of each repetition
  moe::StageDemands demands;    // of the timed steps; zero without peaks
  moe::Demand demand;           // their sum
  moe::Profile profile;         // of all repetitions, with --profile
  moe::Work work;
  moe::ExpertTraffic traffic;  // of all repetitions

  std::string kind() const { return prefill ? "pp" : "tg"; }
  double median_seconds() const { return median(seconds); }
  double tokens_per_second() const { return static_cast<double>(count) / median_seconds(); }
};

struct Speeds {
  std::string family, formats;  // of the model, which is gone when memory is measured again
  std::vector<Item> items;
  std::int32_t threads = 1;
  Peaks peaks, one_thread;  // zero with --no-peaks
  double bandwidth_before = 0.0, bandwidth_after = 0.0;
  std::optional<moe::MemoryPlan> memory;  // with --memory
  DiskLimit disk;                         // where experts are read; the rate is the median; zero with --no-peaks
  std::vector<double> disk_rates;         // bytes per second, in turn with the repetitions
  double disk_to_memory = 0.0;            // the same into memory, as experts are read; once, at the end
};

std::string table(const Options& options, const Speeds& speeds);
/// What reading experts came to beside the disk's limit; empty where all are in memory.
std::string traffic_table(const Options& options, const Speeds& speeds);
std::string profile_table(const Options& options, const Speeds& speeds);
nlohmann::ordered_json to_json(const Options& options, const Speeds& speeds);

}  // namespace moe_bench
