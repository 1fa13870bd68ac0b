#pragma once
// Tensors: views (borrowed memory) and AlignedBuffer (owned memory). There is no other tensor type.

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

template <class T>
using VectorView = std::span<T>;

/// A row-major matrix in borrowed memory; rows are `stride` values apart.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* d, std::int64_t r, std::int64_t c) : MatrixView(d, r, c, c) {}
  MatrixView(T* d, std::int64_t r, std::int64_t c, std::int64_t s) : data(d), rows(r), cols(c), stride(s) {}
  template <class U>
  requires std::is_same_v<const U, T> MatrixView(const MatrixView<U>& other)
      : MatrixView(other.data, other.rows, other.cols, other.stride) {}

  T* row(std::int64_t r) const { return data + r * stride; }
  T& operator()(std::int64_t r, std::int64_t c) const { return data[r * stride + c]; }
};

/// Multiplies sizes from outside; false on overflow.
[[nodiscard]] inline bool checked_multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& out) {
  return !__builtin_mul_overflow(a, b, &out);
}

/// Contents of a new buffer: uninitialised, or zeros.
enum class Fill { none, zero };
constexpr std::string_view name_of(Fill value) noexcept {
  switch (value) {
    case Fill::none: return "none";
    case Fill::zero: return "zero";
  }
  return "";
}

/// Owns `count` values of a trivial type, aligned to 64 bytes. From 2 MiB on it asks Linux for huge pages: fewer TLB
/// misses, and prefetching beyond 4 KiB.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

 public:
  AlignedBuffer() = default;
  AlignedBuffer(AlignedBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { std::free(data_); }

  /// Errors: out_of_memory, naming the bytes asked for.
  static Result<AlignedBuffer> create(std::size_t count, Fill fill = Fill::none) {
    AlignedBuffer b;
    if (count == 0) return b;
    if (count > (std::numeric_limits<std::size_t>::max() - kHugePage) / sizeof(T))
      return fail(ErrorCode::out_of_memory,
                  "a buffer of " + std::to_string(count) + " values exceeds the address space");
    const std::size_t boundary = count * sizeof(T) < kHugePage ? 64 : kHugePage;
    const std::size_t bytes = (count * sizeof(T) + boundary - 1) / boundary * boundary;
    b.data_ = static_cast<T*>(std::aligned_alloc(boundary, bytes));
    if (b.data_ == nullptr)
      return fail(ErrorCode::out_of_memory, "cannot allocate " + std::to_string(bytes) + " bytes");
    b.size_ = count;
#if defined(__linux__)
    // Needed where huge pages are opt-in. A failure costs speed only, so it is ignored. The rest of the last huge page
    // would be in memory without being used: two fifths of a key/value cache whose slabs have 4.3 MiB.
    if (boundary == kHugePage) {
      const std::size_t whole = count * sizeof(T) / kHugePage * kHugePage;
      madvise(static_cast<void*>(b.data_), whole, MADV_HUGEPAGE);
      if (whole < bytes) madvise(reinterpret_cast<std::byte*>(b.data_) + whole, bytes - whole, MADV_NOHUGEPAGE);
    }
#endif
    if (fill == Fill::zero) std::memset(static_cast<void*>(b.data_), 0, count * sizeof(T));
    return b;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t size_bytes() const { return size_ * sizeof(T); }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace moe::inline MOE_ABI
