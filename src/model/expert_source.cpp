#include "model/expert_source.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "support/now.hpp"
#include "support/start_thread.hpp"

namespace moe::inline MOE_ABI {
namespace {

// Besides those that read.
constexpr std::int32_t kCheckThreads = 2;

Result<std::vector<ExpertCache::Shape>> shapes_of(const Weights& weights) {
  std::vector<ExpertCache::Shape> shapes;
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const auto& experts = weights.layers[l].experts;
    ExpertCache::Shape shape;
    if (!experts.empty()) {
      shape.experts = static_cast<std::int64_t>(experts.size());
      shape.bundle_bytes = BundleLayout::of(experts.front()).bytes;
      for (std::size_t e = 1; e < experts.size(); ++e)
        if (BundleLayout::of(experts[e]).bytes != shape.bundle_bytes)
          return fail(
              ErrorCode::unsupported,
              fmt::format("layer {}: expert {} has {} bytes of weights and expert 0 has {}, expected experts of "
                          "one format to read them from a file",
                          l, e, BundleLayout::of(experts[e]).bytes, shape.bundle_bytes));
    }
    shapes.push_back(shape);
  }
  return shapes;
}

}  // namespace

Result<std::shared_ptr<ExpertSource>> ExpertSource::create(std::shared_ptr<const ExpertReader> reader,
                                                           const Weights& weights, const Options& options) {
  auto shapes = shapes_of(weights);
  if (!shapes) return forward(shapes);
  if (options.read_threads < 1 || options.read_threads > 64)
    return fail(ErrorCode::bad_argument, fmt::format("read_threads is {}, expected 1 to 64", options.read_threads));
  std::shared_ptr<ExpertSource> source(new ExpertSource(std::move(reader), std::move(*shapes), options.read_threads));
  if (auto ok = source->cache_.create(source->shapes_, options.bytes); !ok) return forward(ok);
  source->traffic_.memory_bytes = source->cache_.bytes();
  const auto started = start_threads<&ExpertSource::work>("reads experts", options.read_threads + kCheckThreads,
                                                          source.get(), source->threads_);
  if (!started) return forward(started);
  return source;
}

ExpertSource::~ExpertSource() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  has_work_.notify_all();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
}

ExpertTraffic ExpertSource::traffic() const {
  const std::lock_guard lock(mutex_);
  ExpertTraffic traffic = traffic_;
  traffic.unused_bytes = cache_.unused_bytes();
  return traffic;
}

// ---- threads that read and check

// Threads that have nothing to read check what others have read: the disk seldom waits for checksums.
void ExpertSource::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto can_read = [&] { return !requests_.empty() && reading_ < most_reads_; };
    has_work_.wait(lock, [&] { return ends_ || can_read() || !unchecked_.empty(); });
    if (ends_) return;
    can_read() ? read_next(lock) : check_next(lock);
  }
}

// The first expert's parts come first: it can be computed while the threads read the next one's.
void ExpertSource::read_next(std::unique_lock<std::mutex>& lock) {
  Request& request = requests_.front();
  CachedExpert& e = cache_.at(request.layer, request.expert);
  const auto parts = static_cast<std::int32_t>(reader_->part_count(request.layer));
  if (request.part == 0) {
    if (e.pins == 0) {  // cancelled
      cache_.drop(request.layer, request.expert);
      requests_.pop_front();
      return has_changed_.notify_all();
    }
    e.state = State::reading, e.parts_left = parts;
  }
  const Request part = request;
  if (++request.part == parts) requests_.pop_front();
  const std::span<std::byte> bundle = cache_.memory(part.layer, part.expert);
  if (reading_++ == 0) reading_since_ns_ = now_ns();
  lock.unlock();
  const auto done = reader_->read(part.layer, part.expert, part.part, bundle);
  lock.lock();
  if (--reading_ == 0) traffic_.read_ns += now_ns() - reading_since_ns_;
  if (!done) return finish_part(part, done);
  unchecked_.push_back(part);
  if (requests_.empty()) return;  // this thread checks one
  has_work_.notify_one();
  has_changed_.notify_all();  // a visit that waits can check it too
}

void ExpertSource::check_next(std::unique_lock<std::mutex>& lock) {
  const Request part = unchecked_.front();
  unchecked_.pop_front();
  const std::span<const std::byte> bundle = cache_.memory(part.layer, part.expert);
  lock.unlock();
  const auto done = reader_->check(part.layer, part.expert, part.part, bundle);
  lock.lock();
  finish_part(part, done);
}

// An expert that failed keeps its slot until no thread writes into it or checks a part of it.
void ExpertSource::finish_part(const Request& part, const Result<void>& done) {
  CachedExpert& e = cache_.at(part.layer, part.expert);
  e.parts_left -= 1;
  if (!done) {
    if (!e.error) e.error = done.error();
    std::erase_if(requests_, [&](const Request& r) {
      const bool is_rest = r.layer == part.layer && r.expert == part.expert;
      if (is_rest) e.parts_left -= static_cast<std::int32_t>(reader_->part_count(r.layer)) - r.part;
      return is_rest;
    });
  }
  if (e.parts_left > 0) return;
  e.state = e.error ? State::failed : State::ready;
  if (!e.error) traffic_.read_bytes += reader_->bundle_bytes(part.layer);
  if (e.pins == 0 && (e.is_transient || e.error)) cache_.drop(part.layer, part.expert);
  has_changed_.notify_all();
}

// ---- visits; the lock is held in all of these

// False: every slot is in use.
bool ExpertSource::start(std::int64_t layer, std::int32_t expert, bool may_evict) {
  if (!cache_.take_slot(layer, expert, may_evict)) return false;
  CachedExpert& e = cache_.at(layer, expert);
  e.state = State::queued, e.is_guess = false;
  requests_.push_back({layer, expert});
  return true;
}

void ExpertSource::unpin(std::int64_t layer, std::int32_t expert) {
  CachedExpert& e = cache_.at(layer, expert);
  if (--e.pins > 0) return;
  const bool is_done = e.state == State::ready || e.state == State::failed;  // else it is dropped when it is read
  if (is_done && (e.is_transient || e.state == State::failed)) cache_.drop(layer, expert);
  has_changed_.notify_all();
}

// The last 32 or so count.
void ExpertSource::note(const Guess& guess, bool right) {
  if (guess.rank == kCertain) return;
  const auto rank = static_cast<std::size_t>(guess.rank);
  if (right_.size() <= rank) right_.resize(rank + 1, 1.0);
  right_[rank] += ((right ? 1.0 : 0.0) - right_[rank]) / 32.0;
}

std::int32_t ExpertSource::guessed_ranks(std::int32_t top_k) {
  constexpr std::int64_t kTryEvery = 16;
  const std::lock_guard lock(mutex_);
  std::int32_t ranks = 0;
  while (ranks < top_k &&
         (right_.size() <= static_cast<std::size_t>(ranks) || right_[static_cast<std::size_t>(ranks)] >= 0.5))
    ++ranks;
  return ranks < top_k && ++limited_ % kTryEvery == 0 ? ranks + 1 : ranks;
}

void ExpertSource::drop_ahead() {
  for (const Ahead& a : ahead_) unpin(a.layer, a.guess.expert);
  ahead_.clear();
}

// The visit's pins keep the right ones. A failed one gives its slot back: it is read again.
void ExpertSource::settle_guesses(std::int64_t layer, std::span<const std::int32_t> experts) {
  for (const Ahead& a : ahead_) {
    const std::int32_t expert = a.guess.expert;
    const bool is_right = a.layer == layer && std::find(experts.begin(), experts.end(), expert) != experts.end();
    if (a.layer == layer) note(a.guess, is_right);
    if (is_right && cache_.at(layer, expert).state != State::failed) cache_.admit(layer, expert);
    unpin(a.layer, expert);
  }
  ahead_.clear();
}

void ExpertSource::ask(Visit& visit) {
  while (!visit.wanted_.empty()) {
    const std::int32_t expert = visit.wanted_.back();
    CachedExpert& e = cache_.at(visit.layer_, expert);
    if (e.state == State::failed && e.pins == 0) cache_.drop(visit.layer_, expert);
    if (e.state == State::absent && !start(visit.layer_, expert, true)) {
      // Reads ahead of another session may hold the slots.
      if (ahead_.empty()) break;
      drop_ahead();
      if (!start(visit.layer_, expert, true)) break;
    }
    pin(e);
    visit.asked_.push_back(expert);
    visit.wanted_.pop_back();
  }
  if (visit.wanted_.empty()) ask_ahead(visit);
  if (!requests_.empty()) has_work_.notify_all();
}

void ExpertSource::ask_ahead(Visit& visit) {
  while (!visit.ahead_.empty()) {
    const Guess guess = visit.ahead_.back();
    CachedExpert& e = cache_.at(visit.ahead_layer_, guess.expert);
    if (e.state == State::absent) {
      if (!start(visit.ahead_layer_, guess.expert, false)) return;
      e.pins += 1, e.is_guess = true;
      ahead_.push_back({visit.ahead_layer_, guess});
    }
    visit.ahead_.pop_back();
  }
}

ExpertSource::Visit ExpertSource::visit(std::int64_t layer, std::span<const std::int32_t> experts) {
  Visit visit(*this, layer);
  const std::lock_guard lock(mutex_);
  cache_.count_visit(layer, experts);
  const auto was_guessed = [&](std::int32_t expert) {
    return std::any_of(ahead_.begin(), ahead_.end(),
                       [&](const Ahead& a) { return a.layer == layer && a.guess.expert == expert; });
  };
  for (const std::int32_t expert : experts) {
    CachedExpert& e = cache_.at(layer, expert);
    (e.state == State::ready && !was_guessed(expert) ? traffic_.hits : traffic_.misses) += 1;
    if (e.state == State::ready || e.state == State::reading || e.state == State::queued) {
      pin(e);
      visit.asked_.push_back(expert);
    } else {
      visit.wanted_.push_back(expert);
    }
  }
  // After all that is there is pinned: what is admitted now makes none of it leave.
  settle_guesses(layer, experts);
  std::sort(visit.wanted_.begin(), visit.wanted_.end(),
            [&](std::int32_t a, std::int32_t b) { return reader_->position(layer, a) > reader_->position(layer, b); });
  ask(visit);
  return visit;
}

Result<std::vector<ExpertLease>> ExpertSource::Visit::next(std::size_t most) {
  ExpertSource& s = *source_;
  std::vector<ExpertLease> leases;
  std::unique_lock lock(s.mutex_);
  const auto take = [&](bool transient) {
    std::erase_if(asked_, [&](std::int32_t expert) {
      const CachedExpert& e = s.cache_.at(layer_, expert);
      if (leases.size() == most || e.state != State::ready || e.is_transient != transient) return false;
      leases.push_back({expert, s.cache_.memory(layer_, expert).data()});
      given_.push_back(expert);
      return true;
    });
  };
  for (;;) {
    s.ask(*this);
    if (asked_.empty() && wanted_.empty()) return leases;
    for (const std::int32_t expert : asked_)
      if (const CachedExpert& e = s.cache_.at(layer_, expert); e.state == State::failed)
        return tl::unexpected<Error>(*e.error);
    take(true);
    take(false);
    if (!leases.empty()) return leases;
    const std::int64_t started = now_ns();
    s.unchecked_.empty() ? s.has_changed_.wait(lock) : s.check_next(lock);
    s.traffic_.wait_ns += now_ns() - started;
  }
}

void ExpertSource::Visit::read_ahead(std::int64_t layer, std::span<const Guess> guesses) {
  const std::lock_guard lock(source_->mutex_);
  ahead_layer_ = layer;
  ahead_.assign(guesses.rbegin(), guesses.rend());
  source_->ask(*this);
}

void ExpertSource::Visit::release(std::int32_t expert) {
  const std::lock_guard lock(source_->mutex_);
  std::erase(given_, expert);
  source_->unpin(layer_, expert);
  source_->ask(*this);
}

ExpertSource::Visit::~Visit() {
  if (source_ == nullptr) return;
  const std::lock_guard lock(source_->mutex_);
  for (const std::int32_t expert : asked_) source_->unpin(layer_, expert);
  for (const std::int32_t expert : given_) source_->unpin(layer_, expert);
}

}  // namespace moe::inline MOE_ABI
