// The lightning indexer of DeepSeek sparse attention (DeepSeek-V3.2-Exp report, section 2.1): which keys each query attends
// to. Its keys are part of the cache; layers without an indexer use what the layer before them chose.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/attention_parts.hpp"
#include "model/chosen_keys.hpp"
#include "model/finite.hpp"
#include "model/forward.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr float kIndexNormEps = 1e-6F;      // of the keys' LayerNorm, as in transformers and DeepSeek's code
constexpr std::int64_t kRangeBlocks = 16;   // of keys, in a task: 1024 scores of a few queries
constexpr std::int64_t kIndexColumns = 32;  // keys in a cache line, of 16 bits

float inverse_root(std::int64_t n) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(n))); }

}  // namespace

// Queries, weights and keys behind their projections; keys go into the cache.
void Forward::index_rows(const LayerWeights& w, std::int64_t layer) {
  engine_.enter(Stage::elementwise);
  const kernels::KernelTable& k = engine_.table();
  const IndexerConfig& x = c_->indexer;
  const std::int64_t heads = x.head_count, dim = x.head_dim, pairs = rope_->pair_count();
  const float scale = inverse_root(heads);
  const KvType type = index_key_type(options_->kv);
  run_by_line(kIndexColumns, 2 * (heads + 1) * dim, [&](const Segment& s, std::int64_t i) {
    const std::int64_t t = s.begin + i, position = s.position + i;
    const float *cos = ws_.cos.data() + t * pairs, *sin = ws_.sin.data() + t * pairs;
    for (std::int64_t h = 0; h < heads; ++h) {
      rotate(k, x.rope_style, cos, sin, pairs, ws_.index_q.data() + (t * heads + h) * dim);
      ws_.index_weights.data()[t * heads + h] *= scale;
    }
    float* key = ws_.index_k.data() + t * dim;
    k.layer_norm(key, w.indexer.k_norm.data(), w.indexer.k_norm_bias.data(), kIndexNormEps, dim, key);
    rotate(k, x.rope_style, cos, sin, pairs, key);
    std::byte* page = cache_->page(s.sequence, position / kernels::kKeyBlock);
    k.store_cache({type, CacheOrder::columns, key, dim, page + cache_->layout().index_keys(layer),
                   position % kernels::kKeyBlock});
  });
}

// Tokens that see more keys than they attend to, a few at a time: their scores have a row each.
void Forward::choose_keys(std::int64_t layer) {
  std::vector<IndexRow> rows;
  for (const Segment& s : chunk_->segments)
    for (std::int64_t i = std::max<std::int64_t>(0, c_->indexer.top_k - s.position); i < s.count; ++i)
      rows.push_back({&s, i});
  engine_.enter(Stage::attention);
  for (std::size_t first = 0; first < rows.size(); first += static_cast<std::size_t>(kIndexRows)) {
    const std::size_t count = std::min(rows.size() - first, static_cast<std::size_t>(kIndexRows));
    score_keys(layer, std::span(rows).subspan(first, count));
    choose_by_score(layer, std::span(rows).subspan(first, count));
  }
}

void Forward::score_keys(std::int64_t layer, std::span<const IndexRow> rows) {
  struct Task {
    std::size_t first, count;  // rows of one sequence
    std::int64_t block;        // the first of its keys
  };
  std::vector<Task> tasks;
  double cost = 0.0;
  for (std::size_t first = 0, end = 0; first < rows.size(); first = end) {
    while (end < rows.size() && rows[end].segment == rows[first].segment) ++end;
    const std::int64_t keys = rows[end - 1].position() + 1;
    for (std::int64_t block = 0; block * kernels::kKeyBlock < keys; block += kRangeBlocks)
      tasks.push_back({first, end - first, block});
    cost += static_cast<double>(end - first) * static_cast<double>(keys) *
            static_cast<double>(c_->indexer.head_count * c_->indexer.head_dim) / 25.0;
  }
  engine_.run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    score_range(layer, rows, task.first, task.count, task.block, worker);
  });
}

// Of rows of one sequence, over kRangeBlocks blocks of keys.
void Forward::score_range(std::int64_t layer, std::span<const IndexRow> rows, std::size_t first, std::size_t count,
                          std::int64_t block, std::int32_t worker_index) {
  Worker& worker = engine_.worker(worker_index);
  const Segment& s = *rows[first].segment;
  const std::int64_t heads = c_->indexer.head_count, dim = c_->indexer.head_dim, t = rows[first].token();
  const std::int64_t keys = rows[first + count - 1].position() + 1, begin = block * kernels::kKeyBlock;
  kernels::IndexScores a;
  a.q_stride = heads * dim, a.weight_stride = heads;
  a.q = ws_.index_q.data() + t * a.q_stride;
  a.weights = ws_.index_weights.data() + t * heads;
  a.query_count = static_cast<std::int64_t>(count), a.head_count = heads, a.dim = dim;
  a.key_count = std::min(keys - begin, kRangeBlocks * kernels::kKeyBlock);
  a.key_type = index_key_type(options_->kv);
  a.scale = inverse_root(dim);
  worker.key_blocks.clear();
  for (std::int64_t b = block; b * kernels::kKeyBlock < begin + a.key_count; ++b)
    worker.key_blocks.push_back(cache_->page(s.sequence, b) + cache_->layout().index_keys(layer));
  a.key_blocks = worker.key_blocks.data();
  a.out_stride = ws_.index_columns;
  a.out = ws_.index_scores.data() + static_cast<std::int64_t>(first) * a.out_stride + begin;
  a.scratch = worker.kernel_scratch.data();
  engine_.table().index_scores(a);
}

void Forward::choose_by_score(std::int64_t layer, std::span<const IndexRow> rows) {
  const std::int64_t top_k = c_->indexer.top_k, columns = ws_.index_columns;
  const double cost = static_cast<double>(rows.size()) * static_cast<double>(rows.back().position() + 1) * 4.0;
  engine_.run(static_cast<std::int64_t>(rows.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const IndexRow& row = rows[static_cast<std::size_t>(i)];
    const std::int64_t keys = row.position() + 1;
    const float* scores = ws_.index_scores.data() + i * columns;
    engine_.worker(worker).work.index_score += 2 * keys * c_->indexer.head_count * (c_->indexer.head_dim + 1);
    if (!all_finite(scores, keys))
      return fail_once(ErrorCode::non_finite,
                       fmt::format("a score of the indexer is not finite in layer {} at position "
                                   "{}",
                                   layer, row.position()));
    moe::choose_keys({scores, static_cast<std::size_t>(keys)}, top_k, ws_.index_sorted.data() + worker * columns,
                     ws_.chosen.data() + row.token() * top_k);
  });
}

std::int64_t Forward::attended_keys(std::int64_t t) const {
  const std::int64_t seen = chunk_->positions[static_cast<std::size_t>(t)] + 1, top_k = c_->indexer.top_k;
  return top_k > 0 ? std::min(seen, top_k) : seen;
}

// Appends the positions that each token attends to in this layer.
void Forward::record_chosen(std::int64_t layer) {
  const std::int64_t top_k = c_->indexer.top_k;
  for (std::int64_t t = 0; t < tokens(); ++t) {
    std::vector<std::int32_t>& out = chosen_keys[static_cast<std::size_t>(layer)].emplace_back();
    if (chunk_->positions[static_cast<std::size_t>(t)] >= top_k) {
      out.assign(ws_.chosen.data() + t * top_k, ws_.chosen.data() + (t + 1) * top_k);
    } else {
      for (std::int32_t i = 0; i < attended_keys(t); ++i) out.push_back(i);
    }
  }
}

}  // namespace moe::inline MOE_ABI
