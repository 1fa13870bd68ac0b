#pragma once
// A Session whose logits are a hash of the tokens so far. Its pages are those of the real cache, and the hash of each
// prefix is stored in them: a page that was shared, copied or freed wrongly changes every later logit.

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <set>
#include <vector>

#include "model/kv_cache.hpp"
#include "serve/step_engine.hpp"

namespace moe_test {

constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9FB21C651E98DF25u;
  x = (x ^ (x >> 28)) * 0xD6E8FEB86659FD93u;
  return x ^ (x >> 32);
}

struct FakeModel {
  const moe::Tokenizer* tokenizer = nullptr;
  std::int64_t context = 400;
  std::int64_t states = std::numeric_limits<std::int64_t>::max();  ///< of a step
  std::int64_t rows = 262;                                         ///< of the head, including padding after the tokens
  std::uint64_t poisoned = 0;  ///< one of so many prefixes has no finite logits; 0: none

  std::int64_t tokens() const { return tokenizer != nullptr ? tokenizer->vocab_size() : rows; }
  static std::uint64_t next(std::uint64_t hash, moe::TokenId token) {
    return mix(hash + 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(token));
  }
  bool is_poisoned(std::uint64_t hash) const { return poisoned != 0 && hash % poisoned == 0; }
  /// Mostly a, b and blanks, so that texts repeat and stop texts are met; now and then the end token.
  void logits(std::uint64_t hash, float* row) const {
    std::uint64_t x = hash;
    for (std::int64_t i = 0; i < rows; ++i) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      row[i] = static_cast<float>(x >> 40) * 0x1p-22f;  // below 4
    }
    for (const int token : {'a', 'b', ' '}) row[token] += 4.0f;
    if (hash % 160 == 0) row[tokens() - 1] += 9.0f;
  }
};

class FakeEngine final : public moe::serve::StepEngine {
 public:
  FakeEngine(const FakeModel& model, std::int64_t pages)
      : model_(model), cache_(config(), moe::KvType::f32, pages * moe::kPageTokens, {0, 1}) {}

  moe::Result<moe::Sequence> open() override { return noted(cache_.open()); }
  moe::Result<moe::Sequence> fork(moe::Sequence parent) override { return noted(must(cache_.fork(parent))); }
  moe::Result<void> rewind(moe::Sequence s, std::int64_t length) override { return must(cache_.rewind(s, length)); }
  moe::Result<void> close(moe::Sequence s) override {
    open_.erase(s);
    return must(cache_.close(s));
  }
  std::int64_t free_tokens() const override { return cache_.free_pages() * moe::kPageTokens; }
  std::int64_t closing_frees(std::span<const moe::Sequence> s) const override {
    return cache_.pages_held_by(s) * moe::kPageTokens;
  }

  moe::Result<moe::StepOutput> step(moe::Batch batch) override {
    std::set<moe::Sequence> once;
    for (const moe::BatchItem& item : batch) {
      const auto length = cache_.length(item.sequence);
      if (!length) return moe::forward(length);
      if (item.tokens.empty() || !once.insert(item.sequence).second ||
          *length + static_cast<std::int64_t>(item.tokens.size()) > model_.context)
        return moe::fail(moe::ErrorCode::bad_argument, "a batch that a Session would refuse or that is in vain");
    }
    if (refuses && refuses()) return moe::fail(moe::ErrorCode::out_of_memory, "as if the cache were full");
    if (auto ok = cache_.reserve(batch); !ok) return moe::forward(ok);
    std::vector<std::uint64_t> hashes;  // of the positions with logits
    bool is_finite = true;
    for (const moe::BatchItem& item : batch) is_finite = run(item, hashes) && is_finite;
    for (const moe::BatchItem& item : batch)
      is_finite ? cache_.commit(item.sequence, static_cast<std::int64_t>(item.tokens.size()))
                : cache_.trim(item.sequence);
    if (!is_finite) return moe::fail(moe::ErrorCode::non_finite, "a prefix is poisoned");
    last_batch.assign(batch.begin(), batch.end());
    last_rows = static_cast<std::int64_t>(hashes.size());
    const auto size = static_cast<std::size_t>(model_.rows);
    const std::shared_ptr<float[]> logits(new float[hashes.size() * size]);
    for (std::size_t r = 0; r < hashes.size(); ++r) model_.logits(hashes[r], logits.get() + r * size);
    return moe::StepOutput{logits, static_cast<std::int64_t>(hashes.size()), model_.rows, model_.tokens(),
                           std::vector<std::int64_t>(batch.size(), 0)};
  }

  std::int64_t cache_tokens() const override { return cache_.page_limit() * moe::kPageTokens; }
  std::int64_t context() const override { return model_.context; }
  std::int64_t most_states() const override { return model_.states; }
  std::int64_t vocab_size() const override { return model_.rows; }
  const moe::Tokenizer* tokenizer() const override { return model_.tokenizer; }
  moe::ParallelFor threads() const override { return {}; }
  std::int64_t flops() const override { return tokens_run; }
  std::int64_t flops_of(std::int64_t tokens, std::int64_t) const override { return tokens; }
  std::int64_t flops_of(std::int64_t, std::int64_t new_tokens, std::int64_t, std::size_t,
                        const moe::StepOutput&) const override {
    return new_tokens;
  }

  const std::set<moe::Sequence>& open_sequences() const { return open_; }
  /// Every page that is not free is held by a sequence that is open.
  bool pages_add_up() const {
    const std::vector<moe::Sequence> all(open_.begin(), open_.end());
    return cache_.pages_held_by(all) == cache_.page_limit() - cache_.free_pages();
  }

  std::int64_t misuses = 0;                     ///< calls that name what is not there
  std::function<bool()> refuses = {};           ///< asked before each step, whether there is no room for it
  std::int64_t tokens_run = 0;                  ///< those of failed steps too
  std::vector<moe::BatchItem> last_batch = {};  ///< its tokens are gone
  std::int64_t last_rows = 0;

 private:
  template <class T>
  T must(T result) {
    misuses += !result;
    return result;
  }
  // A page of 64 hashes.
  static moe::ModelConfig config() {
    moe::ModelConfig c;
    c.attention = moe::AttentionKind::gqa;
    c.layer_count = c.kv_head_count = c.head_dim = c.v_head_dim = 1;
    return c;
  }
  moe::Result<moe::Sequence> noted(moe::Result<moe::Sequence> sequence) {
    if (sequence) open_.insert(*sequence);
    return sequence;
  }
  std::byte* at(moe::Sequence s, std::int64_t position) const {
    return cache_.page(s, position / moe::kPageTokens) + position % moe::kPageTokens * 8;
  }
  bool run(const moe::BatchItem& item, std::vector<std::uint64_t>& hashes) {
    bool is_finite = true;
    const std::int64_t length = *cache_.length(item.sequence);
    std::uint64_t hash = 0;
    if (length > 0) std::memcpy(&hash, at(item.sequence, length - 1), 8);
    for (std::size_t i = 0; i < item.tokens.size(); ++i) {
      hash = FakeModel::next(hash, item.tokens[i]);
      std::memcpy(at(item.sequence, length + static_cast<std::int64_t>(i)), &hash, 8);
      is_finite = is_finite && !model_.is_poisoned(hash);
      if (item.logits == moe::Logits::all || (item.logits == moe::Logits::last && i + 1 == item.tokens.size()))
        hashes.push_back(hash);
    }
    tokens_run += static_cast<std::int64_t>(item.tokens.size());
    return is_finite;
  }

  FakeModel model_;
  moe::KvCache cache_;
  std::set<moe::Sequence> open_;
};

}  // namespace moe_test
