#include "model/sequence_states.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace moe::inline MOE_ABI {
namespace {
constexpr std::int64_t kDefaultBytes = std::int64_t{1} << 30;
constexpr std::int64_t kLeastBlocks = 4, kMostBlocks = 1024;
}  // namespace

std::int64_t SequenceStates::block_limit(const detail::StateLayout& layout, const SessionOptions& options) {
  if (layout.floats == 0) return 0;
  const std::int64_t bytes = options.state_bytes > 0 ? options.state_bytes : kDefaultBytes;
  return std::clamp(bytes / layout.bytes(), kLeastBlocks, kMostBlocks);
}

// Without a limit that was asked for, large steps are worth more than memory.
std::int64_t SequenceStates::step_limit(const ModelConfig& config, const SessionOptions& options) {
  const detail::StateLayout layout(config);
  if (layout.floats == 0 || options.state_bytes == 0) return std::numeric_limits<std::int64_t>::max();
  return block_limit(layout, options);
}

SequenceStates::SequenceStates(const ModelConfig& config, const SessionOptions& options)
    : layout_(config),
      pool_(layout_.floats, block_limit(layout_, options)),
      spacing_(options.checkpoint_tokens),
      step_limit_(step_limit(config, options)) {}

SequenceStates::History& SequenceStates::of(Sequence sequence) {
  const auto i = static_cast<std::size_t>(sequence);
  if (histories_.size() <= i) histories_.resize(i + 1);
  return histories_[i];
}

// The last state that has not been forgotten.
void SequenceStates::find_start(History& history, Run& run) {
  std::erase_if(history.states, [&](const State& s) { return !pool_.is_held(s.handle); });
  if (history.states.empty()) return;
  run.start = history.states.back();
  run.position = run.start.position;
  run.from = pool_.data(run.start.handle);
  pool_.pin(run.start.handle);
}

// Keeps states at the end, at the length before the step (so that a sequence advances even if its drafts are rejected)
// and, where `room` has blocks, at checkpoints, spaced wider if they would be too many. Without room for the length,
// its state takes the end's block, and the end's state overwrites the one that the run starts from.
Result<void> SequenceStates::add_stops(History& history, Run& run, std::int64_t end, std::int64_t& room) {
  const std::int64_t most = std::max<std::int64_t>(1, pool_.block_limit() / 4);
  const auto length = static_cast<std::int64_t>(history.tokens.size());
  const bool is_behind = length > run.position, has_draft = end - length > 1;
  const bool overwrites = is_behind && room == 0 && has_draft && pool_.has_one_reference(run.start.handle);
  const bool stops_at_length = (is_behind && room > 0) || overwrites;
  room -= is_behind && room > 0;
  std::int64_t spacing = spacing_;
  const auto checkpoints = [&] { return (end - 1) / spacing - run.position / spacing; };
  while ((end - run.position) / spacing > most || checkpoints() > room) spacing *= 2;
  room -= checkpoints();
  std::vector<std::int64_t> positions;
  for (std::int64_t p = (run.position / spacing + 1) * spacing; p < end; p += spacing) positions.push_back(p);
  if (stops_at_length) positions.push_back(length);
  positions.push_back(end);
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  run.stops.reserve(positions.size());
  if (overwrites) positions.pop_back();
  for (const std::int64_t position : positions) {
    auto handle = pool_.take();
    if (!handle) return moe::forward(handle);
    run.stops.push_back({position, *handle});
  }
  if (overwrites) {
    run.stops.push_back({end, run.start.handle});
    run.overwrites = &history;
  }
  return {};
}

Result<void> SequenceStates::begin(Batch batch, std::vector<StepRun>& runs) {
  runs_.assign(batch.size(), {});
  whole_.clear();
  whole_.reserve(batch.size());  // runs keep pointers into it
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (!batch[i].tokens.empty()) find_start(of(batch[i].sequence), runs_[i]);
  const auto ends = std::count_if(batch.begin(), batch.end(), [](const BatchItem& b) { return !b.tokens.empty(); });
  std::int64_t room = std::max<std::int64_t>(0, step_limit_ - pool_.pinned_count() - ends);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const BatchItem& item = batch[i];
    if (item.tokens.empty()) continue;
    History& history = of(item.sequence);
    const auto length = static_cast<std::int64_t>(history.tokens.size());
    Run& run = runs_[i];
    if (auto ok = add_stops(history, run, length + static_cast<std::int64_t>(item.tokens.size()), room); !ok) {
      drop();
      return ok;
    }
    runs[i].position = run.position;
    if (run.position == length) continue;
    std::vector<TokenId>& tokens = whole_.emplace_back(history.tokens.begin() + run.position, history.tokens.end());
    tokens.insert(tokens.end(), item.tokens.begin(), item.tokens.end());
    runs[i].tokens = tokens;
    runs[i].again = length - run.position;
  }
  return {};
}

// Between stops, the state is kept in the block of the run's end.
std::vector<StatePiece> SequenceStates::pieces(std::size_t index, std::int64_t begin, std::int64_t count) {
  Run& run = runs_[index];
  if (History* history = std::exchange(run.overwrites, nullptr)) history->states.pop_back();
  std::vector<StatePiece> out;
  std::int64_t at = run.position + begin;
  const std::int64_t end = at + count;
  while (at < end) {
    const State& stop = run.stops[run.next];
    const bool stops = stop.position <= end;
    float* to = pool_.data(stops ? stop.handle : run.stops.back().handle);
    const std::int64_t until = stops ? stop.position : end;
    out.push_back({until - at, run.from, to});
    run.from = to;
    run.next += stops;
    at = until;
  }
  return out;
}

void SequenceStates::commit(Batch batch) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const BatchItem& item = batch[i];
    if (item.tokens.empty()) continue;
    History& history = of(item.sequence);
    Run& run = runs_[i];
    // Besides checkpoints and the end, also where the step began, or the last state before: wrong drafts are rewound.
    const auto length = static_cast<std::int64_t>(history.tokens.size());
    const bool has_length =
        std::any_of(run.stops.begin(), run.stops.end(), [&](const State& s) { return s.position == length; });
    const bool keeps_start = item.tokens.size() > 1 && !has_length;
    std::erase_if(history.states, [&](const State& s) {
      const bool keep = is_checkpoint(s.position) || (keeps_start && s.position == run.position);
      if (!keep) pool_.release(s.handle);
      return !keep;
    });
    history.tokens.insert(history.tokens.end(), item.tokens.begin(), item.tokens.end());
    history.states.insert(history.states.end(), run.stops.begin(), run.stops.end());
  }
  runs_.clear();
  pool_.unpin_all();
}

void SequenceStates::drop() {
  for (Run& run : runs_) {
    if (run.overwrites != nullptr) run.stops.pop_back();  // nothing was written
    for (const State& stop : run.stops) pool_.release(stop.handle);
  }
  runs_.clear();
  pool_.unpin_all();
}

void SequenceStates::fork(Sequence parent, Sequence child) {
  if (!applies()) return;
  History copy = of(parent);
  for (const State& s : copy.states) pool_.share(s.handle);
  of(child) = std::move(copy);
}

void SequenceStates::rewind(Sequence sequence, std::int64_t length) {
  if (!applies()) return;
  History& history = of(sequence);
  history.tokens.resize(static_cast<std::size_t>(length));
  while (!history.states.empty() && history.states.back().position > length) {
    pool_.release(history.states.back().handle);
    history.states.pop_back();
  }
}

}  // namespace moe::inline MOE_ABI
