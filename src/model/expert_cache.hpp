#pragma once
// Which experts are in memory: slots of equal size per class of bundles, and who has to leave. No threads, no files:
// ExpertSource holds the lock and reads.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "moe/tensor.hpp"

namespace moe::inline MOE_ABI {

/// One routed expert of one layer.
struct CachedExpert {
  enum class State : std::uint8_t { absent, queued, reading, ready, failed };
  State state = State::absent;
  bool is_transient = false;  ///< its slot is free again once nobody uses it
  std::int32_t slot = -1;
  std::int32_t pins = 0;        ///< users: it must stay
  std::int32_t parts_left = 0;  ///< while reading: not checked yet
  bool is_guess = false;        ///< asked for ahead, and no visit has needed it since
  std::int32_t layer = 0;
  double rank =
      kNever;  ///< logarithm of how often it was chosen, plus 0.02 for each visit of its layer before the last
  static constexpr double kNever = -1e300;
  std::optional<Error> error = {};  ///< of the first part that could not be read or has another checksum
};

/// Decayed frequency with admission: an expert takes the slot of another only if it was chosen more often. Age is
/// counted in visits of the expert's own layer, so that layers which come later in a pass are not at a disadvantage, and
/// a pass that touches every expert once keeps a fixed set instead of replacing each before its next use.
class ExpertCache {
 public:
  /// Slots of experts that are not kept after use: kTransientSlots, and a quarter of the other slots, together at most
  /// kMostTransientSlots. With more of them, reads for the next layer begin earlier.
  static constexpr std::int64_t kTransientSlots = 4, kMostTransientSlots = 24;

  /// A class of layers with bundles of one size.
  struct Class {
    std::int64_t bundle_bytes = 0;
    std::int64_t slots = 0;            ///< all
    std::int64_t transient_slots = 0;  ///< of those
  };
  struct Shape {
    std::int64_t experts = 0;
    std::int64_t bundle_bytes = 0;  ///< 0: a dense layer
  };

  /// Divides `bytes`: every class gets slots for the same share of its experts, at most for all, and kTransientSlots
  /// more in any case.
  static std::vector<Class> divide(std::span<const Shape> layers, std::int64_t bytes);
  /// The fewest bytes that create() takes, and those that keep all experts in memory.
  static std::int64_t least_bytes(std::span<const Shape> layers);
  static std::int64_t most_bytes(std::span<const Shape> layers);

  /// Errors: out_of_memory, naming what was asked for and the least that works.
  Result<void> create(std::span<const Shape> layers, std::int64_t bytes);

  CachedExpert& at(std::int64_t layer, std::int64_t expert) {
    return experts_[static_cast<std::size_t>(first_[static_cast<std::size_t>(layer)] + expert)];
  }
  /// Memory of a bundle that has a slot.
  std::span<std::byte> memory(std::int64_t layer, std::int64_t expert);

  /// A pass chose these experts of this layer.
  void count_visit(std::int64_t layer, std::span<const std::int32_t> experts);
  /// Gives the expert a slot, if need be that of another expert; false when all are in use. Reads ahead displace no
  /// expert: `may_evict` is false.
  bool take_slot(std::int64_t layer, std::int64_t expert, bool may_evict);
  /// A step chose an expert that was read into a transient slot on a guess: it keeps the slot if it would have been
  /// admitted.
  void admit(std::int64_t layer, std::int64_t expert);
  /// Its slot is free, and it is absent.
  void drop(std::int64_t layer, std::int64_t expert);

  std::int64_t bytes() const { return bytes_; }
  /// Of guesses that were read, and left without having been needed.
  std::int64_t unused_bytes() const { return unused_bytes_; }

 private:
  struct Pool {
    std::int64_t bundle_bytes = 0;
    AlignedBuffer<std::byte> memory;
    std::vector<std::int32_t> owner;  // [slot] index into experts_, -1: free
    std::vector<double> rank;         // [slot] its owner's; infinite: transient or free
    std::vector<std::int32_t> layer;  // [slot] its owner's
    std::vector<std::int32_t> free, free_transient;
  };
  Pool& pool_of(std::int64_t layer) { return pools_[static_cast<std::size_t>(pool_[static_cast<std::size_t>(layer)])]; }
  std::int32_t victim(const Pool& pool) const;
  /// To victim(), after the expert's rank or slot has changed.
  void show_rank(Pool& pool, const CachedExpert& e);
  bool evict(Pool& pool, const CachedExpert& newcomer);
  void count_unused(const Pool& pool, const CachedExpert& leaving);
  /// Logarithm of the visits of its layer that chose the expert, each weighing e^-0.02 of the next one.
  double frequency(const CachedExpert& e) const;

  std::vector<Pool> pools_;
  std::vector<std::int32_t> pool_;     // [layer]
  std::vector<std::int64_t> first_;    // [layer] into experts_
  std::vector<std::int64_t> visits_;   // [layer]
  std::vector<CachedExpert> experts_;  // of all layers
  std::int64_t bytes_ = 0, unused_bytes_ = 0;
};

}  // namespace moe::inline MOE_ABI
