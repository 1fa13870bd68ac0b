#include "pack/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/expert_reader.hpp"
#include "pack/format.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

std::uint64_t aligned(std::uint64_t n, std::int64_t to) {
  const auto unit = static_cast<std::uint64_t>(to);
  return (n + unit - 1) / unit * unit;
}

std::size_t block_count(std::int64_t bytes) {
  return static_cast<std::size_t>((bytes + kBlockBytes - 1) / kBlockBytes);
}

void add_blocks(std::vector<Block>& blocks, std::uint64_t offset, std::int64_t bytes) {
  for (std::int64_t at = 0; at < bytes; at += kBlockBytes)
    blocks.push_back({offset + static_cast<std::uint64_t>(at), std::min(kBlockBytes, bytes - at)});
}

/// Sizes of sections, which do not depend on where they begin.
void measure(Layout& layout, const Weights& weights, const NamedMatrices& all) {
  for (const NamedMatrix& m : all.resident)
    layout.resident_bytes += aligned(static_cast<std::uint64_t>(m.matrix->bytes()), kMatrixAlignment);
  layout.resident_bytes = aligned(layout.resident_bytes, kSectionAlignment);
  layout.resident_blocks = block_count(static_cast<std::int64_t>(layout.resident_bytes));
  std::size_t next = layout.resident_blocks;
  for (const LayerWeights& layer : weights.layers) {
    LayerBundles& bundles = layout.layers.emplace_back();
    bundles.count = static_cast<std::int64_t>(layer.experts.size());
    for (const FfnWeights& expert : layer.experts)
      bundles.bytes = std::max(bundles.bytes, BundleLayout::of(expert).bytes);
    bundles.first_block = next;
    bundles.blocks = block_count(bundles.bytes);
    next += bundles.blocks * layer.experts.size();
  }
  layout.directory_bytes =
      (all.resident.size() + all.experts.size()) * sizeof(PackMatrix) + next * sizeof(std::uint32_t);
}

void place(Layout& layout, const Weights& weights, const NamedMatrices& all) {
  std::uint64_t at = layout.header_bytes;
  for (const NamedMatrix& m : all.resident) {
    layout.matrices.push_back({m, at});
    at += aligned(static_cast<std::uint64_t>(m.matrix->bytes()), kMatrixAlignment);
  }
  add_blocks(layout.blocks, layout.header_bytes, static_cast<std::int64_t>(layout.resident_bytes));
  at = layout.resident_end();
  for (LayerBundles& bundles : layout.layers) {
    bundles.offset = at;
    for (std::int64_t e = 0; e < bundles.count; ++e, at += static_cast<std::uint64_t>(bundles.bytes))
      add_blocks(layout.blocks, at, bundles.bytes);
  }
  layout.file_bytes = at;
  for (const NamedMatrix& m : all.experts) {
    const LayerBundles& bundles = layout.layers[static_cast<std::size_t>(m.layer)];
    const BundleLayout inside =
        BundleLayout::of(weights.layers[static_cast<std::size_t>(m.layer)].experts[static_cast<std::size_t>(m.number)]);
    const std::int64_t shift = m.kind == MatrixKind::expert_up     ? inside.up
                               : m.kind == MatrixKind::expert_down ? inside.down
                                                                   : 0;
    layout.matrices.push_back({m, bundles.offset + static_cast<std::uint64_t>(m.number * bundles.bytes + shift)});
  }
}

}  // namespace

Result<Layout> lay_out(Weights& weights, const LoadPlan& plan, std::size_t source_files) {
  const NamedMatrices all = matrices_of(weights);
  if (all.resident.size() + all.experts.size() != plan.matrices.size())
    return fail(ErrorCode::internal, fmt::format("the plan fills {} matrices, the packed file has {}",
                                                 plan.matrices.size(), all.resident.size() + all.experts.size()));
  Layout layout;
  measure(layout, weights, all);
  layout.source_bytes = sizeof(PackSource) + source_files * sizeof(PackSourceFile);
  layout.header_bytes = aligned(sizeof(PackStart) + layout.source_bytes + layout.directory_bytes, kSectionAlignment);
  place(layout, weights, all);
  return layout;
}

std::vector<std::byte> directory_of(const Layout& layout) {
  std::vector<std::byte> out(layout.matrices.size() * sizeof(PackMatrix));
  for (std::size_t i = 0; i < layout.matrices.size(); ++i) {
    const PlacedMatrix& m = layout.matrices[i];
    const PackMatrix entry = {m.layer,
                              static_cast<std::uint32_t>(m.kind),
                              m.number,
                              static_cast<std::uint32_t>(m.matrix->format),
                              m.matrix->rows,
                              m.matrix->k,
                              m.matrix->panel_bytes,
                              m.offset,
                              static_cast<std::uint64_t>(m.matrix->bytes())};
    std::memcpy(out.data() + i * sizeof entry, &entry, sizeof entry);
  }
  return out;
}

std::string item_at(const Layout& layout, std::uint64_t offset) {
  const auto next = std::upper_bound(layout.matrices.begin(), layout.matrices.end(), offset,
                                     [](std::uint64_t at, const PlacedMatrix& m) { return at < m.offset; });
  return next == layout.matrices.begin() ? std::string("the header") : text_of(*std::prev(next));
}

}  // namespace moe::inline MOE_ABI::pack
