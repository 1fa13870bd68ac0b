// moe-bench: tokens per second of prefill (pp) and decode (tg), beside what this machine allows at most.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/limits.hpp"
#include "bench/peaks.hpp"
#include "moe/cpu.hpp"
#include "moe/moe.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "support/show.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

using moe::ErrorCode;
using moe::Result;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string model, json;
  std::vector<std::int64_t> pp = {16, 128, 512}, tg = {32};
  std::int32_t threads = 0;
  std::int32_t repetitions = 3;
  bool no_peaks = false;
  bool profile = false;
};

constexpr char kExamples[] = R"(
Token i is (7919*i + 13) % (vocab - 8) + 4. pp N: one step of N tokens, logits of the last one only. tg N: one token
untimed, then N tokens one by one. Figures are medians of the repetitions. The limit is what this machine's memory and
arithmetic allow, measured in the same run; a model that fits in the caches may be faster than memory.

Examples:
  moe-bench --model model.gguf
  moe-bench --model model.gguf --pp 16,128 --tg 64 --threads 2 --reps 5
  moe-bench --model model.gguf --pp 512 --tg 32 --profile
  moe-bench --model model.gguf --no-peaks --json -      # the last line is JSON

Exit status: 0 done, 1 the model cannot be used, 2 wrong usage, 3 internal or out of memory, 130 interrupted.)";

/// One line of the table.
struct Item {
  Item(bool is_prefill, std::int64_t token_count) : prefill(is_prefill), count(token_count) {}

  bool prefill;
  std::int64_t count;
  std::vector<double> seconds;  // of each repetition
  moe::StageDemands demands;    // of the timed steps; zero without peaks
  moe::Demand demand;           // their sum
  moe::Profile profile;         // of all repetitions, with --profile
  moe::Work work;

  std::string kind() const { return prefill ? "pp" : "tg"; }
  double median_seconds() const {
    std::vector<double> s = seconds;
    std::sort(s.begin(), s.end());
    return s.size() % 2 != 0 ? s[s.size() / 2] : (s[s.size() / 2 - 1] + s[s.size() / 2]) / 2;
  }
  double tokens_per_second() const { return static_cast<double>(count) / median_seconds(); }
};

class Bench {
 public:
  Bench(std::shared_ptr<const moe::Model> model, const moe::ParallelFor& pool, const Options& options)
      : model_(std::move(model)), pool_(pool), options_(options) {
    for (std::int64_t n : options.pp) items_.emplace_back(true, n);
    for (std::int64_t n : options.tg) items_.emplace_back(false, n);
  }

  Result<void> run() {
    if (auto ok = check(); !ok) return ok;
    if (auto ok = open(session_, !options_.no_peaks); !ok) return ok;
    if (options_.no_peaks) {
      if (auto ok = warm_up(); !ok) return ok;
    } else {
      if (auto ok = measure_demands(); !ok) return ok;
      if (auto ok = open(session_, false); !ok) return ok;
      if (auto ok = measure_machine(); !ok) return ok;
    }
    for (std::int32_t r = 0; r < options_.repetitions; ++r)
      for (Item& item : items_)
        if (auto ok = time_once(item); !ok) return ok;
    if (options_.profile)
      if (auto ok = profile_items(); !ok) return ok;
    if (!options_.no_peaks) return measure_bandwidth_again();
    return {};
  }

  std::string table() const;
  std::string profile_table() const;
  ordered_json to_json() const;

 private:
  std::int64_t longest() const {
    std::int64_t n = 8;
    for (const Item& item : items_) n = std::max(n, item.count + (item.prefill ? 0 : 1));
    return n;
  }

  Result<void> check() const {
    const moe::ModelConfig& c = model_->config();
    if (c.vocab_size <= 8)
      return moe::fail(ErrorCode::bad_config,
                       fmt::format("{}: vocabulary of {}, expected more than 8", options_.model, c.vocab_size));
    if (longest() > c.max_position)
      return moe::fail(ErrorCode::bad_argument,
                       fmt::format("{}: {} tokens asked for, expected at most {} (the model's context)", options_.model,
                                   longest(), c.max_position));
    return {};
  }

  Result<void> open(std::unique_ptr<moe::Session>& session, bool record_routing) {
    session.reset();
    moe::SessionOptions o;
    o.max_tokens = longest();
    o.threads = pool_;
    o.record_routing = record_routing;
    o.profile = profiling_;
    o.cancelled = cli::interrupted;
    threads_ = o.threads.worker_count;
    kv_ = o.kv;
    auto made = moe::Session::create(model_, o);
    if (!made) return moe::forward(made);
    session = std::move(*made);
    auto sequence = session->open();
    if (!sequence) return moe::forward(sequence);
    sequence_ = *sequence;
    return {};
  }

  /// Tokens [begin, begin + count) of the rule, appended to the sequence.
  Result<void> step(std::int64_t begin, std::int64_t count) {
    tokens_.clear();
    const std::int64_t vocabulary = model_->config().vocab_size;
    for (std::int64_t i = begin; i < begin + count; ++i)
      tokens_.push_back(static_cast<moe::TokenId>((7919 * i + 13) % (vocabulary - 8) + 4));
    const moe::BatchItem item{sequence_, tokens_, moe::Logits::last};
    auto out = session_->step({&item, 1});
    if (!out) return moe::forward(out);
    return {};
  }

  Result<void> warm_up() {
    if (auto ok = session_->rewind(sequence_, 0); !ok) return ok;
    if (auto ok = step(0, 8); !ok) return ok;
    return session_->rewind(sequence_, 0);
  }

  /// One untimed pass of every item that notes which experts are really touched.
  Result<void> measure_demands() {
    for (Item& item : items_) {
      if (auto ok = session_->rewind(sequence_, 0); !ok) return ok;
      if (item.prefill) {
        if (auto ok = step(0, item.count); !ok) return ok;
        item.demands = moe::step_demand(*model_, kv_, 0, item.count, session_->routing());
        item.demand = item.demands.total();
        continue;
      }
      if (auto ok = step(0, 1); !ok) return ok;
      for (std::int64_t i = 1; i <= item.count; ++i) {
        if (auto ok = step(i, 1); !ok) return ok;
        item.demands += moe::step_demand(*model_, kv_, i, 1, session_->routing());
      }
      item.demand = item.demands.total();
    }
    return {};
  }

  Result<void> measure_machine() {
    auto all = moe_bench::measure_peaks(threads_, cli::interrupted);
    if (!all) return moe::forward(all);
    peaks_ = *all;
    if (threads_ == 1) {
      one_thread_ = peaks_;
      return {};
    }
    auto one = moe_bench::measure_peaks(1, cli::interrupted);
    if (!one) return moe::forward(one);
    one_thread_ = *one;
    return {};
  }

  // Shared machines change while we measure: the limit is the better of the two readings.
  Result<void> measure_bandwidth_again() {
    auto after = moe_bench::measure_read_bandwidth(threads_, cli::interrupted);
    if (!after) return moe::forward(after);
    bandwidth_before_ = peaks_.read_bytes, bandwidth_after_ = *after;
    peaks_.read_bytes = std::max(bandwidth_before_, bandwidth_after_);
    return {};
  }

  // Runs of their own: reading the clock around every task is not part of what is timed.
  Result<void> profile_items() {
    profiling_ = true;
    if (auto ok = open(session_, false); !ok) return ok;
    if (auto ok = warm_up(); !ok) return ok;
    for (std::int32_t r = 0; r < options_.repetitions; ++r)
      for (Item& item : items_) {
        if (auto ok = session_->rewind(sequence_, 0); !ok) return ok;
        if (!item.prefill)
          if (auto ok = step(0, 1); !ok) return ok;
        moe::Profile before = session_->profile();
        if (item.prefill) {
          if (auto ok = step(0, item.count); !ok) return ok;
        } else {
          for (std::int64_t i = 1; i <= item.count; ++i)
            if (auto ok = step(i, 1); !ok) return ok;
        }
        item.profile += session_->profile() - before;
      }
    return {};
  }

  Result<void> time_once(Item& item) {
    if (auto ok = session_->rewind(sequence_, 0); !ok) return ok;
    if (!item.prefill)
      if (auto ok = step(0, 1); !ok) return ok;
    item.work =
        item.prefill ? moe::forward_work(model_->config(), 0, item.count, 1, moe::MlaForm::absorbed) : moe::Work{};
    const auto start = Clock::now();
    if (item.prefill) {
      if (auto ok = step(0, item.count); !ok) return ok;
    } else {
      for (std::int64_t i = 1; i <= item.count; ++i)
        if (auto ok = step(i, 1); !ok) return ok;
    }
    item.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    if (!item.prefill)
      for (std::int64_t i = 1; i <= item.count; ++i)
        item.work += moe::forward_work(model_->config(), i, 1, 1, moe::MlaForm::absorbed);
    return {};
  }

  std::shared_ptr<const moe::Model> model_;
  moe::ParallelFor pool_;
  const Options& options_;
  std::vector<Item> items_;
  std::unique_ptr<moe::Session> session_;
  moe::Sequence sequence_ = 0;
  std::vector<moe::TokenId> tokens_;
  std::int32_t threads_ = 1;
  moe::KvType kv_ = moe::KvType::f16;
  moe_bench::Peaks peaks_, one_thread_;
  double bandwidth_before_ = 0.0, bandwidth_after_ = 0.0;
  bool profiling_ = false;
};

std::string isa_name() {
  const std::string_view isa = moe::active_isa();
  return isa.empty() ? "none" : std::string(isa);
}

std::string Bench::table() const {
  std::string out;
  out += fmt::format("{}: {} {}, {} threads, {}, {} repetitions\n", moe::printable(options_.model),
                     model_->config().family, moe::printable(model_->info().format_summary), threads_, isa_name(),
                     options_.repetitions);
  if (!options_.no_peaks) {
    const auto line = [&out](const moe_bench::Peaks& p, const char* note) {
      out += fmt::format("peak, {} thread{}: int8 {:.0f} GOP/s ({}), float32 {:.0f} GFLOP/s, read {:.1f} GB/s{}\n",
                         p.threads, p.threads == 1 ? "" : "s", p.int8_ops * 1e-9, moe_bench::int8_instruction(),
                         p.float_ops * 1e-9, p.read_bytes * 1e-9, note);
    };
    line(peaks_,
         fmt::format(" (before {:.1f}, after {:.1f})", bandwidth_before_ * 1e-9, bandwidth_after_ * 1e-9).c_str());
    if (threads_ != 1) line(one_thread_, "");
  }
  out += fmt::format("{:<8} {:>10} {:>21} {:>10} {:>8} {:>11} {:>7}  {}\n", "item", "tokens/s", "[least, most]",
                     "GFLOP/s", "GB/s", "limit t/s", "% of it", "bound by");
  for (const Item& item : items_) {
    const double seconds = item.median_seconds(), n = static_cast<double>(item.count);
    const auto [least, most] = std::minmax_element(item.seconds.begin(), item.seconds.end());
    out += fmt::format("{:<8} {:>10.1f} {:>21} {:>10.1f}", item.kind() + std::to_string(item.count),
                       item.tokens_per_second(), fmt::format("[{:.1f}, {:.1f}]", n / *most, n / *least),
                       static_cast<double>(item.work.total()) / seconds * 1e-9);
    if (!options_.no_peaks) {
      const double limit = n / moe_bench::least_seconds(item.demand, peaks_);
      out += fmt::format(" {:>8.1f} {:>11.1f} {:>7.1f}  {}", item.demand.bytes / seconds * 1e-9, limit,
                         100.0 * item.tokens_per_second() / limit,
                         moe_bench::bound_by_bytes(item.demand, peaks_) ? "bytes" : "operations");
    }
    out += "\n";
  }
  return out;
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

std::string Bench::profile_table() const {
  std::string out;
  for (const Item& item : items_) {
    out +=
        fmt::format("\n{:<12} {:>10} {:>7} {:>10} {:>8} {:>10} {:>7}  {}\n", item.kind() + std::to_string(item.count),
                    "worker ms", "%", "GFLOP/s", "GB/s", "limit ms", "% of it", "bound by");
    for (const StageRow& row : stage_rows(item, options_.repetitions)) {
      out += fmt::format("{:<12} {:>10.3f} {:>7.1f}", row.name, row.seconds * 1e3, 100.0 * row.share);
      const double operations = row.demand.int8_ops + row.demand.float_ops;
      if (operations > 0.0 && row.seconds > 0.0) {
        const double least = moe_bench::least_seconds(row.demand, peaks_) * threads_, wall = row.seconds / threads_;
        out += fmt::format(" {:>10.1f} {:>8.1f} {:>10.3f} {:>7.1f}  {}", operations / wall * 1e-9,
                           row.demand.bytes / wall * 1e-9, least * 1e3, 100.0 * least / row.seconds,
                           moe_bench::bound_by_bytes(row.demand, peaks_) ? "bytes" : "operations");
      }
      out += "\n";
    }
  }
  out += fmt::format("worker ms: of all {} workers, a repetition; GFLOP/s and GB/s as if all of them did this stage.\n",
                     threads_);
  return out;
}

ordered_json Bench::to_json() const {
  ordered_json out;
  for (const char* kind : {"pp", "tg"}) {
    out[kind] = ordered_json::object();
    for (const Item& item : items_)
      if (item.kind() == kind) out[kind][std::to_string(item.count)] = item.tokens_per_second();
  }
  out["model"] = options_.model;
  out["family"] = model_->config().family;
  out["formats"] = model_->info().format_summary;
  out["isa"] = isa_name();
  out["threads"] = threads_;
  out["reps"] = options_.repetitions;
  out["numerics_version"] = moe::kNumericsVersion;
  for (const Item& item : items_) {
    ordered_json j{{"item", item.kind() + std::to_string(item.count)},
                   {"seconds", item.seconds},
                   {"gflops", static_cast<double>(item.work.total()) * 1e-9}};
    if (!options_.no_peaks) {
      const double limit = static_cast<double>(item.count) / moe_bench::least_seconds(item.demand, peaks_);
      j["gigabytes"] = item.demand.bytes * 1e-9;
      j["limit_tokens_per_second"] = limit;
      j["percent_of_limit"] = 100.0 * item.tokens_per_second() / limit;
      j["bound_by"] = moe_bench::bound_by_bytes(item.demand, peaks_) ? "bytes" : "operations";
    }
    if (options_.profile)
      for (const StageRow& row : stage_rows(item, options_.repetitions)) {
        ordered_json stage{{"stage", row.name}, {"worker_seconds", row.seconds}, {"share", row.share}};
        if (row.demand.bytes > 0.0) {
          stage["gflop"] = (row.demand.int8_ops + row.demand.float_ops) * 1e-9;
          stage["gigabytes"] = row.demand.bytes * 1e-9;
          stage["limit_worker_seconds"] = moe_bench::least_seconds(row.demand, peaks_) * threads_;
        }
        j["profile"].push_back(std::move(stage));
      }
    out["items"].push_back(std::move(j));
  }
  if (options_.no_peaks) return out;
  const auto peak = [](const moe_bench::Peaks& p) {
    return ordered_json{{"threads", p.threads},
                        {"int8_gops", p.int8_ops * 1e-9},
                        {"float32_gflops", p.float_ops * 1e-9},
                        {"read_gigabytes_per_second", p.read_bytes * 1e-9}};
  };
  out["peaks"] = {{"int8_instruction", moe_bench::int8_instruction()},
                  {"all", peak(peaks_)},
                  {"one", peak(one_thread_)},
                  {"read_before", bandwidth_before_ * 1e-9},
                  {"read_after", bandwidth_after_ * 1e-9}};
  return out;
}

Result<void> run(const Options& options) {
  const auto threads = cli::start_threads(options.threads);
  if (!threads) return moe::forward(threads);
  std::optional<moe::OutputFile> file;  // opened before the minutes that could be lost
  if (!options.json.empty()) {
    if (auto ok = moe::check_not_of_model(options.json, options.model); !ok)
      return moe::fail(ok.error().code, "--json: " + ok.error().message);
    auto opened = moe::OutputFile::create(options.json, {.cancelled = cli::interrupted});
    if (!opened) return moe::forward(opened);
    file.emplace(std::move(*opened));
  }
  moe::LoadOptions load;
  load.threads = *threads;
  load.tokenizer = moe::TokenizerUse::none;  // its tokens are numbers
  load.cancelled = cli::interrupted;
  std::shared_ptr<const moe::Model> model;
  {
    cli::ProgressLine line("loading");
    load.on_progress = [&](moe::Progress p) { line.update(p); };
    auto loaded = moe::Model::load(options.model, load);
    if (!loaded) return moe::forward(loaded);
    model = std::move(*loaded);
  }
  Bench bench(model, *threads, options);
  if (auto ok = bench.run(); !ok) return ok;
  const bool is_shown = file && file->is_stream();
  const std::string json = (is_shown ? moe::ascii_json_text(bench.to_json()) : moe::json_text(bench.to_json())) + "\n";
  const auto printed = cli::print(bench.table() + (options.profile ? bench.profile_table() : ""));
  if (file) {  // also where the table could not be printed
    if (auto ok = file->write(json); !ok) return ok;
    if (auto ok = file->finish(); !ok) return ok;
  }
  return printed;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Measures tokens per second of a model, and the machine's limits beside them.", "moe-bench");
  app.footer(kExamples);
  constexpr moe::Bounds<std::int64_t> kCount{1, 9999999};
  cli::add_path(app, "--model", options.model, "a .gguf file or a Hugging Face directory")->required();
  cli::add_numbers(app, "--pp", options.pp, kCount, "prefill lengths, \"\" for none (16,128,512)");
  cli::add_numbers(app, "--tg", options.tg, kCount, "numbers of tokens decoded one by one, \"\" for none (32)");
  cli::add_threads(app, options.threads);
  cli::add_number(app, "--reps", options.repetitions, moe::Bounds<std::int32_t>{1, 1000},
                  "repetitions of every item (3)");
  auto* no_peaks = app.add_flag("--no-peaks", options.no_peaks, "do not measure the machine, print no limits");
  app.add_flag("--profile", options.profile,
               "where the workers' time goes: a roofline table by layer kind for each item")
      ->excludes(no_peaks);
  cli::add_path(app, "--json", options.json, "write JSON to a file; - prints it as the last line");
  return cli::run(app, argc, argv, [&] { return run(options); });
}
