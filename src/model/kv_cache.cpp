#include "model/kv_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace moe::inline MOE_ABI {
namespace {
constexpr std::int64_t kSlabBytes = 8 << 20;  // memory grows in steps of about this size
constexpr std::size_t kMaxSequences = 1 << 20;

std::int64_t pages_for(std::int64_t tokens) { return (tokens + kernels::kKeyBlock - 1) / kernels::kKeyBlock; }
}  // namespace

PageLayout::PageLayout(const ModelConfig& c, KvType type) {
  value_bytes = type == KvType::f32 ? 4 : 2;
  if (c.attention == AttentionKind::gqa) {
    head_count = c.kv_head_count;
    key_bytes = kernels::kKeyBlock * c.head_dim * value_bytes;
    head_bytes = key_bytes + kernels::kKeyBlock * c.v_head_dim * value_bytes;
  } else {
    key_bytes = head_bytes = kernels::kKeyBlock * (c.kv_lora_rank + c.qk_rope_head_dim) * value_bytes;
  }
  layer_bytes = head_bytes * head_count;
  page_bytes = (layer_bytes * c.layer_count + 63) / 64 * 64;
}

KvCache::KvCache(const ModelConfig& config, KvType type, std::int64_t max_tokens)
    : layout_(config, type),
      page_limit_(pages_for(max_tokens)),
      pages_per_slab_(std::max<std::int64_t>(1, kSlabBytes / layout_.page_bytes)) {}

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
  auto child = open();
  if (!child) return child;
  const State& from = sequences_[static_cast<std::size_t>(parent)];
  State& to = sequences_[static_cast<std::size_t>(*child)];
  to.length = from.length;
  to.pages.assign(from.pages.begin(), from.pages.begin() + pages_for(from.length));
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

Result<std::int64_t> KvCache::length(Sequence sequence) const {
  const State* state = find(sequence);
  if (state == nullptr) return no_such(sequence);
  return state->length;
}

Result<std::int32_t> KvCache::take_page() {
  if (free_.empty()) {
    const std::int64_t made = static_cast<std::int64_t>(pages_.size());
    const std::int64_t count = std::min(pages_per_slab_, page_limit_ - made);
    if (count <= 0)
      return fail(ErrorCode::out_of_memory,
                  fmt::format("the key/value cache is full: all {} pages of {} tokens are in use", page_limit_,
                              kernels::kKeyBlock));
    auto slab = AlignedBuffer<std::byte>::make(static_cast<std::size_t>(count * layout_.page_bytes));
    if (!slab) return forward(slab);
    for (std::int64_t i = count - 1; i >= 0; --i) free_.push_back(static_cast<std::int32_t>(made + i));
    for (std::int64_t i = 0; i < count; ++i) pages_.push_back(slab->data() + i * layout_.page_bytes);
    reference_count_.resize(pages_.size(), 0);
    slabs_.push_back(std::move(*slab));
  }
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

Result<void> KvCache::reserve(Sequence sequence, std::int64_t count) {
  if (find(sequence) == nullptr) return no_such(sequence);
  State& state = sequences_[static_cast<std::size_t>(sequence)];
  if (count > 0 && state.length % kernels::kKeyBlock != 0) {
    std::int32_t& last = state.pages[static_cast<std::size_t>(state.length / kernels::kKeyBlock)];
    if (reference_count_[static_cast<std::size_t>(last)] > 1) {
      auto copy = take_page();
      if (!copy) return forward(copy);
      std::memcpy(pages_[static_cast<std::size_t>(*copy)], pages_[static_cast<std::size_t>(last)],
                  static_cast<std::size_t>(layout_.page_bytes));
      release(last);
      last = *copy;
    }
  }
  const std::size_t wanted = static_cast<std::size_t>(pages_for(state.length + count));
  while (state.pages.size() < wanted) {
    auto page = take_page();
    if (!page) {
      trim(sequence);
      return forward(page);
    }
    state.pages.push_back(*page);
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
