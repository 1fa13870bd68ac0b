// The feed-forward half of a layer. A dense FFN, the shared expert and the routed experts are the same thing here: runs
// of (token, expert) pairs. Phase 1 computes silu(gate) * up tile by tile and quantises it in the same task; phase 2
// computes column ranges of the down projection for all pairs and adds them to the residual in the contract's order.

#include <fmt/format.h>

#include <algorithm>

#include "model/expert_run.hpp"
#include "model/forward.hpp"
#include "moe/router.hpp"

namespace moe::inline MOE_ABI {

// Experts of one layer may be stored in different ways: one of them as float32 beside codes, or with columns in an order
// of its own. So all are asked, but not in every step.
void Forward::find_q8_readers() {
  ffn_reads_q8_.clear();
  for (const LayerWeights& w : model_->weights->layers)
    ffn_reads_q8_.push_back(w.experts.empty()
                                ? reads_q8(w.ffn)
                                : reads_q8(w.shared) || std::any_of(w.experts.begin(), w.experts.end(),
                                                                    [&](const FfnWeights& e) { return reads_q8(e); }));
}

void Forward::feed_forward(std::int64_t layer) {
  const LayerWeights& w = model_->weights->layers[static_cast<std::size_t>(layer)];
  const bool moe = !w.experts.empty(), quantise = ffn_reads_q8_[static_cast<std::size_t>(layer)];
  const bool beside = moe && c_->dense_beside_experts;
  if (beside) dense_branch(w);
  norm_rows(beside ? w.router_norm : w.ffn_norm, quantise && !beside);

  std::vector<ExpertRun> runs;
  const auto dense_run = [&](const FfnWeights& ffn, std::int64_t Work::*counter) {
    ExpertRun& run = runs.emplace_back(ffn, counter);
    run.count = tokens(), run.act = &ws_.act_dense, run.q8 = &ws_.q8_dense;
  };
  if (!moe) {
    dense_run(w.ffn, &Work::dense_ffn);
  } else {
    choose(w, layer);
    if (failed_) return;
    sort_pairs();
    if (beside) norm_rows(w.expert_norm, quantise);
    if (model_->experts != nullptr) return stream_experts(w, layer);
    if (!w.shared.up.empty()) dense_run(w.shared, &Work::shared_experts);
    for (std::int32_t e = 0; e < c_->router.expert_count; ++e) {
      const std::int64_t begin = pairs_before(e);
      if (pairs_before(e + 1) > begin) runs.push_back(routed_run(w, e, begin));
    }
  }
  gate_up(runs, quantise);
  down(w, runs);
  end_feed_forward(w);
}

/// Its results of gate and up begin at `first_row` of the routed buffers.
Forward::ExpertRun Forward::routed_run(const LayerWeights& w, std::int32_t expert, std::int64_t first_row) {
  ExpertRun run(w.experts[static_cast<std::size_t>(expert)], &Work::routed_experts);
  run.first_pair = pairs_before(expert);
  run.count = pairs_before(expert + 1) - run.first_pair;
  run.token_index = ws_.pair_token.data() + run.first_pair;
  run.first_row = first_row;
  run.act = &ws_.act_routed, run.q8 = &ws_.q8_routed;
  return run;
}

void Forward::choose(const LayerWeights& w, std::int64_t layer) {
  engine_.enter(Stage::router);
  const RouterConfig& r = routers_[static_cast<std::size_t>(layer)];
  const std::int64_t E = r.expert_count, K = r.top_k, stride = c_->router.top_k, T = tokens();
  // Always float32, whatever the precision: a rounding here would change which experts run.
  const LinearJob job = {&w.router, {ws_.normed.data(), c_->hidden_size, {}}, nullptr, T, ws_.router.data(), E};
  engine_.linear(std::span(&job, 1), &Work::router);
  if (c_->shared_expert_gate) {
    const LinearJob gate = {
        &w.shared_gate, {ws_.normed.data(), c_->hidden_size, {}}, nullptr, T, ws_.shared_gate.data(), 1};
    engine_.linear(std::span(&gate, 1), &Work::shared_experts);
    engine_.table().sigmoid(ws_.shared_gate.data(), T, ws_.shared_gate.data());
  }
  engine_.run_each(T, 4 * E, [&](std::int64_t t, std::int32_t) {
    const auto chosen = choose_of(w, layer, ws_.router.data() + t * E,
                                  {ws_.expert_ids.data() + t * stride, static_cast<std::size_t>(K)},
                                  {ws_.expert_weights.data() + t * stride, static_cast<std::size_t>(K)});
    if (chosen) {
      ws_.expert_counts[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(*chosen);
      for (std::int64_t i = t * stride; !w.expert_scale.empty() && i < t * stride + *chosen; ++i)
        ws_.expert_weights[static_cast<std::size_t>(i)] *=
            w.expert_scale[static_cast<std::size_t>(ws_.expert_ids[static_cast<std::size_t>(i)])];
    } else {
      fail_once(chosen.error().code,
                fmt::format("layer {}, position {}: {}", layer, chunk_->positions[static_cast<std::size_t>(t)],
                            chosen.error().message));
    }
  });
  if (failed_) return;
  count_load(layer);
  if (options_->record_routing) record_routing(layer);
}

// One token's experts from the router's logits, which become scores.
Result<std::int64_t> Forward::choose_of(const LayerWeights& w, std::int64_t layer, float* scores,
                                        std::span<std::int32_t> ids, std::span<float> weights) const {
  const RouterConfig& r = routers_[static_cast<std::size_t>(layer)];
  const std::int64_t E = r.expert_count;
  if (!w.router_logit_bias.empty()) engine_.table().add(w.router_logit_bias.data(), E, scores);
  if (r.score == RouterScore::sigmoid) engine_.table().sigmoid(scores, E, scores);
  if (r.score == RouterScore::softmax) engine_.table().softmax(scores, E, scores);
  return choose_experts({scores, static_cast<std::size_t>(E)}, w.router_bias, r, ids, weights);
}

void Forward::count_load(std::int64_t layer) {
  const std::int64_t E = c_->router.expert_count, stride = c_->router.top_k;
  const std::size_t index = moe_index_[static_cast<std::size_t>(layer)];
  for (const Segment& s : chunk_->segments) {
    ExpertLoad::Tally& tally = load.tallies[static_cast<std::size_t>(tallies_[s.item])];
    if (index == 0) tally.tokens += s.count;
    std::int64_t* counts = tally.counts.data() + static_cast<std::int64_t>(index) * E;
    for (std::int64_t t = s.begin; t < s.begin + s.count; ++t) {
      const std::int32_t n = ws_.expert_counts[static_cast<std::size_t>(t)];
      expert_counts[s.item] += n;
      if (t < s.begin + s.again) recomputed_experts[s.item] += n;
      for (std::int32_t r = 0; r < n; ++r) counts[ws_.expert_ids[static_cast<std::size_t>(t * stride + r)]] += 1;
    }
  }
}

void Forward::record_routing(std::int64_t layer) {
  const std::int64_t stride = c_->router.top_k;
  for (std::int64_t t = 0; t < tokens(); ++t) {
    const std::int32_t n = ws_.expert_counts[static_cast<std::size_t>(t)];
    const std::int32_t* ids = ws_.expert_ids.data() + t * stride;
    const float* weights = ws_.expert_weights.data() + t * stride;
    routing[static_cast<std::size_t>(layer)].push_back({{ids, ids + n}, {weights, weights + n}});
  }
}

// Counting sort of the (token, expert) pairs by expert; tokens stay in order inside an expert.
void Forward::sort_pairs() {
  const std::int64_t stride = c_->router.top_k, T = tokens();
  const auto each_pair = [&](auto&& visit) {
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t i = t * stride, end = i + ws_.expert_counts[static_cast<std::size_t>(t)]; i < end; ++i)
        visit(t, static_cast<std::size_t>(i), static_cast<std::size_t>(ws_.expert_ids[static_cast<std::size_t>(i)]));
  };
  expert_begin_.assign(static_cast<std::size_t>(c_->router.expert_count) + 1, 0);
  each_pair([&](std::int64_t, std::size_t, std::size_t expert) { expert_begin_[expert + 1] += 1; });
  for (std::size_t e = 1; e < expert_begin_.size(); ++e) expert_begin_[e] += expert_begin_[e - 1];
  std::vector<std::int32_t> next(expert_begin_.begin(), expert_begin_.end() - 1);
  each_pair([&](std::int64_t t, std::size_t pair, std::size_t expert) {
    const std::int32_t at = next[expert]++;
    ws_.pair_token[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(t);
    ws_.pair_of[pair] = at;
  });
}

void Forward::activate(const float* gate, const float* up, std::int64_t n, float* out) const {
  const kernels::KernelTable& k = engine_.table();
  switch (c_->activation) {
    case Activation::silu: return k.silu_mul(gate, up, n, out);
    case Activation::gelu_tanh: return k.gelu_mul(gate, up, n, out);
    case Activation::swiglu_clamped:
      return k.swiglu_clamped(gate, up, static_cast<float>(c_->swiglu_alpha), static_cast<float>(c_->swiglu_limit), n,
                              out);
    case Activation::relu_square: return k.relu_square(up, n, out);
  }
}

// Largest first, so that no worker ends long after the others. Tasks of the same tokens follow each other: their tiles
// are built once per worker.
std::vector<Forward::GateUpTask> Forward::gate_up_tasks(const std::vector<ExpertRun>& runs) const {
  constexpr std::int64_t kPanelPair = 2 * kernels::kPanelRows;  // 32 columns: one quantisation block
  std::int64_t columns = 0;
  for (const ExpertRun& run : runs) columns += run.up.rows;
  const std::int64_t even = columns / (engine_.worker_count() * 16) / kPanelPair * kPanelPair;
  // Four panels at least: kernels take as many at a time for one token.
  const std::int64_t segment = std::clamp(even, 2 * kPanelPair, TileSizes::kMaxSegment) / kernels::kPanelRows;
  std::vector<GateUpTask> tasks;
  for (const ExpertRun& run : runs)
    for (std::int64_t row = 0; row < run.count; row += TileSizes::kTokenTile)
      for (std::int64_t panel = 0; panel < run.up.panel_count(); panel += segment)
        tasks.push_back({&run, row, std::min(TileSizes::kTokenTile, run.count - row), panel,
                         std::min(segment, run.up.panel_count() - panel)});
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const GateUpTask& a, const GateUpTask& b) { return a.rows > b.rows; });
  return tasks;
}

void Forward::gate_up(const std::vector<ExpertRun>& runs, bool quantised) {
  const std::vector<GateUpTask> tasks = gate_up_tasks(runs);
  double cost = 0.0;
  for (const ExpertRun& run : runs) cost += engine_.cost_ns(run.gate, run.count) + engine_.cost_ns(run.up, run.count);
  const Activations normed = {ws_.normed.data(), c_->hidden_size, quantised ? ws_.q8_normed.rows() : kernels::Q8Rows{}};
  engine_.enter(Stage::experts);
  engine_.run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const GateUpTask& task = tasks[static_cast<std::size_t>(i)];
    const ExpertRun& run = *task.run;
    float* gate = engine_.worker(worker).tile.data();
    float* up = gate + TileSizes::kTokenTile * TileSizes::kMaxSegment;
    LinearJob job =
        LinearJob{&run.gate, normed, run.token_index, run.count, nullptr, task.width()}.of_tokens(task.row, task.rows);
    if (!run.gate.empty()) {
      job.y = gate;
      job.next = Engine::panels_like(run.gate, run.up, task.panel);
      engine_.gemm(worker, job, task.panel, task.panel + task.panels, run.counter);
    }
    job.w = &run.up;
    job.y = up;
    job.next = nullptr;
    if (const auto after = static_cast<std::size_t>(i + engine_.worker_count()); after < tasks.size())
      job.next = Engine::panels_like(run.up, tasks[after].run->first_matrix(), tasks[after].panel);
    engine_.gemm(worker, job, task.panel, task.panel + task.panels, run.counter);
    activate_rows(task, gate, up);
  });
}

// Biases, the activation, and its quantised form where the down projection wants one.
void Forward::activate_rows(const GateUpTask& task, float* gate, float* up) const {
  const kernels::KernelTable& k = engine_.table();
  const ExpertRun& run = *task.run;
  const std::int64_t F = run.up.rows, first = task.first(), width = task.width();
  const bool quantise = engine_.wants_q8(run.down);
  for (std::int64_t r = 0; r < task.rows; ++r) {
    const std::int64_t row = run.first_row + task.row + r;
    float* out = quantise ? gate + r * width : run.act->data() + row * F + first;
    if (!run.w->gate_bias.empty()) {
      k.add(run.w->gate_bias.data() + first, width, gate + r * width);
      k.add(run.w->up_bias.data() + first, width, up + r * width);
    }
    activate(gate + r * width, up + r * width, width, out);
    if (quantise)
      k.quantize_q8(out, width, run.q8->codes.data() + row * F + first, run.q8->scales.data() + (row * F + first) / 32,
                    run.q8->sums.data() + (row * F + first) / 16);
  }
}

LinearJob Forward::down_job(const ExpertRun& run) const {
  const std::int64_t F = run.down.k;
  const kernels::Q8Rows q8 = {run.q8->codes.data() + run.first_row * F,
                              run.q8->scales.data() + run.first_row * (F / 32),
                              run.q8->sums.data() + run.first_row * (F / 16), F};
  return {&run.down, {run.act->data() + run.first_row * F, F, q8}, nullptr, run.count, nullptr, 0, nullptr};
}

// Every column range of the down projection reads the inputs of all runs, so their tiles are built before, once.
std::vector<LinearJob> Forward::down_jobs(const std::vector<ExpertRun>& runs) {
  struct Task {
    const LinearJob* job;
    std::byte* out;
    std::int64_t tile;
  };
  std::vector<LinearJob> jobs;
  std::vector<Task> tasks;
  for (const ExpertRun& run : runs) jobs.push_back(down_job(run));
  std::byte* out = ws_.down_tiles.data();
  double cost = 0.0;
  for (LinearJob& job : jobs) {
    if (!engine_.wants_q8(*job.w)) continue;
    job.tiles = out;
    for (std::int64_t tile = 0; tile < engine_.tile_split(job).count; ++tile) tasks.push_back({&job, out, tile});
    out += engine_.tiles_bytes(job);
    cost += static_cast<double>(job.tokens * job.w->k) / 8.0;
  }
  constexpr std::int64_t kTilesPerTask = 8;
  const auto count = static_cast<std::int64_t>(tasks.size());
  engine_.enter(Stage::quantising);
  engine_.run((count + kTilesPerTask - 1) / kTilesPerTask, cost, [&](std::int64_t part, std::int32_t) {
    for (std::int64_t i = part * kTilesPerTask; i < std::min(count, (part + 1) * kTilesPerTask); ++i) {
      const Task& task = tasks[static_cast<std::size_t>(i)];
      engine_.fill(*task.job, task.tile, task.tile + 1, task.out);
    }
  });
  return jobs;
}

Forward::DownSteps Forward::down_steps(const std::vector<ExpertRun>& runs) const {
  DownSteps steps;
  steps.panels = (c_->hidden_size + kernels::kPanelRows - 1) / kernels::kPanelRows;
  const std::int64_t even = std::max<std::int64_t>(1, steps.panels / (engine_.worker_count() * 4));
  steps.step = std::min(even, tiles_->down_panels);
  for (const ExpertRun& run : runs) steps.cost_ns += engine_.cost_ns(run.down, run.count);
  return steps;
}

void Forward::down(const LayerWeights& w, const std::vector<ExpertRun>& runs) {
  const std::vector<LinearJob> jobs = down_jobs(runs);
  const std::int64_t D = c_->hidden_size, stride = c_->router.top_k, T = tokens();
  const bool moe = !w.experts.empty(), routed_too = runs.back().token_index != nullptr;
  const DownSteps steps = down_steps(runs);
  const kernels::KernelTable& k = engine_.table();
  engine_.enter(Stage::experts);
  engine_.run(steps.count(), steps.cost_ns, [&](std::int64_t i, std::int32_t worker) {
    const PanelRange range = steps.range(i);
    const std::int64_t first = range.begin * kernels::kPanelRows,
                       width = std::min(D, range.end * kernels::kPanelRows) - first;
    // Rows of the tile: the T rows of a dense or shared FFN first, then the routed pairs.
    float* dense = engine_.worker(worker).tile.data();
    float* routed = dense + T * width;
    for (std::size_t n = 0; n < runs.size(); ++n) {
      float* y = runs[n].token_index != nullptr ? routed + runs[n].first_pair * width : dense;
      down_columns(runs, jobs, n, range, y, width, worker);
    }
    const bool has_dense = runs.front().token_index == nullptr;
    for (std::int64_t t = 0; t < T; ++t) {
      // After gate_up nobody reads `normed`: it takes sums that are not added to the residual stream yet.
      float* h = branch_row(t) + first;
      if (c_->sums_branches()) std::fill_n(h, width, 0.0f);
      if (has_dense && c_->shared_expert_gate && moe)
        k.axpy(ws_.shared_gate[static_cast<std::size_t>(t)], dense + t * width, width, h);
      else if (has_dense)
        k.add(dense + t * width, width, h);
      const std::int64_t chosen = routed_too ? ws_.expert_counts[static_cast<std::size_t>(t)] : 0;
      for (std::int64_t r = 0; r < chosen; ++r)
        k.axpy(ws_.expert_weights[static_cast<std::size_t>(t * stride + r)],
               routed + ws_.pair_of[static_cast<std::size_t>(t * stride + r)] * width, width, h);
    }
  });
}

// Some columns of run n's down projection for all of its rows.
void Forward::down_columns(const std::vector<ExpertRun>& runs, const std::vector<LinearJob>& jobs, std::size_t n,
                           const PanelRange& range, float* y, std::int64_t y_stride, std::int32_t worker) {
  const ExpertRun& run = runs[n];
  LinearJob job = jobs[n];
  job.y = y;
  job.y_stride = y_stride;
  // Prefetches the same panels of the next run; in the last run, those of the first run in the task that this worker
  // most likely takes next.
  const std::int64_t after = range.begin + engine_.worker_count() * range.step;
  if (n + 1 < runs.size())
    job.next = Engine::panels_like(run.down, runs[n + 1].down, range.begin);
  else if (after < run.down.panel_count())
    job.next = Engine::panels_like(run.down, runs.front().down, after);
  engine_.gemm(worker, job, range.begin, range.end, run.counter);
  if (run.w->down_bias.empty()) return;
  const std::int64_t first = range.begin * kernels::kPanelRows,
                     width = std::min(run.down.rows, range.end * kernels::kPanelRows) - first;
  for (std::int64_t r = 0; r < run.count; ++r)
    engine_.table().add(run.w->down_bias.data() + first, width, y + r * y_stride);
}

}  // namespace moe::inline MOE_ABI
