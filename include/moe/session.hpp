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

class Stages;

inline constexpr std::int64_t kMaxChunkTokens = 16384;

struct SessionOptions {
  Precision precision = Precision::automatic;
  KvType kv = KvType::f16;      ///< Precision::reference usually goes with f32
  std::int64_t max_tokens = 0;  ///< cached tokens of all sequences, shared prefixes once; 0 = config.max_position
  /// Memory for recurrent states (hybrids: models with delta_net, short_conv or mamba2 layers); 0 = 1 GiB. At least four
  /// states, and what a step needs; beyond it the least recently used state is dropped, and its sequence computed again
  /// when it is continued (StepOutput::recomputed_counts). Where it is set, Generator and eval::SessionModel take only
  /// as many sequences into a step as have room for their states.
  std::int64_t state_bytes = 0;
  std::int64_t checkpoint_tokens = 256;  ///< hybrids: keep states at multiples of this, for forks that are rewound
  std::int64_t chunk_tokens =
      512;  ///< computed at a time, 1 to kMaxChunkTokens; affects speed and memory, never results
  ParallelFor threads = {};
  /// Blocks whose estimated time on one core is below this run in the calling thread, because waking workers costs
  /// more, and far more on a busy machine. Affects speed, never results.
  std::int64_t share_from_ns = 20000;
  bool record_routing = false;
  bool record_hidden = false;            ///< record the residual stream after every layer (tests, tools)
  bool record_chosen_keys = false;       ///< record the keys that every token attends to (sparse attention)
  bool record_states = false;            ///< record what the head reads, of every token: input of an MTP layer
  bool profile = false;                  ///< time every task (about 50 ns each)
  std::shared_ptr<Stages> stages = {};   ///< the model's other layers are in other processes (moe/stages.hpp)
  std::function<bool()> cancelled = {};  ///< called between layers
  std::function<void(Progress)> on_progress = {};
};

/// Index of a sequence inside its Session.
using Sequence = std::int32_t;

/// The cache is allocated in pages of this many tokens, counted from a sequence's start. A fork shares all pages of its
/// parent; appending to a shared, partly filled page copies it.
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

/// Tokens to append to one sequence. A sequence may appear once in a batch.
struct BatchItem {
  Sequence sequence = 0;
  std::span<const TokenId> tokens = {};
  Logits logits = Logits::last;
  std::int32_t tally = 0;  ///< which of ExpertLoad::tallies counts its experts: 0 .. kMaxTallies - 1
  /// [tokens, D], for an MTP layer only (Model::mtp): with each token the state of the token before it, from states()
  /// of a session of the model.
  std::span<const float> states = {};
};
using Batch = std::span<const BatchItem>;

inline constexpr std::int32_t kMaxTallies = 65536;

/// How often every routed expert ran, counted where the experts are chosen.
struct ExpertLoad {
  std::int64_t expert_count = 0;          ///< E; 0: the model is dense
  std::vector<std::int64_t> layers = {};  ///< numbers of the MoE layers, ascending
  struct Tally {
    std::int64_t tokens = 0;
    std::vector<std::int64_t> counts = {};  ///< [MoE layer, E]; empty before the first token
  };
  std::vector<Tally> tallies = {};  ///< by BatchItem::tally, up to the largest one seen
  /// Adds the counts of another session of the same model.
  MOE_API void add(const ExpertLoad& other);
};

/// Experts of one token in one layer, best first.
struct TokenRouting {
  std::vector<std::int32_t> experts = {};
  std::vector<float> weights = {};
};

/// The logits of a step. They are valid and unchanged for as long as `logits` is held, whatever the Session does next.
struct StepOutput {
  /// [row_count, vocab_size]: the rows asked for, in batch order.
  std::shared_ptr<const float[]> logits = nullptr;
  std::int64_t row_count = 0;
  std::int64_t vocab_size = 0;   ///< V: rows of the model's head
  std::int64_t token_count = 0;  ///< rows with a token; V for a model without tokenizer
  /// [batch item] routed experts of its tokens, summed over tokens and layers.
  std::vector<std::int64_t> expert_counts = {};
  /// [batch item] cached tokens of its sequence that were computed again: LongRoPE, at the original context's end;
  /// hybrids, after a rewind to where no state is kept.
  std::vector<std::int64_t> recomputed_counts = {};
  /// [batch item] of expert_counts, those of tokens that were computed again.
  std::vector<std::int64_t> recomputed_experts = {};
  /// The logits of tokens, from which to choose the next one. Valid while the output or `logits` is held, so this
  /// cannot be called on a temporary.
  std::span<const float> row(std::int64_t r) const& {
    return padded_row(r).first(static_cast<std::size_t>(token_count));
  }
  /// The same with the padding that many models have after their vocabulary. The reference harness normalises over it.
  std::span<const float> padded_row(std::int64_t r) const& {
    return {logits.get() + r * vocab_size, static_cast<std::size_t>(vocab_size)};
  }
  std::span<const float> row(std::int64_t r) const&& = delete;
  std::span<const float> padded_row(std::int64_t r) const&& = delete;
};

struct MemoryEstimate {
  std::int64_t weight_bytes = 0, cache_bytes = 0, scratch_bytes = 0;
  std::int64_t state_bytes = 0;  ///< most that recurrent states take between steps
};

/// Reads rows of logits during a step: `rows` are [count, vocab_size] in batch order, gone afterwards; `first` is the
/// number of the first one. It must not call the Session. An error ends the step with it.
using RowReader = std::function<Result<void>(std::int64_t first, std::span<const float> rows)>;

/// One thread at a time may use a Session. Several Sessions may share a Model and run in parallel, each in its own
/// thread, with the same results as alone. `cancelled` and `on_progress` are called by the thread inside step() and
/// must not call the Session. With openmp_pool() each of those threads has its own team: n threads with pools of m
/// workers are n * m threads. References and spans that the Session returns are valid until its next call (logits: see
/// StepOutput). A child after fork() must not use a Session whose pool has run (libgomp).
class MOE_API Session {
 public:
  /// Errors: bad_argument, naming the option; unsupported (MOE_ISA, stages); out_of_memory; of stages also bad_config,
  /// naming what differs, io and bad_file.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model,
                                                 const SessionOptions& options = {});
  /// What create() refuses whatever the model. Errors: bad_argument, naming the option.
  static Result<void> check(const SessionOptions& options);
  /// Memory of Model::load() and create(), computed from the configuration alone. The options must pass check().
  static MemoryEstimate estimate_memory(const ModelInfo& info, const SessionOptions& options = {});
  /// The same for a loaded model, which may hold only some layers, or read experts when they are needed.
  static MemoryEstimate estimate_memory(const Model& model, const SessionOptions& options = {});
  ~Session();

  /// A new empty sequence. Errors: out_of_memory (too many sequences).
  Result<Sequence> open();
  /// A new sequence that starts with all tokens of `parent`; the cached prefix is shared, not copied.
  /// Errors: bad_argument (not open), out_of_memory (too many sequences).
  Result<Sequence> fork(Sequence parent);
  /// Drops the last tokens so that `length` remain. Hybrids continue from the last checkpoint before it: the next step
  /// computes what is between again. Errors: bad_argument (not open, or a length outside 0 to its own).
  Result<void> rewind(Sequence sequence, std::int64_t length);
  /// Errors: bad_argument (not open).
  Result<void> close(Sequence sequence);
  /// Tokens of the sequence. Errors: bad_argument (not open).
  Result<std::int64_t> length(Sequence sequence) const;
  std::int64_t free_tokens() const;  ///< free room of the cache: free pages times kPageTokens
  /// Room that closing all of these would free: pages that nothing else uses, times kPageTokens.
  std::int64_t closing_frees(std::span<const Sequence> sequences) const;

  /// Appends the tokens and computes the logits asked for. On an error every sequence is as before the call.
  /// Errors: bad_argument (sequence, its length, token id, repeated sequence, tally, states), out_of_memory (cache full,
  /// naming room and need), cancelled, non_finite (a hidden state or logit, naming layer and token); io and bad_file
  /// (experts in a packed file, stages).
  Result<StepOutput> step(Batch batch);
  /// The same for any number of rows: `read` gets them in slices of at most 128 MiB (at least one row) instead of
  /// StepOutput::logits, which is null. In a pipeline of stages it gets all of them at once.
  Result<StepOutput> step(Batch batch, const RowReader& read);
  /// The same for one sequence.
  Result<StepOutput> step(Sequence sequence, std::span<const TokenId> tokens, Logits logits = Logits::last) {
    const BatchItem item{sequence, tokens, logits};
    return step(Batch(&item, 1));
  }

  /// Work since the Session was created, counted where kernels are called.
  const Work& executed() const;
  /// Experts that tokens went to since the Session was created, failed steps included, as in
  /// executed().routed_experts.
  const ExpertLoad& expert_load() const;
  /// Time by stage since the Session was created, with SessionOptions::profile.
  const Profile& profile() const;
  /// routing()[layer][token] of the last step, with SessionOptions::record_routing; dense layers are empty.
  const std::vector<std::vector<TokenRouting>>& routing() const;
  /// hidden()[l] = [T, D] of the last step, 0 = embedding, l = after layer l - 1.
  const std::vector<std::vector<float>>& hidden() const;
  /// chosen_keys()[layer][token] of the last step, with SessionOptions::record_chosen_keys: rising positions. Empty
  /// in models that attend to all keys.
  const std::vector<std::vector<std::vector<std::int32_t>>>& chosen_keys() const;
  /// [T, D] of the last step, with SessionOptions::record_states: every token's state behind the final norm.
  const std::vector<float>& states() const;
  const Model& model() const;
  const SessionOptions& options() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI
