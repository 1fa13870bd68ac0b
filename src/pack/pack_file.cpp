#include "pack/pack_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "moe/formats.hpp"
#include "moe/model.hpp"
#include "pack/source.hpp"
#include "support/crc32c.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

constexpr std::int64_t kReadBytes = 4 << 20;  // by one task

/// The end of the blocks that a task reads from `first` on.
std::size_t part_end(const std::vector<Block>& blocks, std::size_t first, std::size_t last) {
  std::int64_t bytes = 0;
  std::size_t end = first;
  while (end < last && (end == first || bytes + blocks[end].bytes <= kReadBytes)) bytes += blocks[end++].bytes;
  return end;
}

std::string text_of(const PackMatrix& m) {
  const FormatInfo* format = find_format(m.format);
  return fmt::format("{} (layer {}, number {}): {} x {} of {}, {} bytes at {}",
                     name_of(static_cast<MatrixKind>(m.kind)), m.layer, m.number, m.rows, m.k,
                     format == nullptr ? "?" : format->name, m.bytes, m.offset);
}

Result<void> of_expert(const Result<void>& done, std::int64_t layer, std::int64_t expert) {
  if (done) return {};
  return fail(done.error().code, fmt::format("{} (expert {} of layer {})", done.error().message, expert, layer));
}

}  // namespace

tl::unexpected<Error> PackFile::damaged(const std::string& what) const {
  return fail(ErrorCode::bad_file, fmt::format("{}: {}; delete the packed file to have it made again", path(), what));
}

Result<std::shared_ptr<const PackFile>> PackFile::open(const std::string& path, Layout layout,
                                                       std::span<const std::byte> source) {
  auto file = checkpoint::InputFile::open(path);
  if (!file && file.error().code == ErrorCode::not_found) return std::shared_ptr<const PackFile>();
  if (!file) return forward(file);
  if (!file->is_private())
    return fail(ErrorCode::bad_file, fmt::format("{}: {}, expected a file of yours or root's that nobody else may "
                                                 "write: what is in it is not trusted",
                                                 path, file->access_in_words()));
  std::shared_ptr<PackFile> pack(new PackFile(std::move(*file), std::move(layout)));
  const auto usable = pack->read_header(source);
  if (!usable) return forward(usable);
  return *usable ? std::shared_ptr<const PackFile>(std::move(pack)) : nullptr;
}

Result<void> check_replaceable(const std::string& path) {
  const auto file = checkpoint::InputFile::open(path);
  if (!file) return file.error().code == ErrorCode::not_found ? Result<void>{} : forward(file);
  char magic[sizeof kMagic] = {};
  if (file->size() >= sizeof magic)
    if (auto ok = file->read(0, std::as_writable_bytes(std::span(magic))); !ok) return ok;
  if (std::memcmp(magic, kMagic, sizeof kMagic) == 0) return {};
  return fail(ErrorCode::bad_argument,
              fmt::format("{}: is not a packed file (it begins with {}) and will not be replaced", path,
                          in_quotes({magic, sizeof magic})));
}

Result<bool> PackFile::read_header(std::span<const std::byte> source) {
  PackStart start = {};
  const std::size_t there = std::min<std::size_t>(file_.size(), sizeof start);
  if (auto ok = file_.read(0, std::as_writable_bytes(std::span(&start, 1)).first(there)); !ok) return forward(ok);
  if (std::memcmp(start.magic, kMagic, std::min(there, sizeof kMagic)) != 0)
    return fail(ErrorCode::bad_file, fmt::format("{}: is not a packed file (it begins with {})", path(),
                                                 in_quotes({start.magic, std::min(there, sizeof kMagic)})));
  if (there < sizeof start)
    return damaged(fmt::format("has {} bytes, expected the {} that a packed file begins with", there, sizeof start));
  if (start.format_version != kFormatVersion) return false;
  if (start.start_crc != crc32c(std::as_bytes(std::span(&start, 1)).first(offsetof(PackStart, start_crc))))
    return damaged("its first 64 bytes have another checksum");
  if (start.numerics_version != static_cast<std::uint32_t>(kNumericsVersion) || start.panel_version != kPanelVersion)
    return false;
  const auto same = read_source(start, source);
  if (!same || !*same) return same;
  if (auto ok = read_directory(start); !ok) return forward(ok);
  return true;
}

Result<bool> PackFile::read_source(const PackStart& start, std::span<const std::byte> source) {
  if (start.source_bytes != source.size()) return false;  // another number of files
  if (file_.size() < sizeof start + source.size())
    return damaged(fmt::format("has {} bytes, expected {}", file_.size(), layout_.file_bytes));
  source_.resize(source.size());
  if (auto ok = file_.read(sizeof start, source_); !ok) return forward(ok);
  if (crc32c(source_) != start.source_crc) return damaged("the description of its source has another checksum");
  return same_source(source_, source);
}

// The sizes are those that the layout has; the file's numbers are compared with them, never used.
Result<void> PackFile::read_directory(const PackStart& start) {
  if (start.header_bytes != layout_.header_bytes || start.file_bytes != layout_.file_bytes)
    return damaged(fmt::format("is for {} bytes behind a header of {}, expected {} behind {}", start.file_bytes,
                               start.header_bytes, layout_.file_bytes, layout_.header_bytes));
  if (file_.size() != layout_.file_bytes)
    return damaged(fmt::format("has {} bytes, expected {}", file_.size(), layout_.file_bytes));
  std::vector<std::byte> stored(layout_.header_bytes - sizeof start - source_.size());
  if (auto ok = file_.read(sizeof start + source_.size(), stored); !ok) return forward(ok);
  if (crc32c(stored) != start.directory_crc) return damaged("its directory has another checksum");
  const std::vector<std::byte> expected = directory_of(layout_);
  for (std::size_t at = 0; at < expected.size(); at += sizeof(PackMatrix)) {
    if (std::memcmp(stored.data() + at, expected.data() + at, sizeof(PackMatrix)) == 0) continue;
    PackMatrix found, wanted;
    std::memcpy(&found, stored.data() + at, sizeof found);
    std::memcpy(&wanted, expected.data() + at, sizeof wanted);
    return damaged(fmt::format("holds {}, expected {}", text_of(found), text_of(wanted)));
  }
  crcs_.resize(layout_.blocks.size());
  std::memcpy(crcs_.data(), stored.data() + expected.size(), crcs_.size() * sizeof(std::uint32_t));
  return {};
}

Result<void> PackFile::check_blocks(std::size_t first, std::size_t last, const std::byte* at) const {
  for (std::size_t i = first; i < last; ++i) {
    const Block& block = layout_.blocks[i];
    if (crc32c({at, static_cast<std::size_t>(block.bytes)}) != crcs_[i]) {
      const std::uint64_t end = block.offset + static_cast<std::uint64_t>(block.bytes);
      const std::string first_item = item_at(layout_, block.offset), last_item = item_at(layout_, end - 1);
      return damaged(fmt::format("bytes {} to {} have another checksum ({}{})", block.offset, end, first_item,
                                 first_item == last_item ? "" : " to " + last_item));
    }
    at += block.bytes;
  }
  return {};
}

/// Calls part(first, end, offset from the first block, bytes) for all blocks before `last`.
template <class Part>
Result<void> PackFile::in_parts(std::size_t last, LoadWork& work, const Part& part) const {
  const std::vector<Block>& blocks = layout_.blocks;
  std::vector<std::size_t> begins;
  for (std::size_t at = 0; at < last; at = part_end(blocks, at, last)) begins.push_back(at);
  begins.push_back(last);
  return work.run(static_cast<std::int64_t>(begins.size()) - 1, [&](std::int64_t i, std::int32_t) {
    const std::size_t first = begins[static_cast<std::size_t>(i)], end = begins[static_cast<std::size_t>(i) + 1];
    const std::uint64_t from = blocks[first].offset - layout_.header_bytes;
    const std::uint64_t to =
        blocks[end - 1].offset + static_cast<std::uint64_t>(blocks[end - 1].bytes) - layout_.header_bytes;
    Result<void> ok = part(first, end, from, to - from);
    if (ok) work.add(static_cast<std::int64_t>(to - from));
    return ok;
  });
}

Result<void> PackFile::read(std::size_t last, std::byte* out, LoadWork& work) const {
  return in_parts(last, work,
                  [&](std::size_t first, std::size_t end, std::uint64_t at, std::uint64_t bytes) -> Result<void> {
                    if (auto ok = file_.read(layout_.header_bytes + at, {out + at, bytes}); !ok) return ok;
                    return check_blocks(first, end, out + at);
                  });
}

Result<std::shared_ptr<const std::byte>> PackFile::map(std::size_t last, LoadWork& work) const {
  auto mapping = file_.map(last == layout_.blocks.size() ? layout_.file_bytes : layout_.resident_end());
  if (!mapping) return mapping;
  const std::byte* begin = mapping->get() + layout_.header_bytes;
  const auto checked = in_parts(last, work, [&](std::size_t first, std::size_t end, std::uint64_t at, std::uint64_t) {
    return check_blocks(first, end, begin + at);
  });
  if (!checked) return forward(checked);
  return mapping;
}

std::int64_t PackFile::bundle_bytes(std::int64_t layer) const {
  return layout_.layers[static_cast<std::size_t>(layer)].bytes;
}

std::uint64_t PackFile::position(std::int64_t layer, std::int64_t expert) const {
  const LayerBundles& bundles = layout_.layers[static_cast<std::size_t>(layer)];
  return bundles.offset + static_cast<std::uint64_t>(expert * bundles.bytes);
}

std::int64_t PackFile::part_count(std::int64_t layer) const {
  return static_cast<std::int64_t>(layout_.layers[static_cast<std::size_t>(layer)].blocks);
}

// A part is a block: what has a checksum of its own.
Result<PackFile::ExpertPart> PackFile::part_of(std::int64_t layer, std::int64_t expert, std::int64_t part,
                                               std::size_t bundle_bytes) const {
  const auto number = static_cast<std::size_t>(layer);
  if (layer < 0 || number >= layout_.layers.size() || expert < 0 || expert >= layout_.layers[number].count ||
      part < 0 || part >= part_count(layer) || static_cast<std::int64_t>(bundle_bytes) != layout_.layers[number].bytes)
    return fail(ErrorCode::bad_argument, fmt::format("{}: has no part {} of an expert {} of {} bytes in layer {}",
                                                     path(), part, expert, bundle_bytes, layer));
  const LayerBundles& bundles = layout_.layers[number];
  const std::size_t i =
      bundles.first_block + static_cast<std::size_t>(expert) * bundles.blocks + static_cast<std::size_t>(part);
  const Block& block = layout_.blocks[i];
  return ExpertPart{i, static_cast<std::size_t>(block.offset - position(layer, expert)),
                    static_cast<std::size_t>(block.bytes)};
}

Result<void> PackFile::read(std::int64_t layer, std::int64_t expert, std::int64_t part,
                            std::span<std::byte> bundle) const {
  const auto at = part_of(layer, expert, part, bundle.size());
  if (!at) return forward(at);
  const std::uint64_t offset = layout_.blocks[at->block].offset;
  return of_expert(file_.read_uncached(offset, bundle.subspan(at->begin, at->bytes)), layer, expert);
}

Result<void> PackFile::check(std::int64_t layer, std::int64_t expert, std::int64_t part,
                             std::span<const std::byte> bundle) const {
  const auto at = part_of(layer, expert, part, bundle.size());
  if (!at) return forward(at);
  return of_expert(check_blocks(at->block, at->block + 1, bundle.data() + at->begin), layer, expert);
}

}  // namespace moe::inline MOE_ABI::pack
