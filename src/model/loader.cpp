#include "model/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <mutex>
#include <tuple>

#include "kernels/packing.hpp"
#include "model/stored.hpp"
#include "moe/decode.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::TensorInfo;
using kernels::kPanelRows;

constexpr std::int64_t kUnitBytes = 1 << 20;  // read at a time: large enough for the disk, small enough for L2

/// Panels [begin, end) of one job.
struct Unit {
  const MatrixJob* job;
  std::int64_t begin, end;
  std::int64_t bytes;  // read from the file
};

std::vector<Unit> cut_into_units(const LoadPlan& plan) {
  std::vector<Unit> units;
  for (const MatrixJob& job : plan.matrices) {
    const std::int64_t panels = job.out->panel_count();
    const std::int64_t row = stored_row_bytes(job) * (job.transposed ? 1 : job.step);
    if (job.transposed) {
      units.push_back({&job, 0, panels, row * job.out->k});
      continue;
    }
    const std::int64_t step = std::max<std::int64_t>(1, kUnitBytes / std::max<std::int64_t>(1, row * kPanelRows));
    for (std::int64_t begin = 0; begin < panels; begin += step) {
      const std::int64_t end = std::min(panels, begin + step);
      units.push_back({&job, begin, end, (std::min(end * kPanelRows, job.out->rows) - begin * kPanelRows) * row});
    }
  }
  return units;
}

/// A unit to pack, or a stretch of a file to hash, by their numbers.
struct Task {
  bool hashes;
  std::size_t index;
  std::int64_t bytes;
  std::size_t file;
  std::uint64_t offset;  // where reading begins
};

/// Units in the plan's order. With stretches, both in the files' order: what one task reads, the next finds in the page
/// cache.
std::vector<Task> order_tasks(const std::vector<Unit>& units, const checkpoint::ContentHasher* hash) {
  std::vector<Task> tasks;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const MatrixJob& job = *units[i].job;
    const std::int64_t row = job.first_row + (job.transposed ? 0 : units[i].begin * kPanelRows * job.step);
    tasks.push_back({false, i, units[i].bytes, static_cast<std::size_t>(job.tensor->file),
                     job.tensor->offset + static_cast<std::uint64_t>(row * stored_row_bytes(job))});
  }
  if (hash == nullptr) return tasks;
  for (std::size_t i = 0; i < hash->stretches().size(); ++i) {
    const auto& stretch = hash->stretches()[i];
    tasks.push_back({true, i, static_cast<std::int64_t>(stretch.bytes), stretch.source, stretch.offset});
  }
  std::sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) {
    return std::tie(a.file, a.offset, b.hashes) < std::tie(b.file, b.offset, a.hashes);
  });
  return tasks;
}

class Loader {
 public:
  Loader(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options, Weights& weights,
         checkpoint::ContentHasher* hash)
      : file_(file),
        plan_(plan),
        options_(options),
        hash_(hash),
        memory_(weights.memory),
        buffers_(static_cast<std::size_t>(options.threads.worker_count)) {}

  Result<void> run();

 private:
  Result<void> vectors();
  Result<void> allocate();
  Result<void> pack(const Unit& unit, RowBuffers& buffers);
  Result<void> pack_transposed(const Unit& unit, const std::byte* raw);
  Result<void> check_rows(const Unit& unit, const std::byte* raw, std::int64_t first, std::int64_t rows);
  void report(std::int32_t worker);

  const checkpoint::Checkpoint& file_;
  const LoadPlan& plan_;
  const LoadOptions& options_;
  checkpoint::ContentHasher* hash_;
  AlignedBuffer<std::byte>& memory_;
  std::vector<RowBuffers> buffers_;  // one per worker
  std::atomic<std::int64_t> done_{0};
  std::int64_t total_ = 0;
  std::atomic<bool> stop_{false};
  std::mutex error_mutex_;
  std::optional<Error> error_;
  std::chrono::steady_clock::time_point last_report_{};
};

Result<void> Loader::vectors() {
  std::vector<std::byte> raw;
  std::vector<float> values;
  for (const VectorJob& job : plan_.vectors) {
    // From the first to the last value that is wanted; blocks of more values are read whole.
    const std::int64_t span = (job.count - 1) * job.step + 1;
    raw.resize(static_cast<std::size_t>(row_bytes(job.tensor->format, span)));
    const auto offset = static_cast<std::uint64_t>(row_bytes(job.tensor->format, job.first));
    if (auto ok = file_.read(*job.tensor, offset, raw); !ok) return forward(ok);
    values.resize(static_cast<std::size_t>(span));
    decode_row(job.tensor->format, raw.data(), span, values.data());
    job.out->resize(static_cast<std::size_t>(job.count));
    for (std::int64_t i = 0; i < job.count; ++i) {
      const float x = values[static_cast<std::size_t>(i * job.step)];
      (*job.out)[static_cast<std::size_t>(i)] = job.added == 0.0f ? x : x + job.added;
      if (!std::isfinite(x))
        return fail(ErrorCode::non_finite,
                    fmt::format("tensor {} holds {}, expected finite numbers", job.tensor->name, x));
    }
  }
  return {};
}

// One allocation for all: huge pages cover matrices that are smaller than a page.
Result<void> Loader::allocate() {
  constexpr std::int64_t kLine = 64;
  const auto bytes_of = [](const Matrix& m) { return (m.bytes() + kLine - 1) / kLine * kLine; };
  std::int64_t bytes = 0;
  for (const MatrixJob& job : plan_.matrices) bytes += bytes_of(*job.out);
  auto buffer = AlignedBuffer<std::byte>::create(static_cast<std::size_t>(bytes));
  if (!buffer) return fail(buffer.error().code, fmt::format("the weights: {}", buffer.error().message));
  std::byte* next = buffer->data();
  for (const MatrixJob& job : plan_.matrices) {
    job.out->data = next;
    next += bytes_of(*job.out);
  }
  memory_ = std::move(*buffer);
  return {};
}

Result<void> Loader::check_rows(const Unit& unit, const std::byte* raw, std::int64_t first, std::int64_t rows) {
  const TensorInfo& tensor = *unit.job->tensor;
  const Format format = read_format(*unit.job);
  const std::int64_t columns = unit.job->transposed ? tensor.cols() : unit.job->out->k,
                     bytes_per_row = row_bytes(format, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    if (!kernels::row_is_valid(format, columns, raw + r * bytes_per_row))
      return tl::unexpected<Error>(not_finite(tensor.name, first + r, format));
  return {};
}

Result<void> Loader::pack(const Unit& unit, RowBuffers& buffers) {
  const MatrixJob& job = *unit.job;
  if (job.transposed) {
    auto rows = read_rows(file_, job, job.first_row, job.out->k, buffers);
    if (!rows) return forward(rows);
    if (auto ok = check_rows(unit, rows->data(), job.first_row, job.out->k); !ok) return ok;
    return pack_transposed(unit, rows->data());
  }
  const std::int64_t row_count = std::min(unit.end * kPanelRows, job.out->rows) - unit.begin * kPanelRows;
  const std::int64_t first = job.first_row + unit.begin * kPanelRows * job.step,
                     stored = (row_count - 1) * job.step + 1;
  auto read = read_rows(file_, job, first, stored, buffers);
  if (!read) return forward(read);
  if (auto ok = check_rows(unit, read->data(), first, stored); !ok) return ok;
  const std::int64_t bytes_per_row = row_bytes(job.out->format, job.out->k) * job.step;
  for (std::int64_t p = unit.begin; p < unit.end; ++p) {
    const std::byte* rows[kPanelRows];
    for (std::int64_t i = 0; i < kPanelRows; ++i) {
      const std::int64_t r = (p - unit.begin) * kPanelRows + i;
      rows[i] = r < row_count ? read->data() + r * bytes_per_row : nullptr;
    }
    kernels::pack_panel(job.out->format, job.out->k, rows, job.out->data + p * job.out->panel_bytes);
  }
  return {};
}

// Formats with one value per block are transposed as they are; others widen to float32 first.
Result<void> Loader::pack_transposed(const Unit& unit, const std::byte* raw) {
  const MatrixJob& job = *unit.job;
  Matrix& out = *job.out;
  const Format stored = read_format(job);
  const std::int64_t k = out.k, columns = job.tensor->cols();
  std::vector<std::byte> widened;
  const std::byte* source = raw;
  const std::size_t size = static_cast<std::size_t>(format_info(out.format).block_bytes);
  if (out.format != stored) {
    widened.resize(static_cast<std::size_t>(k * columns) * sizeof(float));
    for (std::int64_t r = 0; r < k; ++r)
      decode_row(stored, raw + r * row_bytes(stored, columns), columns,
                 reinterpret_cast<float*>(widened.data()) + r * columns);
    source = widened.data();
  }
  std::vector<std::byte> panel_rows(static_cast<std::size_t>(kPanelRows * k) * size);
  for (std::int64_t p = 0; p < out.panel_count(); ++p) {
    const std::byte* rows[kPanelRows];
    for (std::int64_t i = 0; i < kPanelRows; ++i) {
      const std::int64_t r = p * kPanelRows + i, column = job.first_column + r * job.step;
      std::byte* row = panel_rows.data() + static_cast<std::size_t>(i * k) * size;
      rows[i] = r < out.rows ? row : nullptr;
      for (std::int64_t j = 0; j < k && r < out.rows; ++j)
        std::memcpy(row + static_cast<std::size_t>(j) * size,
                    source + static_cast<std::size_t>(j * columns + column) * size, size);
    }
    kernels::pack_panel(out.format, k, rows, out.data + p * out.panel_bytes);
  }
  return {};
}

// Worker 0 is the calling thread: only it talks to the host.
void Loader::report(std::int32_t worker) {
  if (worker != 0) return;
  if (options_.cancelled && options_.cancelled()) stop_ = true;
  if (!options_.on_progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_report_ < std::chrono::milliseconds(100)) return;
  last_report_ = now;
  options_.on_progress({done_.load(), total_});
}

Result<void> Loader::run() {
  if (auto ok = vectors(); !ok) return forward(ok);
  if (auto ok = allocate(); !ok) return forward(ok);
  const std::vector<Unit> units = cut_into_units(plan_);
  const std::vector<Task> tasks = order_tasks(units, hash_);
  for (const Task& task : tasks) total_ += task.bytes;
  parallel_for(options_.threads, static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i, std::int32_t worker) {
    if (stop_) return;
    const Task& task = tasks[static_cast<std::size_t>(i)];
    const auto ok =
        task.hashes ? hash_->add(task.index) : pack(units[task.index], buffers_[static_cast<std::size_t>(worker)]);
    if (!ok) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = ok.error();
      stop_ = true;
    }
    done_ += task.bytes;
    report(worker);
  });
  if (error_) return tl::unexpected<Error>(*error_);
  if (stop_) return fail(ErrorCode::cancelled, "loading was cancelled");
  if (options_.on_progress) options_.on_progress({total_, total_});
  return {};
}

}  // namespace

Result<void> load_weights(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options,
                          Weights& weights, checkpoint::ContentHasher* hash) {
  return Loader(file, plan, options, weights, hash).run();
}

}  // namespace moe::inline MOE_ABI
