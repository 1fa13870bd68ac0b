// Rows of weights with scales (detail/reference/scaled_row.hpp) from what FP8, compressed-tensors, GPTQ and AWQ
// directories hold.
#include "model/scaled_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "moe/detail/quant/bytes.hpp"
#include "moe/detail/reference/scaled_row.hpp"

namespace moe::inline MOE_ABI {
namespace {

// AWQ: the place of number i of eight in its word, in units of 4 bits.
constexpr int kAwqPlace[8] = {0, 4, 1, 5, 2, 6, 3, 7};

/// Rows of a GPTQ or AWQ weight whose codes, scales and zero points were read: whole words.
struct HeldRows {
  std::int64_t first = 0, count = 0;

  static HeldRows of(const ScaledSource& s, std::int64_t first, std::int64_t count) {
    constexpr std::int64_t kWord = 8;  // the most numbers in one
    const std::int64_t begin = first / kWord * kWord, end = (first + count + kWord - 1) / kWord * kWord;
    return {begin, std::min(end, s.rows) - begin};
  }
};

struct RowWork {
  const MatrixJob& job;
  const ScaledSource& s;
  std::int64_t first, count;
  HeldRows held;
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
      std::memcpy(w.row(r) + 4 * i, w.b.raw.data() + 4 * (i * w.held.count + w.first - w.held.first + r), 4);
}

void awq_codes(const RowWork& w) {
  for (std::int64_t r = 0; r < w.count; ++r) std::memset(w.row(r), 0, static_cast<std::size_t>(w.code_bytes));
  for (std::int64_t c = 0; c < w.s.columns; ++c)
    for (std::int64_t r = 0; r < w.count; ++r) {
      const std::int64_t row = w.first - w.held.first + r;
      const std::uint32_t code = number_in(w.b.raw.data(), c * (w.held.count / 8) + row / 8, kAwqPlace[row % 8], 4);
      w.row(r)[c / 2] |= static_cast<std::byte>(code << (4 * (c % 2)));
    }
}

/// Scale of row first + r and group g, among those that were read.
std::int64_t scale_index(const RowWork& w, std::int64_t r, std::int64_t g) {
  if (spreads_rows(w.job)) return g * w.held.count + w.first - w.held.first + r;
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
  if (spreads_rows(w.job)) {
    const std::int64_t word = g * (w.held.count / per) + (row - w.held.first) / per;
    if (w.job.encoding == Encoding::awq) return number_in(in, word, kAwqPlace[place], 4);
    // GPTQ's version 1 subtracts one from each number of the word as a whole: a zero point of 0 borrows from the next.
    const std::uint32_t ones = w.s.zero_offset == 0 ? 0u : w.s.bits == 4 ? 0x11111111u : 0x01010101u;
    return ((quant::load_u32(in + 4 * word) + ones) >> (w.s.bits * place)) & ((1u << w.s.bits) - 1u);
  }
  if (w.s.zeros_in_words) return number_in(in, row / per * w.job.groups.count + g, place, w.s.bits);
  const std::int64_t at = row / w.s.block_rows * w.job.groups.count + g;
  return quant::load_i8(in + at) + (std::int64_t{1} << (w.s.bits - 1));
}

Result<void> copy_zeros(const RowWork& w) {
  const std::int64_t most = w.s.bits == 4 ? reference::kMaxInt4Zero : 255;
  for (std::int64_t r = 0; r < w.count; ++r)
    for (std::int64_t g = 0; g < w.job.groups.count; ++g) {
      const std::int64_t zero = zero_of(w, r, g);
      if (zero < 0 || zero > most)
        return fail(ErrorCode::unsupported, fmt::format("tensor {}: a zero point of {} in row {}, expected 0 to {}",
                                                        w.s.zeros->name, zero, w.first + r, most));
      w.zeros(r)[g] = static_cast<std::byte>(zero);
    }
  return {};
}

Result<void> read_all(const checkpoint::Checkpoint& file, const checkpoint::TensorInfo& tensor,
                      std::vector<std::byte>& out) {
  out.resize(static_cast<std::size_t>(tensor.bytes));
  return file.read(tensor, 0, out);
}

/// Reads a tensor whose lines each have values for all rows of the weight: of every line, those for the held rows.
Result<void> read_held(const checkpoint::Checkpoint& file, const checkpoint::TensorInfo& tensor, const ScaledSource& s,
                       const HeldRows& held, std::vector<std::byte>& out) {
  const std::int64_t lines = tensor.rows(), line = static_cast<std::int64_t>(tensor.bytes) / lines;
  const std::int64_t from = line * held.first / s.rows, part = line * held.count / s.rows;
  if (part == line) return read_all(file, tensor, out);
  out.resize(static_cast<std::size_t>(lines * part));
  for (std::int64_t i = 0; i < lines; ++i) {
    const auto piece = std::span(out).subspan(static_cast<std::size_t>(i * part), static_cast<std::size_t>(part));
    if (auto ok = file.read(tensor, static_cast<std::uint64_t>(i * line + from), piece); !ok) return ok;
  }
  return {};
}

}  // namespace

Result<void> make_scaled_rows(const checkpoint::Checkpoint& file, const MatrixJob& job, std::int64_t first,
                              std::int64_t count, RowBuffers& b) {
  const ScaledSource& s = job.scaled;
  const Format format = read_format(job);
  const bool spread = spreads_rows(job);
  const RowWork w{job,
                  s,
                  first,
                  count,
                  spread ? HeldRows::of(s, first, count) : HeldRows{},
                  row_bytes(format, s.columns),
                  format_info(job.groups.scale).block_bytes,
                  read_row_bytes(job),
                  b};
  b.widened.resize(static_cast<std::size_t>(count * w.row_bytes));
  if (spread) {
    if (auto ok = read_held(file, *job.tensor, s, w.held, b.raw); !ok) return ok;
    if (auto ok = read_held(file, *s.scales, s, w.held, b.scales); !ok) return ok;
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
  if (auto ok = spread ? read_held(file, *s.zeros, s, w.held, b.zeros) : read_all(file, *s.zeros, b.zeros); !ok)
    return ok;
  return copy_zeros(w);
}

}  // namespace moe::inline MOE_ABI
