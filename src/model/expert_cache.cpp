#include "model/expert_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "model/expert_reader.hpp"
#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr double kDecay = 0.02;  // a half-life of 35 visits
// The rank of a slot that no expert has to leave.
constexpr double kStays = std::numeric_limits<double>::infinity();

// How many experts have bundles of one size, by that size.
std::map<std::int64_t, std::int64_t> classes_of(std::span<const ExpertCache::Shape> layers) {
  std::map<std::int64_t, std::int64_t> classes;
  for (const auto& layer : layers) {
    if (layer.bundle_bytes == 0) continue;
    classes[layer.bundle_bytes] += layer.experts;
  }
  return classes;
}

}  // namespace

std::int64_t ExpertCache::least_bytes(std::span<const Shape> layers) {
  std::int64_t bytes = 0;
  for (const auto& [bundle, experts] : classes_of(layers)) bytes += kTransientSlots * bundle;
  return bytes;
}

std::int64_t ExpertCache::most_bytes(std::span<const Shape> layers) {
  std::int64_t bytes = 0;
  for (const auto& [bundle, experts] : classes_of(layers)) bytes += (experts + kTransientSlots) * bundle;
  return bytes;
}

std::vector<ExpertCache::Class> ExpertCache::divide(std::span<const Shape> layers, std::int64_t bytes) {
  const auto classes = classes_of(layers);
  double whole = 0.0;
  for (const auto& [bundle, experts] : classes) whole += static_cast<double>(bundle) * static_cast<double>(experts);
  const double spare = static_cast<double>(std::max<std::int64_t>(0, bytes - least_bytes(layers)));
  std::vector<Class> out;
  for (const auto& [bundle, experts] : classes) {
    const double share = whole > 0.0 ? spare / whole : 0.0;
    const auto slots = static_cast<std::int64_t>(std::min(1.0, share) * static_cast<double>(experts));
    // Where all stay there is little to read ahead.
    const std::int64_t more = slots == experts ? 0 : std::min(kMostTransientSlots - kTransientSlots, slots / 4);
    out.push_back({bundle, kTransientSlots + slots, kTransientSlots + more});
  }
  return out;
}

Result<void> ExpertCache::create(std::span<const Shape> layers, std::int64_t bytes) {
  if (bytes < least_bytes(layers))
    return fail(
        ErrorCode::out_of_memory,
        fmt::format("{} bytes were given for experts in memory, expected at least {} ({} experts of every size)", bytes,
                    least_bytes(layers), kTransientSlots));
  std::map<std::int64_t, std::int32_t> pool_of_bundle;
  for (const Class& c : divide(layers, bytes)) {
    Pool pool;
    pool.bundle_bytes = c.bundle_bytes;
    auto memory =
        AlignedBuffer<std::byte>::create(static_cast<std::size_t>(c.slots * c.bundle_bytes + kBundleAlignment));
    if (!memory) return fail(memory.error().code, fmt::format("experts in memory: {}", memory.error().message));
    pool.memory = std::move(*memory);
    pool.owner.assign(static_cast<std::size_t>(c.slots), -1);
    pool.rank.assign(pool.owner.size(), kStays);
    pool.layer.assign(pool.owner.size(), 0);
    for (auto slot = static_cast<std::int32_t>(c.slots); slot-- > 0;)
      (slot >= c.slots - c.transient_slots ? pool.free_transient : pool.free).push_back(slot);
    bytes_ += c.slots * c.bundle_bytes;
    pool_of_bundle[c.bundle_bytes] = static_cast<std::int32_t>(pools_.size());
    pools_.push_back(std::move(pool));
  }
  std::int64_t experts = 0;
  for (const Shape& layer : layers) {
    first_.push_back(experts);
    pool_.push_back(layer.bundle_bytes > 0 ? pool_of_bundle[layer.bundle_bytes] : -1);
    experts += layer.bundle_bytes > 0 ? layer.experts : 0;
  }
  visits_.assign(layers.size(), 0);
  experts_.resize(static_cast<std::size_t>(experts));
  for (std::size_t l = 0; l < layers.size(); ++l)
    for (std::int64_t e = 0; layers[l].bundle_bytes > 0 && e < layers[l].experts; ++e)
      at(static_cast<std::int64_t>(l), e).layer = static_cast<std::int32_t>(l);
  return {};
}

std::span<std::byte> ExpertCache::memory(std::int64_t layer, std::int64_t expert) {
  Pool& pool = pool_of(layer);
  const auto start = reinterpret_cast<std::uintptr_t>(pool.memory.data());
  const std::uintptr_t aligned = (start + kBundleAlignment - 1) / kBundleAlignment * kBundleAlignment;
  std::byte* slot = pool.memory.data() + (aligned - start) + at(layer, expert).slot * pool.bundle_bytes;
  return {slot, static_cast<std::size_t>(pool.bundle_bytes)};
}

// The decay is in the reference point, so that experts which were not chosen need no update.
double ExpertCache::frequency(const CachedExpert& e) const {
  return e.rank - kDecay * static_cast<double>(visits_[static_cast<std::size_t>(e.layer)]);
}

void ExpertCache::count_visit(std::int64_t layer, std::span<const std::int32_t> experts) {
  const std::int64_t visit = ++visits_[static_cast<std::size_t>(layer)];
  for (const std::int32_t expert : experts) {
    CachedExpert& e = at(layer, expert);
    e.rank = detail::log(detail::exp(frequency(e)) + 1.0) + kDecay * static_cast<double>(visit);
    if (e.slot >= 0) show_rank(pool_of(layer), e);
  }
}

void ExpertCache::show_rank(Pool& pool, const CachedExpert& e) {
  const auto slot = static_cast<std::size_t>(e.slot);
  pool.rank[slot] = e.is_transient ? kStays : e.rank;
  pool.layer[slot] = e.layer;
}

// A scan, with the lock held: some microseconds for thousands of slots, because it looks at few experts.
std::int32_t ExpertCache::victim(const Pool& pool) const {
  std::int32_t least = -1;
  double least_frequency = kStays;
  for (std::size_t slot = 0; slot < pool.owner.size(); ++slot) {
    const double f =
        pool.rank[slot] - kDecay * static_cast<double>(visits_[static_cast<std::size_t>(pool.layer[slot])]);
    if (!(f < least_frequency)) continue;
    const CachedExpert& e = experts_[static_cast<std::size_t>(pool.owner[slot])];
    if (e.pins > 0 || e.state != CachedExpert::State::ready) continue;
    least = static_cast<std::int32_t>(slot), least_frequency = f;
  }
  return least;
}

// Makes a slot free if the newcomer was chosen more often than the one that has it.
bool ExpertCache::evict(Pool& pool, const CachedExpert& newcomer) {
  const std::int32_t slot = victim(pool);
  if (slot < 0) return false;
  CachedExpert& other = experts_[static_cast<std::size_t>(pool.owner[static_cast<std::size_t>(slot)])];
  // A little more, so that rounding makes no difference between equals.
  if (frequency(newcomer) <= frequency(other) + 1e-9) return false;
  count_unused(pool, other);
  other.state = CachedExpert::State::absent, other.slot = -1;
  pool.owner[static_cast<std::size_t>(slot)] = -1;
  pool.rank[static_cast<std::size_t>(slot)] = kStays;
  pool.free.push_back(slot);
  return true;
}

bool ExpertCache::take_slot(std::int64_t layer, std::int64_t expert, bool may_evict) {
  Pool& pool = pool_of(layer);
  CachedExpert& e = at(layer, expert);
  const auto index = static_cast<std::int32_t>(&e - experts_.data());
  if (pool.free.empty() && may_evict) evict(pool, e);
  std::vector<std::int32_t>& from = pool.free.empty() ? pool.free_transient : pool.free;
  if (from.empty()) return false;
  e.is_transient = pool.free.empty();
  e.slot = from.back();
  from.pop_back();
  pool.owner[static_cast<std::size_t>(e.slot)] = index;
  show_rank(pool, e);
  return true;
}

// The slot that becomes free is the transient one from now on.
void ExpertCache::admit(std::int64_t layer, std::int64_t expert) {
  Pool& pool = pool_of(layer);
  CachedExpert& e = at(layer, expert);
  if (!e.is_transient || (pool.free.empty() && !evict(pool, e))) return;
  const std::int32_t slot = pool.free.back();
  pool.free.pop_back();
  pool.free_transient.push_back(slot);
  e.is_transient = false;
  show_rank(pool, e);
}

void ExpertCache::count_unused(const Pool& pool, const CachedExpert& leaving) {
  if (leaving.is_guess && leaving.state == CachedExpert::State::ready) unused_bytes_ += pool.bundle_bytes;
}

void ExpertCache::drop(std::int64_t layer, std::int64_t expert) {
  Pool& pool = pool_of(layer);
  CachedExpert& e = at(layer, expert);
  count_unused(pool, e);
  pool.owner[static_cast<std::size_t>(e.slot)] = -1;
  pool.rank[static_cast<std::size_t>(e.slot)] = kStays;
  (e.is_transient ? pool.free_transient : pool.free).push_back(e.slot);
  e.slot = -1;
  e.is_transient = false;
  e.error.reset();
  e.state = CachedExpert::State::absent;
}

}  // namespace moe::inline MOE_ABI
