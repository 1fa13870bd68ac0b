#pragma once
// Where panels of routed experts come from when they are not all in memory.

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/weights.hpp"
#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Bundles begin at multiples of this, in the file and in memory: the unit of O_DIRECT.
inline constexpr std::int64_t kBundleAlignment = 4096;

/// The panels of one expert, one after the other: where up and down begin (gate at 0), and how long all are.
struct BundleLayout {
  std::int64_t up = 0, down = 0;
  std::int64_t bytes = 0;  ///< padded to kBundleAlignment

  static BundleLayout of(const FfnWeights& expert) {
    constexpr std::int64_t kLine = 64;
    const auto padded = [](std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; };
    BundleLayout layout;
    layout.up = padded(expert.gate.bytes(), kLine);
    layout.down = layout.up + padded(expert.up.bytes(), kLine);
    layout.bytes = padded(layout.down + padded(expert.down.bytes(), kLine), kBundleAlignment);
    return layout;
  }
};

/// Reads experts' panels by layer (an index of Weights::layers) and expert. Thread-safe.
class ExpertReader {
 public:
  virtual ~ExpertReader() = default;
  /// Bytes of a bundle, the same for all experts of a layer.
  virtual std::int64_t bundle_bytes(std::int64_t layer) const = 0;
  /// Parts of a bundle, each read by itself: several threads can read one expert.
  virtual std::int64_t part_count(std::int64_t layer) const = 0;
  /// Where the bundle lies, so that experts can be read in file order.
  virtual std::uint64_t position(std::int64_t layer, std::int64_t expert) const = 0;
  /// Fills a part of `bundle`, of bundle_bytes(layer) aligned to kBundleAlignment. It may be used after check() only.
  /// Errors: io, naming file, layer and expert.
  virtual Result<void> read(std::int64_t layer, std::int64_t expert, std::int64_t part,
                            std::span<std::byte> bundle) const = 0;
  /// Compares a part that was read with its checksum. Errors: bad_file, naming file, layer and expert.
  virtual Result<void> check(std::int64_t layer, std::int64_t expert, std::int64_t part,
                             std::span<const std::byte> bundle) const = 0;
};

}  // namespace moe::inline MOE_ABI
