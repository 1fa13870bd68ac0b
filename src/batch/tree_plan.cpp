#include "batch/tree_plan.hpp"

#include <algorithm>
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
  if (neediest < 0) return pages_of(node.end);
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
    plan.all_pages += pages_of(node.end) - full_pages_of(node.begin);
    if (node.request >= 0) plan.reply_pages = std::max(plan.reply_pages, node.pages);
    if (node.parent < 0) plan.least_pages = std::max(plan.least_pages, node.pages);
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

TreePlan plan_passes(Passes passes, const TreeLimits& limits) {
  TreePlan plan;
  plan.passes = std::move(passes);
  plan.nodes = build_prefix_tree(plan.passes.list, limits.share_prefixes, limits.most_rows);
  count_pages(plan);
  return plan;
}

TreePlan plan_replies(Passes prompts, std::span<const std::int64_t> max_tokens, const TreeLimits& limits) {
  TreePlan plan;
  plan.passes = std::move(prompts);
  plan.nodes = build_prefix_tree(plan.passes.list, limits.share_prefixes, limits.most_rows);
  add_replies(plan, max_tokens);
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
