#include "eval/run/reply_run.hpp"

#include <algorithm>
#include <limits>

#include "eval/run/tree_walk.hpp"
#include "eval/score/text.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// A reply that is being written.
struct Active {
  std::int32_t request = 0;
  Sequence sequence = 0;
  TokenId last = 0;       // to be fed next
  std::int64_t left = 0;  // tokens that may still follow
  std::int64_t end = 0;   // the sequence's length when all of them did
  std::int64_t pages_to_come() const { return pages_of(end) - pages_of(end - left); }
};

class ReplyRun {
 public:
  ReplyRun(Session& session, std::int64_t batch_tokens, const TreePlan& plan, std::span<const GenerateRequest> requests,
           EncodedContexts& encoded, const Hooks& hooks)
      : session_(session),
        batch_tokens_(batch_tokens),
        passes_(plan.passes),
        requests_(requests),
        encoded_(encoded),
        hooks_(hooks),
        tokenizer_(*session.model().tokenizer()),
        max_rows_(max_logit_rows(session.model().config().vocab_size)),
        walk_(session, plan),
        first_(requests.size()),
        raw_(requests.size()) {
    if (tokenizer_.eos()) eos_text_ = tokenizer_.bytes_of(*tokenizer_.eos());
  }
  ~ReplyRun() {
    for (const Active& a : active_) static_cast<void>(session_.close(a.sequence));
  }
  ReplyRun(const ReplyRun&) = delete;
  ReplyRun& operator=(const ReplyRun&) = delete;

  Result<void> run() {
    if (auto enough = walk_.check_room(); !enough) return enough;
    for (std::size_t i = 0; i < requests_.size(); ++i)
      if (encoded_.replies[i].failure != Failure::none) report(static_cast<std::int32_t>(i));
    std::size_t most = std::numeric_limits<std::size_t>::max();
    if (hooks_.on_progress) hooks_.on_progress(replies_done_, static_cast<std::int64_t>(requests_.size()));
    while (!walk_.is_done() || !active_.empty()) {
      if (hooks_.cancelled && hooks_.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
      const Plan plan = make_plan(most);
      const auto done = step(plan);
      const std::size_t size = plan.active + plan.nodes.size();
      if (!done && size > 1 && done.error().code == ErrorCode::non_finite) {
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
  // One step: the first `active` replies go on by a token, and these nodes are computed: prompts, or replies that begin.
  struct Plan {
    std::size_t active = 0;
    TreeStep nodes;
  };

  // Replies before prompts: what is finished makes room.
  Plan make_plan(std::size_t most) const {
    Plan plan;
    const std::int64_t most_rows = std::min(max_rows_, batch_tokens_);
    plan.active = std::min({active_.size(), most, static_cast<std::size_t>(most_rows)});
    StepRoom room;
    room.nodes = most - plan.active;
    room.tokens = batch_tokens_ - static_cast<std::int64_t>(plan.active);
    room.rows = max_rows_ - static_cast<std::int64_t>(plan.active);
    room.is_empty = plan.active == 0;
    for (const Active& a : active_) room.promised_pages += a.pages_to_come();
    plan.nodes = walk_.plan(room);
    return plan;
  }

  Result<void> step(const Plan& plan) {
    std::vector<BatchItem> items;
    for (std::size_t i = 0; i < plan.active; ++i)
      items.push_back({active_[i].sequence, std::span(&active_[i].last, 1), Logits::last});
    if (auto opened = walk_.open(plan.nodes, items); !opened) return opened;
    const auto of_nodes = std::span(items).subspan(plan.active);
    for (std::size_t i = 0; i < of_nodes.size(); ++i)
      if (const std::int32_t request = walk_.at(plan.nodes[i].node).request; request >= 0)
        of_nodes[i].tokens = std::span(&first_[static_cast<std::size_t>(request)], 1);
    const auto output = session_.step(items);
    if (!output) {
      walk_.abandon(plan.nodes, of_nodes);
      return forward(output);
    }
    return read(plan, of_nodes, *output);
  }

  // The new token of every reply; finished replies leave, those of prompts that end here begin in a later step.
  Result<void> read(const Plan& plan, std::span<const BatchItem> of_nodes, const StepOutput& output) {
    std::int64_t row = 0;
    std::vector<Active> next(active_.begin() + static_cast<std::ptrdiff_t>(plan.active), active_.end());
    const std::vector<Active> before(active_.begin(), active_.begin() + static_cast<std::ptrdiff_t>(plan.active));
    active_ = std::move(next);  // those that waited come first in the next step
    Result<void> result;
    const auto goes_on = [&](Active& a, TokenId token) {
      const auto more = result ? append(a, token) : Result<bool>(false);
      if (!more) result = forward(more);
      return more && *more;
    };
    const auto go_on = [&](Active a, TokenId token) {
      if (goes_on(a, token))
        active_.push_back(a);
      else
        static_cast<void>(session_.close(a.sequence));
    };
    for (const Active& a : before) go_on(a, first_maximum(output.padded_row(row++)));
    for (std::size_t i = 0; i < plan.nodes.size(); ++i) {
      const PrefixNode& node = walk_.at(plan.nodes[i].node);
      if (node.request >= 0) {
        go_on(begun(node, of_nodes[i].sequence), first_maximum(output.padded_row(row)));
      } else {
        walk_.drop_children(plan.nodes[i].node, [&](const PrefixNode& child) {
          if (child.request < 0) return false;
          Active a{child.request, -1, 0, max_tokens(child), child.end};
          const bool begins = goes_on(a, first_maximum(output.padded_row(row)));
          first_[static_cast<std::size_t>(child.request)] = a.last;
          return !begins;
        });
      }
      row += node.row_count();
    }
    walk_.finish(plan.nodes, of_nodes);
    return result;
  }

  std::int64_t max_tokens(const PrefixNode& reply) const {
    return requests_[static_cast<std::size_t>(reply.request)].max_tokens;
  }

  // A reply whose first token is known and fed.
  Active begun(const PrefixNode& reply, Sequence sequence) const {
    return {reply.request, sequence, first_[static_cast<std::size_t>(reply.request)], max_tokens(reply) - 1, reply.end};
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
    const GenerateRequest& request = requests_[static_cast<std::size_t>(index)];
    const std::string_view cut = cut_at(after_thinking(valid, request.think_end), request.stop);
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
    const PrefixNode& node = walk_.at(plan.nodes[0].node);
    if (node.request >= 0) failed(node.request);
    for (std::int32_t pass = node.first_pass; node.request < 0 && pass < node.last_pass; ++pass)
      for (std::int32_t request : passes_.requests[static_cast<std::size_t>(pass)]) failed(request);
    walk_.give_up(plan.nodes);
  }

  void report(std::int32_t index) {
    ++replies_done_;
    if (hooks_.on_reply) hooks_.on_reply(index, encoded_.replies[static_cast<std::size_t>(index)]);
  }

  Session& session_;
  std::int64_t batch_tokens_;
  const Passes& passes_;
  std::span<const GenerateRequest> requests_;
  EncodedContexts& encoded_;
  const Hooks& hooks_;
  const Tokenizer& tokenizer_;
  std::int64_t max_rows_ = 1, replies_done_ = 0;
  TreeWalk walk_;
  std::vector<Active> active_;
  std::string eos_text_;        // a stop text of every reply, as in the reference harness, also when it is spelled out
  std::vector<TokenId> first_;  // [request] the first token of a reply that is to begin
  std::vector<std::string> raw_;  // [request] the reply with its special tokens
};

}  // namespace

std::string_view cut_at(std::string_view text, std::span<const std::string> stop) {
  for (const std::string& s : stop)
    if (!s.empty()) text = text.substr(0, text.find(s));
  return text;
}

Result<void> run_replies(Session& session, std::int64_t batch_tokens, const TreePlan& plan,
                         std::span<const GenerateRequest> requests, EncodedContexts& encoded, const Hooks& hooks) {
  return ReplyRun(session, batch_tokens, plan, requests, encoded, hooks).run();
}

}  // namespace moe::inline MOE_ABI::eval
