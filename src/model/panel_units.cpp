#include "model/panel_units.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/packing.hpp"
#include "moe/detail/reference/scaled_row.hpp"

namespace moe::inline MOE_ABI {
namespace {

using checkpoint::Checkpoint;
using kernels::kPanelRows;

PanelUnit unit_of(const MatrixJob& job, std::int64_t begin, std::int64_t end) {
  if (spreads_rows(job))
    return {&job,
            begin,
            end,
            static_cast<std::size_t>(job.tensor->file),
            job.tensor->offset,
            static_cast<std::int64_t>(job.tensor->bytes)};
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
  const Format format = read_format(job);
  const std::int64_t columns = job.columns(), bytes_per_row = read_row_bytes(job);
  for (std::int64_t r = 0; r < rows; ++r)
    if (!kernels::row_is_valid(format, columns, raw + r * bytes_per_row, job.groups))
      return tl::unexpected<Error>(not_finite(job.tensor->name, first + r, format));
  return {};
}

/// Row i of `out` in a panel: column `column` of the k rows that were read.
void gather_column(const MatrixJob& job, const std::byte* source, std::int64_t column, std::byte* row) {
  const Matrix& out = *job.out;
  const std::int64_t size = format_info(out.format).block_bytes, columns = job.columns();
  const std::int64_t bytes = out.format == Format::e4m3 ? read_row_bytes(job) : columns * size;
  for (std::int64_t j = 0; j < out.k; ++j)
    std::memcpy(row + j * size, source + j * bytes + column * size, static_cast<std::size_t>(size));
  if (out.format != Format::e4m3) return;
  for (std::int64_t g = 0; g < out.groups.count; ++g) {
    const std::int64_t j = std::max<std::int64_t>(0, g * out.groups.columns - out.groups.phase);
    const float scale =
        reference::ScaledRow(out.format, job.groups, source + j * bytes, columns).scale(job.groups.of(column));
    std::memcpy(row + out.k + g * static_cast<std::int64_t>(sizeof scale), &scale, sizeof scale);
  }
}

// Formats with one value per block are transposed directly; others are widened to float32 first.
void pack_transposed(const MatrixJob& job, const std::byte* raw, std::byte* panels) {
  const Matrix& out = *job.out;
  const std::int64_t k = out.k, columns = job.columns();
  std::vector<std::byte> widened;
  const std::byte* source = raw;
  if (out.format != read_format(job)) {
    widened.resize(static_cast<std::size_t>(k * columns) * sizeof(float));
    for (std::int64_t r = 0; r < k; ++r)
      decode_read_row(job, raw + r * read_row_bytes(job), reinterpret_cast<float*>(widened.data()) + r * columns);
    source = widened.data();
  }
  const std::int64_t row_size =
      is_scaled_format(out.format) ? reference::scaled_row_bytes(out.format, k, out.groups) : row_bytes(out.format, k);
  std::vector<std::byte> panel_rows(static_cast<std::size_t>(kPanelRows * row_size));
  for (std::int64_t p = 0; p < out.panel_count(); ++p) {
    const std::byte* rows[kPanelRows];
    for (std::int64_t i = 0; i < kPanelRows; ++i) {
      const std::int64_t r = p * kPanelRows + i;
      std::byte* row = panel_rows.data() + i * row_size;
      rows[i] = r < out.rows ? row : nullptr;
      if (r < out.rows) gather_column(job, source, job.first_column + r * job.step, row);
    }
    kernels::pack_panel(out.format, k, rows, panels + p * out.panel_bytes, out.groups);
  }
}

}  // namespace

std::vector<PanelUnit> panel_units(const MatrixJob& job) {
  std::vector<PanelUnit> units;
  const std::int64_t panels = job.out->panel_count(), row = stored_row_bytes(job) * job.step;
  const std::int64_t step = job.transposed || spreads_rows(job)
                                ? panels
                                : std::max<std::int64_t>(1, kUnitBytes / std::max<std::int64_t>(1, row * kPanelRows));
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
  const std::int64_t bytes_per_row = read_row_bytes(job) * job.step;
  for (std::int64_t p = unit.begin; p < unit.end; ++p) {
    const std::byte* rows[kPanelRows];
    for (std::int64_t i = 0; i < kPanelRows; ++i) {
      const std::int64_t r = (p - unit.begin) * kPanelRows + i;
      rows[i] = r < row_count ? read->data() + r * bytes_per_row : nullptr;
    }
    kernels::pack_panel(job.out->format, job.out->k, rows, out + (p - unit.begin) * job.out->panel_bytes,
                        job.out->groups);
  }
  return {};
}

}  // namespace moe::inline MOE_ABI
