// The feed-forward half of a layer whose experts are read when needed. Experts are computed in the order in which they
// arrive, and their results are kept per (token, expert) pair; then they are added in rank order, as for experts in
// memory. So the bits do not depend on what was in memory or on when it came.

#include <algorithm>

#include "model/expert_run.hpp"
#include "model/expert_source.hpp"

namespace moe::inline MOE_ABI {
namespace {

// Rows that keep a worker busy for about as long as it takes to wake it.
constexpr std::int64_t kRowsPerWorker = 256;

// Panels of an expert in memory that is not the model's. Kernels only read them.
void place(const std::byte* panels, const FfnWeights& expert, Matrix& gate, Matrix& up, Matrix& down) {
  const BundleLayout layout = BundleLayout::of(expert);
  auto* data = const_cast<std::byte*>(panels);
  gate.data = data, up.data = data + layout.up, down.data = data + layout.down;
}

}  // namespace

void Forward::stream_experts(const LayerWeights& w, std::int64_t layer) {
  std::vector<std::int32_t> chosen;
  for (std::int32_t e = 0; e < c_->router.expert_count; ++e)
    if (pairs_before(e + 1) > pairs_before(e)) chosen.push_back(e);
  auto visit = model_->experts->visit(layer, chosen);
  // After this layer's are asked for: the disk is at work while the next layer's are guessed.
  if (const std::int64_t next = next_moe_layer(layer); next >= 0)
    visit.read_ahead(next, experts_ahead(next, chosen.size()));

  const bool quantised = ffn_reads_q8_[static_cast<std::size_t>(layer)];
  std::vector<ExpertRun> shared;
  if (!w.shared.up.empty()) {
    ExpertRun& run = shared.emplace_back(w.shared, &Work::shared_experts);
    run.count = tokens(), run.act = &ws_.act_dense, run.q8 = &ws_.q8_dense;
    gate_up(shared, quantised);
  }
  // A few experts at a time, so that what was computed makes room for what is read next.
  const std::int64_t pairs = pairs_before(static_cast<std::int32_t>(c_->router.expert_count));
  const std::int64_t at_a_time =
      std::max<std::int64_t>(1, kRowsPerWorker * engine_.worker_count() * static_cast<std::int64_t>(chosen.size()) /
                                    std::max<std::int64_t>(1, pairs));
  for (;;) {
    if (options_->cancelled && options_->cancelled()) return fail_once(ErrorCode::cancelled, "the step was cancelled");
    const auto leases = visit.next(static_cast<std::size_t>(at_a_time));
    if (!leases) return fail_once(leases.error().code, leases.error().message);
    if (leases->empty()) break;
    run_leases(w, *leases, quantised);
    for (const ExpertLease& lease : *leases) visit.release(lease.expert);
  }
  // The shared experts' down projection comes last: where the branch has a norm of its own, its sum overwrites what
  // gate and up of all experts read.
  if (!shared.empty()) down(w, shared);
  add_pairs(w);
  end_feed_forward(w);
}

std::int64_t Forward::next_moe_layer(std::int64_t layer) const {
  for (std::int64_t l = layer + 1; l < c_->layer_count; ++l)
    if (c_->layer_is_moe(l)) return l;
  return -1;
}

// As many at a time as the buffers of activations hold; one expert always fits.
void Forward::run_leases(const LayerWeights& w, std::span<const ExpertLease> leases, bool quantised) {
  std::vector<ExpertRun> runs;
  std::int64_t rows = 0;
  const auto compute = [&] {
    gate_up(runs, quantised);
    down_pairs(runs);
    runs.clear();
    rows = 0;
  };
  for (const ExpertLease& lease : leases) {
    const std::int64_t count = pairs_before(lease.expert + 1) - pairs_before(lease.expert);
    if (rows + count > ws_.routed_rows) compute();
    ExpertRun& run = runs.emplace_back(routed_run(w, lease.expert, rows));
    place(lease.panels, *run.w, run.gate, run.up, run.down);
    rows += count;
  }
  if (!runs.empty()) compute();
}

// Results of the down projection, [pair, D].
void Forward::down_pairs(const std::vector<ExpertRun>& runs) {
  const std::vector<LinearJob> jobs = down_jobs(runs);
  const std::int64_t D = c_->hidden_size;
  const DownSteps steps = down_steps(runs);
  engine_.enter(Stage::experts);
  engine_.run(steps.count(), steps.cost_ns, [&](std::int64_t i, std::int32_t worker) {
    const PanelRange range = steps.range(i);
    for (std::size_t n = 0; n < runs.size(); ++n)
      down_columns(runs, jobs, n, range,
                   ws_.expert_out.data() + runs[n].first_pair * D + range.begin * kernels::kPanelRows, D, worker);
  });
}

void Forward::add_pairs(const LayerWeights& w) {
  const std::int64_t D = c_->hidden_size, stride = c_->router.top_k;
  const bool is_first = c_->sums_branches() && w.shared.up.empty();
  engine_.enter(Stage::experts);
  engine_.run_each(tokens(), stride * D, [&](std::int64_t t, std::int32_t) {
    float* h = branch_row(t);
    if (is_first) std::fill_n(h, D, 0.0f);
    const std::int64_t chosen = ws_.expert_counts[static_cast<std::size_t>(t)];
    for (std::int64_t r = 0; r < chosen; ++r)
      engine_.table().axpy(ws_.expert_weights[static_cast<std::size_t>(t * stride + r)],
                           ws_.expert_out.data() + ws_.pair_of[static_cast<std::size_t>(t * stride + r)] * D, D, h);
  });
}

}  // namespace moe::inline MOE_ABI
