// Multi-head latent attention between its first projections and the output projection, absorbed for every number of
// tokens (DeepSeek-V2, arXiv 2405.04434, section 2.1.2): k_b maps queries to the latent space, attention runs over the
// cached latents, and v_b maps the averages back. A task does all of this for a few heads of a few tokens, so that rows
// of latent width stay in its cache.

#include <algorithm>
#include <cstring>

#include "model/attention_parts.hpp"
#include "model/forward.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr float kMlaNormEps = 1e-6F;      // of q_a and kv_a norms, as in transformers and DeepSeek's code
constexpr std::int64_t kMostTokens = 32;  // of a task: two tiles of the widest kernel
// Of a task if each token attends to keys of its own: kMlaTaskRows / 8 = 16 heads, one per lane of the widest kernel.
constexpr std::int64_t kFewTokens = 8;

}  // namespace

void Forward::mla_projections(const LayerWeights& w, const Activations& x) {
  const Matrix &q = w.q.empty() ? w.q_a : w.q, &index_k = w.indexer.k, &weights = w.indexer.weights;
  const LinearJob jobs[] = {
      {&q, x, nullptr, tokens(), w.q.empty() ? ws_.q_a.data() : ws_.q.data(), q.rows},
      {&w.kv_a, x, nullptr, tokens(), ws_.k.data(), w.kv_a.rows},
      {&index_k, x, nullptr, tokens(), ws_.index_k.data(), index_k.rows},
      // Always float32, as the router: a rounding here would change which keys are chosen.
      {&weights, {x.x, x.x_stride, {}}, nullptr, tokens(), ws_.index_weights.data(), weights.rows}};
  engine_.linear(std::span(jobs, index_k.empty() ? 2 : 4), &Work::attention_projection);
}

// The norm and second projection of compressed queries, for attention and the indexer.
void Forward::mla_queries(const LayerWeights& w) {
  if (!w.q.empty()) return;
  const bool quantise = engine_.wants_q8(w.q_b) || (!w.indexer.q.empty() && engine_.wants_q8(w.indexer.q));
  const std::int64_t width = c_->q_lora_rank, T = tokens();
  engine_.enter(Stage::quantising);
  engine_.run_each(T, width, [&](std::int64_t t, std::int32_t) {
    float* row = ws_.q_a.data() + t * width;
    engine_.table().rms_norm(row, w.q_a_norm.data(), kMlaNormEps, width, row);
  });
  if (quantise) quantise_rows(ws_.q_a.data(), width, T, ws_.q8_q_a);
  const Activations x = {ws_.q_a.data(), width, quantise ? ws_.q8_q_a.rows() : kernels::Q8Rows{}};
  const LinearJob jobs[] = {{&w.q_b, x, nullptr, T, ws_.q.data(), w.q_b.rows},
                            {&w.indexer.q, x, nullptr, T, ws_.index_q.data(), w.indexer.q.rows}};
  engine_.enter(Stage::projections);
  engine_.linear(std::span(jobs, w.indexer.q.empty() ? 1 : 2), &Work::attention_projection);
}

// The compressed key: RMSNorm of the latent part, RoPE of the shared rotated part, then into the cache as one row.
void Forward::mla_latent(const LayerWeights& w, std::int64_t layer) {
  engine_.enter(Stage::elementwise);
  const kernels::KernelTable& k = engine_.table();
  const std::int64_t lora = c_->kv_lora_rank, latent = lora + c_->qk_rope_head_dim, pairs = rope_->pair_count();
  const PageLayout& layout = cache_->layout();
  const KvType type = options_->kv;
  for (const Segment& s : chunk_->segments) {
    engine_.run_each(s.count, 2 * latent, [&](std::int64_t i, std::int32_t) {
      const std::int64_t t = s.begin + i, position = s.position + i;
      float* row = ws_.k.data() + t * latent;
      k.rms_norm(row, w.kv_a_norm.data(), kMlaNormEps, lora, row);
      rotate(k, c_->rope.style, ws_.cos.data() + t * pairs, ws_.sin.data() + t * pairs, pairs, row + lora);
      std::byte* page = cache_->page(s.sequence, position / kernels::kKeyBlock);
      const std::int64_t slot = position % kernels::kKeyBlock;
      std::byte* block = page + layout.keys(layer, 0);
      if (type == KvType::q8_0) {
        k.store_cache({type, CacheOrder::rows, row, lora, block, slot});
        k.store_cache(
            {rope_key_type(type), CacheOrder::rows, row + lora, latent - lora, block + mla_rope_offset(lora), slot});
      } else {
        k.store_cache({type, CacheOrder::rows, row, latent, block, slot});
      }
    });
  }
}

void Forward::mla_attend(const LayerWeights& w, std::int64_t layer) {
  const std::int64_t H = c_->head_count, lora = c_->kv_lora_rank, latent = lora + c_->qk_rope_head_dim;
  const std::int64_t even = tokens() * H / (engine_.worker_count() * 4);
  const std::int64_t rows = std::clamp<std::int64_t>(even, 8, kMlaTaskRows);
  std::vector<MlaTask> tasks;
  double cost = 0.0;
  const auto divide = [&](const Segment& s, std::int64_t begin, std::int64_t end, std::int64_t tokens) {
    const std::int64_t most = std::min({end - begin, tokens, rows});
    const std::int64_t heads = begin < end ? std::clamp<std::int64_t>(rows / most, 1, H) : H;
    for (std::int64_t first = begin; first < end; first += most)
      for (std::int64_t head = 0; head < H; head += heads)
        tasks.push_back({&s, first, std::min(most, end - first), head, std::min(heads, H - head)});
  };
  for (const Segment& s : chunk_->segments) {
    const std::int64_t limit = c_->indexer.top_k;
    const std::int64_t all = limit == 0 ? s.count : std::clamp<std::int64_t>(limit - s.position, 0, s.count);
    divide(s, 0, all, kMostTokens);  // that attend to all keys before them
    divide(s, all, s.count, kFewTokens);
    cost += static_cast<double>(s.count * H) * static_cast<double>(attended_keys(s.begin + s.count - 1)) *
            static_cast<double>(lora + latent) / 25.0;
    cost +=
        static_cast<double>(H) * (engine_.cost_ns(w.k_b.front(), s.count) + engine_.cost_ns(w.v_b.front(), s.count));
  }
  engine_.enter(Stage::attention);
  engine_.run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    mla_rows(w, layer, tasks[static_cast<std::size_t>(i)], worker);
  });
}

// Rows of the task: token t and head j of it, row t * heads + j. As inputs of a matrix of one head, part j * tokens +
// t.
void Forward::mla_rows(const LayerWeights& w, std::int64_t layer, const MlaTask& task, std::int32_t worker) {
  const kernels::KernelTable& k = engine_.table();
  const std::int64_t H = c_->head_count, nope = c_->qk_nope_head_dim, rope = c_->qk_rope_head_dim;
  const std::int64_t lora = c_->kv_lora_rank, qk = nope + rope, v = c_->v_head_dim, pairs = rope_->pair_count();
  const std::int64_t T = task.tokens, J = task.heads, row0 = worker * kMlaTaskRows, latent = lora + rope;
  const std::int64_t token0 = task.segment->begin + task.first;
  float* q_rows = ws_.q_rows.data() + row0 * latent;
  float* o_rows = ws_.o_rows.data() + row0 * lora;
  const float* q = ws_.q.data() + (token0 * H + task.head) * qk;
  float* out = ws_.o_in.data() + (token0 * H + task.head) * v;

  engine_.within(worker, Stage::quantising);
  const bool q8_q = engine_.wants_q8(w.k_b.front()), q8_o = engine_.wants_q8(w.v_b.front());
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t j = 0; j < J; ++j) {
      const float* from = q + (t * H + j) * qk;
      float* rotated = q_rows + (t * J + j) * latent + lora;
      const float* cos = ws_.cos.data() + (token0 + t) * pairs;
      const float* sin = ws_.sin.data() + (token0 + t) * pairs;
      std::memcpy(rotated, from + nope, static_cast<std::size_t>(rope) * sizeof(float));
      rotate(k, c_->rope.style, cos, sin, pairs, rotated);
      ws_.positions.data()[row0 + t * J + j] = attended_keys(token0 + t) - 1;
      if (q8_q) ws_.q8_q_parts.quantise(k, row0 + j * T + t, from);
    }
  engine_.within(worker, Stage::projections);
  engine_.worker(worker).filled = {};  // drop the previous task's tiles, whose parts had the same addresses
  for (std::int64_t j = 0; j < J; ++j) {
    const Matrix& up = w.k_b[static_cast<std::size_t>(task.head + j)];
    const Activations x = {q + j * qk, H * qk, q8_q ? ws_.q8_q_parts.rows(row0 + j * T) : kernels::Q8Rows{}};
    engine_.gemm(worker, {&up, x, nullptr, T, q_rows + j * latent, J * latent}, 0, up.panel_count(),
                 &Work::attention_projection);
  }
  engine_.within(worker, Stage::attention);
  mla_attend_rows(layer, task, worker);

  engine_.within(worker, Stage::quantising);
  for (std::int64_t i = 0; q8_o && i < T * J; ++i)
    ws_.q8_o_parts.quantise(k, row0 + i % J * T + i / J, o_rows + i * lora);
  engine_.within(worker, Stage::projections);
  for (std::int64_t j = 0; j < J; ++j) {
    const Matrix& down = w.v_b[static_cast<std::size_t>(task.head + j)];
    const Activations x = {o_rows + j * lora, J * lora, q8_o ? ws_.q8_o_parts.rows(row0 + j * T) : kernels::Q8Rows{}};
    engine_.gemm(worker, {&down, x, nullptr, T, out + j * v, H * v}, 0, down.panel_count(),
                 &Work::attention_projection);
  }
}

// All rows of the task at once, or those of each token over the keys that were chosen for it.
void Forward::mla_attend_rows(std::int64_t layer, const MlaTask& task, std::int32_t worker) {
  const std::int64_t J = task.heads, row0 = worker * kMlaTaskRows, top_k = c_->indexer.top_k;
  const bool chosen = top_k > 0 && task.segment->position + task.first >= top_k;
  for (std::int64_t t = 0; t < task.tokens; t += chosen ? 1 : task.tokens) {
    kernels::Attention a;
    a.value_dim = c_->kv_lora_rank;
    a.key_dim = a.value_dim + c_->qk_rope_head_dim;
    a.query_count = chosen ? J : task.tokens * J;
    a.q = ws_.q_rows.data() + (row0 + t * J) * a.key_dim;
    a.last_position = ws_.positions.data() + row0 + t * J;
    a.out = ws_.o_rows.data() + (row0 + t * J) * a.value_dim;
    if (chosen) a.chosen = ws_.chosen.data() + (task.segment->begin + task.first + t) * top_k;
    attend(a, task.segment->sequence, layer, 0, worker);
  }
}

}  // namespace moe::inline MOE_ABI
