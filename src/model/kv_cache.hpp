#pragma once
// The key/value cache: pages of 64 positions over all layers, shared between sequences by reference count.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/table.hpp"
#include "moe/config.hpp"
#include "moe/session.hpp"
#include "moe/tensor.hpp"

namespace moe::inline MOE_ABI {

static_assert(kPageTokens == kernels::kKeyBlock);  // attention reads whole pages

/// Byte offsets within a page. A page has, per layer of a range that has keys,
///   gqa  per kv head: keys [key_dim, 64] (transposed: lanes are keys), then values [64, value_dim]
///   mla  [64, kv_lora_rank + qk_rope_head_dim]: the compressed latent and the shared rotated key; with q8_0 one after
///        the other, [64, kv_lora_rank] and [64, qk_rope_head_dim]; then the indexer's keys [head_dim, 64], if it has one
/// each as detail/attention.hpp lays out a block of the cache's type.
struct PageLayout {
  struct Layer {
    std::int64_t offset = 0;
    std::int64_t head_count = 0;   // kv heads; 0: the layer has no keys
    std::int64_t key_bytes = 0;    // keys of one head
    std::int64_t head_bytes = 0;   // keys and values of one head
    std::int64_t index_bytes = 0;  // keys of the indexer
  };
  PageLayout() = default;
  PageLayout(const ModelConfig& config, KvType type) : PageLayout(config, type, {0, config.layer_count}) {}
  PageLayout(const ModelConfig& config, KvType type, const LayerRange& range);

  std::vector<Layer> layers;
  std::int64_t page_bytes = 0;

  const Layer& at(std::int64_t layer) const { return layers[static_cast<std::size_t>(layer)]; }
  std::int64_t head_count(std::int64_t layer) const { return at(layer).head_count; }
  std::int64_t keys(std::int64_t layer, std::int64_t head) const {
    return at(layer).offset + head * at(layer).head_bytes;
  }
  std::int64_t values(std::int64_t layer, std::int64_t head) const { return keys(layer, head) + at(layer).key_bytes; }
  std::int64_t index_keys(std::int64_t layer) const { return keys(layer, head_count(layer)); }
};

class KvCache {
 public:
  KvCache(const ModelConfig& config, KvType type, std::int64_t max_tokens, const LayerRange& layers);

  const PageLayout& layout() const { return layout_; }
  std::int64_t page_limit() const { return page_limit_; }
  std::int64_t free_pages() const { return page_limit_ - used_pages_; }
  /// Pages held only by these sequences. Sequences that are not open hold none.
  std::int64_t pages_held_by(std::span<const Sequence> sequences) const;

  Result<Sequence> open();
  Result<Sequence> fork(Sequence parent);
  Result<void> rewind(Sequence sequence, std::int64_t length);
  Result<void> close(Sequence sequence);
  /// `sequence` takes over pages and length of `by`, which is closed. Both must be open.
  void replace(Sequence sequence, Sequence by);
  /// Raises the limit for a while. The same number below 0 takes it back; by then as many pages must be free again.
  void lend(std::int64_t pages) { page_limit_ += pages; }
  Result<std::int64_t> length(Sequence sequence) const;

  /// Makes pages for the batch's tokens; shared, partly filled last pages are copied first. Lengths stay. The sequences
  /// are open, and each stands once.
  /// Errors: out_of_memory, naming room and need; then nothing has changed.
  Result<void> reserve(Batch batch);
  /// The reserved tokens are now part of the sequence.
  void commit(Sequence sequence, std::int64_t count);
  /// Gives reserved pages back (after an error).
  void trim(Sequence sequence);

  std::byte* page(Sequence sequence, std::int64_t block) const;

 private:
  struct State {
    bool is_open = false;
    std::int64_t length = 0;
    std::vector<std::int32_t> pages;
  };
  const State* find(Sequence sequence) const;
  std::int32_t last_shared_page(Sequence sequence) const;
  std::int64_t pages_needed(Batch batch) const;
  Result<void> add_slab();
  std::int32_t take_page();
  void release(std::int32_t page);

  PageLayout layout_;
  std::int64_t page_limit_ = 0, used_pages_ = 0, pages_per_slab_ = 1;
  std::vector<AlignedBuffer<std::byte>> slabs_;
  std::vector<std::byte*> pages_;  // address of each page made so far
  std::vector<std::int32_t> reference_count_;
  std::vector<std::int32_t> free_;
  std::vector<State> sequences_;
};

}  // namespace moe::inline MOE_ABI
