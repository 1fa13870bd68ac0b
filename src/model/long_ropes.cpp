#include "model/long_ropes.hpp"

namespace moe::inline MOE_ABI {

LongRopes::History& LongRopes::of(Sequence sequence) {
  const auto i = static_cast<std::size_t>(sequence);
  if (histories_.size() <= i) histories_.resize(i + 1);
  return histories_[i];
}

Result<std::vector<StepRun>> LongRopes::begin(Batch batch, KvCache& cache) {
  std::vector<StepRun> runs;
  whole_.clear();
  whole_.reserve(batch.size());  // runs keep pointers into it
  for (const BatchItem& item : batch) {
    const std::int64_t length = *cache.length(item.sequence), count = static_cast<std::int64_t>(item.tokens.size());
    StepRun run = {item.sequence, item.tokens, length, 0, false};
    if (applies() && count > 0) {
      run.beyond = length + count > config_.original_max_position;
      History& history = of(item.sequence);
      if (length > 0 && run.beyond != history.beyond) {
        auto anew = cache.open();
        if (!anew) {
          drop(batch.first(runs.size()), runs, cache);
          return moe::forward(anew);
        }
        const std::int64_t pages = cache.pages_held_by({&item.sequence, 1});
        cache.lend(pages);
        lent_ += pages;
        std::vector<TokenId>& tokens = whole_.emplace_back(history.tokens);
        tokens.insert(tokens.end(), item.tokens.begin(), item.tokens.end());
        run = {*anew, tokens, 0, length, run.beyond};
      }
    }
    runs.push_back(run);
  }
  return runs;
}

void LongRopes::commit(Batch batch, const std::vector<StepRun>& runs, KvCache& cache) {
  for (std::size_t i = 0; i < runs.size() && applies(); ++i) {
    const BatchItem& item = batch[i];
    if (item.tokens.empty()) continue;
    History& history = of(item.sequence);
    history.tokens.resize(static_cast<std::size_t>(*cache.length(item.sequence)) -
                          (runs[i].sequence == item.sequence ? item.tokens.size() : 0));
    history.tokens.insert(history.tokens.end(), item.tokens.begin(), item.tokens.end());
    history.beyond = runs[i].beyond;
    if (runs[i].sequence != item.sequence) cache.replace(item.sequence, runs[i].sequence);
  }
  give_back(cache);
}

void LongRopes::drop(Batch batch, const std::vector<StepRun>& runs, KvCache& cache) {
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (runs[i].sequence != batch[i].sequence) static_cast<void>(cache.close(runs[i].sequence));
  give_back(cache);
}

void LongRopes::give_back(KvCache& cache) {
  cache.lend(-lent_);
  lent_ = 0;
}

void LongRopes::fork(Sequence parent, Sequence child) {
  if (!applies()) return;
  History copy = of(parent);
  of(child) = std::move(copy);
}

void LongRopes::rewind(Sequence sequence, std::int64_t length) {
  if (applies()) of(sequence).tokens.resize(static_cast<std::size_t>(length));
}

}  // namespace moe::inline MOE_ABI
