#pragma once
// Session: many sequences over one Model, with their key/value cache.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "moe/flops.hpp"
#include "moe/kv_type.hpp"
#include "moe/model.hpp"
#include "moe/profile.hpp"

namespace moe::inline MOE_ABI {

struct SessionOptions {
  Precision precision = Precision::automatic;
  KvType kv = KvType::f16;          ///< callers that want the reference precision usually want f32 here
  std::int64_t max_tokens = 0;      ///< cached tokens over all sequences, shared prefixes once; 0 = config.max_position
  std::int64_t chunk_tokens = 512;  ///< tokens computed at one time; changes speed and memory, never a bit
  ParallelFor threads = {};
  /// Blocks whose estimated work on one core is less than this run in the calling thread: waking workers costs more, and
  /// far more on a machine that others use. Changes speed, never a bit.
  std::int64_t share_from_ns = 20000;
  bool record_routing = false;
  bool record_hidden = false;            ///< keep the residual stream of every layer (tests, tools)
  bool profile = false;                  ///< read the clock around every task (some 50 ns each)
  std::function<bool()> cancelled = {};  ///< asked between layers
  std::function<void(Progress)> on_progress = {};
};

/// Index of a sequence inside its Session.
using Sequence = std::int32_t;

/// The cache is handed out in pages of so many tokens, numbered from a sequence's first one. A fork shares all pages of
/// its parent; the first token appended behind a partly filled page that is shared takes a copy of it.
inline constexpr std::int64_t kPageTokens = 64;

enum class Logits { none, last, all };
constexpr std::string_view name_of(Logits value) noexcept {
  switch (value) {
    case Logits::none: return "none";
    case Logits::last: return "last";
    case Logits::all: return "all";
  }
  return "";
}

/// A stretch of tokens to append to one sequence. A sequence may stand once in a batch.
struct BatchItem {
  Sequence sequence = 0;
  std::span<const TokenId> tokens = {};
  Logits logits = Logits::last;
  std::int32_t tally = 0;  ///< which of ExpertLoad::tallies counts its experts: 0 .. kMaxTallies - 1
};
using Batch = std::span<const BatchItem>;

inline constexpr std::int32_t kMaxTallies = 65536;

/// How often every routed expert ran, counted where the experts are chosen.
struct ExpertLoad {
  std::int64_t expert_count = 0;          ///< E; 0: the model is dense
  std::vector<std::int64_t> layers = {};  ///< the MoE layers by their numbers, rising
  struct Tally {
    std::int64_t tokens = 0;
    std::vector<std::int64_t> counts = {};  ///< [MoE layer, E]; empty while there was no token
  };
  std::vector<Tally> tallies = {};  ///< by BatchItem::tally, up to the largest one seen
  /// Adds what another session of the same model counted.
  MOE_API void add(const ExpertLoad& other);
};

/// Experts of one token in one layer, best first.
struct TokenRouting {
  std::vector<std::int32_t> experts = {};
  std::vector<float> weights = {};
};

/// The logits of a step. They stay as they are for as long as somebody holds `logits`, whatever the Session does next.
struct StepOutput {
  /// [row_count, vocab_size]: the rows asked for, in batch order.
  std::shared_ptr<const float[]> logits = nullptr;
  std::int64_t row_count = 0;
  std::int64_t vocab_size = 0;   ///< V: rows of the model's head
  std::int64_t token_count = 0;  ///< of those, the ones that have a token; V for a model without tokenizer
  /// [batch item] routed experts that its tokens went to, summed over tokens and layers.
  std::vector<std::int64_t> expert_counts = {};
  /// The logits of tokens: what to choose the next one from. They live as long as the output or `logits` is held, so
  /// there are no rows of a temporary.
  std::span<const float> row(std::int64_t r) const& {
    return padded_row(r).first(static_cast<std::size_t>(token_count));
  }
  /// The same with the padding that many models have behind their vocabulary. The reference harness normalises over it.
  std::span<const float> padded_row(std::int64_t r) const& {
    return {logits.get() + r * vocab_size, static_cast<std::size_t>(vocab_size)};
  }
  std::span<const float> row(std::int64_t r) const&& = delete;
  std::span<const float> padded_row(std::int64_t r) const&& = delete;
};

struct MemoryEstimate {
  std::int64_t weight_bytes = 0, cache_bytes = 0, scratch_bytes = 0;
};

/// One thread at a time may use a Session. Several Sessions may share a Model and run at once, each from a thread of its
/// own; the bits are those of a Session that runs alone. `cancelled` and `on_progress` are called by the thread that is in
/// step(), and must not call the Session. With openmp_pool() each of those threads has a team of its own: n threads whose
/// pools have m workers are n * m threads. References and spans that the Session gives are valid until its next call;
/// StepOutput says how long logits are. A child after fork() must not use a Session whose pool has run (libgomp).
class MOE_API Session {
 public:
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model,
                                                 const SessionOptions& options = {});
  /// What create() and load() would hold, computed from the configuration alone.
  static MemoryEstimate estimate_memory(const ModelInfo& info, const SessionOptions& options = {});
  ~Session();

  /// A new empty sequence. Errors: out_of_memory.
  Result<Sequence> open();
  /// A new sequence that starts with all tokens of `parent`; the cached prefix is shared, not copied.
  Result<Sequence> fork(Sequence parent);
  /// Drops the tail so that `length` tokens stay.
  Result<void> rewind(Sequence sequence, std::int64_t length);
  Result<void> close(Sequence sequence);
  Result<std::int64_t> length(Sequence sequence) const;
  std::int64_t free_tokens() const;  ///< room left in the cache: free pages times kPageTokens
  /// Room that closing all of these would give back: pages that nothing else holds, times kPageTokens.
  std::int64_t closing_frees(std::span<const Sequence> sequences) const;

  /// Appends the tokens and computes the logits asked for. On an error every sequence is as before the call.
  /// Errors: bad_argument (sequence, token id, repeated sequence, tally), out_of_memory (cache full, naming room and need),
  /// cancelled, non_finite (a hidden state or logit, naming layer and token).
  Result<StepOutput> step(Batch batch);
  /// The same for one sequence.
  Result<StepOutput> step(Sequence sequence, std::span<const TokenId> tokens, Logits logits = Logits::last) {
    const BatchItem item{sequence, tokens, logits};
    return step(Batch(&item, 1));
  }

  /// Work done since the Session was made, counted where kernels are called.
  const Work& executed() const;
  /// To which experts tokens went since the Session was made, those of steps that failed as well: what
  /// executed().routed_experts is made of.
  const ExpertLoad& expert_load() const;
  /// Where the time went since the Session was made, with SessionOptions::profile.
  const Profile& profile() const;
  /// routing()[layer][token] of the last step, with SessionOptions::record_routing; dense layers are empty.
  const std::vector<std::vector<TokenRouting>>& routing() const;
  /// hidden()[l] = [T, D] of the last step, 0 = embedding, l = after layer l - 1.
  const std::vector<std::vector<float>>& hidden() const;
  const Model& model() const;
  const SessionOptions& options() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI
