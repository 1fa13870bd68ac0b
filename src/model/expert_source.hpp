#pragma once
// Experts that are read when a layer needs them: a cache in memory, threads that read, and visits by sessions.

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "model/expert_cache.hpp"
#include "model/expert_reader.hpp"
#include "moe/expert_traffic.hpp"

namespace moe::inline MOE_ABI {

/// An expert in memory until it is released.
struct ExpertLease {
  std::int32_t expert = 0;
  const std::byte* panels = nullptr;
};

/// Thread-safe. Which experts are in memory changes speed only: kernels see the same panels in any case.
class ExpertSource {
 public:
  struct Options {
    std::int64_t bytes = 0;         ///< of memory for experts
    std::int32_t read_threads = 4;  ///< reads at a time, 1 to 64
  };
  /// Errors: out_of_memory (naming the least that works), io (no thread), unsupported (experts of one layer differ).
  static Result<std::shared_ptr<ExpertSource>> create(std::shared_ptr<const ExpertReader> reader,
                                                      const Weights& weights, const Options& options);
  ~ExpertSource();
  ExpertSource(const ExpertSource&) = delete;
  ExpertSource& operator=(const ExpertSource&) = delete;

  /// An expert that a layer may need: its rank among those that a router chose for a token; kCertain: it will.
  struct Guess {
    std::int32_t expert = 0;
    std::int32_t rank = 0;
  };
  static constexpr std::int32_t kCertain = -1;

  /// One layer's use of some experts by one session. Ends with all its leases released.
  class Visit {
   public:
    Visit(Visit&& o) noexcept
        : source_(std::exchange(o.source_, nullptr)),
          layer_(o.layer_),
          ahead_layer_(o.ahead_layer_),
          ahead_(std::move(o.ahead_)),
          wanted_(std::move(o.wanted_)),
          asked_(std::move(o.asked_)),
          given_(std::move(o.given_)) {}
    Visit& operator=(Visit&&) = delete;
    ~Visit();
    /// Waits for at least one expert that was not given yet, and returns up to `most` that are there, those first whose
    /// slots others wait for; empty after the last.
    /// Errors: those of ExpertReader::read and check.
    Result<std::vector<ExpertLease>> next(std::size_t most);
    void release(std::int32_t expert);
    /// Experts of a later layer that may be read once all of this visit's are asked for, the likeliest first. What the
    /// next visit does not need is cancelled.
    void read_ahead(std::int64_t layer, std::span<const Guess> guesses);

   private:
    friend class ExpertSource;
    Visit(ExpertSource& source, std::int64_t layer) : source_(&source), layer_(layer) {}
    ExpertSource* source_;  // null after a move
    std::int64_t layer_, ahead_layer_ = -1;
    std::vector<Guess> ahead_;          // of ahead_layer_, not asked for yet, the likeliest last
    std::vector<std::int32_t> wanted_;  // not asked for yet, last in file order first
    std::vector<std::int32_t> asked_;   // pinned, not given yet
    std::vector<std::int32_t> given_;   // pinned, not released yet
  };
  Visit visit(std::int64_t layer, std::span<const std::int32_t> experts);

  /// How many of each token's experts, best first, are worth guessing: at most `top_k`, and only ranks at which at
  /// least half of the latest guesses were right. Now and then one rank more, because a rank's rate cannot improve
  /// while it is not guessed.
  std::int32_t guessed_ranks(std::int32_t top_k);

  ExpertTraffic traffic() const;

 private:
  ExpertSource(std::shared_ptr<const ExpertReader> reader, std::vector<ExpertCache::Shape> shapes,
               std::int32_t read_threads)
      : reader_(std::move(reader)), shapes_(std::move(shapes)), most_reads_(read_threads) {}

  struct Request {
    std::int64_t layer = 0;
    std::int32_t expert = 0;
    std::int32_t part = 0;  // the next one to read
  };
  struct Ahead {
    std::int64_t layer = 0;
    Guess guess;
  };
  using State = CachedExpert::State;
  void work();
  void read_next(std::unique_lock<std::mutex>& lock);
  void check_next(std::unique_lock<std::mutex>& lock);
  void finish_part(const Request& part, const Result<void>& done);
  void ask(Visit& visit);
  void ask_ahead(Visit& visit);
  bool start(std::int64_t layer, std::int32_t expert, bool may_evict);
  static void pin(CachedExpert& e) { e.pins += 1, e.is_guess = false; }
  void unpin(std::int64_t layer, std::int32_t expert);
  void drop_ahead();
  void settle_guesses(std::int64_t layer, std::span<const std::int32_t> experts);
  void note(const Guess& guess, bool right);

  std::shared_ptr<const ExpertReader> reader_;
  std::vector<ExpertCache::Shape> shapes_;  // [layer]
  const std::int32_t most_reads_;           // at a time
  mutable std::mutex mutex_;
  std::condition_variable has_work_, has_changed_;
  ExpertCache cache_;
  std::deque<Request> requests_;
  std::deque<Request> unchecked_;  // parts that were read
  std::vector<Ahead> ahead_;       // pinned by the source until their layer's visit
  std::vector<double> right_;      // [rank] share of the last guesses that were needed
  std::int64_t limited_ = 0;       // guesses that left out ranks
  ExpertTraffic traffic_;
  std::int32_t reading_ = 0;  // parts, now
  std::int64_t reading_since_ns_ = 0;
  bool ends_ = false;
  std::vector<pthread_t> threads_;
};

}  // namespace moe::inline MOE_ABI
