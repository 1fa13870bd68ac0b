#include "model/engine.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI {

Result<void> Q8Buffer::allocate(std::int64_t row_count, std::int64_t k) {
  width = k;
  auto c = AlignedBuffer<std::int8_t>::create(static_cast<std::size_t>(row_count * k));
  auto s = AlignedBuffer<float>::create(static_cast<std::size_t>(row_count * (k / 32)));
  auto b = AlignedBuffer<std::int16_t>::create(static_cast<std::size_t>(row_count * (k / 16)));
  if (!c) return forward(c);
  if (!s) return forward(s);
  if (!b) return forward(b);
  codes = std::move(*c);
  scales = std::move(*s);
  sums = std::move(*b);
  return {};
}

std::int64_t Q8Buffer::bytes(std::int64_t row_count, std::int64_t k) {
  return row_count * (k + k / 32 * 4 + k / 16 * 2);
}

LinearJob LinearJob::of_tokens(std::int64_t first, std::int64_t count) const {
  LinearJob part = *this;
  part.tokens = count;
  part.y += first * y_stride;
  if (token_index != nullptr) {
    part.token_index += first;
    return part;
  }
  if (x.x != nullptr) part.x.x += first * x.x_stride;
  if (x.q8.codes != nullptr) {
    part.x.q8.codes += first * x.q8.k;
    part.x.q8.scales += first * (x.q8.k / 32);
    part.x.q8.sums += first * (x.q8.k / 16);
  }
  return part;
}

Result<void> Engine::create(const kernels::KernelTable& table, const SessionOptions& options,
                            const ParallelFor& workers, const Scratch& scratch) {
  table_ = &table;
  pool_ = workers;
  precision_ = options.precision;
  share_from_ns_ = static_cast<double>(options.share_from_ns);
  profiling_ = options.profile;
  workers_ = std::vector<Worker>(static_cast<std::size_t>(pool_.worker_count));
  std::int64_t tiles = 0;
  for (const int most : table.q8_tile_tokens)
    for (std::int64_t n = 1; most > 0 && n <= std::min(kTokenRange, options.chunk_tokens); ++n)
      tiles = std::max(tiles, kernels::tiles_bytes(n, most, scratch.q8_width));
  for (Worker& worker : workers_) {
    auto kernel = AlignedBuffer<float>::create(static_cast<std::size_t>(scratch.kernel_floats));
    if (!kernel) return forward(kernel);
    auto tile = AlignedBuffer<float>::create(static_cast<std::size_t>(scratch.tile_floats));
    if (!tile) return forward(tile);
    auto q8 = AlignedBuffer<std::byte>::create(static_cast<std::size_t>(tiles));
    if (!q8) return forward(q8);
    worker.kernel_scratch = std::move(*kernel);
    worker.tile = std::move(*tile);
    worker.q8_tiles = std::move(*q8);
  }
  return {};
}

kernels::TileSplit Engine::tile_split(const LinearJob& job) const {
  return kernels::split_tiles(job.tokens, table_->q8_tile_tokens[static_cast<int>(job.w->format)]);
}

std::int64_t Engine::tiles_bytes(const LinearJob& job) const {
  return kernels::tiles_bytes(job.tokens, table_->q8_tile_tokens[static_cast<int>(job.w->format)], job.w->k);
}

void Engine::fill(const LinearJob& job, std::int64_t tile_begin, std::int64_t tile_end, std::byte* out) const {
  const int format = static_cast<int>(job.w->format);
  table_->fill_q8[format](
      {job.x.q8, job.token_index, job.tokens, table_->q8_tile_tokens[format], tile_begin, tile_end, out});
}

void Engine::gemm(std::int32_t worker_index, const LinearJob& job, std::int64_t panel_begin, std::int64_t panel_end,
                  std::int64_t Work::*count) {
  const Matrix& w = *job.w;
  Worker& worker = workers_[static_cast<std::size_t>(worker_index)];
  const int format = static_cast<int>(w.format);
  const std::int64_t first = panel_begin * kernels::kPanelRows, panels = panel_end - panel_begin;
  const std::int64_t rows = std::min(w.rows - first, panels * kernels::kPanelRows);
  const kernels::Panels part = {w.data + panel_begin * w.panel_bytes, w.panel_bytes, rows, w.k, w.panels().groups};
  if (count != nullptr) worker.work.*count += 2 * rows * job.tokens * w.k;
  if (job.x.q8.codes == nullptr || !wants_q8(w)) {
    table_->gemm_f32[format]({part, job.x.x, job.x.x_stride, job.token_index, job.tokens, job.y, job.y_stride, 0,
                              panels, worker.kernel_scratch.data()});
    return;
  }
  if (job.tiles != nullptr) {
    table_->gemm_q8[format]({part, job.tiles, job.tokens, job.y, job.y_stride, 0, panels, job.next});
    return;
  }
  for (std::int64_t t = 0; t < job.tokens; t += kTokenRange) {
    const LinearJob range = job.of_tokens(t, std::min(kTokenRange, job.tokens - t));
    const Worker::Filled wanted = {region_, range.x.q8.codes, range.token_index, range.tokens, w.format};
    if (!(worker.filled == wanted)) fill(range, 0, tile_split(range).count, worker.q8_tiles.data());
    worker.filled = wanted;
    const std::byte* next = t + kTokenRange < job.tokens ? nullptr : job.next;
    table_->gemm_q8[format]({part, worker.q8_tiles.data(), range.tokens, range.y, range.y_stride, 0, panels, next});
  }
}

void Engine::linear(std::span<const LinearJob> jobs, std::int64_t Work::*count) {
  // Tasks of about equal work: enough of them to balance the workers, not so many that starting them costs, and panels
  // in fours, which kernels take at a time for one token. Tasks of the same tokens follow each other, so that a worker
  // builds their tiles once.
  struct Task {
    std::int32_t job;
    std::int32_t begin, end;
    std::int64_t token, tokens;
  };
  std::int64_t total = 0, longest = 0;  // panels times tokens
  double cost = 0.0;
  for (const LinearJob& job : jobs) {
    if (job.tokens == 0) continue;
    total += job.w->panel_count() * job.tokens;
    longest = std::max(longest, job.tokens);
    cost += cost_ns(*job.w, job.tokens);
  }
  if (total == 0) return;
  constexpr std::int64_t kTasksPerWorker = 16, kFour = 4;
  const std::int64_t wanted = total / (pool_.worker_count * kTasksPerWorker);
  std::vector<Task> tasks;
  for (std::int64_t token = 0; token < longest; token += kTokenRange)
    for (std::size_t j = 0; j < jobs.size(); ++j) {
      const std::int64_t tokens = std::min(kTokenRange, jobs[j].tokens - token);
      if (tokens <= 0) continue;
      const std::int64_t panels = jobs[j].w->panel_count();
      const std::int64_t step = std::max(kFour, (wanted / tokens + kFour - 1) / kFour * kFour);
      for (std::int64_t begin = 0; begin < panels; begin += step)
        tasks.push_back({static_cast<std::int32_t>(j), static_cast<std::int32_t>(begin),
                         static_cast<std::int32_t>(std::min(panels, begin + step)), token, tokens});
    }
  run(static_cast<std::int64_t>(tasks.size()), cost, [&](std::int64_t i, std::int32_t worker) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    LinearJob job = jobs[static_cast<std::size_t>(task.job)].of_tokens(task.token, task.tokens);
    job.y += static_cast<std::int64_t>(task.begin) * kernels::kPanelRows;
    // The task that this worker most likely runs next.
    if (const auto after = static_cast<std::size_t>(i + pool_.worker_count); after < tasks.size())
      job.next = panels_like(*job.w, *jobs[static_cast<std::size_t>(tasks[after].job)].w, tasks[after].begin);
    gemm(worker, job, task.begin, task.end, count);
  });
}

void Engine::close_region(std::int64_t wall_ns) {
  std::int64_t busy = 0;
  for (Worker& worker : workers_)
    for (std::size_t stage = 0; stage < kStageCount; ++stage) {
      busy += worker.busy_ns[stage];
      profile_.busy_ns[stage] += worker.busy_ns[stage];
      worker.busy_ns[stage] = 0;
    }
  profile_.waiting_ns += wall_ns * pool_.worker_count - busy;
}

Profile Engine::collect_profile() {
  const Profile collected = profile_;
  profile_ = Profile{};
  return collected;
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
