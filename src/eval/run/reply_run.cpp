#include "eval/run/reply_run.hpp"

#include <algorithm>
#include <limits>

#include "eval/run/tree_walk.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// A reply that is being written.
struct Active {
  std::int32_t request = 0;
  Sequence sequence = 0;
  TokenId last = 0;       // to be fed next
  std::int64_t left = 0;  // tokens that may still follow
};

class ReplyRun {
 public:
  ReplyRun(Session& session, const RunLimits& limits, const Passes& passes, std::span<const GenerateRequest> requests,
           EncodedContexts& encoded, const Hooks& hooks)
      : session_(session),
        limits_(limits),
        passes_(passes),
        requests_(requests),
        encoded_(encoded),
        hooks_(hooks),
        tokenizer_(*session.model().tokenizer()),
        max_rows_(max_logit_rows(session.model().config().vocab_size)),
        walk_(session, passes, build_prefix_tree(passes.list, limits.share_prefixes, max_rows_)),
        raw_(requests.size()) {
    for (const GenerateRequest& r : requests) longest_reply_ = std::max(longest_reply_, r.max_tokens);
    if (tokenizer_.eos()) eos_text_ = tokenizer_.bytes_of(*tokenizer_.eos());
  }
  ~ReplyRun() {
    for (const Active& a : active_) static_cast<void>(session_.close(a.sequence));
  }
  ReplyRun(const ReplyRun&) = delete;
  ReplyRun& operator=(const ReplyRun&) = delete;

  Result<void> run() {
    for (std::size_t i = 0; i < requests_.size(); ++i)
      if (encoded_.replies[i].failure != Failure::none) report(static_cast<std::int32_t>(i));
    std::size_t most = std::numeric_limits<std::size_t>::max();
    if (hooks_.on_progress) hooks_.on_progress(replies_done_, static_cast<std::int64_t>(requests_.size()));
    while (walk_.has_ready() || !active_.empty()) {
      if (hooks_.cancelled && hooks_.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
      const Plan plan = make_plan(most);
      const auto done = step(plan);
      const std::size_t size = plan.active + plan.nodes.size();
      if (!done && size > 1 &&
          (done.error().code == ErrorCode::out_of_memory || done.error().code == ErrorCode::non_finite)) {
        walk_.put_back(plan.nodes);
        most = size / 2;
        continue;
      }
      if (!done && done.error().code == ErrorCode::non_finite)
        give_up(plan);
      else if (!done)
        return done;
      most = std::max(most, most * 2);
      if (hooks_.on_progress) hooks_.on_progress(replies_done_, static_cast<std::int64_t>(requests_.size()));
    }
    return {};
  }

 private:
  // One step: the first `active` replies go on by a token, and these nodes are computed.
  struct Plan {
    std::size_t active = 0;
    std::vector<std::int32_t> nodes;
  };

  // Replies before prompts: what is finished makes room. A prompt enters when the room for its whole reply is free.
  Plan make_plan(std::size_t most) {
    Plan plan;
    const auto most_rows = static_cast<std::size_t>(std::min(max_rows_, limits_.batch_tokens));
    plan.active = std::min({active_.size(), most, most_rows});
    auto tokens = static_cast<std::int64_t>(plan.active), rows = tokens;
    std::int64_t room = session_.free_tokens() - passes_.longest - longest_reply_ - 4 * kPageSlack;
    for (const Active& a : active_) room -= a.left + kPageSlack;
    while (walk_.has_ready() && plan.active + plan.nodes.size() < most) {
      const PrefixNode& node = walk_.at(walk_.next());
      std::int64_t cost = node.token_count() + kPageSlack;
      for (std::int32_t request : ending(node))
        cost += requests_[static_cast<std::size_t>(request)].max_tokens + kPageSlack;
      const bool fits =
          tokens + node.token_count() <= limits_.batch_tokens && rows + node.row_count() <= max_rows_ && cost <= room;
      if ((plan.active > 0 || !plan.nodes.empty()) && !fits) break;
      tokens += node.token_count(), rows += node.row_count(), room -= cost;
      plan.nodes.push_back(walk_.next());
      walk_.take_next();
    }
    return plan;
  }

  // Requests whose prompt ends with this node.
  std::span<const std::int32_t> ending(const PrefixNode& node) const {
    const auto first = static_cast<std::size_t>(node.first_pass);  // the shortest of those that begin so
    if (node.logits == Logits::none || static_cast<std::int64_t>(passes_.list[first].tokens.size()) != node.end)
      return {};
    return passes_.requests[first];
  }

  Result<void> step(const Plan& plan) {
    std::vector<BatchItem> items;
    for (std::size_t i = 0; i < plan.active; ++i)
      items.push_back({active_[i].sequence, std::span(&active_[i].last, 1), Logits::last});
    Result<void> opened;
    for (std::int32_t node : plan.nodes) {
      const auto sequence = walk_.sequence_for(node);
      if (!sequence) {
        opened = forward(sequence);
        break;
      }
      items.push_back({*sequence, walk_.tokens(node), walk_.at(node).logits});
    }
    auto output = opened ? session_.step(items) : Result<StepOutput>(forward(opened));
    if (!output) {
      for (std::size_t i = plan.active; i < items.size(); ++i) static_cast<void>(session_.close(items[i].sequence));
      return forward(output);
    }
    return read(plan, items, *output);
  }

  // The new token of every reply; prompts that end here become replies, finished replies leave.
  Result<void> read(const Plan& plan, const std::vector<BatchItem>& items, const StepOutput& output) {
    std::int64_t row = 0;
    std::vector<Active> next(active_.begin() + static_cast<std::ptrdiff_t>(plan.active), active_.end());
    const std::vector<Active> before(active_.begin(), active_.begin() + static_cast<std::ptrdiff_t>(plan.active));
    active_ = std::move(next);  // those that waited come first in the next step
    Result<void> result;
    const auto go_on = [&](Active a, TokenId token) {
      const auto open = result ? append(a, token) : Result<bool>(false);
      if (!open) result = forward(open);
      if (open && *open)
        active_.push_back(a);
      else
        static_cast<void>(session_.close(a.sequence));
    };
    for (const Active& a : before) go_on(a, first_maximum(output.padded_row(row++)));
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
      const PrefixNode& node = walk_.at(plan.nodes[i]);
      const Sequence sequence = items[plan.active + i].sequence;
      for (std::int32_t request : ending(node)) {
        const auto own = session_.fork(sequence);
        if (!own && result) result = forward(own);
        if (own)
          go_on({request, *own, 0, requests_[static_cast<std::size_t>(request)].max_tokens},
                first_maximum(output.padded_row(row)));
      }
      row += node.row_count();
      walk_.finish(plan.nodes[i], sequence);
    }
    walk_.push_children(plan.nodes);
    return result;
  }

  // Over the padding too, as the reference harness does: a reply may hold tokens without text.
  static TokenId first_maximum(std::span<const float> row) {
    return static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
  }

  // False when the reply is finished with this token.
  Result<bool> append(Active& a, TokenId token) {
    const auto index = static_cast<std::size_t>(a.request);
    const GenerateRequest& request = requests_[index];
    Generation& reply = encoded_.replies[index];
    ++reply.generated_tokens;
    a.last = token;
    --a.left;
    // A vocabulary is often padded: such a token has no text.
    const std::vector<TokenId> ids(token < tokenizer_.vocab_size() ? 1 : 0, token);
    const auto part = [&](const std::string& before, bool skip_special) {
      return before.empty() ? tokenizer_.decode(ids, skip_special) : tokenizer_.decode_more(ids, skip_special);
    };
    const auto raw = part(raw_[index], false), text = part(reply.text, true);
    if (!raw) return forward(raw);
    if (!text) return forward(text);
    // Stop texts are looked for in the text with its special tokens, and only where the new token can matter.
    std::string& all = raw_[index];
    const std::size_t old_size = all.size();
    all += *raw;
    reply.text += *text;
    const auto is_new = [&](const std::string& stop) {
      return !stop.empty() && all.find(stop, old_size - std::min(old_size, stop.size() - 1)) != std::string::npos;
    };
    const auto& ends = tokenizer_.generate_stop_ids();
    reply.finished = std::binary_search(ends.begin(), ends.end(), token) || is_new(eos_text_) ||
                     std::any_of(request.stop.begin(), request.stop.end(), is_new);
    if (!reply.finished && a.left > 0) return true;
    finish(a.request);
    return false;
  }

  void finish(std::int32_t index) {
    Generation& reply = encoded_.replies[static_cast<std::size_t>(index)];
    // A reply may end inside a character.
    const std::string valid = tokenizer::replace_invalid_utf8(reply.text);
    const std::string_view cut = cut_at(valid, requests_[static_cast<std::size_t>(index)].stop);
    reply.text = std::string(cut_at(cut, std::span(&eos_text_, 1)));
    reply.pass_tokens += reply.generated_tokens - 1;
    raw_[static_cast<std::size_t>(index)] = {};
    report(index);
  }

  // The one thing of a step that has no finite logits.
  void give_up(const Plan& plan) {
    const auto failed = [&](std::int32_t request) {
      Generation& reply = encoded_.replies[static_cast<std::size_t>(request)];
      reply.failure = Failure::non_finite;
      reply.text.clear();
      reply.finished = false;
      reply.pass_tokens += std::max(reply.generated_tokens - 1, 0);
      report(request);
    };
    if (plan.active > 0) {
      static_cast<void>(session_.close(active_.front().sequence));
      failed(active_.front().request);
      active_.erase(active_.begin());
      return;
    }
    const PrefixNode& node = walk_.at(plan.nodes[0]);
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (std::int32_t request : passes_.requests[static_cast<std::size_t>(pass)]) failed(request);
    walk_.give_up(plan.nodes[0]);
  }

  void report(std::int32_t index) {
    ++replies_done_;
    if (hooks_.on_reply) hooks_.on_reply(index, encoded_.replies[static_cast<std::size_t>(index)]);
  }

  Session& session_;
  const RunLimits& limits_;
  const Passes& passes_;
  std::span<const GenerateRequest> requests_;
  EncodedContexts& encoded_;
  const Hooks& hooks_;
  const Tokenizer& tokenizer_;
  std::int64_t max_rows_ = 1, longest_reply_ = 0, replies_done_ = 0;
  TreeWalk walk_;
  std::vector<Active> active_;
  std::string eos_text_;  // a stop text of every reply, as in the reference harness, also when it is spelled out
  std::vector<std::string> raw_;  // [request] the reply with its special tokens
};

}  // namespace

std::string_view cut_at(std::string_view text, std::span<const std::string> stop) {
  for (const std::string& s : stop)
    if (!s.empty()) text = text.substr(0, text.find(s));
  return text;
}

Result<void> run_replies(Session& session, const RunLimits& limits, const Passes& passes,
                         std::span<const GenerateRequest> requests, EncodedContexts& encoded, const Hooks& hooks) {
  return ReplyRun(session, limits, passes, requests, encoded, hooks).run();
}

}  // namespace moe::inline MOE_ABI::eval
