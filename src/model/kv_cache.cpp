#include "model/kv_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace moe::inline MOE_ABI {
namespace {
constexpr std::int64_t kSlabBytes = 8 << 20;  // memory grows in steps of about this size
constexpr std::size_t kMaxSequences = 1 << 20;

std::int64_t pages_for(std::int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }
}  // namespace

namespace {
PageLayout::Layer shape_of(const ModelConfig& c, KvType type, std::int64_t layer) {
  PageLayout::Layer shape;
  if (c.mixer(layer) != Mixer::attention || !c.has_keys(layer)) return shape;
  if (c.attention == AttentionKind::gqa) {
    shape.head_count = c.kv_heads_of(layer);
    shape.key_bytes = kernels::kKeyBlock * kv_bytes(type, c.head_dim_of(layer));
    shape.head_bytes = 2 * shape.key_bytes;
  } else {
    shape.head_count = 1;
    shape.key_bytes = shape.head_bytes =
        kernels::kKeyBlock * (kv_bytes(type, c.kv_lora_rank) + kv_bytes(rope_key_type(type), c.qk_rope_head_dim));
    if (c.has_indexer(layer))
      shape.index_bytes = kernels::kKeyBlock * kv_bytes(index_key_type(type), c.indexer.head_dim);
  }
  return shape;
}
}  // namespace

PageLayout::PageLayout(const ModelConfig& c, KvType type, const LayerRange& range) {
  layers.reserve(static_cast<std::size_t>(c.layer_count));
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    Layer shape = layer >= range.begin && layer < range.end ? shape_of(c, type, layer) : Layer{};
    shape.offset = page_bytes;
    page_bytes +=
        shape.head_count * shape.head_bytes + shape.index_bytes;  // a multiple of kKeyBlock, and so of a cache line
    layers.push_back(shape);
  }
}

KvCache::KvCache(const ModelConfig& config, KvType type, std::int64_t max_tokens, const LayerRange& layers)
    : layout_(config, type, layers),
      page_limit_(pages_for(max_tokens)),
      pages_per_slab_(std::max<std::int64_t>(1, kSlabBytes / std::max<std::int64_t>(512, layout_.page_bytes))) {}

const KvCache::State* KvCache::find(Sequence sequence) const {
  if (sequence < 0 || static_cast<std::size_t>(sequence) >= sequences_.size()) return nullptr;
  const State& state = sequences_[static_cast<std::size_t>(sequence)];
  return state.is_open ? &state : nullptr;
}

namespace {
tl::unexpected<Error> no_such(Sequence sequence) {
  return fail(ErrorCode::bad_argument, fmt::format("sequence {} is not open", sequence));
}
}  // namespace

Result<Sequence> KvCache::open() {
  for (std::size_t i = 0; i < sequences_.size(); ++i)
    if (!sequences_[i].is_open) {
      sequences_[i] = State{true, 0, {}};
      return static_cast<Sequence>(i);
    }
  if (sequences_.size() >= kMaxSequences)
    return fail(ErrorCode::out_of_memory, fmt::format("{} sequences are open, expected fewer", sequences_.size()));
  sequences_.push_back(State{true, 0, {}});
  return static_cast<Sequence>(sequences_.size() - 1);
}

Result<Sequence> KvCache::fork(Sequence parent) {
  if (find(parent) == nullptr) return no_such(parent);
  const State& from = sequences_[static_cast<std::size_t>(parent)];
  State copy{true, from.length, {from.pages.begin(), from.pages.begin() + pages_for(from.length)}};
  auto child = open();
  if (!child) return child;
  State& to = sequences_[static_cast<std::size_t>(*child)];
  to = std::move(copy);
  for (std::int32_t page : to.pages) reference_count_[static_cast<std::size_t>(page)] += 1;
  return child;
}

Result<void> KvCache::rewind(Sequence sequence, std::int64_t length) {
  const State* state = find(sequence);
  if (state == nullptr) return no_such(sequence);
  if (length < 0 || length > state->length)
    return fail(ErrorCode::bad_argument,
                fmt::format("rewind to {} tokens, expected 0 to {} (the sequence's length)", length, state->length));
  sequences_[static_cast<std::size_t>(sequence)].length = length;
  trim(sequence);
  return {};
}

Result<void> KvCache::close(Sequence sequence) {
  if (auto ok = rewind(sequence, 0); !ok) return ok;
  sequences_[static_cast<std::size_t>(sequence)].is_open = false;
  return {};
}

void KvCache::replace(Sequence sequence, Sequence by) {
  std::swap(sequences_[static_cast<std::size_t>(sequence)], sequences_[static_cast<std::size_t>(by)]);
  static_cast<void>(close(by));
}

Result<std::int64_t> KvCache::length(Sequence sequence) const {
  const State* state = find(sequence);
  if (state == nullptr) return no_such(sequence);
  return state->length;
}

std::int64_t KvCache::pages_held_by(std::span<const Sequence> sequences) const {
  std::vector<Sequence> each(sequences.begin(), sequences.end());
  std::sort(each.begin(), each.end());
  each.erase(std::unique(each.begin(), each.end()), each.end());
  std::vector<std::int32_t> left = reference_count_;
  std::int64_t held = 0;
  for (const Sequence sequence : each)
    if (const State* state = find(sequence))
      for (const std::int32_t page : state->pages) held += --left[static_cast<std::size_t>(page)] == 0;
  return held;
}

Result<void> KvCache::add_slab() {
  const auto made = static_cast<std::int64_t>(pages_.size());
  const std::int64_t count = std::min(pages_per_slab_, page_limit_ - made);
  auto slab = AlignedBuffer<std::byte>::create(static_cast<std::size_t>(count * layout_.page_bytes));
  if (!slab) return forward(slab);
  // Allocates everything first: a failed allocation changes nothing, and release() never allocates.
  const auto pages = static_cast<std::size_t>(made + count);
  free_.reserve(pages);
  pages_.reserve(pages);
  reference_count_.reserve(pages);
  slabs_.reserve(slabs_.size() + 1);
  for (std::int64_t i = count - 1; i >= 0; --i) free_.push_back(static_cast<std::int32_t>(made + i));
  for (std::int64_t i = 0; i < count; ++i) pages_.push_back(slab->data() + i * layout_.page_bytes);
  reference_count_.resize(pages_.size(), 0);
  slabs_.push_back(std::move(*slab));
  return {};
}

std::int32_t KvCache::take_page() {
  const std::int32_t page = free_.back();
  free_.pop_back();
  reference_count_[static_cast<std::size_t>(page)] = 1;
  used_pages_ += 1;
  return page;
}

void KvCache::release(std::int32_t page) {
  if (--reference_count_[static_cast<std::size_t>(page)] > 0) return;
  free_.push_back(page);
  used_pages_ -= 1;
}

// The partly filled last page of a sequence if others share it, else -1.
std::int32_t KvCache::last_shared_page(Sequence sequence) const {
  const State& state = sequences_[static_cast<std::size_t>(sequence)];
  if (state.length % kPageTokens == 0) return -1;
  const std::int32_t page = state.pages[static_cast<std::size_t>(state.length / kPageTokens)];
  return reference_count_[static_cast<std::size_t>(page)] > 1 ? page : -1;
}

std::int64_t KvCache::pages_needed(Batch batch) const {
  std::int64_t count = 0;
  std::vector<std::int32_t> copied;
  for (const BatchItem& item : batch) {
    if (item.tokens.empty()) continue;
    const std::int64_t length = sequences_[static_cast<std::size_t>(item.sequence)].length;
    count += pages_for(length + static_cast<std::int64_t>(item.tokens.size())) - pages_for(length);
    if (const std::int32_t page = last_shared_page(item.sequence); page >= 0) copied.push_back(page);
  }
  // If all holders of a page append to it, the last one keeps the original.
  std::sort(copied.begin(), copied.end());
  for (auto first = copied.begin(); first != copied.end();) {
    const auto last = std::upper_bound(first, copied.end(), *first);
    count += std::min<std::int64_t>(last - first, reference_count_[static_cast<std::size_t>(*first)] - 1);
    first = last;
  }
  return count;
}

Result<void> KvCache::reserve(Batch batch) {
  const std::int64_t needed = pages_needed(batch);
  if (needed > free_pages()) {
    std::size_t tokens = 0;
    for (const BatchItem& item : batch) tokens += item.tokens.size();
    return fail(ErrorCode::out_of_memory,
                fmt::format("the key/value cache is full: {} of its {} pages of {} tokens are free, and the step needs "
                            "{} ({} new tokens, sequences: {})",
                            free_pages(), page_limit_, kPageTokens, needed, tokens, batch.size()));
  }
  while (static_cast<std::int64_t>(free_.size()) < needed)
    if (auto ok = add_slab(); !ok) return ok;
  const auto wanted_pages = [this](const BatchItem& item) {
    const std::int64_t length = sequences_[static_cast<std::size_t>(item.sequence)].length;
    return static_cast<std::size_t>(pages_for(length + static_cast<std::int64_t>(item.tokens.size())));
  };
  for (const BatchItem& item : batch)
    sequences_[static_cast<std::size_t>(item.sequence)].pages.reserve(wanted_pages(item));
  for (const BatchItem& item : batch) {
    if (item.tokens.empty()) continue;
    State& state = sequences_[static_cast<std::size_t>(item.sequence)];
    if (const std::int32_t shared = last_shared_page(item.sequence); shared >= 0) {
      const std::int32_t copy = take_page();
      std::memcpy(pages_[static_cast<std::size_t>(copy)], pages_[static_cast<std::size_t>(shared)],
                  static_cast<std::size_t>(layout_.page_bytes));
      release(shared);
      state.pages.back() = copy;
    }
    const std::size_t wanted = wanted_pages(item);
    while (state.pages.size() < wanted) state.pages.push_back(take_page());
  }
  return {};
}

void KvCache::commit(Sequence sequence, std::int64_t count) {
  sequences_[static_cast<std::size_t>(sequence)].length += count;
}

void KvCache::trim(Sequence sequence) {
  State& state = sequences_[static_cast<std::size_t>(sequence)];
  const std::size_t needed = static_cast<std::size_t>(pages_for(state.length));
  while (state.pages.size() > needed) {
    release(state.pages.back());
    state.pages.pop_back();
  }
}

std::byte* KvCache::page(Sequence sequence, std::int64_t block) const {
  const State& state = sequences_[static_cast<std::size_t>(sequence)];
  return pages_[static_cast<std::size_t>(state.pages[static_cast<std::size_t>(block)])];
}

}  // namespace moe::inline MOE_ABI
