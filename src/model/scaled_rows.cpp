// Rows of weights with scales (detail/reference/scaled_row.hpp) from what FP8, compressed-tensors, GPTQ and AWQ
// directories hold.
#include "model/scaled_rows.hpp"

#include <fmt/format.h>

#include <cstring>

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/reference/scaled_row.hpp"

namespace moe::inline MOE_ABI {
namespace {

// AWQ: the place of number i of eight in its word, in units of 4 bits.
constexpr int kAwqPlace[8] = {0, 4, 1, 5, 2, 6, 3, 7};

struct RowWork {
  const MatrixJob& job;
  const ScaledSource& s;
  std::int64_t first, count;
  std::int64_t code_bytes, scale_bytes, row_bytes;  // of a row that is made
  RowBuffers& b;

  std::byte* row(std::int64_t r) const { return b.widened.data() + r * row_bytes; }
  std::byte* zeros(std::int64_t r) const { return row(r) + code_bytes + job.groups.count * scale_bytes; }
};

/// Number `i` of a word; the lowest bits are number 0.
std::uint32_t number_in(const std::byte* words, std::int64_t word, int i, int bits) {
  return quant::load_u32(words + 4 * word) >> (bits * i) & ((1u << bits) - 1u);
}

// Codes of consecutive rows: the bytes of words and of FP8 are those of the rows that are made.
void row_codes(const RowWork& w) {
  const bool is_signed = w.job.encoding == Encoding::rows && !w.s.in_words;
  for (std::int64_t r = 0; r < w.count; ++r) {
    std::byte* out = w.row(r);
    std::memcpy(out, w.b.raw.data() + r * w.code_bytes, static_cast<std::size_t>(w.code_bytes));
    for (std::int64_t i = 0; is_signed && i < w.code_bytes; ++i) out[i] ^= std::byte{0x80};
  }
}

// A word of GPTQ is a piece of a row.
void gptq_codes(const RowWork& w) {
  const std::int64_t words = w.code_bytes / 4;
  for (std::int64_t i = 0; i < words; ++i)
    for (std::int64_t r = 0; r < w.count; ++r)
      std::memcpy(w.row(r) + 4 * i, w.b.raw.data() + 4 * (i * w.s.rows + w.first + r), 4);
}

void awq_codes(const RowWork& w) {
  for (std::int64_t r = 0; r < w.count; ++r) std::memset(w.row(r), 0, static_cast<std::size_t>(w.code_bytes));
  for (std::int64_t c = 0; c < w.s.columns; ++c)
    for (std::int64_t r = 0; r < w.count; ++r) {
      const std::int64_t row = w.first + r;
      const std::uint32_t code = number_in(w.b.raw.data(), c * (w.s.rows / 8) + row / 8, kAwqPlace[row % 8], 4);
      w.row(r)[c / 2] |= static_cast<std::byte>(code << (4 * (c % 2)));
    }
}

/// Scale of row first + r and group g, among those that were read.
std::int64_t scale_index(const RowWork& w, std::int64_t r, std::int64_t g) {
  if (w.job.encoding == Encoding::gptq || w.job.encoding == Encoding::awq) return g * w.s.rows + w.first + r;
  return ((w.first + r) / w.s.block_rows - w.first / w.s.block_rows) * w.job.groups.count + g;
}

void copy_scales(const RowWork& w) {
  const Format format = w.s.scales->format;
  const std::int64_t stored = format_info(format).block_bytes;
  for (std::int64_t r = 0; r < w.count; ++r)
    for (std::int64_t g = 0; g < w.job.groups.count; ++g) {
      const std::byte* in = w.b.scales.data() + scale_index(w, r, g) * stored;
      std::byte* out = w.row(r) + w.code_bytes + g * w.scale_bytes;
      const float value = reference::scale_value(format, in);
      std::memcpy(out, w.scale_bytes == stored ? static_cast<const void*>(in) : &value,
                  static_cast<std::size_t>(w.scale_bytes));
    }
}

/// The zero point of row first + r and group g as unsigned codes have it.
std::int64_t zero_of(const RowWork& w, std::int64_t r, std::int64_t g) {
  const std::byte* in = w.b.zeros.data();
  const std::int64_t row = w.first + r, per = 32 / w.s.bits;
  const int place = static_cast<int>(row % per);
  if (w.job.encoding == Encoding::gptq)
    return number_in(in, g * (w.s.rows / per) + row / per, place, w.s.bits) + w.s.zero_offset;
  if (w.job.encoding == Encoding::awq) return number_in(in, g * (w.s.rows / per) + row / per, kAwqPlace[place], 4);
  if (w.s.zeros_in_words) return number_in(in, row / per * w.job.groups.count + g, place, w.s.bits);
  const std::int64_t at = row / w.s.block_rows * w.job.groups.count + g;
  return quant::load_i8(in + at) + (std::int64_t{1} << (w.s.bits - 1));
}

Result<void> copy_zeros(const RowWork& w) {
  for (std::int64_t r = 0; r < w.count; ++r)
    for (std::int64_t g = 0; g < w.job.groups.count; ++g) {
      const std::int64_t zero = zero_of(w, r, g);
      if (zero < 0 || zero > 255)
        return fail(ErrorCode::unsupported, fmt::format("tensor {}: a zero point of {} in row {}, expected 0 to 255",
                                                        w.s.zeros->name, zero, w.first + r));
      w.zeros(r)[g] = static_cast<std::byte>(zero);
    }
  return {};
}

Result<void> read_all(const checkpoint::Checkpoint& file, const checkpoint::TensorInfo& tensor,
                      std::vector<std::byte>& out) {
  out.resize(static_cast<std::size_t>(tensor.bytes));
  return file.read(tensor, 0, out);
}

}  // namespace

Result<void> make_scaled_rows(const checkpoint::Checkpoint& file, const MatrixJob& job, std::int64_t first,
                              std::int64_t count, RowBuffers& b) {
  const ScaledSource& s = job.scaled;
  const Format format = read_format(job);
  const RowWork w{job,
                  s,
                  first,
                  count,
                  row_bytes(format, s.columns),
                  format_info(job.groups.scale).block_bytes,
                  read_row_bytes(job),
                  b};
  b.widened.resize(static_cast<std::size_t>(count * w.row_bytes));
  if (job.encoding == Encoding::gptq || job.encoding == Encoding::awq) {
    if (auto ok = read_all(file, *s.scales, b.scales); !ok) return ok;
  } else {
    const std::int64_t stored = job.groups.count * format_info(s.scales->format).block_bytes;
    const std::int64_t block = first / s.block_rows, blocks = (first + count - 1) / s.block_rows - block + 1;
    b.scales.resize(static_cast<std::size_t>(blocks * stored));
    if (auto ok = file.read(*s.scales, static_cast<std::uint64_t>(block * stored), b.scales); !ok) return ok;
  }
  if (job.encoding == Encoding::gptq)
    gptq_codes(w);
  else if (job.encoding == Encoding::awq)
    awq_codes(w);
  else
    row_codes(w);
  copy_scales(w);
  if (s.zeros == nullptr) return {};
  if (auto ok = read_all(file, *s.zeros, b.zeros); !ok) return ok;
  return copy_zeros(w);
}

}  // namespace moe::inline MOE_ABI
