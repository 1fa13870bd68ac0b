#include "generate/batch_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "generate/seeds.hpp"

namespace moe::inline MOE_ABI::generate {
namespace {

constexpr std::int64_t kMostReplies = 1024;

Result<void> check(const GenerateOptions& options) {
  if (options.replies < 1 || options.replies > kMostReplies)
    return fail(ErrorCode::bad_argument, fmt::format("replies is {}, expected 1 to {}", options.replies, kMostReplies));
  if (options.max_tokens < 0)
    return fail(ErrorCode::bad_argument, fmt::format("max_tokens is {}, expected at least 0", options.max_tokens));
  return {};
}

}  // namespace

BatchRun::BatchRun(Session& session, batch::KeptSequences& kept, const Drafters& drafters,
                   std::span<const GenerateRequest> requests)
    : session_(session),
      kept_(kept),
      requests_(requests),
      tokenizer_(session.model().tokenizer().get()),
      room_(session.free_tokens() + kept.pages() * kPageTokens),
      drafts_(session.model(), drafters),
      start_(Clock::now()),
      prompts_(requests.size()),
      cancelled_(requests.size()),
      inputs_(0) {
  for (std::size_t i = 0; i < requests.size(); ++i) add(i);
  inputs_ = batch::Inputs(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i)
    slots_[i].is_done ? inputs_.set_own(i, {}) : inputs_.set(i, prompts_[slots_[i].request]);
}

void BatchRun::add_failed(std::size_t request, std::size_t replies, const Error& why) {
  for (std::size_t k = 0; k < replies; ++k) {
    Slot s;
    s.request = request, s.reply = k;
    s.failed.prompt_tokens = static_cast<std::int64_t>(prompts_[request].size());
    s.failed.error = why;
    s.is_done = true;
    slots_.push_back(std::move(s));
  }
}

void BatchRun::add(std::size_t request) {
  const GenerateOptions& options = requests_[request].options;
  if (const auto ok = check(options); !ok) return add_failed(request, 1, ok.error());
  if (const auto ok = drafts_.check(options.draft); !ok) return add_failed(request, 1, ok.error());
  const auto replies = static_cast<std::size_t>(options.replies);
  auto tokens = tokens_of(requests_[request].prompt);
  if (!tokens) return add_failed(request, replies, tokens.error());
  prompts_[request] = std::move(*tokens);
  const auto prompt_tokens = static_cast<std::int64_t>(prompts_[request].size());
  const auto room = room_behind(prompt_tokens);
  if (!room) return add_failed(request, replies, room.error());
  const std::int64_t max_tokens = options.max_tokens > 0 ? std::min(options.max_tokens, *room) : *room;
  for (std::size_t k = 0; k < replies; ++k) {
    auto reply =
        Reply::create(tokenizer_, options, max_tokens, seed_of_reply(options.sampling.seed, k), TextStart::goes_on);
    if (!reply) return add_failed(request, replies, reply.error());
    Slot s;
    s.request = request, s.reply = k;
    s.max_tokens = max_tokens;
    s.writing.emplace(std::move(*reply));
    s.writing->see_prompt(prompts_[request]);
    s.writing->result().prompt_tokens = prompt_tokens;
    drafts_.add(static_cast<std::int32_t>(slots_.size()), options, prompts_[request]);
    slots_.push_back(std::move(s));
  }
}

Result<std::vector<TokenId>> BatchRun::tokens_of(const Prompt& prompt) const {
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    if (tokenizer_ == nullptr)
      return fail(ErrorCode::unsupported,
                  fmt::format("a prompt of text needs a tokenizer: {}", session_.model().tokenizer_error()));
    return tokenizer_->encode(*text, {.ends = TextEnds::as_model});
  }
  if (const auto* chat = std::get_if<Chat>(&prompt)) {
    auto rendered = encode_chat(session_.model(), *chat);
    if (!rendered) return forward(rendered);
    return std::move(rendered->ids);
  }
  const auto& ids = std::get<std::vector<TokenId>>(prompt);
  const std::int64_t rows = session_.model().config().vocab_size;
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= rows)
      return fail(ErrorCode::bad_argument,
                  fmt::format("token {} of the prompt is {}, expected an id from 0 to {}", i, ids[i], rows - 1));
  return ids;
}

// The longest reply to a prompt of this many tokens. Its last token is never run, so it needs no room.
Result<std::int64_t> BatchRun::room_behind(std::int64_t prompt_tokens) const {
  if (prompt_tokens == 0) return fail(ErrorCode::bad_argument, "the prompt has 0 tokens, expected at least 1");
  const std::int64_t context = session_.model().config().max_position, room = std::min(context, room_);
  if (prompt_tokens > room)
    return fail(ErrorCode::bad_argument,
                fmt::format("the prompt has {} tokens, expected at most {} ({})", prompt_tokens, room,
                            room == context ? "the model's context" : "room in the key/value cache"));
  return room - prompt_tokens + 1;
}

// A tree needs more room than its longest branch if replies wait after a shared prompt. If the cache is too small,
// replies are computed separately.
batch::TreePlan BatchRun::plan() const {
  auto shared = plan(true);
  return shared.least_pages * kPageTokens <= room_ ? std::move(shared) : plan(false);
}

batch::TreePlan BatchRun::plan(bool share) const {
  // Prompts that continue the same kept sequence from the same place are a group, whose roots begin there. They come
  // first, before others need the room of kept sequences.
  std::vector<batch::KeptSequences::Match> matches, begins;
  std::vector<std::int64_t> max_tokens;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    max_tokens.push_back(slots_[i].max_tokens);
    auto match = kept_.find(inputs_[i]);
    // The logits of the last token are needed: it is computed again.
    match.tokens = std::min(match.tokens, static_cast<std::int64_t>(inputs_[i].size()) - 1);
    matches.push_back(match.tokens > 0 ? match : batch::KeptSequences::Match{});
  }
  std::map<std::pair<std::int64_t, std::int64_t>, std::int32_t> groups;
  std::vector<std::int32_t> group(slots_.size(), 0);
  for (const bool is_kept : {true, false})
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if ((matches[i].id >= 0) != is_kept) continue;
      const auto next = static_cast<std::int32_t>(begins.size());
      const auto [found, is_new] = groups.try_emplace({matches[i].id, matches[i].tokens}, next);
      group[i] = share ? found->second : next;
      if (is_new || !share) begins.push_back(matches[i]);
    }
  auto plan =
      batch::plan_replies(batch::collect_prompts(inputs_, group), max_tokens,
                          {.share_prefixes = share, .long_rope = batch::long_rope_of(session_.model().config())});
  for (batch::PrefixNode& node : plan.nodes) {
    if (node.parent >= 0) continue;
    const auto& begin =
        begins[static_cast<std::size_t>(plan.passes.list[static_cast<std::size_t>(node.first_pass)].group)];
    node.kept = begin.id, node.kept_tokens = begin.tokens;
  }
  // The states of a step are in memory several times: a long prompt takes several steps.
  if (session_.options().record_states) plan.nodes = batch::divide_nodes(plan.nodes, session_.options().chunk_tokens);
  return plan;
}

Result<std::vector<std::vector<Generation>>> BatchRun::run() {
  const batch::TreePlan tree = plan();
  std::vector<std::int64_t> begins;
  for (const batch::PrefixNode& node : tree.nodes)
    if (node.parent < 0 && node.kept >= 0) begins.push_back(node.kept);
  kept_.expect(begins);
  const auto done = batch::ReplyLoop(session_, session_.options().chunk_tokens, tree, *this, &kept_).run();
  if (!done && done.error().code != ErrorCode::cancelled) return forward(done);
  std::vector<std::vector<Generation>> out(requests_.size());
  for (Slot& s : slots_) {
    if (!s.is_done) show(s, s.writing->end(EndReason::cancelled));
    Generation& r = result(s);
    r.draft = drafts_.report(static_cast<std::int32_t>(&s - slots_.data()));
    r.flops += r.draft.flops;
    out[s.request].push_back(std::move(result(s)));
  }
  return out;
}

bool BatchRun::asks_to_cancel(std::size_t request) {
  const auto& cancelled = requests_[request].options.cancelled;
  if (cancelled && !cancelled_[request]) cancelled_[request] = cancelled();
  return cancelled_[request];
}

bool BatchRun::goes_on(const Slot& s) { return !s.is_done && !asks_to_cancel(s.request); }

bool BatchRun::is_cancelled() {
  return std::none_of(slots_.begin(), slots_.end(), [&](const Slot& s) { return goes_on(s); });
}

// All are checked, also after one that is not cancelled: take() ends each reply separately.
Result<void> BatchRun::before_step() {
  if (std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return goes_on(s); }) > 0) return {};
  return fail(ErrorCode::cancelled, "interrupted");
}

Result<std::optional<TokenId>> BatchRun::take(std::int32_t index, std::span<const float> row, std::size_t known) {
  Slot& s = slot(index);
  if (cancelled_[s.request]) {
    show(s, s.writing->end(EndReason::cancelled));
    finish(s);
    return std::optional<TokenId>();
  }
  const auto text = s.writing->take(row, known);
  if (!text) {
    give_up(index, text.error());
    return std::optional<TokenId>();
  }
  const auto now = Clock::now();
  Generation& r = result(s);
  if (!s.first_token) {
    s.first_token = now;
    r.prompt_seconds = std::chrono::duration<double>(now - start_).count();
  }
  r.reply_seconds = std::chrono::duration<double>(now - *s.first_token).count();
  show(s, *text);
  if (!s.writing->ended()) return std::optional(s.writing->last());
  finish(s);
  return std::optional<TokenId>();
}

void BatchRun::give_up(std::int32_t index, const Error& why) {
  Slot& s = slot(index);
  result(s).error = why;
  show(s, s.writing->end(EndReason::cancelled));
  finish(s);
}

void BatchRun::draft(std::span<batch::ReplyDraft> drafts) {
  drafts_.propose(drafts, [&](std::int32_t index) -> const Reply& { return *slot(index).writing; });
}
void BatchRun::on_draft(std::int32_t index, std::span<const TokenId> draft) {
  drafts_.note(index, draft, result(slot(index)).tokens);
}
void BatchRun::on_states(std::int32_t index, std::int64_t position, std::span<const float> states) {
  drafts_.see(index, position, states);
}

void BatchRun::finish(Slot& s) {
  s.is_done = true;
  drafts_.end(static_cast<std::int32_t>(&s - slots_.data()));
}

void BatchRun::show(Slot& s, std::string_view text) {
  const auto& on_piece = requests_[s.request].options.on_piece;
  const std::span<const TokenId> tokens = std::span(result(s).tokens).subspan(s.tokens_shown);
  s.tokens_shown = result(s).tokens.size();
  if (on_piece && (!text.empty() || !tokens.empty())) on_piece({s.request, s.reply, text, tokens});
}

void BatchRun::on_work(std::int32_t index, std::int64_t flops) { result(slot(index)).flops += flops; }
void BatchRun::on_wasted_work(std::int32_t index, std::int64_t flops) { result(slot(index)).flops += flops; }
void BatchRun::on_reuse(std::int32_t index, std::int64_t tokens) { result(slot(index)).reused_tokens = tokens; }

void BatchRun::keep(std::int32_t index, Sequence sequence) {
  std::vector<TokenId> tokens = prompts_[slot(index).request];
  const auto& reply = result(slot(index)).tokens;
  tokens.insert(tokens.end(), reply.begin(), reply.end());
  tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(session_.length(sequence).value_or(0))));
  kept_.keep(sequence, std::move(tokens));
}

}  // namespace moe::inline MOE_ABI::generate
