#include "batch/reply_loop.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "batch/work.hpp"
#include "model/logit_rows.hpp"

namespace moe::inline MOE_ABI::batch {

ReplyLoop::ReplyLoop(Session& session, std::int64_t batch_tokens, const TreePlan& plan, ReplyWriter& writer,
                     KeptSequences* kept)
    : session_(session),
      batch_tokens_(batch_tokens),
      plan_(plan),
      writer_(writer),
      kept_(kept),
      max_rows_(max_logit_rows(session.model().config().vocab_size)),
      most_states_(most_states(session)),
      walk_(session, plan, kept),
      experts_(plan.nodes.size(), 0) {
  std::size_t requests = 0;
  for (const PrefixNode& node : plan.nodes)
    if (node.request >= 0) requests = std::max(requests, static_cast<std::size_t>(node.request) + 1);
  first_.resize(requests);
}

ReplyLoop::~ReplyLoop() {
  for (const Active& a : active_) static_cast<void>(session_.close(a.sequence));
}

Result<void> ReplyLoop::run() {
  auto done = run_steps();
  if (!done && wasted_flops_ > 0) {
    // The FLOPs of a failed step count for its first request.
    std::int32_t request = std::numeric_limits<std::int32_t>::max();
    for (const Active& a : active_) request = std::min(request, a.request);
    if (active_.empty())
      for (const PrefixNode& node : plan_.nodes)
        if (node.request >= 0) request = std::min(request, node.request);
    writer_.on_wasted_work(request, std::exchange(wasted_flops_, 0));
  }
  for (const Active& a : std::exchange(active_, {})) release(a);
  return done;
}

Result<void> ReplyLoop::run_steps() {
  if (auto enough = walk_.check_room(); !enough) return enough;
  std::size_t most = std::numeric_limits<std::size_t>::max();
  while (!walk_.is_done() || !active_.empty()) {
    if (auto go_on = writer_.before_step(); !go_on) return go_on;
    const Plan plan = make_plan(most);
    const auto done = step(plan);
    const bool is_full = !done && may_fit_in_parts(done.error(), session_);
    if (!done && plan.drafted() > 0 && (is_full || done.error().code == ErrorCode::non_finite)) {
      // The drafts may be to blame: a wrong token may have logits that are not finite, or take the room in which a
      // sequence is recomputed. Try once more without.
      drafting_ = false;
      for (const ReplyDraft& d : plan.drafts)
        if (!d.tokens.empty()) writer_.on_draft(d.request, d.tokens);
      writer_.on_wasted_work(active_.front().request, std::exchange(wasted_flops_, 0));
      continue;
    }
    drafting_ = true;
    const std::size_t size = plan.active + plan.nodes.size();
    if (!done && size > 1 && (is_full || done.error().code == ErrorCode::non_finite)) {
      most = size / 2;  // even one is too large: fewer at a time
      continue;
    }
    if (!done && done.error().code == ErrorCode::non_finite)
      give_up(plan, done.error());
    else if (!done)
      return done;
    most = std::max(most, most * 2);
  }
  return {};
}

// Replies before prompts, because finished replies free room.
ReplyLoop::Plan ReplyLoop::make_plan(std::size_t most) {
  Plan plan;
  const std::int64_t most_rows = std::min(max_rows_, batch_tokens_);
  plan.active = std::min({active_.size(), most, static_cast<std::size_t>(most_rows)});
  // Half of what is left: prompts go on, too.
  add_drafts(plan, (most_rows - static_cast<std::int64_t>(plan.active)) / (walk_.is_done() ? 1 : 2));
  const std::int64_t used = static_cast<std::int64_t>(plan.active) + plan.drafted();
  StepRoom room;
  room.nodes = most - plan.active;
  room.tokens = batch_tokens_ - used;
  room.rows = max_rows_ - used;
  room.states = most_states_ - 2 * static_cast<std::int64_t>(active_.size());
  room.is_empty = plan.active == 0;
  for (const Active& a : active_) room.promised_pages += a.pages_to_come();
  plan.nodes = walk_.plan(room);
  return plan;
}

// Tokens that can be run behind the last one: the reply's own room, which the walk has promised to it.
std::int64_t ReplyLoop::draft_room(const Active& a) const {
  const RopeConfig& rope = session_.model().config().rope;
  const std::int64_t length = a.end - a.left + 1;  // with the last token
  std::int64_t room = a.left - 1;
  // LongRoPE: all tokens of a step have the frequencies of its end, so no draft may cross the end of the original
  // context.
  if (rope.scaling == RopeScaling::longrope && length <= rope.original_max_position)
    room = std::min(room, rope.original_max_position - length);
  return room;
}

void ReplyLoop::add_drafts(Plan& plan, std::int64_t room) {
  for (std::size_t i = 0; i < plan.active; ++i)
    plan.drafts.push_back({active_[i].request, drafting_ ? std::min(draft_room(active_[i]), room) : 0});
  if (drafting_ && plan.active > 0) writer_.draft(plan.drafts);
  for (std::size_t i = 0; i < plan.active; ++i) {
    std::vector<TokenId>& tokens = plan.drafts[i].tokens;
    MOE_ASSERT(static_cast<std::int64_t>(tokens.size()) <= plan.drafts[i].most);
    tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(room)));
    room -= static_cast<std::int64_t>(tokens.size());
    std::vector<TokenId>& run = plan.runs.emplace_back(1, active_[i].last);
    run.insert(run.end(), tokens.begin(), tokens.end());
  }
}

Result<void> ReplyLoop::step(const Plan& plan) {
  std::vector<BatchItem> items;
  for (std::size_t i = 0; i < plan.active; ++i)
    items.push_back({active_[i].sequence, plan.runs[i], plan.runs[i].size() > 1 ? Logits::all : Logits::last});
  if (auto opened = walk_.open(plan.nodes, items); !opened) return opened;
  const auto of_nodes = std::span(items).subspan(plan.active);
  for (std::size_t i = 0; i < of_nodes.size(); ++i)
    if (const std::int32_t request = walk_.at(plan.nodes[i].node).request; request >= 0)
      of_nodes[i].tokens = std::span(&first_[static_cast<std::size_t>(request)], 1);
  set_tallies(plan, items);
  const auto output = run(items);
  if (!output) {
    walk_.abandon(plan.nodes, of_nodes);
    return forward(output);
  }
  tell_work(plan, of_nodes, *output);
  tell_states(plan, of_nodes);
  return read(plan, of_nodes, *output);
}

// Kept sequences are dropped when the step needs their room.
Result<StepOutput> ReplyLoop::run(std::span<const BatchItem> items) {
  const std::int64_t before = session_.executed().total();
  auto output = session_.step(items);
  while (!output && output.error().code == ErrorCode::out_of_memory && kept_ != nullptr && kept_->drop_one())
    output = session_.step(items);
  if (!output) wasted_flops_ += session_.executed().total() - before;
  return output;
}

void ReplyLoop::set_tallies(const Plan& plan, std::span<BatchItem> items) const {
  for (std::size_t i = 0; i < items.size(); ++i)
    items[i].tally = writer_.tally(i < plan.active ? active_[i].request
                                                   : first_request(plan_, walk_.at(plan.nodes[i - plan.active].node)));
}

void ReplyLoop::tell_work(const Plan& plan, std::span<const BatchItem> of_nodes, const StepOutput& output) {
  const ModelConfig& config = session_.model().config();
  for (std::size_t i = 0; i < plan.active; ++i) {
    active_[i].experts += new_experts(output, i);
    const auto count = static_cast<std::int64_t>(plan.runs[i].size());
    writer_.on_work(active_[i].request, flops_of(config, active_[i].end - active_[i].left, count, count, i, output));
  }
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const std::int32_t index = plan.nodes[i].node;
    const PrefixNode& node = walk_.at(index);
    const std::int64_t here = new_experts(output, plan.active + i);
    experts_[static_cast<std::size_t>(index)] =
        here + (node.parent >= 0 ? experts_[static_cast<std::size_t>(node.parent)] : 0);
    const auto count = static_cast<std::int64_t>(of_nodes[i].tokens.size());
    const std::int64_t end = node.request >= 0 ? node.begin + 1 : node.end;
    writer_.on_work(first_request(plan_, node),
                    flops_of(config, end - count, count, node.row_count(), plan.active + i, output));
    const std::int64_t reused = node.token_count() - count;
    if (node.request >= 0 || node.parent >= 0 || reused == 0) continue;
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (const std::int32_t request : plan_.passes.requests[static_cast<std::size_t>(pass)])
        writer_.on_reuse(request, reused);
  }
}

void ReplyLoop::tell_states(const Plan& plan, std::span<const BatchItem> of_nodes) {
  std::span<const float> left = session_.states();
  if (left.empty()) return;
  const auto next = [&](std::size_t tokens) {
    const std::size_t numbers = tokens * static_cast<std::size_t>(session_.model().config().hidden_size);
    const std::span<const float> rows = left.first(numbers);
    left = left.subspan(numbers);
    return rows;
  };
  for (std::size_t i = 0; i < plan.active; ++i)
    writer_.on_states(active_[i].request, active_[i].end - active_[i].left, next(plan.runs[i].size()));
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const PrefixNode& node = walk_.at(plan.nodes[i].node);
    const std::span<const float> rows = next(of_nodes[i].tokens.size());
    if (rows.empty()) continue;  // all of the node was in the cache
    const std::int64_t end = node.request >= 0 ? node.begin + 1 : node.end;
    const std::int64_t position = end - static_cast<std::int64_t>(of_nodes[i].tokens.size());
    if (node.request >= 0) writer_.on_states(node.request, position, rows);
    for (std::int32_t pass = node.first_pass; node.request < 0 && pass < node.last_pass; ++pass)
      for (const std::int32_t request : plan_.passes.requests[static_cast<std::size_t>(pass)])
        writer_.on_states(request, position, rows);
  }
}

// The new token of every reply; finished replies leave, those of prompts that end here begin in a later step.
Result<void> ReplyLoop::read(const Plan& plan, std::span<const BatchItem> of_nodes, const StepOutput& output) {
  std::int64_t row = 0;
  std::vector<Active> next(active_.begin() + static_cast<std::ptrdiff_t>(plan.active), active_.end());
  const std::vector<Active> before(active_.begin(), active_.begin() + static_cast<std::ptrdiff_t>(plan.active));
  active_ = std::move(next);  // those that waited come first in the next step
  Result<void> result;
  const auto wants_more = [&](Active& a, std::int64_t r, std::span<const TokenId> draft = {}) {
    const auto more = result ? goes_on(a, output, r, draft) : Result<bool>(false);
    if (!more) result = forward(more);
    return more && *more;
  };
  const auto go_on = [&](Active a, std::int64_t r, std::span<const TokenId> draft = {}) {
    if (wants_more(a, r, draft))
      active_.push_back(a);
    else
      release(a);
  };
  for (std::size_t i = 0; i < before.size(); ++i) {
    go_on(before[i], row, plan.drafts[i].tokens);
    row += static_cast<std::int64_t>(plan.runs[i].size());
  }
  for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
    const PrefixNode& node = walk_.at(plan.nodes[i].node);
    if (node.request >= 0) {
      go_on(begun(plan.nodes[i].node, of_nodes[i].sequence), row);
    } else {
      walk_.drop_children(plan.nodes[i].node, [&](const PrefixNode& child) {
        if (child.request < 0) return false;
        const std::int64_t experts = experts_[static_cast<std::size_t>(plan.nodes[i].node)];
        Active a{child.request, of_nodes[i].sequence, 0, child.token_count() + 1, child.end, experts, 0};
        const bool begins = wants_more(a, row);
        first_[static_cast<std::size_t>(child.request)] = a.last;
        if (begins || !writer_.keeps()) return !begins;
        if (const auto prompt = session_.fork(a.sequence)) writer_.keep(a.request, *prompt);
        return true;
      });
    }
    row += node.row_count();
  }
  walk_.finish(plan.nodes, of_nodes);
  return result;
}

// False when the reply has ended.
Result<bool> ReplyLoop::goes_on(Active& a, const StepOutput& output, std::int64_t row) {
  writer_.on_experts(a.request, a.experts);
  const auto token = writer_.take(a.request, output.padded_row(row), static_cast<std::size_t>(output.token_count));
  if (!token) return forward(token);
  --a.left;
  if (a.again > 0 && a.end - a.left > session_.model().config().rope.original_max_position) a.again = 0;
  if (!*token) return false;
  a.last = **token;
  MOE_ASSERT(a.left > 0);
  return true;
}

// The same for a row and those of its draft, as long as the draft is right. Wrong tokens are removed from the sequence.
Result<bool> ReplyLoop::goes_on(Active& a, const StepOutput& output, std::int64_t row, std::span<const TokenId> draft) {
  std::size_t right = 0;
  auto more = goes_on(a, output, row);
  while (more && *more && right < draft.size() && a.last == draft[right]) {
    ++right;
    if (auto go_on = writer_.before_step(); !go_on) {
      more = forward(go_on);
    } else {
      more = goes_on(a, output, row + static_cast<std::int64_t>(right));
    }
  }
  if (draft.empty()) return more;
  writer_.on_draft(a.request, draft);
  if (auto back = session_.rewind(a.sequence, a.end - a.left); !back && more) return forward(back);
  return more;
}

// A reply whose first token is known and was run.
ReplyLoop::Active ReplyLoop::begun(std::int32_t node, Sequence sequence) const {
  const PrefixNode& reply = walk_.at(node);
  return {reply.request,       sequence,  first_[static_cast<std::size_t>(reply.request)],
          reply.token_count(), reply.end, experts_[static_cast<std::size_t>(node)],
          reply.again_pages};
}

void ReplyLoop::release(const Active& a) {
  if (writer_.keeps())
    writer_.keep(a.request, a.sequence);
  else
    static_cast<void>(session_.close(a.sequence));
}

// The step had a single reply or prompt, whose logits are not finite.
void ReplyLoop::give_up(const Plan& plan, const Error& why) {
  if (plan.active > 0) {
    writer_.on_wasted_work(active_.front().request, std::exchange(wasted_flops_, 0));
    static_cast<void>(session_.close(active_.front().sequence));
    writer_.give_up(active_.front().request, why);
    active_.erase(active_.begin());
    return;
  }
  const PrefixNode& node = walk_.at(plan.nodes[0].node);
  writer_.on_wasted_work(first_request(plan_, node), std::exchange(wasted_flops_, 0));
  if (node.request >= 0) writer_.give_up(node.request, why);
  for (std::int32_t pass = node.first_pass; node.request < 0 && pass < node.last_pass; ++pass)
    for (const std::int32_t request : plan_.passes.requests[static_cast<std::size_t>(pass)])
      writer_.give_up(request, why);
  walk_.give_up(plan.nodes);
}

}  // namespace moe::inline MOE_ABI::batch
