#include "tokenizer/bpe.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace moe::inline MOE_ABI::tokenizer {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};
constexpr std::size_t kShort = 40;  // up to here rescanning the ranks is faster than a heap

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  a = (a ^ b) * 0xff51afd7ed558ccdu;
  return a ^ (a >> 32);
}

void merge_short(const MergeTable& table, MergeScratch& s) {
  auto& ids = s.symbols;
  std::size_t n = ids.size();
  s.ranks.assign(n, kNone);
  s.merged.assign(n, 0);
  const auto rate = [&](std::size_t i) {
    const MergeTable::Merge* merge = i + 1 < n ? table.find(ids[i], ids[i + 1]) : nullptr;
    s.ranks[i] = merge ? merge->rank : kNone;
    s.merged[i] = merge ? merge->merged : 0;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) rate(i);
  while (n > 1) {
    std::size_t best = 0;
    std::uint32_t best_rank = kNone;
    for (std::size_t i = 0; i + 1 < n; ++i) {
      if (s.ranks[i] < best_rank) {
        best_rank = s.ranks[i];
        best = i;
      }
    }
    if (best_rank == kNone) break;
    ids[best] = s.merged[best];
    for (std::size_t i = best + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      s.ranks[i] = s.ranks[i + 1];
      s.merged[i] = s.merged[i + 1];
    }
    --n;
    rate(best);
    if (best > 0) rate(best - 1);
  }
  ids.resize(n);
}

// The heap has every candidate pair; an entry is stale when its ids have changed.
void merge_long(const MergeTable& table, MergeScratch& s) {
  auto& nodes = s.nodes;
  auto& heap = s.heap;
  const auto n = static_cast<std::uint32_t>(s.symbols.size());
  nodes.resize(n);
  heap.clear();
  for (std::uint32_t i = 0; i < n; ++i) nodes[i] = {s.symbols[i], i == 0 ? kNone : i - 1, i + 1 == n ? kNone : i + 1};
  const auto later = [](const MergeScratch::Candidate& a, const MergeScratch::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  const auto candidate = [&](std::uint32_t i) {
    if (i == kNone || nodes[i].next == kNone) return false;
    const TokenId left = nodes[i].id, right = nodes[nodes[i].next].id;
    const MergeTable::Merge* merge = table.find(left, right);
    if (merge) heap.push_back({merge->rank, i, left, right, merge->merged});
    return merge != nullptr;
  };
  for (std::uint32_t i = 0; i < n; ++i) candidate(i);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const MergeScratch::Candidate c = heap.back();
    heap.pop_back();
    MergeScratch::Node& node = nodes[c.at];
    if (node.next == c.at || node.next == kNone || node.id != c.left || nodes[node.next].id != c.right) continue;
    const std::uint32_t gone = node.next;
    node.id = c.merged;
    node.next = nodes[gone].next;
    if (node.next != kNone) nodes[node.next].previous = c.at;
    nodes[gone].next = gone;
    if (candidate(node.previous)) std::push_heap(heap.begin(), heap.end(), later);
    if (candidate(c.at)) std::push_heap(heap.begin(), heap.end(), later);
  }
  s.symbols.clear();
  for (std::uint32_t i = 0; i != kNone; i = nodes[i].next) s.symbols.push_back(nodes[i].id);
}

}  // namespace

MergeTable::MergeTable(std::size_t expected) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(16, expected * 2));  // at most half full
  slots_.resize(size);
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
}

void MergeTable::insert(TokenId left, TokenId right, std::uint32_t rank, TokenId merged, bool replace) {
  const std::uint64_t pair = key(left, right);
  std::size_t i = slot(pair);
  while (slots_[i].pair != kEmpty && slots_[i].pair != pair) i = (i + 1) & mask_;
  if (slots_[i].pair == pair && !replace) return;
  slots_[i] = {pair, rank, merged};
}

void merge_symbols(const MergeTable& table, MergeScratch& scratch) {
  if (scratch.symbols.size() < 2) return;
  if (scratch.symbols.size() <= kShort) {
    merge_short(table, scratch);
  } else {
    merge_long(table, scratch);
  }
}

WordCache::Slot& WordCache::slot(std::string_view word) {
  std::uint64_t hash = word.size(), part = 0;
  std::size_t i = 0;
  for (; i + 8 <= word.size(); i += 8) {
    std::memcpy(&part, word.data() + i, 8);
    hash = mix(hash, part);
  }
  part = 0;
  std::memcpy(&part, word.data() + i, word.size() - i);
  hash = mix(hash, part) * 0x9e3779b97f4a7c15u;
  return slots_[hash >> 50];
}

}  // namespace moe::inline MOE_ABI::tokenizer
