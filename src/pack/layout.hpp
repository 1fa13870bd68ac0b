#pragma once
// Where everything lies in a packed file: a pure function of the matrices' shapes and the number of source files.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/plan.hpp"
#include "pack/matrices.hpp"

namespace moe::inline MOE_ABI::pack {

/// A matrix and where its panels begin.
struct PlacedMatrix : NamedMatrix {
  std::uint64_t offset = 0;
};

/// Bytes that have a CRC.
struct Block {
  std::uint64_t offset = 0;
  std::int64_t bytes = 0;
};

/// The bundles of a layer, one after the other; none in a dense layer.
struct LayerBundles {
  std::uint64_t offset = 0;
  std::int64_t bytes = 0;  ///< of each: where experts differ, of the largest
  std::int64_t count = 0;
  std::size_t first_block = 0, blocks = 0;  ///< `blocks` of each
};

struct Layout {
  std::vector<PlacedMatrix> matrices;  ///< by offset
  std::vector<Block> blocks;           ///< by offset; they cover everything behind the header
  std::vector<LayerBundles> layers;    ///< [layer]
  std::size_t resident_blocks = 0;
  std::uint64_t source_bytes = 0, directory_bytes = 0, header_bytes = 0, resident_bytes = 0, file_bytes = 0;

  std::uint64_t resident_end() const { return header_bytes + resident_bytes; }
};

/// Errors: internal, when the plan fills a matrix that matrices_of() does not know.
Result<Layout> lay_out(Weights& weights, const LoadPlan& plan, std::size_t source_files);

/// The entries of the directory, as in the file.
std::vector<std::byte> directory_of(const Layout& layout);

/// The matrix with panels at `offset`, for messages.
std::string item_at(const Layout& layout, std::uint64_t offset);

}  // namespace moe::inline MOE_ABI::pack
