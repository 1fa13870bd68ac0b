#include "model/panel_units.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/packing.hpp"
#include "moe/decode.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::Checkpoint;
using checkpoint::TensorInfo;
using kernels::kPanelRows;

PanelUnit unit_of(const MatrixJob& job, std::int64_t begin, std::int64_t end) {
  const std::int64_t row = stored_row_bytes(job);
  const std::int64_t first = job.first_row + (job.transposed ? 0 : begin * kPanelRows * job.step);
  const std::int64_t rows =
      job.transposed ? job.out->k : (std::min(end * kPanelRows, job.out->rows) - begin * kPanelRows) * job.step;
  return {&job,
          begin,
          end,
          static_cast<std::size_t>(job.tensor->file),
          job.tensor->offset + static_cast<std::uint64_t>(first * row),
          rows * row};
}

Result<void> check_rows(const MatrixJob& job, const std::byte* raw, std::int64_t first, std::int64_t rows) {
  const TensorInfo& tensor = *job.tensor;
  const Format format = read_format(job);
  const std::int64_t columns = job.transposed ? tensor.cols() : job.out->k, bytes_per_row = row_bytes(format, columns);
  for (std::int64_t r = 0; r < rows; ++r)
    if (!kernels::row_is_valid(format, columns, raw + r * bytes_per_row))
      return tl::unexpected<Error>(not_finite(tensor.name, first + r, format));
  return {};
}

// Formats with one value per block are transposed directly; others are widened to float32 first.
void pack_transposed(const MatrixJob& job, const std::byte* raw, std::byte* panels) {
  const Matrix& out = *job.out;
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
    kernels::pack_panel(out.format, k, rows, panels + p * out.panel_bytes);
  }
}

}  // namespace

std::vector<PanelUnit> panel_units(const MatrixJob& job) {
  std::vector<PanelUnit> units;
  const std::int64_t panels = job.out->panel_count(), row = stored_row_bytes(job) * job.step;
  const std::int64_t step =
      job.transposed ? panels : std::max<std::int64_t>(1, kUnitBytes / std::max<std::int64_t>(1, row * kPanelRows));
  for (std::int64_t begin = 0; begin < panels; begin += step)
    units.push_back(unit_of(job, begin, std::min(panels, begin + step)));
  return units;
}

Result<void> pack_unit(const Checkpoint& file, const PanelUnit& unit, RowBuffers& buffers, std::byte* out) {
  const MatrixJob& job = *unit.job;
  if (job.transposed) {
    auto rows = read_rows(file, job, job.first_row, job.out->k, buffers);
    if (!rows) return forward(rows);
    if (auto ok = check_rows(job, rows->data(), job.first_row, job.out->k); !ok) return ok;
    pack_transposed(job, rows->data(), out);
    return {};
  }
  const std::int64_t row_count = std::min(unit.end * kPanelRows, job.out->rows) - unit.begin * kPanelRows;
  const std::int64_t first = job.first_row + unit.begin * kPanelRows * job.step,
                     stored = (row_count - 1) * job.step + 1;
  auto read = read_rows(file, job, first, stored, buffers);
  if (!read) return forward(read);
  if (auto ok = check_rows(job, read->data(), first, stored); !ok) return ok;
  const std::int64_t bytes_per_row = row_bytes(job.out->format, job.out->k) * job.step;
  for (std::int64_t p = unit.begin; p < unit.end; ++p) {
    const std::byte* rows[kPanelRows];
    for (std::int64_t i = 0; i < kPanelRows; ++i) {
      const std::int64_t r = (p - unit.begin) * kPanelRows + i;
      rows[i] = r < row_count ? read->data() + r * bytes_per_row : nullptr;
    }
    kernels::pack_panel(job.out->format, job.out->k, rows, out + (p - unit.begin) * job.out->panel_bytes);
  }
  return {};
}

}  // namespace moe::inline MOE_ABI
