// The attention half of a layer: norm, queries and keys, cache, attention, output projection, residual.
//
// Rows of grouped-query attention: for kv head g, token t and query head j of its group, row (g * T + t) * group + j of
// q_rows and o_rows. What MLA does between its first and its last projection is in mla_block.cpp.

#include <algorithm>
#include <cstring>

#include "model/attention_parts.hpp"
#include "model/forward.hpp"

namespace moe::inline MOE_ABI {
void Forward::attention(std::int64_t layer) {
  const LayerWeights& w = model_->weights->layers[static_cast<std::size_t>(layer)];
  bool quantise = false;
  for (const Matrix* m : {&w.q, &w.k, &w.v, &w.q_a, &w.kv_a, &w.indexer.k})
    quantise |= !m->empty() && engine_.wants_q8(*m);
  norm_rows(w.attention_norm, quantise);
  const Activations x = {ws_.normed.data(), c_->hidden_size, quantise ? ws_.q8_normed.rows() : kernels::Q8Rows{}};
  engine_.enter(Stage::projections);
  if (c_->attention == AttentionKind::gqa) {
    gqa_projections(w, x);
    gqa_queries(w, layer);
    attend(layer);
  } else {
    mla_projections(w, x);
    mla_queries(w);
    mla_latent(w, layer);
    if (c_->has_indexer(layer)) {
      index_rows(w, layer);
      choose_keys(layer);
    }
    if (options_->record_chosen_keys && c_->indexer.top_k > 0) record_chosen(layer);
    if (failed_) return;  // keys that could not be chosen
    mla_attend(w, layer);
  }
  output_projection(w, layer);
}

// Layers may have no projection of values, or none of keys either.
void Forward::gqa_projections(const LayerWeights& w, const Activations& x) {
  const LinearJob jobs[] = {{&w.q, x, nullptr, tokens(), ws_.q.data(), w.q.rows},
                            {&w.k, x, nullptr, tokens(), ws_.k.data(), w.k.rows},
                            {&w.v, x, nullptr, tokens(), ws_.v.data(), w.v.rows}};
  const std::size_t count = w.k.empty() ? 1 : w.v.empty() ? 2 : 3;
  engine_.linear(std::span(jobs, count), &Work::attention_projection);
}

Forward::Angles Forward::angles(std::int64_t layer, std::int64_t t) const {
  const bool sliding = sliding_rope_ && c_->window(layer) > 0;
  const std::int64_t pairs = (sliding ? *sliding_rope_ : *rope_).pair_count();
  return {(sliding ? ws_.sliding_cos : ws_.cos).data() + t * pairs,
          (sliding ? ws_.sliding_sin : ws_.sin).data() + t * pairs, pairs};
}

void Forward::norm_and_rotate(const std::vector<float>& norm, std::int64_t layer, const Angles& a, float* head) {
  const kernels::KernelTable& k = engine_.table();
  const std::int64_t hd = c_->head_dim_of(layer);
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  if (c_->qk_norm == QkNorm::head) k.rms_norm(head, norm.data(), eps, hd, head);
  if (c_->has_rope(layer)) rotate(k, c_->rope.style, a.cos, a.sin, a.pairs, head);
  if (c_->qk_norm == QkNorm::head_after_rope) k.rms_norm(head, norm.data(), eps, hd, head);
}

// Keys and values of the segment's token i into the cache.
void Forward::store_keys(const LayerWeights& w, std::int64_t layer, const Segment& s, std::int64_t i) {
  const kernels::KernelTable& k = engine_.table();
  const std::int64_t hd = c_->head_dim_of(layer), kv = c_->kv_heads_of(layer), t = s.begin + i,
                     position = s.position + i, slot = position % kernels::kKeyBlock;
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  const PageLayout& layout = cache_->layout();
  float* key = ws_.k.data() + t * w.k.rows;
  float* value = ws_.v.data() + t * w.k.rows;  // as many as keys
  if (w.v.empty()) std::memcpy(value, key, static_cast<std::size_t>(kv * hd) * sizeof(float));
  if (!w.k_bias.empty()) {
    k.add(w.k_bias.data(), w.k.rows, key);
    k.add(w.v_bias.data(), w.v.rows, value);
  }
  if (c_->qk_norm == QkNorm::projection) k.rms_norm(key, w.k_norm.data(), eps, w.k.rows, key);
  const Angles turn = angles(layer, t);
  std::byte* page = cache_->page(s.sequence, position / kernels::kKeyBlock);
  for (std::int64_t g = 0; g < kv; ++g) {
    norm_and_rotate(w.k_norm, layer, turn, key + g * hd);
    if (c_->value_norm) k.rms_norm(value + g * hd, ones_.data(), eps, hd, value + g * hd);
    k.store_cache({options_->kv, CacheOrder::columns, key + g * hd, hd, page + layout.keys(layer, g), slot});
    k.store_cache({options_->kv, CacheOrder::rows, value + g * hd, hd, page + layout.values(layer, g), slot});
  }
}

// Bias, QK norm and RoPE; queries go to attention's order, keys and values into the cache.
void Forward::gqa_queries(const LayerWeights& w, std::int64_t layer) {
  engine_.enter(Stage::elementwise);
  const kernels::KernelTable& k = engine_.table();
  const std::int64_t hd = c_->head_dim_of(layer), group = c_->head_count / c_->kv_heads_of(layer), T = tokens();
  const auto one_token = [&](const Segment& s, std::int64_t i) {
    const std::int64_t t = s.begin + i, position = s.position + i;
    const Angles turn = angles(layer, t);
    float* q = ws_.q.data() + t * w.q.rows;
    const auto growth = static_cast<float>(query_scale(c_->rope, position));
    if (!w.q_bias.empty()) k.add(w.q_bias.data(), w.q.rows, q);
    if (c_->qk_norm == QkNorm::projection)
      k.rms_norm(q, w.q_norm.data(), static_cast<float>(c_->rms_norm_eps), w.q.rows, q);
    const std::int64_t q_stride = c_->attention_gate ? 2 * hd : hd;  // a head's gate follows its query
    for (std::int64_t h = 0; h < c_->head_count; ++h) {
      float* row = ws_.q_rows.data() + ((h / group * T + t) * group + h % group) * hd;
      std::memcpy(row, q + h * q_stride, static_cast<std::size_t>(hd) * sizeof(float));
      norm_and_rotate(w.q_norm, layer, turn, row);
      if (growth != 1.0f)
        for (std::int64_t d = 0; d < hd; ++d) row[d] *= growth;
    }
    if (c_->has_keys(layer)) store_keys(w, layer, s, i);
  };
  const std::int64_t line = options_->kv == KvType::q8_0 ? 64 : 32;  // values of 8 or 16 bits; half as many of 32 bits
  run_by_line(line, 2 * (w.q.rows + 2 * w.k.rows), one_token);
}

// Visible positions of every attention row in this layer; the rows of a kv head are contiguous, with the same
// positions.
void Forward::set_visible(std::int64_t layer) {
  const std::int64_t heads = c_->kv_heads_of(layer), group = c_->head_count / heads, T = tokens();
  const std::int64_t window = c_->window(layer);
  for (std::int64_t t = 0; t < T; ++t) {
    const std::int64_t position = chunk_->positions[static_cast<std::size_t>(t)];
    std::fill_n(ws_.positions.data() + t * group, group, position);
    if (window > 0)
      std::fill_n(ws_.first_positions.data() + t * group, group, std::max<std::int64_t>(0, position - window + 1));
  }
  const std::vector<float>& sinks = model_->weights->layers[static_cast<std::size_t>(layer)].sinks;
  for (std::int64_t g = 0; g < heads && !sinks.empty(); ++g)
    for (std::int64_t t = 0; t < T; ++t)
      std::copy_n(sinks.data() + g * group, group, ws_.sinks.data() + (g * T + t) * group);
}

void Forward::attend(std::int64_t layer) {
  engine_.enter(Stage::attention);
  const std::int64_t heads = c_->kv_heads_of(layer), group = c_->head_count / heads, T = tokens();
  set_visible(layer);
  // Rows per task: enough to reuse a block of keys while it is in cache, few enough to keep all workers busy.
  constexpr std::int64_t kRowsPerTask = 96;
  struct Task {
    const Segment* segment;
    std::int64_t head, first, count;
  };
  const std::int64_t wanted = (T * group * heads + engine_.worker_count() * 4 - 1) / (engine_.worker_count() * 4);
  const std::int64_t rows_per_task = std::clamp<std::int64_t>(wanted, 8, kRowsPerTask);
  std::vector<Task> tasks;
  for (const Segment& s : chunk_->segments)
    for (std::int64_t g = 0; g < heads; ++g)
      for (std::int64_t first = 0; first < s.count * group; first += rows_per_task)
        tasks.push_back({&s, g, s.begin * group + first, std::min(rows_per_task, s.count * group - first)});
  const std::int64_t width = 2 * c_->head_dim_of(layer);
  double cost = 0.0;
  for (const Segment& s : chunk_->segments)
    cost += static_cast<double>(s.count * c_->head_count) * static_cast<double>(s.position + s.count) *
            static_cast<double>(width) / 25.0;
  engine_.run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    attend_rows(*task.segment, layer, task.head, task.first, task.count, worker);
  });
}

void Forward::attend_rows(const Segment& segment, std::int64_t layer, std::int64_t kv_head, std::int64_t first,
                          std::int64_t count, std::int32_t worker) {
  const std::int64_t row0 = kv_head * tokens() * (c_->head_count / c_->kv_heads_of(layer)) + first;
  kernels::Attention a;
  a.key_dim = a.value_dim = c_->head_dim_of(layer);
  a.q = ws_.q_rows.data() + row0 * a.key_dim;
  a.query_count = count;
  a.last_position = ws_.positions.data() + first;
  if (c_->window(layer) > 0) a.first_position = ws_.first_positions.data() + first;
  if (c_->attention_sinks) a.sinks = ws_.sinks.data() + row0;
  a.out = ws_.o_rows.data() + row0 * a.value_dim;
  attend(a, segment.sequence, layer, kv_head, worker);
}

// The rows of `a` use the keys and values of one kv head.
void Forward::attend(kernels::Attention& a, Sequence sequence, std::int64_t layer, std::int64_t kv_head,
                     std::int32_t worker_index) {
  const bool mla = c_->attention == AttentionKind::mla;
  const PageLayout& layout = cache_->layout();
  const std::int64_t held = c_->key_layer(layer);
  Worker& worker = engine_.worker(worker_index);
  a.q_stride = a.key_dim;
  a.out_stride = a.value_dim;
  a.cache_type = options_->kv;
  a.scale = static_cast<float>(c_->softmax_scale);
  a.soft_cap = static_cast<float>(c_->attn_logit_softcapping);
  a.scratch = worker.kernel_scratch.data();
  const std::int64_t last = a.last_position[a.query_count - 1];
  const std::int64_t blocks = (a.chosen == nullptr ? last : a.chosen[last]) / kernels::kKeyBlock + 1;
  worker.key_blocks.resize(static_cast<std::size_t>(blocks));
  worker.value_blocks.resize(static_cast<std::size_t>(blocks));
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::byte* page = cache_->page(sequence, b);
    worker.key_blocks[static_cast<std::size_t>(b)] = page + layout.keys(held, kv_head);
    worker.value_blocks[static_cast<std::size_t>(b)] = page + layout.values(held, kv_head);
  }
  a.key_blocks = worker.key_blocks.data();
  a.value_blocks = mla ? nullptr : worker.value_blocks.data();
  mla ? engine_.table().attention_mla(a) : engine_.table().attention_gqa(a);

  for (std::int64_t i = 0; i < a.query_count; ++i) {
    const std::int64_t keys = a.last_position[i] + 1 - (a.first_position != nullptr ? a.first_position[i] : 0);
    worker.work.attention_score += 2 * keys * a.key_dim;
    worker.work.attention_value += 2 * keys * a.value_dim;
  }
}

void Forward::output_projection(const LayerWeights& w, std::int64_t layer) {
  const std::int64_t T = tokens(), width = w.o.k;
  if (c_->attention == AttentionKind::gqa) {
    const std::int64_t hd = c_->head_dim_of(layer), group = c_->head_count / c_->kv_heads_of(layer);
    engine_.enter(Stage::elementwise);
    engine_.run_each(T, width, [&](std::int64_t t, std::int32_t) {
      for (std::int64_t h = 0; h < c_->head_count; ++h) {
        const float* from = ws_.o_rows.data() + ((h / group * T + t) * group + h % group) * hd;
        float* to = ws_.o_in.data() + t * width + h * hd;
        if (c_->attention_gate)
          engine_.table().sigmoid_mul(ws_.q.data() + t * w.q.rows + (2 * h + 1) * hd, from, hd, to);
        else
          std::memcpy(to, from, static_cast<std::size_t>(hd) * sizeof(float));
      }
    });
  }
  const bool own = c_->head_dim_of(layer) != c_->head_dim;  // of full layers
  project_out(w, ws_.o_in.data(), width, own ? ws_.q8_full_o_in : ws_.q8_o_in);
}

void Forward::project_out(const LayerWeights& w, const float* x, std::int64_t width, Q8Buffer& q8) {
  const std::int64_t T = tokens(), D = c_->hidden_size;
  const bool quantise = engine_.wants_q8(w.o);
  if (quantise) quantise_rows(x, width, T, q8);
  const LinearJob job = {&w.o, {x, width, quantise ? q8.rows() : kernels::Q8Rows{}}, nullptr, T, ws_.normed.data(), D};
  engine_.enter(Stage::projections);
  engine_.linear(std::span(&job, 1), &Work::attention_projection);
  add_branch(w.o_bias, w.post_attention_norm);
}

}  // namespace moe::inline MOE_ABI
