#include "eval/run/reply_run.hpp"

#include <algorithm>

#include "batch/reply_loop.hpp"
#include "eval/score/text.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

class HarnessReplies final : public batch::ReplyWriter {
 public:
  HarnessReplies(const Tokenizer& tokenizer, std::span<const GenerateRequest> requests, EncodedContexts& encoded,
                 const Hooks& hooks)
      : tokenizer_(tokenizer), requests_(requests), encoded_(encoded), hooks_(hooks), raw_(requests.size()) {
    if (tokenizer_.eos()) eos_text_ = tokenizer_.bytes_of(*tokenizer_.eos());
    for (std::size_t i = 0; i < requests_.size(); ++i)
      if (encoded_.replies[i].failure != Failure::none) report(i);
  }

  Result<void> before_step() override {
    progress();
    if (hooks_.cancelled && hooks_.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    return {};
  }

  // Greedy over the padding too, as in the reference harness: a reply may contain tokens without text.
  Result<std::optional<TokenId>> take(std::int32_t index, std::span<const float> row, std::size_t /*known*/) override {
    const auto token = static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
    const auto more = append(static_cast<std::size_t>(index), token);
    if (!more) return forward(more);
    return *more ? std::optional(token) : std::nullopt;
  }

  void give_up(std::int32_t index, const Error& /*why*/) override {
    Generation& reply = encoded_.replies[static_cast<std::size_t>(index)];
    reply.failure = Failure::non_finite;
    reply.pass_experts = -1;
    reply.text.clear();
    reply.finished = false;
    reply.pass_tokens += std::max(reply.generated_tokens - 1, 0);
    report(static_cast<std::size_t>(index));
  }

  void on_experts(std::int32_t index, std::int64_t count) override {
    encoded_.replies[static_cast<std::size_t>(index)].pass_experts = count;
  }
  std::int32_t tally(std::int32_t index) const override { return requests_[static_cast<std::size_t>(index)].tally; }

  void progress() const {
    if (hooks_.on_progress) hooks_.on_progress(replies_done_, static_cast<std::int64_t>(requests_.size()));
  }

 private:
  // False when the reply is finished with this token.
  Result<bool> append(std::size_t index, TokenId token) {
    const GenerateRequest& request = requests_[index];
    Generation& reply = encoded_.replies[index];
    ++reply.generated_tokens;
    // A vocabulary is often padded: such a token has no text.
    const std::vector<TokenId> ids(token < tokenizer_.vocab_size() ? 1 : 0, token);
    const auto part = [&](const std::string& before, SpecialTokens special) {
      return before.empty() ? tokenizer_.decode(ids, special) : tokenizer_.decode_more(ids, special);
    };
    const auto raw = part(raw_[index], SpecialTokens::show), text = part(reply.text, SpecialTokens::hide);
    if (!raw) return forward(raw);
    if (!text) return forward(text);
    // Stop texts are searched in the text with special tokens, and only where the new token matters.
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
    if (!reply.finished && reply.generated_tokens < request.max_tokens) return true;
    finish(index);
    return false;
  }

  void finish(std::size_t index) {
    Generation& reply = encoded_.replies[index];
    // A reply may end inside a character.
    const std::string valid = replace_invalid_utf8(reply.text);
    const std::string_view cut = cut_at(after_thinking(valid, requests_[index].think_end), requests_[index].stop);
    reply.text = std::string(cut_at(cut, std::span(&eos_text_, 1)));
    reply.pass_tokens += reply.generated_tokens - 1;
    raw_[index] = {};
    report(index);
  }

  void report(std::size_t index) {
    ++replies_done_;
    if (hooks_.on_reply) hooks_.on_reply(static_cast<std::int64_t>(index), encoded_.replies[index]);
  }

  const Tokenizer& tokenizer_;
  std::span<const GenerateRequest> requests_;
  EncodedContexts& encoded_;
  const Hooks& hooks_;
  std::int64_t replies_done_ = 0;
  std::string eos_text_;          // also a stop text when spelled out, as in the reference harness
  std::vector<std::string> raw_;  // [request] the reply with its special tokens
};

}  // namespace

std::string_view cut_at(std::string_view text, std::span<const std::string> stop) {
  for (const std::string& s : stop)
    if (!s.empty()) text = text.substr(0, text.find(s));
  return text;
}

batch::TreePlan plan_replies(const EncodedContexts& encoded, std::span<const GenerateRequest> requests,
                             const batch::TreeLimits& limits) {
  std::vector<std::int64_t> max_tokens;
  for (const GenerateRequest& request : requests) max_tokens.push_back(request.max_tokens);
  return batch::plan_replies(batch::collect_prompts(encoded.inputs), max_tokens, limits);
}

Result<void> run_replies(Session& session, std::int64_t batch_tokens, const batch::TreePlan& plan,
                         std::span<const GenerateRequest> requests, EncodedContexts& encoded, const Hooks& hooks) {
  if (auto enough = batch::check_room(session, plan); !enough) return enough;
  HarnessReplies replies(*session.model().tokenizer(), requests, encoded, hooks);
  auto ran = batch::ReplyLoop(session, batch_tokens, plan, replies).run();
  if (ran) replies.progress();
  return ran;
}

}  // namespace moe::inline MOE_ABI::eval
