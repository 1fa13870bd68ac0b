#include "convert/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "convert/format_choice.hpp"
#include "kernels/packing.hpp"
#include "model/weight_rows.hpp"
#include "moe/decode.hpp"
#include "moe/encode.hpp"

namespace moe::inline MOE_ABI::convert {

namespace {

using checkpoint::Checkpoint;

constexpr std::int64_t kUnitValues = 1 << 20;  // worked on at a time: 4 MiB as float32

std::int64_t rows_given(const OutputTensor& t, const Source& s) {
  return t.arrangement == Arrangement::transposed ? s.columns() : s.row_count;
}

/// Rows [first, first + count) of a source of codes, checked; visit(i, row in the format of the codes).
template <class Visit>
Result<void> each_coded_row(const Checkpoint& file, const Source& s, std::int64_t first, std::int64_t count,
                            Workspace& work, Visit&& visit) {
  const MatrixJob& job = *s.coded;
  const std::int64_t from = job.first_row + (s.first_row + first) * job.step;
  const auto read = moe::read_rows(file, job, from, (count - 1) * job.step + 1, work.rows);
  if (!read) return forward(read);
  const std::int64_t bytes = read_row_bytes(job);
  for (std::int64_t r = 0; r < count; ++r) {
    const std::byte* row = read->data() + r * job.step * bytes;
    if (!kernels::row_is_valid(read_format(job), job.columns(), row, job.groups))
      return tl::unexpected<Error>(not_finite(s.tensor->name, from + r * job.step, read_format(job)));
    visit(r, row);
  }
  return {};
}

/// Rows [first, first + count) of a source, widened.
Result<void> read_rows(const Checkpoint& file, const Source& s, std::int64_t first, std::int64_t count,
                       Workspace& work) {
  const std::int64_t cols = s.tensor->cols(), bytes = row_bytes(s.tensor->format, cols);
  if (s.coded != nullptr) {
    work.values.resize(static_cast<std::size_t>(count * cols));
    return each_coded_row(file, s, first, count, work, [&](std::int64_t r, const std::byte* row) {
      decode_read_row(*s.coded, row, work.values.data() + r * cols);
    });
  }
  work.raw.resize(static_cast<std::size_t>(count * bytes));
  if (auto ok = file.read(*s.tensor, static_cast<std::uint64_t>((s.first_row + first) * bytes), work.raw); !ok)
    return ok;
  work.values.resize(static_cast<std::size_t>(count * cols));
  decode_row(s.tensor->format, work.raw.data(), count * cols, work.values.data());
  return {};
}

/// Of each row some columns, or all of them in another order.
void pick_columns(const OutputTensor& t, const Source& source, std::int64_t rows, Workspace& work) {
  const std::int64_t cols = t.tensor.cols(), stored = source.tensor->cols();
  work.arranged.resize(static_cast<std::size_t>(rows * cols));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c) {
      const std::int64_t from =
          t.column_order.empty() ? source.first_column + c * source.step : t.column_order[static_cast<std::size_t>(c)];
      work.arranged[static_cast<std::size_t>(r * cols + c)] = work.values[static_cast<std::size_t>(r * stored + from)];
    }
  work.values.swap(work.arranged);
}

void pair_rows(const OutputTensor& t, std::int64_t rows, Workspace& work) {
  const std::int64_t cols = t.tensor.cols(), half = t.head_rows / 2;
  work.arranged.resize(static_cast<std::size_t>(rows * cols));
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t in_head = r % t.head_rows, from = r - in_head + (in_head % 2) * half + in_head / 2;
    std::memcpy(work.arranged.data() + r * cols, work.values.data() + from * cols,
                static_cast<std::size_t>(cols) * sizeof(float));
  }
  work.values.swap(work.arranged);
}

/// The unit's rows as float32, in work.values.
Result<void> fill(const Checkpoint& file, const Unit& unit, Workspace& work) {
  const OutputTensor& t = *unit.tensor;
  const Source& source = *unit.source;
  const std::int64_t cols = t.tensor.cols(), stored = source.tensor->cols(), count = unit.end - unit.begin;
  if (t.arrangement != Arrangement::transposed) {
    if (auto ok = read_rows(file, source, unit.begin, count, work); !ok) return ok;
    if (t.added != 0.0f)
      for (float& x : work.values) x += t.added;
    if (t.minus_exp)
      for (float& x : work.values) x = minus_exp(x);
    if (t.arrangement == Arrangement::rope_pairs)
      pair_rows(t, count, work);
    else if (source.step != 1 || !t.column_order.empty())
      pick_columns(t, source, count, work);
    return {};
  }
  if (auto ok = read_rows(file, source, 0, cols, work); !ok) return ok;
  work.arranged.resize(static_cast<std::size_t>(count * cols));
  for (std::int64_t r = 0; r < cols; ++r)
    for (std::int64_t c = 0; c < count; ++c)
      work.arranged[static_cast<std::size_t>(c * cols + r)] =
          work.values[static_cast<std::size_t>(r * stored + source.first_column + c * source.step)];
  work.values.swap(work.arranged);
  return {};
}

/// The first of several units of a tensor whose rows are spread over it reads all of it once, in order, so that a disk
/// need not look for small pieces; the system keeps what was read, if it has room.
Result<void> read_through(const Checkpoint& file, const Unit& unit, Workspace& work) {
  constexpr std::uint64_t kPiece = 1 << 20;
  const Source& s = *unit.source;
  if (s.coded == nullptr || !spreads_rows(*s.coded) || unit.begin > 0 || unit.end == rows_given(*unit.tensor, s))
    return {};
  const checkpoint::TensorInfo& codes = *s.coded->tensor;
  for (std::uint64_t at = 0; at < codes.bytes; at += kPiece) {
    work.raw.resize(static_cast<std::size_t>(std::min(kPiece, codes.bytes - at)));
    if (auto ok = file.read(codes, at, work.raw); !ok) return ok;
  }
  return {};
}

/// Rows whose format stays: read and checked, not decoded.
Result<void> copy_rows(const Checkpoint& file, const Unit& unit, Workspace& work) {
  const OutputTensor& t = *unit.tensor;
  const std::int64_t cols = t.tensor.cols(), rows = unit.end - unit.begin, bytes = row_bytes(t.tensor.format, cols);
  const std::int64_t first = unit.source->first_row + unit.begin;
  work.encoded.resize(static_cast<std::size_t>(rows * bytes));
  if (unit.source->coded != nullptr)
    return each_coded_row(file, *unit.source, unit.begin, rows, work, [&](std::int64_t r, const std::byte* row) {
      std::memcpy(work.encoded.data() + r * bytes, row, static_cast<std::size_t>(bytes));
    });
  if (auto ok = file.read(*unit.source->tensor, static_cast<std::uint64_t>(first * bytes), work.encoded); !ok)
    return ok;
  for (std::int64_t r = 0; r < rows; ++r)
    if (!kernels::row_is_valid(t.tensor.format, cols, work.encoded.data() + r * bytes))
      return tl::unexpected<Error>(not_finite(unit.source->tensor->name, first + r, t.tensor.format));
  return {};
}

}  // namespace

std::vector<Unit> cut_into_units(std::span<const OutputTensor> tensors) {
  std::vector<Unit> units;
  for (const OutputTensor& t : tensors) {
    if (t.sources.empty()) units.push_back({&t, nullptr, 0, 1});
    for (const Source& s : t.sources) {
      const std::int64_t rows = rows_given(t, s);
      std::int64_t step = std::max<std::int64_t>(1, kUnitValues / t.tensor.cols());
      if (t.arrangement == Arrangement::rope_pairs) step = std::max(t.head_rows, step / t.head_rows * t.head_rows);
      if (t.arrangement == Arrangement::transposed) step = rows;
      for (std::int64_t begin = 0; begin < rows; begin += step)
        units.push_back({&t, &s, begin, std::min(rows, begin + step)});
    }
  }
  return units;
}

Result<void> encode_unit(const Checkpoint& file, const Unit& unit, Workspace& work) {
  const OutputTensor& t = *unit.tensor;
  const std::int64_t cols = t.tensor.cols(), rows = unit.end - unit.begin, bytes = row_bytes(t.tensor.format, cols);
  work.error_squares = work.squares = 0.0;
  if (unit.source == nullptr) {
    const auto values = std::as_bytes(std::span(t.values));
    work.encoded.assign(values.begin(), values.end());
    return {};
  }
  if (is_copy(t)) return copy_rows(file, unit, work);
  if (auto ok = read_through(file, unit, work); !ok) return ok;
  if (auto ok = fill(file, unit, work); !ok) return ok;
  work.encoded.resize(static_cast<std::size_t>(rows * bytes));
  for (std::int64_t r = 0; r < rows; ++r)
    if (auto ok = encode_row(t.tensor.format, work.values.data() + r * cols, cols, work.encoded.data() + r * bytes);
        !ok)
      return fail(ok.error().code, fmt::format("tensor {}, row {} of {}: {}", t.tensor.name, unit.begin + r,
                                               unit.source->tensor->name, ok.error().message));
  work.decoded.resize(work.values.size());
  decode_row(t.tensor.format, work.encoded.data(), rows * cols, work.decoded.data());
  for (std::size_t i = 0; i < work.values.size(); ++i) {
    const double w = work.values[i], difference = w - work.decoded[i];
    work.error_squares += difference * difference;
    work.squares += w * w;
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::convert
