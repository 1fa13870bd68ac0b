#pragma once
// Writes a packed file: panels in the order of the file, then the header.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "model/load_work.hpp"
#include "pack/layout.hpp"
#include "support/output_file.hpp"

namespace moe::inline MOE_ABI::pack {

/// The file appears under its name when it is complete, readable by this user alone.
class PackWriter {
 public:
  /// Replaces an existing file. `layout` must live as long as this.
  /// Errors: io (with the free space if the disk is too full), bad_argument.
  static Result<PackWriter> begin(const std::string& path, const Layout& layout, std::function<bool()> cancelled);

  /// The bytes at `offset`, which is not below the end of those before; what is left out is zeros.
  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes, LoadWork& work);
  /// `source`: source_record(), of Layout::source_bytes.
  Result<void> finish(std::span<const std::byte> source, LoadWork& work);

 private:
  PackWriter(OutputFile file, const Layout& layout)
      : file_(std::move(file)), layout_(&layout), position_(layout.header_bytes), crcs_(layout.blocks.size()) {}
  Result<void> write_to_blocks(std::span<const std::byte> bytes, LoadWork& work);
  Result<void> fill_to(std::uint64_t offset, LoadWork& work);

  OutputFile file_;
  const Layout* layout_;
  std::uint64_t position_;
  std::size_t block_ = 0;            // that position_ is in
  std::vector<std::uint32_t> crcs_;  // of the bytes so far of each block
};

/// The header before its panels. `crcs`: of Layout::blocks.
std::vector<std::byte> header_of(const Layout& layout, std::span<const std::byte> source,
                                 std::span<const std::uint32_t> crcs);

}  // namespace moe::inline MOE_ABI::pack
