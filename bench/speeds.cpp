#include "bench/speeds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "bench/limits.hpp"
#include "moe/cpu.hpp"
#include "support/bytes_in_words.hpp"
#include "support/show.hpp"
#include "tools/common/memory_options.hpp"

namespace moe_bench {
namespace {

using nlohmann::ordered_json;

std::string isa_name() {
  const std::string_view isa = moe::active_isa();
  return isa.empty() ? "none" : std::string(isa);
}

// One row of the roofline table: a stage of one item.
struct StageRow {
  std::string_view name;
  double seconds;  // of workers, a repetition
  double share;    // of all workers' time
  moe::Demand demand;
};

std::vector<StageRow> stage_rows(const Item& item, std::int32_t repetitions) {
  std::vector<StageRow> rows;
  const auto total = static_cast<double>(item.profile.total_ns);
  const auto add = [&](std::string_view name, std::int64_t ns, const moe::Demand& demand) {
    rows.push_back({name, static_cast<double>(ns) * 1e-9 / repetitions, static_cast<double>(ns) / total, demand});
  };
  std::int64_t rest = item.profile.total_ns - item.profile.waiting_ns;
  for (std::size_t i = 0; i < moe::kStageCount; ++i) {
    add(name_of(static_cast<moe::Stage>(i)), item.profile.busy_ns[i], item.demands.stage[i]);
    rest -= item.profile.busy_ns[i];
  }
  add("waiting", item.profile.waiting_ns, {});
  add("bookkeeping", rest, {});
  return rows;
}

}  // namespace

std::string table(const Options& options, const Speeds& speeds) {
  std::string out;
  out +=
      fmt::format("{}: {} {}, {} threads, {}, {} repetitions, cache {}{}\n", moe::printable(options.model),
                  speeds.family, moe::printable(speeds.formats), speeds.threads, isa_name(), options.repetitions,
                  name_of(options.kv), options.depth > 0 ? fmt::format(" with {} tokens before", options.depth) : "");
  if (!options.no_peaks) {
    const auto line = [&out](const Peaks& p, const char* note) {
      out += fmt::format("peak, {} thread{}: int8 {:.0f} GOP/s ({}), float32 {:.0f} GFLOP/s, read {:.1f} GB/s{}\n",
                         p.threads, p.threads == 1 ? "" : "s", p.int8_ops * 1e-9, int8_instruction(),
                         p.float_ops * 1e-9, p.read_bytes * 1e-9, note);
      if (p.buffer_bytes < kMostBufferBytes)
        out += fmt::format("  (read from {}, which is all that memory allows: caches may have helped)\n",
                           moe::bytes_in_words(p.buffer_bytes));
    };
    line(speeds.peaks,
         fmt::format(" (before {:.1f}, after {:.1f})", speeds.bandwidth_before * 1e-9, speeds.bandwidth_after * 1e-9)
             .c_str());
    if (speeds.threads != 1) line(speeds.one_thread, "");
  }
  out += fmt::format("{:<8} {:>10} {:>21} {:>10} {:>8} {:>11} {:>7}  {}\n", "item", "tokens/s", "[least, most]",
                     "GFLOP/s", "GB/s", "limit t/s", "% of it", "bound by");
  for (const Item& item : speeds.items) {
    const double seconds = item.median_seconds(), n = static_cast<double>(item.count);
    const auto [least, most] = std::minmax_element(item.seconds.begin(), item.seconds.end());
    out += fmt::format("{:<8} {:>10.1f} {:>21} {:>10.1f}", item.kind() + std::to_string(item.count),
                       item.tokens_per_second(), fmt::format("[{:.1f}, {:.1f}]", n / *most, n / *least),
                       static_cast<double>(item.work.total()) / seconds * 1e-9);
    if (!options.no_peaks) {
      const double limit = n / least_seconds(item.demand, speeds.peaks);
      out += fmt::format(" {:>8.1f} {:>11.1f} {:>7.1f}  {}", item.demand.bytes / seconds * 1e-9, limit,
                         100.0 * item.tokens_per_second() / limit, bound_by(item.demand, speeds.peaks));
    }
    out += "\n";
  }
  return out;
}

std::string traffic_table(const Options& options, const Speeds& speeds) {
  if (!speeds.memory || !speeds.memory->streams_experts) return {};
  std::string out =
      fmt::format("experts: {} of {} in memory, steps of {} tokens", moe::bytes_in_words(speeds.memory->expert_bytes),
                  moe::bytes_in_words(speeds.memory->all_expert_bytes), speeds.memory->chunk_tokens);
  if (!speeds.disk_rates.empty()) {
    const auto [least, most] = std::minmax_element(speeds.disk_rates.begin(), speeds.disk_rates.end());
    out += fmt::format(
        "\ndisk: {:.0f} MB/s in pieces of {}, the median of {} measurements in turn ({:.0f} to {:.0f}){}",
        speeds.disk.bytes_per_second * 1e-6, moe::bytes_in_words(speeds.disk.reads.read_bytes),
        speeds.disk_rates.size(), *least * 1e-6, *most * 1e-6, speeds.disk.is_direct ? "" : ", through the page cache");
    out += fmt::format("; {:.0f} MB/s into more memory than a cache holds, as experts are read",
                       speeds.disk_to_memory * 1e-6);
  }
  out += fmt::format("\n{:<8} {:>10} {:>8} {:>8} {:>12} {:>9} {:>14} {:>8} {:>11}\n", "item", "hits %", "MB/token",
                     "unused %", "disk MB/s", "waiting %", "disk limit t/s", "% of it", "% to memory");
  for (const Item& item : speeds.items) {
    const moe::ExpertTraffic& t = item.traffic;
    double seconds = 0.0;
    for (const double s : item.seconds) seconds += s;
    const double tokens = static_cast<double>(item.count) * static_cast<double>(item.seconds.size()),
                 per_token = static_cast<double>(t.read_bytes) / tokens,
                 needed = static_cast<double>(t.read_bytes - t.unused_bytes) / tokens,
                 all = static_cast<double>(std::max<std::int64_t>(1, t.hits + t.misses));
    out += fmt::format("{:<8} {:>10.1f} {:>8.2f} {:>8.1f} {:>12.0f} {:>9.1f}", item.kind() + std::to_string(item.count),
                       100.0 * static_cast<double>(t.hits) / all, per_token * 1e-6,
                       100.0 * static_cast<double>(t.unused_bytes) / std::max(1.0, static_cast<double>(t.read_bytes)),
                       static_cast<double>(t.read_bytes) * 1e-6 / seconds,
                       100.0 * static_cast<double>(t.wait_ns) * 1e-9 / seconds);
    if (speeds.disk.bytes_per_second > 0.0 && needed > 0.0) {
      const double limit = speeds.disk.bytes_per_second / needed;
      out += fmt::format(" {:>14.1f} {:>8.1f}", limit, 100.0 * tokens / seconds / limit);
      if (speeds.disk_to_memory > 0.0)
        out += fmt::format(" {:>11.1f}", 100.0 * tokens / seconds * needed / speeds.disk_to_memory);
    }
    out += "\n";
  }
  if (options.no_peaks) out += "the disk was not measured (--no-peaks)\n";
  return out;
}

std::string profile_table(const Options& options, const Speeds& speeds) {
  std::string out;
  for (const Item& item : speeds.items) {
    out +=
        fmt::format("\n{:<12} {:>10} {:>7} {:>10} {:>8} {:>10} {:>7}  {}\n", item.kind() + std::to_string(item.count),
                    "worker ms", "%", "GFLOP/s", "GB/s", "limit ms", "% of it", "bound by");
    for (const StageRow& row : stage_rows(item, options.repetitions)) {
      out += fmt::format("{:<12} {:>10.3f} {:>7.1f}", row.name, row.seconds * 1e3, 100.0 * row.share);
      const double operations = row.demand.int8_ops + row.demand.float_ops;
      if (operations > 0.0 && row.seconds > 0.0) {
        const double least = least_seconds(row.demand, speeds.peaks) * speeds.threads,
                     wall = row.seconds / speeds.threads;
        out += fmt::format(" {:>10.1f} {:>8.1f} {:>10.3f} {:>7.1f}  {}", operations / wall * 1e-9,
                           row.demand.bytes / wall * 1e-9, least * 1e3, 100.0 * least / row.seconds,
                           bound_by(row.demand, speeds.peaks));
      }
      out += "\n";
    }
  }
  out += fmt::format("worker ms: of all {} workers, a repetition; GFLOP/s and GB/s as if all of them did this stage.\n",
                     speeds.threads);
  return out;
}

ordered_json to_json(const Item& item, const Options& options, const Speeds& speeds) {
  ordered_json j{{"item", item.kind() + std::to_string(item.count)},
                 {"seconds", item.seconds},
                 {"gflops", static_cast<double>(item.work.total()) * 1e-9}};
  if (!options.no_peaks) {
    const double limit = static_cast<double>(item.count) / least_seconds(item.demand, speeds.peaks);
    j["gigabytes"] = item.demand.bytes * 1e-9;
    j["limit_tokens_per_second"] = limit;
    j["percent_of_limit"] = 100.0 * item.tokens_per_second() / limit;
    j["bound_by"] = bound_by(item.demand, speeds.peaks);
  }
  if (speeds.memory && speeds.memory->streams_experts)
    j["experts"] = {{"hits", item.traffic.hits},
                    {"misses", item.traffic.misses},
                    {"read_bytes", item.traffic.read_bytes},
                    {"unused_bytes", item.traffic.unused_bytes},
                    {"read_seconds", static_cast<double>(item.traffic.read_ns) * 1e-9},
                    {"wait_seconds", static_cast<double>(item.traffic.wait_ns) * 1e-9},
                    {"memory_bytes", item.traffic.memory_bytes},
                    {"disk_bytes_per_second", speeds.disk.bytes_per_second},
                    {"disk_to_memory_bytes_per_second", speeds.disk_to_memory},
                    {"disk_measurements", speeds.disk_rates}};
  if (options.profile)
    for (const StageRow& row : stage_rows(item, options.repetitions)) {
      ordered_json stage{{"stage", row.name}, {"worker_seconds", row.seconds}, {"share", row.share}};
      if (row.demand.bytes > 0.0) {
        stage["gflop"] = (row.demand.int8_ops + row.demand.float_ops) * 1e-9;
        stage["gigabytes"] = row.demand.bytes * 1e-9;
        stage["limit_worker_seconds"] = least_seconds(row.demand, speeds.peaks) * speeds.threads;
      }
      j["profile"].push_back(std::move(stage));
    }
  return j;
}

ordered_json to_json(const Options& options, const Speeds& speeds) {
  ordered_json out;
  for (const char* kind : {"pp", "tg"}) {
    out[kind] = ordered_json::object();
    for (const Item& item : speeds.items)
      if (item.kind() == kind) out[kind][std::to_string(item.count)] = item.tokens_per_second();
  }
  out["model"] = options.model;
  out["family"] = speeds.family;
  out["formats"] = speeds.formats;
  out["isa"] = isa_name();
  out["threads"] = speeds.threads;
  out["reps"] = options.repetitions;
  out["kv"] = name_of(options.kv);
  out["depth"] = options.depth;
  out["numerics_version"] = moe::kNumericsVersion;
  for (const Item& item : speeds.items) out["items"].push_back(to_json(item, options, speeds));
  if (options.no_peaks) return out;
  const auto peak = [](const Peaks& p) {
    return ordered_json{{"threads", p.threads},
                        {"int8_gops", p.int8_ops * 1e-9},
                        {"float32_gflops", p.float_ops * 1e-9},
                        {"read_gigabytes_per_second", p.read_bytes * 1e-9}};
  };
  out["peaks"] = {{"int8_instruction", int8_instruction()},
                  {"all", peak(speeds.peaks)},
                  {"one", peak(speeds.one_thread)},
                  {"read_before", speeds.bandwidth_before * 1e-9},
                  {"read_after", speeds.bandwidth_after * 1e-9}};
  return out;
}

}  // namespace moe_bench
