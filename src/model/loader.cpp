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
#include "model/weight_rows.hpp"
#include "moe/decode.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::TensorInfo;
using kernels::kPanelRows;

constexpr std::int64_t kUnitBytes = 1 << 20;  // read at a time: large enough for the disk, small enough for L2

/// A vector, or panels [begin, end) of a matrix: one of the two jobs is null.
struct Unit {
  const VectorJob* vector;
  const MatrixJob* matrix;
  std::int64_t begin, end;
  std::size_t file;
  std::uint64_t offset;  // where reading begins
  std::int64_t bytes;    // read from the file
};

Unit unit_of(const VectorJob& job) {
  // From the first to the last value that is wanted; blocks of more values are read whole.
  const Format format = job.tensor->format;
  return {&job,
          nullptr,
          0,
          0,
          static_cast<std::size_t>(job.tensor->file),
          job.tensor->offset + static_cast<std::uint64_t>(row_bytes(format, job.first)),
          row_bytes(format, (job.count - 1) * job.step + 1)};
}

Unit unit_of(const MatrixJob& job, std::int64_t begin, std::int64_t end) {
  const std::int64_t row = stored_row_bytes(job);
  const std::int64_t first = job.first_row + (job.transposed ? 0 : begin * kPanelRows * job.step);
  const std::int64_t rows =
      job.transposed ? job.out->k : (std::min(end * kPanelRows, job.out->rows) - begin * kPanelRows) * job.step;
  return {nullptr,
          &job,
          begin,
          end,
          static_cast<std::size_t>(job.tensor->file),
          job.tensor->offset + static_cast<std::uint64_t>(first * row),
          rows * row};
}

/// In the plan's order.
std::vector<Unit> cut_into_units(const LoadPlan& plan) {
  std::vector<Unit> units;
  for (const VectorJob& job : plan.vectors) units.push_back(unit_of(job));
  for (const MatrixJob& job : plan.matrices) {
    const std::int64_t panels = job.out->panel_count(), row = stored_row_bytes(job) * job.step;
    const std::int64_t step =
        job.transposed ? panels : std::max<std::int64_t>(1, kUnitBytes / std::max<std::int64_t>(1, row * kPanelRows));
    for (std::int64_t begin = 0; begin < panels; begin += step)
      units.push_back(unit_of(job, begin, std::min(panels, begin + step)));
  }
  return units;
}

/// One worker's part: units [begin, end), after a block to hash if there is one.
struct Task {
  std::size_t begin, end;
  std::optional<std::size_t> stretch;
};

/// Without a hash, units one by one. With it, units in file order by the block in which they begin: the worker that
/// reads a block packs its units.
std::vector<Task> make_tasks(std::vector<Unit>& units, const checkpoint::ContentHasher* hash) {
  std::vector<Task> tasks;
  if (hash == nullptr) {
    for (std::size_t i = 0; i < units.size(); ++i) tasks.push_back({i, i + 1, {}});
    return tasks;
  }
  std::stable_sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
  });
  std::size_t next = 0;
  for (std::size_t i = 0; i < hash->stretches().size(); ++i) {
    const auto& stretch = hash->stretches()[i];
    const std::size_t begin = next;
    while (next < units.size() &&
           std::tie(units[next].file, units[next].offset) < std::tuple(stretch.source, stretch.offset + stretch.bytes))
      ++next;
    tasks.push_back({begin, next, i});
  }
  return tasks;
}

/// Each worker's blocks: those of its unit and of the next, and one of scales, which are elsewhere.
std::size_t stretches_in_use(const std::vector<Unit>& units, std::int32_t workers) {
  std::uint64_t bytes = 0;
  for (const Unit& unit : units) bytes = std::max(bytes, static_cast<std::uint64_t>(unit.bytes));
  return static_cast<std::size_t>((bytes + checkpoint::kStretchBytes - 1) / checkpoint::kStretchBytes + 2) *
         static_cast<std::size_t>(workers);
}

class Loader {
 public:
  Loader(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options, Weights& weights,
         checkpoint::ContentHasher* hash)
      : file_(file),
        plan_(plan),
        units_(cut_into_units(plan)),
        options_(options),
        hash_(hash),
        memory_(weights.memory),
        buffers_(static_cast<std::size_t>(options.threads.worker_count)) {}

  Result<void> run();

 private:
  Result<void> allocate();
  Result<void> work_on(const Task& task, std::int32_t worker);
  Result<void> read_vector(const Unit& unit, RowBuffers& buffers);
  Result<void> pack(const Unit& unit, RowBuffers& buffers);
  Result<void> pack_transposed(const Unit& unit, const std::byte* raw);
  Result<void> check_rows(const Unit& unit, const std::byte* raw, std::int64_t first, std::int64_t rows);
  void report(std::int32_t worker);

  const checkpoint::Checkpoint& file_;
  const LoadPlan& plan_;
  std::vector<Unit> units_;
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

Result<void> Loader::read_vector(const Unit& unit, RowBuffers& buffers) {
  const VectorJob& job = *unit.vector;
  buffers.raw.resize(static_cast<std::size_t>(unit.bytes));
  if (auto ok = file_.read(*job.tensor, unit.offset - job.tensor->offset, buffers.raw); !ok) return forward(ok);
  std::vector<float> values(static_cast<std::size_t>((job.count - 1) * job.step + 1));
  decode_row(job.tensor->format, buffers.raw.data(), static_cast<std::int64_t>(values.size()), values.data());
  job.out->resize(static_cast<std::size_t>(job.count));
  for (std::int64_t i = 0; i < job.count; ++i) {
    const float x = values[static_cast<std::size_t>(i * job.step)];
    (*job.out)[static_cast<std::size_t>(i)] = job.added == 0.0f ? x : x + job.added;
    if (!std::isfinite(x))
      return fail(ErrorCode::non_finite,
                  fmt::format("tensor {} holds {}, expected finite numbers", job.tensor->name, x));
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
  const TensorInfo& tensor = *unit.matrix->tensor;
  const Format format = read_format(*unit.matrix);
  const std::int64_t columns = unit.matrix->transposed ? tensor.cols() : unit.matrix->out->k,
                     bytes_per_row = row_bytes(format, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    if (!kernels::row_is_valid(format, columns, raw + r * bytes_per_row))
      return tl::unexpected<Error>(not_finite(tensor.name, first + r, format));
  return {};
}

Result<void> Loader::pack(const Unit& unit, RowBuffers& buffers) {
  const MatrixJob& job = *unit.matrix;
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

// Formats with one value per block are transposed directly; others are widened to float32 first.
Result<void> Loader::pack_transposed(const Unit& unit, const std::byte* raw) {
  const MatrixJob& job = *unit.matrix;
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

// Worker 0 is the calling thread: only it calls the host's callbacks.
void Loader::report(std::int32_t worker) {
  if (worker != 0) return;
  if (options_.cancelled && options_.cancelled()) stop_ = true;
  if (!options_.on_progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_report_ < std::chrono::milliseconds(100)) return;
  last_report_ = now;
  options_.on_progress({done_.load(), total_});
}

Result<void> Loader::work_on(const Task& task, std::int32_t worker) {
  if (task.stretch) {
    if (auto ok = hash_->add(*task.stretch); !ok) return ok;
    done_ += static_cast<std::int64_t>(hash_->stretches()[*task.stretch].bytes);
    report(worker);
  }
  RowBuffers& buffers = buffers_[static_cast<std::size_t>(worker)];
  for (std::size_t i = task.begin; i < task.end && !stop_; ++i) {
    const Unit& unit = units_[i];
    if (auto ok = unit.vector != nullptr ? read_vector(unit, buffers) : pack(unit, buffers); !ok) return ok;
    done_ += unit.bytes;
    report(worker);
  }
  return {};
}

Result<void> Loader::run() {
  if (auto ok = allocate(); !ok) return forward(ok);
  const std::vector<Task> tasks = make_tasks(units_, hash_);
  for (const Unit& unit : units_) total_ += unit.bytes;
  if (hash_ != nullptr) {
    for (const auto& stretch : hash_->stretches()) total_ += static_cast<std::int64_t>(stretch.bytes);
    file_.keep_stretches(stretches_in_use(units_, options_.threads.worker_count));
  }
  parallel_for(options_.threads, static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i, std::int32_t worker) {
    if (stop_) return;
    if (const auto ok = work_on(tasks[static_cast<std::size_t>(i)], worker); !ok) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = ok.error();
      stop_ = true;
    }
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
