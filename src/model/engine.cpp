#include "model/engine.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI {

Result<void> Q8Buffer::allocate(std::int64_t row_count, std::int64_t k) {
  width = k;
  auto c = AlignedBuffer<std::int8_t>::make(static_cast<std::size_t>(row_count * k));
  auto s = AlignedBuffer<float>::make(static_cast<std::size_t>(row_count * (k / 32)));
  auto b = AlignedBuffer<std::int16_t>::make(static_cast<std::size_t>(row_count * (k / 16)));
  if (!c) return forward(c);
  if (!s) return forward(s);
  if (!b) return forward(b);
  codes = std::move(*c);
  scales = std::move(*s);
  sums = std::move(*b);
  return {};
}

std::int64_t Q8Buffer::bytes(std::int64_t row_count, std::int64_t k) { return row_count * (k + k / 32 * 4 + k / 16 * 2); }

Result<void> Engine::create(const kernels::KernelTable& table, const SessionOptions& options,
                            std::int64_t kernel_scratch_floats, std::int64_t tile_floats) {
  table_ = &table;
  pool_ = options.threads;
  precision_ = options.precision;
  share_from_ns_ = static_cast<double>(options.share_from_ns);
  workers_ = std::vector<Worker>(static_cast<std::size_t>(pool_.worker_count));
  for (Worker& worker : workers_) {
    auto scratch = AlignedBuffer<float>::make(static_cast<std::size_t>(kernel_scratch_floats));
    if (!scratch) return forward(scratch);
    auto tile = AlignedBuffer<float>::make(static_cast<std::size_t>(tile_floats));
    if (!tile) return forward(tile);
    worker.kernel_scratch = std::move(*scratch);
    worker.tile = std::move(*tile);
  }
  return {};
}

void Engine::gemm(std::int32_t worker, const LinearJob& job, std::int64_t panel_begin, std::int64_t panel_end,
                  std::int64_t Work::*count) {
  const Matrix& w = *job.w;
  const int format = static_cast<int>(w.format);
  const std::int64_t first = panel_begin * kernels::kPanelRows, panels = panel_end - panel_begin;
  const std::int64_t rows = std::min(w.rows - first, panels * kernels::kPanelRows);
  const kernels::Panels part = {w.data.data() + panel_begin * w.panel_bytes, w.panel_bytes, rows, w.k};
  if (job.x.q8.codes != nullptr && wants_q8(w)) {
    table_->gemm_q8[format]({part, job.x.q8, job.token_index, job.tokens, job.y, job.y_stride, 0, panels});
  } else {
    table_->gemm_f32[format]({part, job.x.x, job.x.x_stride, job.token_index, job.tokens, job.y, job.y_stride, 0, panels,
                              workers_[static_cast<std::size_t>(worker)].kernel_scratch.data()});
  }
  workers_[static_cast<std::size_t>(worker)].work.*count += 2 * rows * job.tokens * w.k;
}

void Engine::linear(std::span<const LinearJob> jobs, std::int64_t Work::*count) {
  // Tasks of about equal work: enough of them to balance the workers, not so many that starting them costs.
  struct Task {
    std::int32_t job;
    std::int32_t begin, end;
  };
  std::int64_t total_panels = 0;
  double cost = 0.0;
  for (const LinearJob& job : jobs) {
    if (job.tokens == 0) continue;
    total_panels += job.w->panel_count();
    cost += cost_ns(*job.w, job.tokens);
  }
  if (total_panels == 0) return;
  const std::int64_t wanted = pool_.worker_count * 8;
  const std::int64_t step = std::max<std::int64_t>(1, (total_panels + wanted - 1) / wanted);
  std::vector<Task> tasks;
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    if (jobs[j].tokens == 0) continue;
    const std::int64_t panels = jobs[j].w->panel_count();
    for (std::int64_t begin = 0; begin < panels; begin += step)
      tasks.push_back({static_cast<std::int32_t>(j), static_cast<std::int32_t>(begin),
                       static_cast<std::int32_t>(std::min(panels, begin + step))});
  }
  run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    LinearJob job = jobs[static_cast<std::size_t>(task.job)];
    job.y += static_cast<std::int64_t>(task.begin) * kernels::kPanelRows;
    gemm(worker, job, task.begin, task.end, count);
  });
}

Work Engine::collect_work() {
  Work sum;
  for (Worker& worker : workers_) {
    sum += worker.work;
    worker.work = Work{};
  }
  return sum;
}

}  // namespace moe::inline MOE_ABI
