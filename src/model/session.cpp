#include "moe/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "model/forward.hpp"
#include "model/logit_rows.hpp"
#include "model/long_ropes.hpp"
#include "model/sequence_states.hpp"
#include "model/session_options.hpp"
#include "model/stages.hpp"
#include "support/float_environment.hpp"
#include "support/show.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {
namespace {

// Of an MTP layer, which has a state for every token.
Result<void> check_states(const ModelConfig& c, const BatchItem& item) {
  const std::size_t wanted = c.is_mtp_layer ? item.tokens.size() * static_cast<std::size_t>(c.hidden_size) : 0;
  if (item.states.size() == wanted) return {};
  return fail(ErrorCode::bad_argument,
              fmt::format("sequence {} has {} numbers of states, expected {}{}", item.sequence, item.states.size(),
                          wanted, c.is_mtp_layer ? "" : ": the model is no MTP layer"));
}

}  // namespace

struct Session::Impl {
  std::shared_ptr<const Model> model;
  SessionOptions options;
  KvCache cache;
  LongRopes long_ropes;
  SequenceStates states;
  Forward forward;
  Work executed;
  Profile profile;
  // Two, so that no allocation is needed if a caller holds the last step's logits during the next one.
  std::array<std::shared_ptr<AlignedBuffer<float>>, 2> logit_buffers;
  std::shared_ptr<AlignedBuffer<float>> logits;  // of the current step

  Impl(std::shared_ptr<const Model> m, const SessionOptions& o)
      : model(std::move(m)),
        options(o),
        cache(model->config(), o.kv, cache_tokens(model->config(), o), model->layers()),
        long_ropes(model->config().rope),
        states(model->config(), o) {}

  Result<void> check(Batch batch) const;
  Result<void> run_chunks(Batch batch, const std::vector<StepRun>& runs, std::int64_t rows, const RowReader* read);
  Result<void> run(Batch batch, const std::vector<StepRun>& runs, std::int64_t rows, const RowReader* read);
  Result<StepOutput> step(Batch batch, const RowReader* read);
  Result<void> take_logits(std::int64_t rows);

  StageLink* link() const { return is_pipeline(options) ? &link_of(*options.stages) : nullptr; }
  /// Stage 0 of a pipeline: other stages repeat the change.
  void note(StageOperation::Kind kind, std::int64_t sequence, std::int64_t value) {
    if (StageLink* l = link(); l != nullptr && l->is_first()) l->note({kind, sequence, value});
  }
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

namespace {

tl::unexpected<Error> no_such_isa() {
  const char* found = std::getenv("MOE_ISA");
  std::string names;
  int count = 0;
  const kernels::KernelTable* const* tables = kernels::runnable_tables(count);
  for (int i = 0; i < count; ++i) names += (i == 0 ? "" : ", ") + std::string(tables[i]->isa);
  return fail(ErrorCode::unsupported, fmt::format("MOE_ISA is {}, expected what this machine runs: {}",
                                                  in_quotes(found == nullptr ? "" : found), names));
}

}  // namespace

Session::~Session() {
  if (StageLink* link = impl_->link(); link != nullptr && link->is_first()) link->end_session();
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionOptions& options) {
  const FloatEnvironment environment;  // of RoPE's frequencies and the like
  if (model == nullptr) return fail(ErrorCode::bad_argument, "model is null");
  if (auto ok = check(options); !ok) return moe::forward(ok);
  const kernels::KernelTable* table = kernels::active_table();
  if (table == nullptr) return no_such_isa();
  auto impl = std::make_unique<Impl>(std::move(model), options);
  if (auto ok = impl->forward.create(impl_of(*impl->model), impl->options, impl->cache, impl->states.layout(), *table);
      !ok)
    return moe::forward(ok);
  if (auto ok = agree_with_stages(*impl->model, impl->options); !ok) return moe::forward(ok);
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<Sequence> Session::open() {
  auto sequence = impl_->cache.open();
  if (sequence) impl_->note(StageOperation::Kind::open, *sequence, 0);
  return sequence;
}
Result<Sequence> Session::fork(Sequence parent) {
  auto child = impl_->cache.fork(parent);
  if (!child) return child;
  impl_->long_ropes.fork(parent, *child);
  impl_->states.fork(parent, *child);
  impl_->note(StageOperation::Kind::fork, *child, parent);
  return child;
}
Result<void> Session::rewind(Sequence sequence, std::int64_t length) {
  if (auto ok = impl_->cache.rewind(sequence, length); !ok) return ok;
  impl_->long_ropes.rewind(sequence, length);
  impl_->states.rewind(sequence, length);
  impl_->note(StageOperation::Kind::rewind, sequence, length);
  return {};
}
Result<void> Session::close(Sequence sequence) {
  auto ok = impl_->cache.close(sequence);
  if (!ok) return ok;
  impl_->states.close(sequence);
  impl_->note(StageOperation::Kind::close, sequence, 0);
  return {};
}
Result<std::int64_t> Session::length(Sequence sequence) const { return impl_->cache.length(sequence); }
std::int64_t Session::free_tokens() const { return impl_->cache.free_pages() * kPageTokens; }
std::int64_t Session::closing_frees(std::span<const Sequence> sequences) const {
  return impl_->cache.pages_held_by(sequences) * kPageTokens;
}
const Work& Session::executed() const { return impl_->executed; }
const ExpertLoad& Session::expert_load() const { return impl_->forward.load; }
const Profile& Session::profile() const { return impl_->profile; }
const std::vector<std::vector<TokenRouting>>& Session::routing() const { return impl_->forward.routing; }
const std::vector<std::vector<float>>& Session::hidden() const { return impl_->forward.hidden; }
const std::vector<std::vector<std::vector<std::int32_t>>>& Session::chosen_keys() const {
  return impl_->forward.chosen_keys;
}
const std::vector<float>& Session::states() const { return impl_->forward.recorded_states; }
const Model& Session::model() const { return *impl_->model; }
const SessionOptions& Session::options() const { return impl_->options; }

Result<void> Session::Impl::check(Batch batch) const {
  const ModelConfig& c = model->config();
  std::vector<Sequence> seen;
  for (const BatchItem& item : batch) {
    auto length = cache.length(item.sequence);
    if (!length) return moe::forward(length);
    const auto count = static_cast<std::int64_t>(item.tokens.size());
    if (count > c.max_position || *length + count > c.max_position)
      return fail(ErrorCode::bad_argument,
                  fmt::format("sequence {} would have {} tokens, expected at most {} (the model's context)",
                              item.sequence, *length + count, c.max_position));
    for (std::size_t i = 0; i < item.tokens.size(); ++i)
      if (item.tokens[i] < 0 || item.tokens[i] >= c.vocab_size)
        return fail(ErrorCode::bad_argument, fmt::format("token {} of sequence {} is {}, expected an id from 0 to {}",
                                                         i, item.sequence, item.tokens[i], c.vocab_size - 1));
    if (item.tally < 0 || item.tally >= kMaxTallies)
      return fail(ErrorCode::bad_argument, fmt::format("tally of sequence {} is {}, expected 0 to {}", item.sequence,
                                                       item.tally, kMaxTallies - 1));
    if (auto ok = check_states(c, item); !ok) return ok;
    seen.push_back(item.sequence);
  }
  std::sort(seen.begin(), seen.end());
  const auto twice = std::adjacent_find(seen.begin(), seen.end());
  if (twice != seen.end())
    return fail(ErrorCode::bad_argument, fmt::format("sequence {} is twice in the batch, expected once", *twice));
  return {};
}

// A buffer that nobody else holds, or a new one: logits of earlier steps stay unchanged.
Result<void> Session::Impl::take_logits(std::int64_t rows) {
  logits = nullptr;
  std::uint64_t values = 0;
  if (!checked_multiply(static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(model->config().vocab_size),
                        values))
    return fail(ErrorCode::out_of_memory, fmt::format("{} rows of logits exceed the address space", rows));
  const auto is_free = [](const auto& held) { return held == nullptr || held.use_count() == 1; };
  auto free = std::find_if(logit_buffers.begin(), logit_buffers.end(), is_free);
  if (free == logit_buffers.end()) free = logit_buffers.begin();  // holders keep it alive
  if (*free != nullptr && is_free(*free) && (*free)->size() >= values) {
    // Another thread may have released it last: its reads must happen before our writes.
    std::atomic_thread_fence(std::memory_order_acquire);
  } else {
    auto buffer = AlignedBuffer<float>::create(values);
    if (!buffer) return moe::forward(buffer);
    *free = std::make_shared<AlignedBuffer<float>>(std::move(*buffer));
  }
  logits = *free;
  return {};
}

// Splits the batch into chunks of at most chunk_tokens. Results do not depend on the split. read: where the logits are
// read in slices, else null.
Result<void> Session::Impl::run_chunks(Batch batch, const std::vector<StepRun>& runs, std::int64_t rows,
                                       const RowReader* read) {
  LogitTarget out;
  if (read != nullptr) out.read = read, out.slice_rows = max_logit_rows(model->config().vocab_size);
  if (auto ok = take_logits(read != nullptr ? std::min(rows, out.slice_rows) : rows); !ok) return ok;
  std::int64_t total = 0, done = 0, rows_done = 0;
  for (const StepRun& run : runs) total += static_cast<std::int64_t>(run.tokens.size());
  Chunk chunk;
  const auto flush = [&]() -> Result<void> {
    if (chunk.ids.empty()) return {};
    out.first = rows_done;
    out.data = logits->data() + (read != nullptr ? 0 : rows_done * model->config().vocab_size);
    if (auto ok = forward.run(chunk, out); !ok) return ok;
    rows_done += static_cast<std::int64_t>(chunk.logit_rows.size());
    done += chunk.size();
    if (options.on_progress) options.on_progress({done, total});
    chunk = Chunk{};
    return {};
  };
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const StepRun& run = runs[r];
    const Logits wanted = batch[r].logits;
    const auto count = static_cast<std::int64_t>(run.tokens.size());
    for (std::int64_t i = 0; i < count;) {
      const std::int64_t take = std::min(count - i, options.chunk_tokens - chunk.size());
      chunk.segments.push_back({run.sequence, run.position + i, chunk.size(), take, r, {}});
      chunk.segments.back().again = std::clamp<std::int64_t>(run.again - i, 0, take);
      if (states.applies()) chunk.segments.back().states = states.pieces(r, i, take);
      for (std::int64_t j = i; j < i + take; ++j) {
        if ((wanted == Logits::all && j >= run.again) || (wanted == Logits::last && j == count - 1))
          chunk.logit_rows.push_back(static_cast<std::int32_t>(chunk.size()));
        chunk.ids.push_back(run.tokens[static_cast<std::size_t>(j)]);
        if (!batch[r].states.empty()) chunk.states.push_back(batch[r].states.data() + j * model->config().hidden_size);
        chunk.beyond.push_back(run.beyond);
        chunk.positions.push_back(run.position + j);
      }
      i += take;
      if (chunk.size() == options.chunk_tokens)
        if (auto ok = flush(); !ok) return ok;
    }
  }
  return flush();
}

namespace {

// Releases a step's reservation unless it is committed, also after a failed allocation.
class Reservation {
 public:
  Reservation(KvCache& cache, LongRopes& ropes, SequenceStates& states, Batch batch, const std::vector<StepRun>& runs)
      : cache_(cache), ropes_(ropes), states_(states), batch_(batch), runs_(runs) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    if (committed_) return;
    for (const StepRun& run : runs_) cache_.trim(run.sequence);
    states_.drop();
    ropes_.drop(batch_, runs_, cache_);
  }
  void commit() {
    committed_ = true;
    for (const StepRun& run : runs_)
      cache_.commit(run.sequence, static_cast<std::int64_t>(run.appended(cache_).size()));
    if (states_.applies()) states_.commit(batch_);
    ropes_.commit(batch_, runs_, cache_);
  }

 private:
  KvCache& cache_;
  LongRopes& ropes_;
  SequenceStates& states_;
  Batch batch_;
  const std::vector<StepRun>& runs_;
  bool committed_ = false;
};

}  // namespace

/// Reserves room, which the caller commits or releases, and computes.
Result<void> Session::Impl::run(Batch batch, const std::vector<StepRun>& runs, std::int64_t rows,
                                const RowReader* read) {
  std::vector<BatchItem> items(batch.begin(), batch.end());
  for (std::size_t i = 0; i < items.size(); ++i)
    items[i].sequence = runs[i].sequence, items[i].tokens = runs[i].appended(cache);
  if (auto ok = cache.reserve(items); !ok) return ok;
  forward.begin(items);
  const bool leads = link() != nullptr && link()->is_first();
  if (leads)
    if (auto ok = link()->begin_step(batch); !ok) return ok;
  const auto started = std::chrono::steady_clock::now();
  Result<void> done = run_chunks(batch, runs, rows, read);
  if (leads) done = forward.end_step(std::move(done));
  executed += forward.collect_work();
  if (options.profile) {
    const auto wall = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - started);
    profile += forward.collect_profile();
    profile.total_ns += wall.count() * options.threads.worker_count;
  }
  return done;
}

Result<StepOutput> Session::Impl::step(Batch batch, const RowReader* read) {
  const FloatEnvironment environment;  // of what this thread computes between the tasks
  if (auto ok = check(batch); !ok) return moe::forward(ok);
  const ModelConfig& c = model->config();
  std::int64_t rows = 0;
  for (const BatchItem& item : batch) {
    const auto count = static_cast<std::int64_t>(item.tokens.size());
    rows += item.logits == Logits::all ? count : (item.logits == Logits::last && count > 0 ? 1 : 0);
  }
  auto runs = long_ropes.begin(batch, cache);
  if (!runs) return moe::forward(runs);
  if (states.applies())
    if (auto ok = states.begin(batch, *runs); !ok) return moe::forward(ok);
  Reservation reserved(cache, long_ropes, states, batch, *runs);
  const Result<void> done = run(batch, *runs, rows, read);
  const auto buffer = std::move(logits);  // the Session must not hold it itself: is_free counts holders
  if (!done) return moe::forward(done);
  const std::int64_t tokens = model->tokenizer() ? model->tokenizer()->vocab_size() : c.vocab_size;
  StepOutput out{nullptr, rows, c.vocab_size, std::min(tokens, c.vocab_size), forward.expert_counts, {}};
  if (read == nullptr) out.logits = std::shared_ptr<const float[]>(buffer, buffer->data());
  for (const StepRun& run : *runs) out.recomputed_counts.push_back(run.again);
  out.recomputed_experts = forward.recomputed_experts;
  reserved.commit();
  for (auto& layer : forward.hidden) drop_again(*runs, layer);
  for (auto& layer : forward.routing) drop_again(*runs, layer);
  for (auto& layer : forward.chosen_keys) drop_again(*runs, layer);
  drop_again(*runs, forward.recorded_states);
  return out;
}

Result<StepOutput> Session::step(Batch batch) { return impl_->step(batch, nullptr); }

Result<StepOutput> Session::step(Batch batch, const RowReader& read) {
  if (!is_pipeline(impl_->options)) return impl_->step(batch, &read);
  auto out = impl_->step(batch, nullptr);
  if (!out) return out;
  const auto logits = std::exchange(out->logits, nullptr);
  if (out->row_count == 0) return out;
  const auto done = read(0, {logits.get(), static_cast<std::size_t>(out->row_count * out->vocab_size)});
  if (done) return out;
  // The other stages have it, too.
  for (const BatchItem& item : batch)
    if (auto ok = rewind(item.sequence, *length(item.sequence) - static_cast<std::int64_t>(item.tokens.size())); !ok)
      return moe::forward(ok);
  return moe::forward(done);
}

}  // namespace moe::inline MOE_ABI
