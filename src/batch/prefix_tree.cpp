#include "batch/prefix_tree.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::batch {
namespace {

class Builder {
 public:
  Builder(std::span<const Pass> passes, bool share, std::int64_t max_rows, std::int64_t long_rope)
      : passes_(passes), share_(share), max_rows_(std::max<std::int64_t>(max_rows, 1)), long_rope_(long_rope) {}

  std::vector<PrefixNode> build() {
    // An explicit stack, because outside data determines the depth of the tree.
    add_branches(0, static_cast<std::int32_t>(passes_.size()), 0, -1);
    while (!stack_.empty()) {
      const Range range = stack_.back();
      stack_.pop_back();
      grow(range);
    }
    return std::move(nodes_);
  }

 private:
  // Passes [first, last) that agree on their first `depth` tokens and on the one after.
  struct Range {
    std::int32_t first, last;
    std::int64_t depth;
    std::int32_t parent;
  };

  const Pass& pass(std::int32_t i) const { return passes_[static_cast<std::size_t>(i)]; }
  TokenId token(std::int32_t i, std::int64_t at) const { return pass(i).tokens[static_cast<std::size_t>(at)]; }
  std::int64_t length(std::int32_t i) const { return static_cast<std::int64_t>(pass(i).tokens.size()); }

  bool is_long(std::int32_t i) const { return long_rope_ > 0 && length(i) > long_rope_; }

  // Passes that agree on their first `depth` tokens go on together.
  bool agree(std::int32_t a, std::int32_t b, std::int64_t depth) const {
    if (!share_ || pass(a).group != pass(b).group || token(a, depth) != token(b, depth)) return false;
    if (is_long(a) != is_long(b)) return false;
    if (!is_long(a) || depth > long_rope_) return true;
    const auto turned = static_cast<std::size_t>(long_rope_ + 1);
    const auto first = pass(a).tokens.first(turned);
    return std::equal(first.begin(), first.end(), pass(b).tokens.begin());
  }

  // The common prefix of the range: with sorted passes, that of its first and last one.
  std::int64_t shared_length(const Range& r) const {
    const auto &a = pass(r.first).tokens, &b = pass(r.last - 1).tokens;
    const auto from = static_cast<std::ptrdiff_t>(r.depth);
    return std::mismatch(a.begin() + from, a.end(), b.begin() + from, b.end()).first - a.begin();
  }

  // Splits passes that agree up to `depth` by their next token; passes that end there are done.
  void add_branches(std::int32_t first, std::int32_t last, std::int64_t depth, std::int32_t parent) {
    while (first < last && length(first) == depth) ++first;
    const std::size_t bottom = stack_.size();
    for (std::int32_t i = first; i < last;) {
      std::int32_t end = i + 1;
      while (end < last && agree(i, end, depth)) ++end;
      stack_.push_back({i, end, depth, parent});
      i = end;
    }
    std::reverse(stack_.begin() + static_cast<std::ptrdiff_t>(bottom), stack_.end());
  }

  void grow(const Range& range) {
    const std::int64_t end = shared_length(range);
    std::int64_t first_row = end;
    for (std::int32_t i = range.first; i < range.last; ++i) first_row = std::min(first_row, pass(i).first_row);
    if (is_long(range.first) && first_row < long_rope_) first_row = range.depth;
    // No logits are needed before first_row, so that part ends with the single row at first_row.
    std::int64_t depth = range.depth;
    std::int32_t parent = range.parent;
    if (first_row >= end) {
      parent = append(range, parent, depth, end, Logits::none);
      depth = end;
    } else if (first_row > depth) {
      parent = append(range, parent, depth, first_row + 1, Logits::last);
      depth = first_row + 1;
    }
    for (; depth < end; depth = std::min(end, depth + max_rows_))
      parent = append(range, parent, depth, std::min(end, depth + max_rows_), Logits::all);
    add_branches(range.first, range.last, end, parent);
  }

  std::int32_t append(const Range& range, std::int32_t parent, std::int64_t begin, std::int64_t end, Logits logits) {
    const auto id = static_cast<std::int32_t>(nodes_.size());
    nodes_.push_back({parent, range.first, range.last, begin, end, logits, 0, -1, -1});
    last_child_.push_back(-1);
    std::int32_t& before = parent < 0 ? last_root_ : last_child_[static_cast<std::size_t>(parent)];
    if (before >= 0)
      nodes_[static_cast<std::size_t>(before)].next_sibling = id;
    else if (parent >= 0)
      nodes_[static_cast<std::size_t>(parent)].first_child = id;
    before = id;
    if (parent >= 0) ++nodes_[static_cast<std::size_t>(parent)].child_count;
    return id;
  }

  std::span<const Pass> passes_;
  bool share_;
  std::int64_t max_rows_, long_rope_;
  std::vector<Range> stack_;
  std::vector<PrefixNode> nodes_;
  std::vector<std::int32_t> last_child_;
  std::int32_t last_root_ = -1;
};

}  // namespace

std::vector<PrefixNode> build_prefix_tree(std::span<const Pass> passes, bool share, std::int64_t max_rows,
                                          std::int64_t long_rope) {
  return Builder(passes, share, max_rows, long_rope).build();
}

}  // namespace moe::inline MOE_ABI::batch
