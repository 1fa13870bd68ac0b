// The first half of a layer that keeps a state instead of keys: norm, projections, causal convolution, the state's
// steps, output projection, residual. Gated delta rule: arXiv 2412.06464, equation 10; Mamba-2: arXiv 2405.21060,
// section 7. The order of operations is in docs/NUMERICS.md.

#include <algorithm>
#include <cmath>

#include "model/forward.hpp"
#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// ln(1 + exp(x)).
double softplus(double x) {
  if (x > 40.0) return x;
  const double e = detail::exp(x);
  return x < -36.0 ? e : detail::log(1.0 + e);
}

}  // namespace

void Forward::recurrent(std::int64_t layer) {
  const LayerWeights& w = model_->weights->layers[static_cast<std::size_t>(layer)];
  const RecurrentRows& rows = recurrent_rows_[static_cast<std::size_t>(layer)];
  bool quantise = false;
  for (const Matrix* m : {&w.recurrent.in, &w.recurrent.in_z, &w.recurrent.in_b, &w.recurrent.in_a})
    quantise |= !m->empty() && engine_.wants_q8(*m);
  norm_rows(w.attention_norm, quantise);
  const Activations x = {ws_.normed.data(), c_->hidden_size, quantise ? ws_.q8_normed.rows() : kernels::Q8Rows{}};
  std::vector<LinearJob> jobs;
  std::int64_t column = 0;
  for (const Matrix* m : {&w.recurrent.in, &w.recurrent.in_z, &w.recurrent.in_b, &w.recurrent.in_a}) {
    if (m->empty()) continue;
    jobs.push_back({m, x, nullptr, tokens(), ws_.mixed.data() + column, rows.width});
    column += m->rows;
  }
  engine_.enter(Stage::projections);
  engine_.linear(jobs, &Work::attention_projection);
  if (c_->mixer(layer) == Mixer::short_conv) {
    short_conv(w, layer);
    project_out(w, ws_.convolved.data(), c_->hidden_size, ws_.q8_mixed);
    return;
  }
  convolve(w, layer, ws_.mixed.data(), rows.width, true);
  set_gates(w, layer);
  state_steps(layer);
  c_->mixer(layer) == Mixer::delta_net ? delta_net_output(w, layer) : mamba2_output(w, layer);
  project_out(w, ws_.o_in.data(), c_->recurrent.values(), ws_.q8_mixed);
}

// y = C * conv(B * x) of the three thirds of the projection (LFM2 report, arXiv 2511.23404, section 2).
void Forward::short_conv(const LayerWeights& w, std::int64_t layer) {
  const std::int64_t D = c_->hidden_size;
  engine_.enter(Stage::elementwise);
  engine_.run_each(tokens(), D, [&](std::int64_t t, std::int32_t) {
    float* b = ws_.mixed.data() + t * 3 * D;
    const float* x = b + 2 * D;
    for (std::int64_t i = 0; i < D; ++i) b[i] = b[i] * x[i];
  });
  convolve(w, layer, ws_.mixed.data(), 3 * D, false);
  engine_.enter(Stage::elementwise);
  engine_.run_each(tokens(), D, [&](std::int64_t t, std::int32_t) {
    const float* c = ws_.mixed.data() + t * 3 * D + D;
    float* y = ws_.convolved.data() + t * D;
    for (std::int64_t i = 0; i < D; ++i) y[i] = c[i] * y[i];
  });
}

// Tasks are ranges of channels of a segment; each takes the pieces of the segment in order.
void Forward::convolve(const LayerWeights& w, std::int64_t layer, const float* x, std::int64_t stride, bool silu) {
  const RecurrentRows& rows = recurrent_rows_[static_cast<std::size_t>(layer)];
  const detail::StateLayout::Layer& state = states_->at(layer);
  constexpr std::int64_t kChannels = 256;  // of a task
  struct Task {
    const Segment* segment;
    std::int64_t from, channel, count;
  };
  std::vector<Task> tasks;
  const auto add = [&](const Segment& s, std::int64_t from, std::int64_t channel, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += kChannels)
      tasks.push_back({&s, from + i, channel + i, std::min(kChannels, count - i)});
  };
  for (const Segment& s : chunk_->segments) {
    if (rows.columns.empty()) add(s, 0, 0, rows.channels);
    for (const RecurrentRows::Columns& part : rows.columns) add(s, part.from, part.channel, part.count);
  }
  engine_.enter(Stage::elementwise);
  const double cost = static_cast<double>(tokens() * rows.channels);
  engine_.run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    CausalConv conv;
    conv.channels = task.count, conv.taps = static_cast<int>(c_->recurrent.conv_kernel);
    conv.weights = w.recurrent.conv.data() + task.channel, conv.weight_stride = rows.channels;
    conv.bias = w.recurrent.conv_bias.empty() ? nullptr : w.recurrent.conv_bias.data() + task.channel;
    conv.silu = silu, conv.x_stride = stride, conv.y_stride = rows.channels;
    std::int64_t t = task.segment->begin;
    for (const StatePiece& piece : task.segment->states) {
      conv.x = x + t * stride + task.from, conv.y = ws_.convolved.data() + t * rows.channels + task.channel;
      conv.tokens = piece.count;
      conv.tail_in = piece.from == nullptr ? nullptr : piece.from + state.tail + task.channel;
      conv.tail_out = piece.to + state.tail + task.channel;
      engine_.table().causal_conv(conv);
      t += piece.count;
    }
    engine_.worker(worker).work.recurrent += 2 * conv.taps * conv.channels * task.segment->count;
  });
}

// Decay and step of every token and head; delta_net: unit lengths for queries and keys, too.
void Forward::set_gates(const LayerWeights& w, std::int64_t layer) {
  const RecurrentConfig& r = c_->recurrent;
  const RecurrentRows& rows = recurrent_rows_[static_cast<std::size_t>(layer)];
  const bool delta = c_->mixer(layer) == Mixer::delta_net;
  const std::int64_t n = r.key_dim;
  const auto eps = static_cast<float>(1e-6 / static_cast<double>(n));  // of the mean of squares, for 1e-6 of their sum
  const std::vector<float> key_scale(static_cast<std::size_t>(n), static_cast<float>(1.0 / std::sqrt(n)));
  const std::vector<float> query_scale(static_cast<std::size_t>(n), static_cast<float>(1.0 / static_cast<double>(n)));
  engine_.run_each(tokens(), 64 * r.heads + 4 * r.keys(), [&](std::int64_t t, std::int32_t) {
    const float* in = ws_.mixed.data() + t * rows.width;
    float* gates = ws_.gates.data() + t * 2 * r.heads;
    for (std::int64_t h = 0; h < r.heads; ++h) {
      const auto at = static_cast<std::size_t>(h);
      const double dt = std::max(r.min_step, softplus(in[rows.decay(h)] + w.recurrent.dt_bias[at]));
      gates[h] = static_cast<float>(detail::exp(static_cast<double>(w.recurrent.decay_rate[at]) * dt));
      gates[r.heads + h] = delta ? in[rows.step(h)] : static_cast<float>(dt);
    }
    if (!delta) return;
    engine_.table().sigmoid(gates + r.heads, r.heads, gates + r.heads);
    float* row = ws_.convolved.data() + t * rows.channels;
    for (std::int64_t h = 0; h < r.key_heads; ++h) {
      engine_.table().rms_norm(row + rows.q + h * n, query_scale.data(), eps, n, row + rows.q + h * n);
      engine_.table().rms_norm(row + rows.k + h * n, key_scale.data(), eps, n, row + rows.k + h * n);
    }
  });
}

// Tasks are up to four tiles of values of one head of a segment.
void Forward::state_steps(std::int64_t layer) {
  const RecurrentConfig& r = c_->recurrent;
  const RecurrentRows& rows = recurrent_rows_[static_cast<std::size_t>(layer)];
  const detail::StateLayout::Layer& state = states_->at(layer);
  constexpr std::int64_t kValues = 4 * kStateLanes;
  struct Task {
    const Segment* segment;
    std::int64_t head, first;
  };
  std::vector<Task> tasks;
  for (const Segment& s : chunk_->segments)
    for (std::int64_t h = 0; h < r.heads; ++h)
      for (std::int64_t first = 0; first < r.value_dim; first += kValues) tasks.push_back({&s, h, first});
  const std::int64_t products = r.heads * r.key_dim * r.value_dim;
  const double cost = static_cast<double>(tokens() * products) / 8.0;
  engine_.enter(Stage::attention);
  engine_.run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    const std::int64_t key_head = rows.key_head(task.head);
    const std::int64_t matrix = state.matrices + task.head * state.matrix_floats + task.first * r.key_dim;
    StateSteps steps;
    steps.delta = c_->mixer(layer) == Mixer::delta_net;
    steps.key_dim = r.key_dim, steps.values = std::min(kValues, r.value_dim - task.first);
    steps.qk_stride = steps.v_stride = rows.channels;
    steps.gate_stride = 2 * r.heads, steps.y_stride = r.values();
    std::int64_t t = task.segment->begin;
    for (const StatePiece& piece : task.segment->states) {
      const float* row = ws_.convolved.data() + t * rows.channels;
      steps.tokens = piece.count;
      steps.q = row + rows.q + key_head * r.key_dim;
      steps.k = row + rows.k + key_head * r.key_dim;
      steps.v = row + rows.v + task.head * r.value_dim + task.first;
      steps.decay = ws_.gates.data() + t * 2 * r.heads + task.head;
      steps.step = steps.decay + r.heads;
      steps.from = piece.from == nullptr ? nullptr : piece.from + matrix;
      steps.to = piece.to + matrix;
      steps.y = ws_.o_in.data() + t * r.values() + task.head * r.value_dim + task.first;
      engine_.table().state_steps(steps);
      t += piece.count;
    }
    engine_.worker(worker).work.recurrent +=
        2 * state_products(c_->mixer(layer)) * r.key_dim * steps.values * task.segment->count;
  });
}

// Norm of each head, then the gate.
void Forward::delta_net_output(const LayerWeights& w, std::int64_t layer) {
  const RecurrentConfig& r = c_->recurrent;
  const RecurrentRows& rows = recurrent_rows_[static_cast<std::size_t>(layer)];
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  engine_.enter(Stage::elementwise);
  engine_.run_each(tokens(), 4 * r.values(), [&](std::int64_t t, std::int32_t) {
    for (std::int64_t h = 0; h < r.heads; ++h) {
      float* y = ws_.o_in.data() + t * r.values() + h * r.value_dim;
      engine_.table().rms_norm(y, w.recurrent.norm.data(), eps, r.value_dim, y);
      engine_.table().silu_mul(ws_.mixed.data() + t * rows.width + rows.z(h), y, r.value_dim, y);
    }
  });
}

// The skip connection, the gate, then a norm per group.
void Forward::mamba2_output(const LayerWeights& w, std::int64_t layer) {
  const RecurrentConfig& r = c_->recurrent;
  const RecurrentRows& rows = recurrent_rows_[static_cast<std::size_t>(layer)];
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  const std::int64_t group = r.values() / r.key_heads;
  engine_.enter(Stage::elementwise);
  engine_.run_each(tokens(), 4 * r.values(), [&](std::int64_t t, std::int32_t) {
    float* y = ws_.o_in.data() + t * r.values();
    const float* x = ws_.convolved.data() + t * rows.channels + rows.v;
    for (std::int64_t h = 0; h < r.heads; ++h)
      engine_.table().axpy(w.recurrent.skip[static_cast<std::size_t>(h)], x + h * r.value_dim, r.value_dim,
                           y + h * r.value_dim);
    engine_.table().silu_mul(ws_.mixed.data() + t * rows.width + rows.z(0), y, r.values(), y);
    for (std::int64_t g = 0; g < r.key_heads; ++g)
      engine_.table().rms_norm(y + g * group, w.recurrent.norm.data() + g * group, eps, group, y + g * group);
  });
}

}  // namespace moe::inline MOE_ABI
