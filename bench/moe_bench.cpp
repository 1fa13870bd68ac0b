// moe-bench: tokens per second of prefill (pp) and decode (tg), compared with the limits of this machine.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <optional>

#include "bench/bench_output.hpp"
#include "bench/disk_command.hpp"
#include "bench/peaks.hpp"
#include "bench/speeds.hpp"
#include "moe/moe.hpp"
#include "support/seconds_since.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

using moe::ErrorCode;
using moe::Result;
using moe::seconds_since;
using moe_bench::Item;
using moe_bench::Options;
using moe_bench::Speeds;
using Clock = std::chrono::steady_clock;

constexpr char kExamples[] =
    "\n"
    "Token i is (7919*i + 13) % (vocab - 8) + 4. pp N: one step of N tokens, logits of the last one only. "
    "tg N: one token untimed, then N tokens one by one. With --depth both start behind that many tokens. Figures are "
    "medians of the repetitions. The limit "
    "is what this machine's memory and arithmetic allow, measured in the same run; a model that fits in "
    "the caches may be faster than memory.\n"
    R"(
Examples:
  moe-bench --model model.gguf
  moe-bench --model model.gguf --pp 16,128 --tg 64 --threads 2 --reps 5
  moe-bench --model model.gguf --pp 512 --tg 32 --profile
  moe-bench --model model.gguf --pp "" --tg 32 --depth 8000 --kv q8_0
  moe-bench --model model.gguf --no-peaks --json -      # the last line is JSON
  moe-bench --model model.gguf --tg 32 --pp 4096 --memory 8G --pack-cache packs
  moe-bench --disk .                                    # where experts would be read

Exit status: 0 done, 1 bad input, 2 wrong usage, 3 internal or out of memory, 130 interrupted.)";

// Tokens of the cache that the items need.
std::int64_t longest(const Options& options) {
  std::int64_t n = 8;
  for (const std::int64_t count : options.pp) n = std::max(n, options.depth + count);
  for (const std::int64_t count : options.tg) n = std::max(n, std::max<std::int64_t>(1, options.depth) + count);
  return n;
}

// Bytes that the process may hold; 0: the default.
std::int64_t limit_of(const Options& options, const std::optional<moe::MemoryPlan>& memory) {
  return memory ? memory->limit : options.memory;
}

class Bench {
 public:
  /// `machine`: its peaks, and its memory's plan.
  Bench(std::shared_ptr<const moe::Model> model, Speeds machine, const moe::ParallelFor& pool, const Options& options)
      : model_(std::move(model)), pool_(pool), options_(options), speeds_(std::move(machine)) {
    speeds_.family = model_->config().family, speeds_.formats = model_->info().format_summary;
    for (std::int64_t n : options.pp) speeds_.items.emplace_back(true, n);
    for (std::int64_t n : options.tg) speeds_.items.emplace_back(false, n);
  }

  Result<void> run() {
    if (auto ok = open({.record_routing = !options_.no_peaks}); !ok) return ok;
    if (options_.no_peaks) {
      if (auto ok = warm_up(); !ok) return ok;
    } else {
      if (auto ok = measure_demands(); !ok) return ok;
      if (auto ok = open({}); !ok) return ok;
      if (auto ok = measure_disk(); !ok) return ok;
    }
    for (std::int32_t r = 0; r < options_.repetitions; ++r) {
      for (Item& item : speeds_.items)
        if (auto ok = time_once(item); !ok) return ok;
      if (!options_.no_peaks)
        if (auto ok = measure_disk(); !ok) return ok;
    }
    if (options_.profile)
      if (auto ok = profile_items(); !ok) return ok;
    if (!options_.no_peaks) return measure_again();
    return {};
  }

  const Speeds& speeds() const { return speeds_; }

 private:
  /// Tokens in the cache before an item: decoding needs one.
  std::int64_t before(const Item& item) const {
    return item.prefill ? options_.depth : std::max<std::int64_t>(1, options_.depth);
  }

  /// A new session with the options `o`.
  Result<void> open(moe::SessionOptions o) {
    session_.reset();
    o.max_tokens = longest(options_);
    o.threads = pool_;
    if (speeds_.memory) o.chunk_tokens = speeds_.memory->chunk_tokens;
    o.cancelled = cli::interrupted;
    speeds_.threads = o.threads.worker_count;
    o.kv = options_.kv;
    auto made = moe::Session::create(model_, o);
    if (!made) return moe::forward(made);
    session_ = std::move(*made);
    auto sequence = session_->open();
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

  /// A sequence with the tokens before the item, which are computed once in each session.
  Result<void> begin(const Item& item) {
    const auto length = session_->length(sequence_);
    if (!length) return moe::forward(length);
    if (*length >= before(item)) return session_->rewind(sequence_, before(item));
    return step(*length, before(item) - *length);
  }

  /// Calls `body` with the tokens of each measured step.
  template <class Body>
  Result<void> for_each_step(const Item& item, Body&& body) const {
    if (item.prefill) return body(before(item), item.count);
    for (std::int64_t i = 0; i < item.count; ++i)
      if (auto ok = body(before(item) + i, std::int64_t{1}); !ok) return ok;
    return {};
  }
  Result<void> run_steps(const Item& item) {
    return for_each_step(item, [&](std::int64_t begin, std::int64_t count) { return step(begin, count); });
  }

  Result<void> warm_up() {
    if (auto ok = session_->rewind(sequence_, 0); !ok) return ok;
    if (auto ok = step(0, 8); !ok) return ok;
    return session_->rewind(sequence_, 0);
  }

  /// One untimed pass of every item, to record which experts are used.
  Result<void> measure_demands() {
    for (Item& item : speeds_.items) {
      if (auto ok = begin(item); !ok) return ok;
      const auto start = Clock::now();
      const auto done = for_each_step(item, [&](std::int64_t begin, std::int64_t count) {
        auto ok = step(begin, count);
        if (ok) item.demands += moe::step_demand(*model_, options_.kv, begin, count, session_->routing());
        return ok;
      });
      if (!done) return done;
      longest_seconds_ = std::max(longest_seconds_, seconds_since(start));
      item.demand = item.demands.total();
    }
    return {};
  }

  // The packed file itself, because a small new file is often still in a host's memory; in pieces of an expert's size, as
  // far as four of them have room beside the model. In turn with the items and for as long, so that both see the same
  // disk.
  Result<void> measure_disk() {
    constexpr std::int64_t kMostBytes = std::int64_t{4} << 20;
    if (!streams_experts()) return {};
    for (const std::int64_t expert : model_->info().packed.expert) read_bytes_ = std::max(read_bytes_, expert);
    read_bytes_ = std::min(read_bytes_, kMostBytes);
    const auto disk = measure_reads(0);
    if (!disk) return moe::forward(disk);
    speeds_.disk_rates.push_back(disk->bytes_per_second);
    speeds_.disk = *disk;
    speeds_.disk.bytes_per_second = moe_bench::median(speeds_.disk_rates);
    return {};
  }

  bool streams_experts() const { return speeds_.memory && speeds_.memory->streams_experts; }
  // The packed file's disk, after measure_disk() found the size of a read.
  Result<moe_bench::DiskLimit> measure_reads(std::int64_t memory_bytes) const {
    constexpr double kLeastSeconds = 2.0, kMostSeconds = 10.0;
    const auto path = moe::packed_path(options_.pack.path, options_.model);
    if (!path) return moe::forward(path);
    cli::ProgressLine line("measuring the disk");
    const double seconds = std::clamp(longest_seconds_, kLeastSeconds, kMostSeconds);
    const auto file = moe_bench::DiskFile::open(*path, cli::interrupted);
    if (!file) return moe::forward(file);
    return file->measure({read_bytes_, moe::LoadOptions{}.read_threads, seconds, memory_bytes}, cli::interrupted);
  }

  // Speeds of shared machines vary: memory's limit is the better of the two measurements. The model goes first: the
  // buffer has room within --memory then, and so has memory to read into.
  Result<void> measure_again() {
    session_.reset();
    model_.reset();
    if (streams_experts()) {
      const auto disk = measure_reads(std::min(std::int64_t{256} << 20, speeds_.memory->limit / 2));
      if (!disk) return moe::forward(disk);
      speeds_.disk_to_memory = disk->bytes_per_second;
    }
    auto after =
        moe_bench::measure_read_bandwidth(speeds_.threads, cli::interrupted, limit_of(options_, speeds_.memory));
    if (!after) return moe::forward(after);
    speeds_.bandwidth_before = speeds_.peaks.read_bytes, speeds_.bandwidth_after = *after;
    speeds_.peaks.read_bytes = std::max(speeds_.bandwidth_before, speeds_.bandwidth_after);
    return {};
  }

  // Separate runs, so that profiling does not affect the timed ones.
  Result<void> profile_items() {
    if (auto ok = open({.profile = true}); !ok) return ok;
    if (auto ok = warm_up(); !ok) return ok;
    for (std::int32_t r = 0; r < options_.repetitions; ++r)
      for (Item& item : speeds_.items) {
        if (auto ok = begin(item); !ok) return ok;
        const moe::Profile before = session_->profile();
        if (auto ok = run_steps(item); !ok) return ok;
        item.profile += session_->profile() - before;
      }
    return {};
  }

  Result<void> time_once(Item& item) {
    if (auto ok = begin(item); !ok) return ok;
    const moe::ExpertTraffic before = model_->expert_traffic();
    const auto start = Clock::now();
    if (auto ok = run_steps(item); !ok) return ok;
    item.traffic += model_->expert_traffic() - before;
    item.seconds.push_back(seconds_since(start));
    item.work = {};
    return for_each_step(item, [&](std::int64_t begin, std::int64_t count) -> Result<void> {
      item.work += moe::forward_work(model_->config(), begin, count, 1, moe::MlaForm::absorbed);
      return {};
    });
  }

  std::shared_ptr<const moe::Model> model_;
  moe::ParallelFor pool_;
  const Options& options_;
  Speeds speeds_;
  double longest_seconds_ = 0.0;  // of an item
  std::int64_t read_bytes_ = 0;   // from the disk at a time
  std::unique_ptr<moe::Session> session_;
  moe::Sequence sequence_ = 0;
  std::vector<moe::TokenId> tokens_;
};

// Prompts that are longer than an ordinary step are whole passes.
moe::MemoryRequest memory_request(const Options& options, const moe::ParallelFor& threads) {
  std::int64_t longest = 1;
  for (const std::int64_t n : options.pp) longest = std::max(longest, n);
  moe::MemoryRequest request;
  request.limit = options.memory;
  request.whole_passes = longest > request.session.chunk_tokens;
  request.session.kv = options.kv;
  request.session.threads = threads;
  request.session.chunk_tokens = std::clamp(longest, request.session.chunk_tokens, moe::kMaxChunkTokens);
  for (const std::int64_t n : options.tg) longest = std::max(longest, n + 1);
  request.session.max_tokens = longest + options.depth;
  return request;
}

Result<void> check(const Options& options) {
  const auto info = moe::Model::inspect(options.model);
  if (!info) return moe::forward(info);
  const moe::ModelConfig& c = info->config;
  if (c.vocab_size <= 8)
    return moe::fail(ErrorCode::bad_config,
                     fmt::format("{}: vocabulary of {}, expected more than 8", options.model, c.vocab_size));
  if (longest(options) <= c.max_position) return {};
  return moe::fail(ErrorCode::bad_argument,
                   fmt::format("{}: {} tokens asked for, expected at most {} (the model's context)", options.model,
                               longest(options), c.max_position));
}

// Before the model is there: one of the measurements takes a large buffer, which --memory has to hold as well.
Result<void> measure_machine(const Options& options, Speeds& speeds) {
  cli::ProgressLine line("measuring the machine");
  const std::int64_t limit = limit_of(options, speeds.memory);
  const auto all = moe_bench::measure_peaks(speeds.threads, cli::interrupted, limit);
  if (!all) return moe::forward(all);
  speeds.peaks = speeds.one_thread = *all;
  if (speeds.threads == 1) return {};
  const auto one = moe_bench::measure_peaks(1, cli::interrupted, limit);
  if (!one) return moe::forward(one);
  speeds.one_thread = *one;
  return {};
}

Result<void> run(const Options& options) {
  const auto threads = cli::start_threads(options.threads);
  if (!threads) return moe::forward(threads);
  auto output = moe_bench::BenchOutput::open(options.json, options.model);
  if (!output) return moe::forward(output);
  moe::LoadOptions load;
  load.threads = *threads;
  load.tokenizer = moe::TokenizerUse::none;  // its tokens are numbers
  load.cancelled = cli::interrupted;
  if (auto ok = check(options); !ok) return ok;
  auto fitted = cli::fit_memory("moe-bench", options.model, memory_request(options, *threads), options.pack, load);
  if (!fitted) return moe::forward(fitted);
  Speeds machine;
  machine.memory = *fitted, machine.threads = threads->worker_count;
  if (!options.no_peaks)
    if (auto ok = measure_machine(options, machine); !ok) return ok;
  std::shared_ptr<const moe::Model> model;
  {
    cli::ProgressLine line("loading");
    load.on_progress = [&](moe::Progress p) { line.update(p); };
    auto loaded = moe::Model::load(options.model, load);
    if (!loaded) return moe::forward(loaded);
    model = std::move(*loaded);
  }
  Bench bench(std::move(model), std::move(machine), *threads, options);
  if (auto ok = bench.run(); !ok) return ok;
  const Speeds& speeds = bench.speeds();
  return output->write(moe_bench::table(options, speeds) + moe_bench::traffic_table(options, speeds) +
                           (options.profile ? moe_bench::profile_table(options, speeds) : ""),
                       moe_bench::to_json(options, speeds));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string kv;
  CLI::App app("Measures tokens per second of a model, and the machine's limits.", "moe-bench");
  app.footer(kExamples);
  constexpr moe::Bounds<std::int64_t> kCount{1, 9999999};
  cli::add_path(app, "--model", options.model, "a .gguf file or a Hugging Face directory");
  cli::add_numbers(app, "--pp", options.pp, kCount, "prefill lengths, \"\" for none (16,128,512)");
  cli::add_numbers(app, "--tg", options.tg, kCount, "numbers of tokens decoded one by one, \"\" for none (32)");
  cli::add_number(app, "--depth", options.depth, moe::Bounds<std::int64_t>{0, 9999999},
                  "tokens in the cache before every item, untimed (0)");
  cli::add_kv(app, kv);
  cli::add_threads(app, options.threads);
  cli::add_pack_cache(app, options.pack);
  cli::add_memory(app, options.memory);
  cli::add_number(app, "--reps", options.repetitions, moe::Bounds<std::int32_t>{1, 1000},
                  "repetitions of every item (3)");
  auto* no_peaks = app.add_flag("--no-peaks", options.no_peaks, "do not measure the machine, and print no limits");
  app.add_flag("--profile", options.profile,
               "where the workers' time goes: a roofline table by layer kind for each item")
      ->excludes(no_peaks);
  cli::add_path(app, "--json", options.json, "write JSON to a file; - prints it as the last line");
  std::string disk;
  cli::add_path(app, "--disk", disk,
                "only measure how fast a file, or a file that is made in a folder, is read past the page cache; takes "
                "no option but --json");
  return cli::run(app, argc, argv, [&]() -> Result<void> {
    if (!disk.empty()) {
      // Not by CLI's excludes(), which shows on every line of --help.
      for (const CLI::Option* option : app.get_options())
        if (option->count() > 0 && !option->check_name("--disk") && !option->check_name("--json"))
          throw CLI::ExcludesError("--disk", option->get_name());
      return moe_bench::disk_command(disk, options.json);
    }
    if (options.model.empty()) throw CLI::RequiredError("--model");
    options.kv = cli::kv_of(kv, moe::Precision::automatic);
    return run(options);
  });
}
