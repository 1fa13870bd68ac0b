#include "batch/tree_plan.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "model/logit_rows.hpp"
#include "model/stages.hpp"

namespace moe::inline MOE_ABI::batch {
namespace {

PrefixNode& at(std::vector<PrefixNode>& nodes, std::int32_t i) { return nodes[static_cast<std::size_t>(i)]; }

// The most pages held while a node and everything below it are computed one after another, ancestors included.
//
// A child shares its parent's full pages; the partly filled last page is copied for every child except the last, which
// takes over the parent's sequence. So n waiting nodes need up to n extra pages. The child that needs the most pages is
// computed last, as in register allocation (Sethi and Ullman 1970): at most log2(passes) nodes wait, at any depth.
std::int64_t find_pages(std::vector<PrefixNode>& nodes, PrefixNode& node) {
  std::int32_t neediest = -1, before_neediest = -1, last = -1;
  for (std::int32_t i = node.first_child; i >= 0; last = i, i = at(nodes, i).next_sibling)
    if (neediest < 0 || at(nodes, i).pages >= at(nodes, neediest).pages) neediest = i, before_neediest = last;
  if (neediest < 0) return pages_of(node.end) + node.again_pages;
  if (neediest != last) {
    (before_neediest < 0 ? node.first_child : at(nodes, before_neediest).next_sibling) =
        at(nodes, neediest).next_sibling;
    at(nodes, last).next_sibling = neediest;
    at(nodes, neediest).next_sibling = -1;
  }
  const std::int64_t partial = pages_of(node.end) - full_pages_of(node.end);
  std::int64_t most = at(nodes, neediest).pages;
  for (std::int32_t i = node.first_child; i != neediest; i = at(nodes, i).next_sibling)
    most = std::max(most, at(nodes, i).pages + partial);
  return most;
}

// Children follow their parents.
void count_pages(TreePlan& plan) {
  for (std::size_t i = plan.nodes.size(); i-- > 0;) {
    PrefixNode& node = plan.nodes[i];
    node.pages = find_pages(plan.nodes, node);
    plan.all_pages += pages_of(node.end) - full_pages_of(node.begin) + node.again_pages;
    if (node.request >= 0) plan.reply_pages = std::max(plan.reply_pages, node.pages);
    if (node.parent < 0) plan.least_pages = std::max(plan.least_pages, node.pages);
  }
}

// Longer passes behind the others, for build_prefix_tree().
void put_long_ones_last(Passes& passes, std::int64_t long_rope) {
  if (long_rope <= 0) return;
  std::vector<std::size_t> order(passes.list.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(), [&](std::size_t i) {
    return static_cast<std::int64_t>(passes.list[i].tokens.size()) <= long_rope;
  });
  Passes sorted{{}, {}, passes.longest, passes.tokens};
  for (const std::size_t i : order) {
    sorted.list.push_back(passes.list[i]);
    sorted.requests.push_back(std::move(passes.requests[i]));
  }
  passes = std::move(sorted);
}

// A reply that grows past LongRoPE's original context is computed again in pages of its own, while others may still
// hold those that it shared. Children follow their parents.
void count_again(TreePlan& plan, std::int64_t long_rope) {
  if (long_rope <= 0) return;
  std::vector<bool> shares(plan.nodes.size());
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    PrefixNode& node = plan.nodes[i];
    if (node.parent < 0) continue;
    PrefixNode& parent = at(plan.nodes, node.parent);
    shares[i] = shares[static_cast<std::size_t>(node.parent)] || parent.child_count > 1;
    if (node.request < 0 || !shares[i] || node.begin > long_rope || node.end <= long_rope) continue;
    node.again_pages = full_pages_of(node.begin);
    parent.reply_pages += node.again_pages;
  }
}

// The prompts that end with a node are those of its first pass, the shortest of its passes.
void add_replies(TreePlan& plan, std::span<const std::int64_t> max_tokens) {
  const std::size_t prompt_nodes = plan.nodes.size();
  for (std::size_t i = 0; i < prompt_nodes; ++i) {
    const PrefixNode node = plan.nodes[i];
    const auto pass = static_cast<std::size_t>(node.first_pass);
    if (static_cast<std::int64_t>(plan.passes.list[pass].tokens.size()) != node.end) continue;
    const auto& ending = plan.passes.requests[pass];
    std::int32_t next = node.first_child;
    for (auto request = ending.rbegin(); request != ending.rend(); ++request) {
      PrefixNode reply;
      reply.parent = static_cast<std::int32_t>(i);
      reply.first_pass = node.first_pass, reply.last_pass = node.first_pass + 1;
      reply.request = *request;
      // The last token of a reply is never fed.
      reply.begin = node.end, reply.end = node.end + max_tokens[static_cast<std::size_t>(*request)] - 1;
      reply.logits = Logits::last;
      reply.next_sibling = std::exchange(next, static_cast<std::int32_t>(plan.nodes.size()));
      plan.nodes.push_back(reply);
      plan.nodes[i].reply_pages += pages_of(reply.end) - full_pages_of(reply.begin);
    }
    plan.nodes[i].first_child = next;
    plan.nodes[i].child_count += static_cast<std::int32_t>(ending.size());
  }
}

}  // namespace

std::int64_t most_scored_rows(const ModelConfig& config, const SessionOptions& options) {
  // A pipeline's last stage sends all of them.
  return is_pipeline(options) ? max_logit_rows(config.vocab_size) : kAllRows;
}

std::int64_t long_rope_of(const ModelConfig& config) {
  return config.rope.scaling == RopeScaling::longrope ? config.rope.original_max_position : 0;
}

TreePlan plan_passes(Passes passes, const TreeLimits& limits) {
  TreePlan plan;
  plan.passes = std::move(passes);
  put_long_ones_last(plan.passes, limits.long_rope);
  plan.nodes = build_prefix_tree(plan.passes.list, limits.share_prefixes, limits.most_rows, limits.long_rope);
  count_pages(plan);
  return plan;
}

TreePlan plan_replies(Passes prompts, std::span<const std::int64_t> max_tokens, const TreeLimits& limits) {
  TreePlan plan;
  plan.passes = std::move(prompts);
  put_long_ones_last(plan.passes, limits.long_rope);
  plan.nodes = build_prefix_tree(plan.passes.list, limits.share_prefixes, limits.most_rows, limits.long_rope);
  add_replies(plan, max_tokens);
  count_again(plan, limits.long_rope);
  count_pages(plan);
  return plan;
}

std::vector<PrefixNode> divide_nodes(std::span<const PrefixNode> nodes, std::int64_t most) {
  std::vector<PrefixNode> parts;
  std::vector<std::int32_t> first, last;  // [node] of its parts
  for (const PrefixNode& node : nodes) {
    first.push_back(static_cast<std::int32_t>(parts.size()));
    PrefixNode part = node;
    if (node.request < 0 && node.logits != Logits::all)
      for (part.end = node.begin + node.kept_tokens + most; part.end < node.end; part.end += most) {
        part.logits = Logits::none;
        // Replies begin once the rest of their prompt is there.
        if (node.reply_pages > 0) part.reply_pages = node.reply_pages + pages_of(node.end) - pages_of(part.end);
        parts.push_back(part);
        part.begin = part.end;
        part.kept = -1, part.kept_tokens = 0;
      }
    part.end = node.end, part.logits = node.logits, part.reply_pages = node.reply_pages;
    last.push_back(static_cast<std::int32_t>(parts.size()));
    parts.push_back(part);
  }
  const auto part_of = [](const std::vector<std::int32_t>& which, std::int32_t node) {
    return node < 0 ? -1 : which[static_cast<std::size_t>(node)];
  };
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (std::int32_t p = first[i]; p <= last[i]; ++p) {
      PrefixNode& part = parts[static_cast<std::size_t>(p)];
      part.parent = p == first[i] ? part_of(last, nodes[i].parent) : p - 1;
      part.next_sibling = p == first[i] ? part_of(first, nodes[i].next_sibling) : -1;
      part.first_child = p == last[i] ? part_of(first, nodes[i].first_child) : p + 1;
      if (p != last[i]) part.child_count = 1;
    }
  return parts;
}

Passes collect_prompts(const Inputs& prompts, std::span<const std::int32_t> group) {
  std::vector<std::int64_t> last(prompts.size());
  for (std::size_t i = 0; i < last.size(); ++i) last[i] = static_cast<std::int64_t>(prompts[i].size()) - 1;
  return collect_passes(prompts, last, group);
}

}  // namespace moe::inline MOE_ABI::batch
