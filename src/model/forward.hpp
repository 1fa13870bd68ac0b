#pragma once
// One forward pass over a chunk of tokens: embedding, layers, final norm, head. Read run() first; each step is a
// function.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "model/engine.hpp"
#include "model/expert_source.hpp"
#include "model/kv_cache.hpp"
#include "model/model_impl.hpp"
#include "model/recurrent_rows.hpp"
#include "model/sequence_states.hpp"
#include "model/stage_link.hpp"
#include "model/workspace.hpp"
#include "moe/rope.hpp"
#include "moe/session.hpp"
#include "support/sleeping_pool.hpp"

namespace moe::inline MOE_ABI {

/// Consecutive tokens of one sequence inside a chunk.
struct Segment {
  Sequence sequence = 0;
  std::int64_t position = 0;  // of its first token
  std::int64_t begin = 0;     // index of that token in the chunk
  std::int64_t count = 0;
  std::size_t item = 0;            // of the batch
  std::vector<StatePiece> states;  // of models with recurrent layers
  std::int64_t again = 0;          // how many of its first tokens are recomputed
};

struct Chunk {
  std::vector<TokenId> ids;
  std::vector<std::int64_t> positions;
  std::vector<Segment> segments;
  std::vector<const float*> states;      // [D] of each, of an MTP layer
  std::vector<std::uint8_t> beyond;      // its sequence is longer than the original context (longrope)
  std::vector<std::int32_t> logit_rows;  // indices into the chunk of requested logits
  std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
};

/// Where the logits of a chunk go, [logit_rows, V]. With `read`, slices of `slice_rows` rows go there one after the other,
/// and each is read before the next.
struct LogitTarget {
  float* data = nullptr;
  const RowReader* read = nullptr;
  std::int64_t slice_rows = 0;
  std::int64_t first = 0;  // rows of the step before this chunk's
};

class Forward {
 public:
  Result<void> create(const ModelImpl& model, const SessionOptions& options, KvCache& cache,
                      const detail::StateLayout& state_layout, const kernels::KernelTable& table);

  /// Appends the chunk's keys and values to the (reserved) cache, and computes its logits. A pipeline's stages have no
  /// slices.
  /// Errors: cancelled, non_finite, those of LogitTarget::read.
  Result<void> run(const Chunk& chunk, const LogitTarget& out);
  Work collect_work() {
    Work work = engine_.collect_work();
    work += std::exchange(elsewhere_, Work{});
    return work;
  }
  Profile collect_profile() { return engine_.collect_profile(); }

  /// Begins a step: later records belong to this batch.
  void begin(Batch batch);
  /// Stage 0 of a pipeline: `done` if all stages have completed the step, whose logits are then there; else the error
  /// that ended it. Called for every step that began.
  Result<void> end_step(Result<void> done);

  std::vector<std::int64_t> expert_counts;                          // [batch item] of the step
  std::vector<std::int64_t> recomputed_experts;                     // [batch item] those of recomputed tokens
  ExpertLoad load;                                                  // since create()
  std::vector<std::vector<TokenRouting>> routing;                   // [layer][token], appended by run() when recorded
  std::vector<std::vector<float>> hidden;                           // [layer + 1][T * D]
  std::vector<std::vector<std::vector<std::int32_t>>> chosen_keys;  // [layer][token] positions, as routing
  std::vector<float> recorded_states;  // [T * D] behind the final norm, appended by run() when recorded

 private:
  // forward.cpp
  ParallelFor workers();
  Result<void> run_layers();
  void embed();
  void norm_rows(const std::vector<float>& weight, bool quantise);
  void add_branch(const std::vector<float>& bias, const std::vector<float>& post_norm);
  Result<void> head(const LogitTarget& out);
  Result<void> head_rows(std::int64_t first, std::int64_t rows, float* logits);
  Result<void> check_finite(std::int64_t layer);
  void record_hidden(std::int64_t layer);
  // stage_forward.cpp
  Result<void> run_stage(float* logits);
  Result<void> take_logits();
  void note_routes(std::int64_t layer);
  void count_routes(const StageRecord& record);
  // mtp_input.cpp
  void add_states();
  void record_states();
  // attention_block.cpp
  void attention(std::int64_t layer);
  void gqa_projections(const LayerWeights& w, const Activations& x);
  void gqa_queries(const LayerWeights& w, std::int64_t layer);
  void store_keys(const LayerWeights& w, std::int64_t layer, const Segment& s, std::int64_t i);
  struct Angles {
    const float *cos, *sin;
    std::int64_t pairs;
  };
  Angles angles(std::int64_t layer, std::int64_t t) const;
  void norm_and_rotate(const std::vector<float>& norm, std::int64_t layer, const Angles& angles, float* head);
  void attend(std::int64_t layer);
  void attend(kernels::Attention& a, Sequence sequence, std::int64_t layer, std::int64_t kv_head, std::int32_t worker);
  void set_visible(std::int64_t layer);
  void attend_rows(const Segment& segment, std::int64_t layer, std::int64_t kv_head, std::int64_t first,
                   std::int64_t count, std::int32_t worker);
  void output_projection(const LayerWeights& w, std::int64_t layer);
  void project_out(const LayerWeights& w, const float* x, std::int64_t width, Q8Buffer& q8);
  // recurrent_block.cpp
  void recurrent(std::int64_t layer);
  void short_conv(const LayerWeights& w, std::int64_t layer);
  void convolve(const LayerWeights& w, std::int64_t layer, const float* x, std::int64_t stride, bool silu);
  void set_gates(const LayerWeights& w, std::int64_t layer);
  void state_steps(std::int64_t layer);
  void delta_net_output(const LayerWeights& w, std::int64_t layer);
  void mamba2_output(const LayerWeights& w, std::int64_t layer);
  // mla_block.cpp
  struct MlaTask {
    const Segment* segment;
    std::int64_t first, tokens;  // of the segment
    std::int64_t head, heads;
  };
  void mla_projections(const LayerWeights& w, const Activations& x);
  void mla_queries(const LayerWeights& w);
  void mla_latent(const LayerWeights& w, std::int64_t layer);
  void mla_attend(const LayerWeights& w, std::int64_t layer);
  void mla_rows(const LayerWeights& w, std::int64_t layer, const MlaTask& task, std::int32_t worker);
  void mla_attend_rows(std::int64_t layer, const MlaTask& task, std::int32_t worker);
  // indexer_block.cpp
  /// Token i of a segment, whose keys are to be chosen.
  struct IndexRow {
    const Segment* segment;
    std::int64_t i;
    std::int64_t position() const { return segment->position + i; }
    std::int64_t token() const { return segment->begin + i; }
  };
  void index_rows(const LayerWeights& w, std::int64_t layer);
  void choose_keys(std::int64_t layer);
  void score_keys(std::int64_t layer, std::span<const IndexRow> rows);
  void score_range(std::int64_t layer, std::span<const IndexRow> rows, std::size_t first, std::size_t count,
                   std::int64_t block, std::int32_t worker);
  void choose_by_score(std::int64_t layer, std::span<const IndexRow> rows);
  std::int64_t attended_keys(std::int64_t t) const;
  void record_chosen(std::int64_t layer);
  /// Calls body(segment, token of it) for all tokens, of about `values` numbers each. A task has whole cache lines of keys
  /// in columns, `line` of them, to avoid false sharing between workers.
  template <class Body>
  void run_by_line(std::int64_t line, std::int64_t values, Body&& body) {
    for (const Segment& s : chunk_->segments) {
      const std::int64_t first = s.position / line, last = (s.position + s.count - 1) / line;
      engine_.run(last - first + 1, static_cast<double>(s.count * values), [&](std::int64_t index, std::int32_t) {
        const std::int64_t begin = std::max<std::int64_t>(0, (first + index) * line - s.position);
        const std::int64_t end = std::min(s.count, (first + index + 1) * line - s.position);
        for (std::int64_t i = begin; i < end; ++i) body(s, i);
      });
    }
  }
  // layer_inputs.cpp
  void make_layer_inputs();
  void end_layer(std::int64_t layer);
  void add_layer_input(const LayerWeights& w, std::int64_t layer);
  void dense_branch(const LayerWeights& w);
  // ffn_block.cpp
  void end_feed_forward(const LayerWeights& w);
  void find_q8_readers();
  void feed_forward(std::int64_t layer);
  void choose(const LayerWeights& w, std::int64_t layer);
  Result<std::int64_t> choose_of(const LayerWeights& w, std::int64_t layer, float* scores, std::span<std::int32_t> ids,
                                 std::span<float> weights) const;
  void count_load(std::int64_t layer);
  void record_routing(std::int64_t layer);
  void sort_pairs();
  struct ExpertRun;
  struct GateUpTask;
  void activate(const float* gate, const float* up, std::int64_t n, float* out) const;
  std::vector<GateUpTask> gate_up_tasks(const std::vector<ExpertRun>& runs) const;
  /// Whether a matrix that reads the FFN's input multiplies int8 activations.
  bool reads_q8(const FfnWeights& w) const { return engine_.wants_q8(w.gate) || engine_.wants_q8(w.up); }
  /// `quantised`: norm_rows() has also filled q8_normed.
  void gate_up(const std::vector<ExpertRun>& runs, bool quantised);
  void activate_rows(const GateUpTask& task, float* gate, float* up) const;
  LinearJob down_job(const ExpertRun& run) const;
  std::vector<LinearJob> down_jobs(const std::vector<ExpertRun>& runs);
  void down(const LayerWeights& w, const std::vector<ExpertRun>& runs);
  struct PanelRange {
    std::int64_t begin, end, step;
  };
  /// How the down projection's panels are divided into tasks.
  struct DownSteps {
    std::int64_t panels = 0, step = 1;
    double cost_ns = 0.0;
    std::int64_t count() const { return (panels + step - 1) / step; }
    PanelRange range(std::int64_t i) const { return {i * step, std::min(panels, (i + 1) * step), step}; }
  };
  DownSteps down_steps(const std::vector<ExpertRun>& runs) const;
  void down_columns(const std::vector<ExpertRun>& runs, const std::vector<LinearJob>& jobs, std::size_t n,
                    const PanelRange& range, float* y, std::int64_t y_stride, std::int32_t worker);
  ExpertRun routed_run(const LayerWeights& w, std::int32_t expert, std::int64_t first_row);
  std::int64_t pairs_before(std::int32_t expert) const { return expert_begin_[static_cast<std::size_t>(expert)]; }
  /// Where a branch's sum for token t is built.
  float* branch_row(std::int64_t t) {
    return (c_->sums_branches() ? ws_.normed : ws_.hidden).data() + t * c_->hidden_size;
  }
  // expert_stream.cpp
  void stream_experts(const LayerWeights& w, std::int64_t layer);
  void run_leases(const LayerWeights& w, std::span<const ExpertLease> leases, bool quantised);
  void down_pairs(const std::vector<ExpertRun>& runs);
  void add_pairs(const LayerWeights& w);
  std::int64_t next_moe_layer(std::int64_t layer) const;
  // expert_guess.cpp
  std::vector<ExpertSource::Guess> experts_ahead(std::int64_t layer, std::size_t chosen);
  std::vector<ExpertSource::Guess> guess_experts(std::int64_t layer, std::int32_t ranks);

  void quantise_rows(const float* x, std::int64_t x_stride, std::int64_t row_count, Q8Buffer& out);
  std::int64_t tokens() const { return chunk_->size(); }
  void fail_once(ErrorCode code, std::string message);

  const ModelImpl* model_ = nullptr;
  const ModelConfig* c_ = nullptr;
  const SessionOptions* options_ = nullptr;
  KvCache* cache_ = nullptr;
  const detail::StateLayout* states_ = nullptr;
  std::unique_ptr<SleepingPool> sleeping_;  // in place of OpenMP's threads, where experts are read when needed
  Engine engine_;
  Workspace ws_;
  std::optional<TileSizes> tiles_;
  std::optional<RopeTable> rope_, long_rope_, sliding_rope_;
  const Chunk* chunk_ = nullptr;
  // Of a pipeline's stages: null, if all layers are here.
  StageLink* link_ = nullptr;
  StageRecord record_;  // of the current chunk
  struct UnderWay {
    Chunk chunk;
    float* logits;
  };
  std::deque<UnderWay> under_way_;                 // stage 0's chunks whose logits have not come
  Work elsewhere_;                                 // of later stages, not collected yet
  std::vector<RouterConfig> routers_;              // [layer] the model's, with the layer's own top_k
  std::vector<RecurrentRows> recurrent_rows_;      // [layer]
  std::vector<float> ones_;                        // weights of norms that have none
  std::vector<std::size_t> moe_index_;             // [layer] which of the MoE layers it is
  std::vector<bool> ffn_reads_q8_;                 // [layer] of any of its experts, shared or routed, or the dense FFN
  std::vector<std::int32_t> tallies_;              // [batch item]
  std::vector<std::int32_t> expert_begin_;         // [E + 1] into pair_token
  std::vector<float> guess_input_, guess_scores_;  // of experts that are read when needed
  std::optional<Error> error_;
  std::atomic<bool> failed_{false};
};

}  // namespace moe::inline MOE_ABI
