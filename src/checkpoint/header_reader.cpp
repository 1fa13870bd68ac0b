#include "checkpoint/header_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace moe::inline MOE_ABI::checkpoint {

static_assert(std::endian::native == std::endian::little,
              "GGUF and safetensors are little-endian, and so must be the host");

HeaderReader::HeaderReader(const InputFile& file, std::uint64_t limit)
    : file_(file), end_(std::min(file.size(), limit)) {}

Result<void> HeaderReader::fill() {
  constexpr std::uint64_t kBuffer = 1 << 16;
  buffer_.resize(static_cast<std::size_t>(std::min(kBuffer, end_ - position_)));
  buffer_begin_ = position_;
  return file_.read(position_, buffer_);
}

Result<void> HeaderReader::read(std::span<std::byte> out, const char* what) {
  if (out.size() > remaining())
    return fail(ErrorCode::bad_file, fmt::format("{}: {} at byte {} needs {} bytes, {} are left", file_.path(), what,
                                                 position_, out.size(), remaining()));
  while (!out.empty()) {
    if (position_ >= buffer_begin_ + buffer_.size())
      if (auto ok = fill(); !ok) return ok;
    const auto at = static_cast<std::size_t>(position_ - buffer_begin_);
    const std::size_t n = std::min(out.size(), buffer_.size() - at);
    std::memcpy(out.data(), buffer_.data() + at, n);
    hash_.update(out.first(n));
    position_ += n;
    out = out.subspan(n);
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::checkpoint
