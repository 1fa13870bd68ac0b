#include "model/forward.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/packing.hpp"
#include "model/finite.hpp"
#include "model/stages.hpp"

namespace moe::inline MOE_ABI {
namespace {

// Buffers needed by the products of all matrices: float ones widen panels into scratch, integer ones read tiles.
Engine::Scratch gemm_scratch(const Weights& w) {
  Engine::Scratch scratch;
  const auto see = [&](const Matrix& m) {
    if (m.empty()) return;
    scratch.kernel_floats = std::max(scratch.kernel_floats, kernels::gemm_f32_scratch(m.format, m.k));
    scratch.q8_width = std::max(scratch.q8_width, m.k);
  };
  const auto see_ffn = [&](const FfnWeights& f) {
    see(f.gate);
    see(f.up);
    see(f.down);
  };
  see(w.head_matrix());
  see(w.layer_input);
  see(w.eh_proj);
  for (const LayerWeights& l : w.layers) {
    for (const Matrix* m :
         {&l.q, &l.k, &l.v, &l.q_a, &l.q_b, &l.kv_a, &l.o, &l.router, &l.shared_gate, &l.recurrent.in,
          &l.recurrent.in_z, &l.recurrent.in_b, &l.recurrent.in_a, &l.indexer.q, &l.indexer.k, &l.indexer.weights})
      see(*m);
    for (const Matrix* m : {&l.layer_input_gate, &l.layer_input_up}) see(*m);
    for (const Matrix& m : l.k_b) see(m);
    for (const Matrix& m : l.v_b) see(m);
    see_ffn(l.ffn);
    see_ffn(l.shared);
    for (const FfnWeights& e : l.experts) see_ffn(e);
  }
  return scratch;
}

}  // namespace

Result<void> Forward::create(const ModelImpl& model, const SessionOptions& options, KvCache& cache,
                             const detail::StateLayout& state_layout, const kernels::KernelTable& table) {
  model_ = &model;
  c_ = &model.info.config;
  options_ = &options;
  cache_ = &cache;
  states_ = &state_layout;
  if (is_pipeline(options)) link_ = &link_of(*options.stages);
  const bool mla = c_->attention == AttentionKind::mla;
  const std::int64_t key_dim = mla ? c_->kv_lora_rank + c_->qk_rope_head_dim : c_->max_head_dim();
  const std::int64_t value_dim = mla ? c_->kv_lora_rank : c_->max_head_dim();
  if (c_->value_norm) ones_.assign(static_cast<std::size_t>(value_dim), 1.0f);
  Engine::Scratch scratch = gemm_scratch(*model.weights);
  scratch.kernel_floats = std::max(scratch.kernel_floats, kernels::attention_scratch(key_dim, value_dim));
  if (c_->indexer.head_count > 0)
    scratch.kernel_floats = std::max(scratch.kernel_floats, kernels::index_scratch(c_->indexer.head_dim));
  const StepShape shape = step_shape(options, model.experts != nullptr);
  tiles_.emplace(*c_, shape);
  scratch.tile_floats = tiles_->floats;
  if (auto ok = engine_.create(table, options, workers(), scratch); !ok) return ok;
  find_q8_readers();
  auto rope = RopeTable::create(c_->rope, c_->full_rotated_dim());
  if (!rope) return forward(rope);
  rope_.emplace(std::move(*rope));
  if (c_->rope.scaling == RopeScaling::longrope) {
    auto beyond = RopeTable::create(beyond_original(c_->rope), c_->rotated_dim());
    if (!beyond) return forward(beyond);
    long_rope_.emplace(std::move(*beyond));
  }
  if (c_->sliding_rope) {
    auto sliding = RopeTable::create(*c_->sliding_rope, c_->rotated_dim());
    if (!sliding) return forward(sliding);
    sliding_rope_.emplace(std::move(*sliding));
  }
  routers_.assign(static_cast<std::size_t>(c_->layer_count), c_->router);
  moe_index_.assign(static_cast<std::size_t>(c_->layer_count), 0);
  load.expert_count = c_->router.expert_count;
  c_->for_each_moe_layer([&](std::int64_t layer, std::int64_t index) {
    routers_[static_cast<std::size_t>(layer)].top_k = c_->moe_layer_top_k(index);
    moe_index_[static_cast<std::size_t>(layer)] = static_cast<std::size_t>(index);
    load.layers.push_back(layer);
  });
  recurrent_rows_.resize(static_cast<std::size_t>(c_->layer_count));
  for (std::int64_t layer = 0; layer < c_->layer_count; ++layer)
    if (c_->is_recurrent(layer)) {
      const auto at = static_cast<std::size_t>(layer);
      recurrent_rows_[at] = RecurrentRows(*c_, c_->mixer(layer), model.weights->layers[at].recurrent);
    }
  return ws_.allocate(*c_, shape);
}

// A pool of the host's is used as it is. If the system starts no more threads, OpenMP's stay: slower, with the same
// results.
ParallelFor Forward::workers() {
  const ParallelFor& given = options_->threads;
  if (model_->experts == nullptr || given.run != openmp_pool(1).run || given.worker_count < 2) return given;
  auto pool = SleepingPool::create(given.worker_count);
  if (!pool) return given;
  sleeping_ = std::move(*pool);
  return sleeping_->pool();
}

void Forward::begin(Batch batch) {
  routing.assign(options_->record_routing ? static_cast<std::size_t>(c_->layer_count) : 0, {});
  hidden.assign(options_->record_hidden ? static_cast<std::size_t>(c_->layer_count) + 1 : 0, {});
  chosen_keys.assign(options_->record_chosen_keys ? static_cast<std::size_t>(c_->layer_count) : 0, {});
  recorded_states.clear();
  expert_counts.assign(batch.size(), 0);
  recomputed_experts.assign(batch.size(), 0);
  tallies_.clear();
  for (const BatchItem& item : batch) {
    tallies_.push_back(item.tally);
    if (load.layers.empty()) continue;
    const auto tally = static_cast<std::size_t>(item.tally);
    if (load.tallies.size() <= tally) load.tallies.resize(tally + 1);
    if (load.tallies[tally].counts.empty() && !item.tokens.empty())
      load.tallies[tally].counts.resize(load.layers.size() * static_cast<std::size_t>(load.expert_count));
  }
}

void Forward::fail_once(ErrorCode code, std::string message) {
  if (!failed_.exchange(true)) error_ = Error{code, std::move(message)};
}

void Forward::quantise_rows(const float* x, std::int64_t x_stride, std::int64_t row_count, Q8Buffer& out) {
  engine_.enter(Stage::quantising);
  engine_.run_each(row_count, out.width,
                   [&](std::int64_t t, std::int32_t) { out.quantise(engine_.table(), t, x + t * x_stride); });
}

void Forward::embed() {
  engine_.enter(Stage::elementwise);
  const Matrix& e = model_->weights->embedding;
  const auto scale = static_cast<float>(c_->embedding_scale);
  engine_.run_each(tokens(), 2 * c_->hidden_size, [&](std::int64_t t, std::int32_t) {
    float* row = ws_.hidden.data() + t * c_->hidden_size;
    if (model_->layers.begin == 0) {
      kernels::unpack_row(e.format, e.panels(), chunk_->ids[static_cast<std::size_t>(t)], row);
      if (scale != 1.0f)
        for (std::int64_t i = 0; i < c_->hidden_size; ++i) row[i] *= scale;
    }
    const std::int64_t pairs = rope_->pair_count(), position = chunk_->positions[static_cast<std::size_t>(t)];
    const bool beyond = long_rope_ && chunk_->beyond[static_cast<std::size_t>(t)] != 0;
    (beyond ? *long_rope_ : *rope_).fill(position, ws_.cos.data() + t * pairs, ws_.sin.data() + t * pairs);
    if (!sliding_rope_) return;
    const std::int64_t own = sliding_rope_->pair_count();
    sliding_rope_->fill(position, ws_.sliding_cos.data() + t * own, ws_.sliding_sin.data() + t * own);
  });
}

// Without a weight, the branch reads the residual stream directly.
void Forward::norm_rows(const std::vector<float>& weight, bool quantise) {
  engine_.enter(Stage::quantising);
  const std::int64_t D = c_->hidden_size;
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  Q8Buffer& q8 = ws_.q8_normed;
  engine_.run_each(tokens(), 2 * D, [&](std::int64_t t, std::int32_t) {
    float* out = ws_.normed.data() + t * D;
    if (weight.empty())
      std::copy_n(ws_.hidden.data() + t * D, D, out);
    else
      engine_.table().rms_norm(ws_.hidden.data() + t * D, weight.data(), eps, D, out);
    if (quantise) q8.quantise(engine_.table(), t, out);
  });
}

// Adds a branch's output, in `normed`, to the residual stream; some models normalise or scale it first.
void Forward::add_branch(const std::vector<float>& bias, const std::vector<float>& post_norm) {
  engine_.enter(Stage::elementwise);
  const std::int64_t D = c_->hidden_size;
  const auto scale = static_cast<float>(c_->residual_scale);
  engine_.run_each(tokens(), 2 * D, [&](std::int64_t t, std::int32_t) {
    float* row = ws_.normed.data() + t * D;
    if (!bias.empty()) engine_.table().add(bias.data(), D, row);
    if (!post_norm.empty())
      engine_.table().rms_norm(row, post_norm.data(), static_cast<float>(c_->rms_norm_eps), D, row);
    if (scale != 1.0f)
      engine_.table().axpy(scale, row, D, ws_.hidden.data() + t * D);
    else
      engine_.table().add(row, D, ws_.hidden.data() + t * D);
  });
}

// The layer's input is finite (checked before), so a bad value comes from this layer.
Result<void> Forward::check_finite(std::int64_t layer) {
  const std::int64_t D = c_->hidden_size;
  for (std::int64_t t = 0; t < tokens(); ++t)
    if (!all_finite(ws_.hidden.data() + t * D, D))
      return fail(
          ErrorCode::non_finite,
          fmt::format("hidden state is not finite after layer {} at position {} (token {})", layer,
                      chunk_->positions[static_cast<std::size_t>(t)], chunk_->ids[static_cast<std::size_t>(t)]));
  return {};
}

void Forward::record_hidden(std::int64_t layer) {
  if (!options_->record_hidden) return;
  std::vector<float>& out = hidden[static_cast<std::size_t>(layer)];
  out.insert(out.end(), ws_.hidden.data(), ws_.hidden.data() + tokens() * c_->hidden_size);
}

Result<void> Forward::head(const LogitTarget& out) {
  const std::int64_t D = c_->hidden_size, rows = static_cast<std::int64_t>(chunk_->logit_rows.size());
  engine_.worker(0).work.head_tokens += rows;
  if (rows == 0) return {};
  engine_.enter(Stage::quantising);
  engine_.run_each(rows, D, [&](std::int64_t r, std::int32_t) {
    const std::int64_t t = chunk_->logit_rows[static_cast<std::size_t>(r)];
    engine_.table().rms_norm(ws_.hidden.data() + t * D, model_->weights->final_norm.data(),
                             static_cast<float>(c_->rms_norm_eps), D, ws_.normed.data() + r * D);
  });
  if (engine_.wants_q8(model_->weights->head_matrix())) quantise_rows(ws_.normed.data(), D, rows, ws_.q8_normed);
  if (out.read == nullptr) return head_rows(0, rows, out.data);
  for (std::int64_t first = 0; first < rows; first += out.slice_rows) {
    const std::int64_t count = std::min(out.slice_rows, rows - first);
    if (auto ok = head_rows(first, count, out.data); !ok) return ok;
    if (auto ok = (*out.read)(out.first + first, {out.data, static_cast<std::size_t>(count * c_->vocab_size)}); !ok)
      return ok;
  }
  return {};
}

// Rows [first, first + rows) of those that the chunk wants.
Result<void> Forward::head_rows(std::int64_t first, std::int64_t rows, float* logits) {
  const std::int64_t D = c_->hidden_size, V = c_->vocab_size;
  const Matrix& w = model_->weights->head_matrix();
  const kernels::Q8Rows q8 = engine_.wants_q8(w) ? ws_.q8_normed.rows(first) : kernels::Q8Rows{};
  const LinearJob job = {&w, {ws_.normed.data() + first * D, D, q8}, nullptr, rows, logits, V};
  engine_.enter(Stage::head);
  engine_.linear(std::span(&job, 1), &Work::head);
  if (const auto divisor = static_cast<float>(c_->logit_divisor); divisor != 1.0f) {
    engine_.enter(Stage::elementwise);
    engine_.run_each(rows, V, [&](std::int64_t r, std::int32_t) {
      for (std::int64_t i = r * V; i < (r + 1) * V; ++i) logits[i] /= divisor;
    });
  }
  for (std::int64_t r = 0; r < rows; ++r)
    if (!all_finite(logits + r * V, V)) {
      const std::int32_t t = chunk_->logit_rows[static_cast<std::size_t>(first + r)];
      return fail(ErrorCode::non_finite,
                  fmt::format("a logit is not finite at position {}", chunk_->positions[static_cast<std::size_t>(t)]));
    }
  // After the check, because soft-capping would hide an infinite logit.
  if (const auto cap = static_cast<float>(c_->final_logit_softcapping); cap > 0.0f) {
    engine_.enter(Stage::elementwise);
    engine_.run_each(rows, V, [&](std::int64_t r, std::int32_t) {
      engine_.table().soft_cap(logits + r * V, cap, V, logits + r * V);
    });
  }
  return {};
}

Result<void> Forward::run_layers() {
  if (link_ == nullptr || link_->is_first()) record_hidden(0);
  for (std::int64_t layer = model_->layers.begin; layer < model_->layers.end; ++layer) {
    if (options_->cancelled && options_->cancelled()) return fail(ErrorCode::cancelled, "the step was cancelled");
    if (c_->mixer(layer) == Mixer::attention)
      attention(layer);
    else if (c_->is_recurrent(layer))
      recurrent(layer);
    if (c_->has_ffn(layer)) feed_forward(layer);
    if (error_) return tl::unexpected<Error>(*error_);
    end_layer(layer);
    if (auto ok = check_finite(layer); !ok) return ok;
    record_hidden(layer + 1);
    if (link_ != nullptr) note_routes(layer);
  }
  if (model_->layers.begin == 0) engine_.worker(0).work.tokens += tokens();
  return {};
}

Result<void> Forward::run(const Chunk& chunk, const LogitTarget& out) {
  chunk_ = &chunk;
  failed_ = false;
  error_.reset();
  embed();
  if (c_->layer_input_size > 0) make_layer_inputs();
  if (c_->is_mtp_layer) add_states();
  if (link_ != nullptr) return run_stage(out.data);
  if (auto ok = run_layers(); !ok) return ok;
  record_states();
  return head(out);
}

}  // namespace moe::inline MOE_ABI
