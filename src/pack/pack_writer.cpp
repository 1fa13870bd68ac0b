#include "pack/pack_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "moe/model.hpp"
#include "pack/format.hpp"
#include "support/crc32c.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Result<PackWriter> PackWriter::begin(const std::string& path, const Layout& layout, std::function<bool()> cancelled) {
  auto file = OutputFile::create(path, {.streams = false, .is_private = true, .cancelled = std::move(cancelled)});
  if (!file) return forward(file);
  if (auto ok = file->extend(layout.file_bytes); !ok) return forward(ok);
  return PackWriter(std::move(*file), layout);
}

// Of each block at most one piece is written at a time, so that its CRC grows in order.
Result<void> PackWriter::write_to_blocks(std::span<const std::byte> bytes, LoadWork& work) {
  const std::vector<Block>& blocks = layout_->blocks;
  const std::uint64_t begin = position_, end = begin + bytes.size();
  const std::size_t first = block_;
  std::size_t last = first;
  while (last < blocks.size() && blocks[last].offset < end) ++last;
  const auto write_piece = [&](std::int64_t i, std::int32_t) {
    const std::size_t number = first + static_cast<std::size_t>(i);
    const Block& block = blocks[number];
    const std::uint64_t from = std::max(begin, block.offset),
                        to = std::min(end, block.offset + static_cast<std::uint64_t>(block.bytes));
    const auto piece = bytes.subspan(from - begin, to - from);
    crcs_[number] = crc32c(piece, crcs_[number]);
    return file_.rewrite(from, as_text(piece));
  };
  if (auto ok = work.run(static_cast<std::int64_t>(last - first), write_piece); !ok) return ok;
  position_ = end;
  while (block_ < blocks.size() && blocks[block_].offset + static_cast<std::uint64_t>(blocks[block_].bytes) <= end)
    ++block_;
  return {};
}

Result<void> PackWriter::fill_to(std::uint64_t offset, LoadWork& work) {
  const std::vector<std::byte> zeros(std::min<std::uint64_t>(offset - position_, kBlockBytes));
  while (position_ < offset) {
    const std::uint64_t count = std::min<std::uint64_t>(offset - position_, zeros.size());
    if (auto ok = write_to_blocks(std::span(zeros).first(count), work); !ok) return ok;
  }
  return {};
}

Result<void> PackWriter::write(std::uint64_t offset, std::span<const std::byte> bytes, LoadWork& work) {
  if (offset < position_ || offset + bytes.size() > layout_->file_bytes)
    return fail(ErrorCode::internal,
                fmt::format("{}: {} bytes at {} are out of order", file_.path(), bytes.size(), offset));
  if (auto ok = fill_to(offset, work); !ok) return ok;
  return write_to_blocks(bytes, work);
}

Result<void> PackWriter::finish(std::span<const std::byte> source, LoadWork& work) {
  if (auto ok = fill_to(layout_->file_bytes, work); !ok) return ok;
  const std::vector<std::byte> header = header_of(*layout_, source, crcs_);
  if (auto ok = file_.rewrite(0, as_text(header)); !ok) return ok;
  return file_.finish();
}

std::vector<std::byte> header_of(const Layout& layout, std::span<const std::byte> source,
                                 std::span<const std::uint32_t> crcs) {
  std::vector<std::byte> out(layout.header_bytes);
  std::byte* at = out.data() + sizeof(PackStart);
  const std::vector<std::byte> directory = directory_of(layout);
  for (const std::span<const std::byte> part : {source, std::span<const std::byte>(directory), std::as_bytes(crcs)}) {
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  PackStart start = {};
  std::memcpy(start.magic, kMagic, sizeof kMagic);
  start.format_version = kFormatVersion;
  start.numerics_version = kNumericsVersion;
  start.panel_version = kPanelVersion;
  start.source_bytes = static_cast<std::uint32_t>(source.size());
  start.header_bytes = layout.header_bytes;
  start.file_bytes = layout.file_bytes;
  start.source_crc = crc32c(source);
  start.directory_crc = crc32c(std::span(out).subspan(sizeof start + source.size()));
  start.start_crc = crc32c(std::as_bytes(std::span(&start, 1)).first(offsetof(PackStart, start_crc)));
  std::memcpy(out.data(), &start, sizeof start);
  return out;
}

}  // namespace moe::inline MOE_ABI::pack
