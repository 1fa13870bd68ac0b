#pragma once
// Runs kernels on workers: splits matmuls into tasks, owns per-worker scratch, and counts executed work.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/table.hpp"
#include "model/weights.hpp"
#include "moe/flops.hpp"
#include "moe/parallel.hpp"
#include "moe/profile.hpp"
#include "moe/session.hpp"
#include "support/float_environment.hpp"
#include "support/now.hpp"

namespace moe::inline MOE_ABI {

/// Rows of activations, float32 and (if a matrix needs it) quantised; both have the same row count and width.
struct Activations {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  kernels::Q8Rows q8;  ///< codes null when not quantised
};

/// Buffers for quantised rows.
struct Q8Buffer {
  AlignedBuffer<std::int8_t> codes;
  AlignedBuffer<float> scales;
  AlignedBuffer<std::int16_t> sums;
  std::int64_t width = 0;

  Result<void> allocate(std::int64_t row_count, std::int64_t k);
  static std::int64_t bytes(std::int64_t row_count, std::int64_t k);
  /// Row `row` becomes x, of `width` numbers.
  void quantise(const kernels::KernelTable& table, std::int64_t row, const float* x) {
    table.quantize_q8(x, width, codes.data() + row * width, scales.data() + row * (width / 32),
                      sums.data() + row * (width / 16));
  }
  kernels::Q8Rows rows(std::int64_t first = 0) const {
    return {codes.data() + first * width, scales.data() + first * (width / 32), sums.data() + first * (width / 16),
            width};
  }
};

/// y[t, :] = W x[token(t), :] for `tokens` rows.
struct LinearJob {
  const Matrix* w = nullptr;
  Activations x;
  const std::int32_t* token_index = nullptr;
  std::int64_t tokens = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  const std::byte* tiles = nullptr;  ///< all tokens as tiles of w's format (Engine::fill), if the caller built them
  const std::byte* next = nullptr;   ///< panels that this worker multiplies next (panels_like), to prefetch

  /// The same job for `count` tokens from the first-th on.
  LinearJob of_tokens(std::int64_t first, std::int64_t count) const;
};

/// Most tokens of a task: a multiple of every tile width, and few enough for their tiles to stay in the L2 cache.
inline constexpr std::int64_t kTokenRange = 96;

/// One worker's private memory. Counters are padded so that workers do not share a cache line.
struct alignas(64) Worker {
  Work work;
  std::array<std::int64_t, kStageCount> busy_ns{};  // in the current region, when profiling
  Stage stage = Stage::elementwise;                 // of the time since
  std::int64_t since_ns = 0;
  AlignedBuffer<float> kernel_scratch;  // for gemm_f32 and attention
  AlignedBuffer<float> tile;            // results of a task before they are combined
  AlignedBuffer<std::byte> q8_tiles;    // activations of a task, as `filled` says
  struct Filled {
    std::int64_t region = -1;  // the parallel region; contents of buffers change between regions
    const std::int8_t* codes = nullptr;
    const std::int32_t* token_index = nullptr;
    std::int64_t tokens = 0;
    Format format = Format::f32;
    bool operator==(const Filled&) const = default;
  } filled;
  std::vector<const void*> key_blocks, value_blocks;
};

class Engine {
 public:
  struct Scratch {
    std::int64_t kernel_floats = 0, tile_floats = 0;
    std::int64_t q8_width = 0;  // the widest input of a matrix
  };
  Result<void> create(const kernels::KernelTable& table, const SessionOptions& options, const ParallelFor& workers,
                      const Scratch& scratch);

  const kernels::KernelTable& table() const { return *table_; }
  std::int32_t worker_count() const { return pool_.worker_count; }
  Worker& worker(std::int32_t index) { return workers_[static_cast<std::size_t>(index)]; }

  /// True when this matrix multiplies int8 activations in this session.
  bool wants_q8(const Matrix& w) const {
    return precision_ == Precision::automatic && table_->gemm_q8[static_cast<int>(w.format)] != nullptr &&
           w.k % 32 == 0 && w.column_groups.empty() && (!is_scaled_format(w.format) || w.groups.whole_blocks());
  }

  /// body(index, worker index), in the contract's float environment. `cost_ns` is the estimated total on one core:
  /// little work runs in the calling thread.
  template <class Body>
  void run(std::int64_t count, double cost_ns, Body&& body) {
    region_ += 1;
    const std::int64_t started = profiling_ ? now_ns() : 0;
    parallel_for(cost_ns < share_from_ns_ ? ParallelFor{} : pool_, count, [&](std::int64_t index, std::int32_t worker) {
      const FloatEnvironment environment;
      if (!profiling_) return body(index, worker);
      Worker& w = workers_[static_cast<std::size_t>(worker)];
      w.stage = stage_, w.since_ns = now_ns();
      body(index, worker);
      within(worker, stage_);
    });
    if (profiling_) close_region(now_ns() - started);
  }
  /// Time from here on belongs to `stage`, with SessionOptions::profile.
  void enter(Stage stage) { stage_ = stage; }
  /// Inside a task: this worker's time until the task's end or the next call belongs to `stage`.
  void within(std::int32_t worker, Stage stage) {
    if (!profiling_) return;
    Worker& w = workers_[static_cast<std::size_t>(worker)];
    const std::int64_t now = now_ns();
    w.busy_ns[static_cast<std::size_t>(w.stage)] += now - w.since_ns;
    w.stage = stage, w.since_ns = now;
  }
  /// run() over [0, count) in ranges, for bodies that process about `values` numbers each.
  template <class Body>
  void run_each(std::int64_t count, std::int64_t values, Body&& body) {
    const std::int64_t range = std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, values));
    run((count + range - 1) / range, static_cast<double>(count) * static_cast<double>(values),
        [&](std::int64_t part, std::int32_t worker) {
          for (std::int64_t i = part * range; i < std::min(count, (part + 1) * range); ++i) body(i, worker);
        });
  }
  /// Estimated time of W x for `tokens` rows on one core: reading W, and multiplying.
  double cost_ns(const Matrix& w, std::int64_t tokens) const {
    // Of a core of today, roughly: it decides only whether workers share the work.
    constexpr double kBytesPerNs = 20.0, kInt8ProductsPerNs = 100.0, kFloatProductsPerNs = 25.0;
    const double products = static_cast<double>(w.rows) * static_cast<double>(w.k) * static_cast<double>(tokens);
    return static_cast<double>(w.panel_count() * w.panel_bytes) / kBytesPerNs +
           products / (wants_q8(w) ? kInt8ProductsPerNs : kFloatProductsPerNs);
  }

  /// All jobs in one parallel region. `count` says which counter of Work they belong to (null: none, for what only
  /// decides when something is read).
  void linear(std::span<const LinearJob> jobs, std::int64_t Work::*count);
  /// Panels [panel_begin, panel_end) of one job, from inside a task; y's column 0 is the first row of panel_begin.
  /// Adds 2 * rows * tokens * k to the worker's counter.
  void gemm(std::int32_t worker, const LinearJob& job, std::int64_t panel_begin, std::int64_t panel_end,
            std::int64_t Work::*count);

  /// Panel `panel` of w if it has the format and size of those of `like`, else null.
  static const std::byte* panels_like(const Matrix& like, const Matrix& w, std::int64_t panel) {
    return w.format == like.format && w.panel_bytes == like.panel_bytes ? w.data + panel * w.panel_bytes : nullptr;
  }

  /// Bytes of the tiles of all tokens of a job, and the tiles themselves from `tile_begin` to `tile_end`.
  std::int64_t tiles_bytes(const LinearJob& job) const;
  kernels::TileSplit tile_split(const LinearJob& job) const;
  void fill(const LinearJob& job, std::int64_t tile_begin, std::int64_t tile_end, std::byte* out) const;

  /// Sums and clears the workers' counters.
  Work collect_work();
  /// Times of the regions since the last call; total_ns is set by the caller, which times whole steps.
  Profile collect_profile();

 private:
  void close_region(std::int64_t wall_ns);

  bool profiling_ = false;
  Stage stage_ = Stage::elementwise;
  Profile profile_;
  const kernels::KernelTable* table_ = nullptr;
  ParallelFor pool_;
  Precision precision_ = Precision::automatic;
  double share_from_ns_ = 0.0;
  std::int64_t region_ = 0;
  std::vector<Worker> workers_;
};

}  // namespace moe::inline MOE_ABI
