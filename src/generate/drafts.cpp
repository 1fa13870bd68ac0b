#include "generate/drafts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace moe::inline MOE_ABI::generate {
namespace {

// The part of the bytes read for a token that is routed experts: other tokens of a step mostly use other experts.
double routed_share(const Model& model) {
  const ModelInfo& info = model.info();
  std::int64_t bytes = 0;
  model.config().for_each_moe_layer([&](std::int64_t, std::int64_t index) {
    if (static_cast<std::size_t>(index) < info.layer_routed_bytes.size())
      bytes += info.layer_routed_bytes[static_cast<std::size_t>(index)] * model.config().moe_layer_top_k(index);
  });
  return info.touched_bytes > 0 ? std::min(1.0, static_cast<double>(bytes) / static_cast<double>(info.touched_bytes))
                                : 0.0;
}

}  // namespace

Drafts::Drafts(const Model& target, const Drafters& drafters)
    : target_(target),
      drafters_(drafters),
      token_cost_(cost_of_token(routed_share(target))),
      draft_cost_(cost_of(drafters.model)),
      mtp_cost_(cost_of(drafters.mtp)) {}

// Of a token, as a share of a step.
double Drafts::cost_of(ModelDrafter* drafter) const {
  if (drafter == nullptr || target_.info().touched_bytes == 0) return 0.0;
  return static_cast<double>(drafter->session().model().info().touched_bytes) /
         static_cast<double>(target_.info().touched_bytes);
}

Drafts::~Drafts() {
  for (std::size_t i = 0; i < replies_.size(); ++i) end(static_cast<std::int32_t>(i));
}

Result<void> Drafts::check(const DraftOptions& options) const {
  if (options.tokens < 0 || options.tokens > kMostDraftTokens)
    return fail(ErrorCode::bad_argument,
                fmt::format("draft.tokens is {}, expected 0 to {}", options.tokens, kMostDraftTokens));
  if (options.kind == DraftKind::host && !options.propose)
    return fail(ErrorCode::bad_argument, "draft.kind is host, and draft.propose is empty");
  if (options.kind == DraftKind::model && drafters_.model == nullptr)
    return fail(ErrorCode::bad_argument,
                "draft.kind is model, and the generator has no draft model (Generator::use_draft_model)");
  if (options.kind == DraftKind::mtp && drafters_.mtp == nullptr)
    return fail(ErrorCode::bad_argument,
                "draft.kind is mtp, and the generator does not use the model's MTP layer (Generator::use_mtp)");
  return {};
}

void Drafts::add(std::int32_t index, const GenerateOptions& options, std::span<const TokenId> prompt) {
  if (options.draft.kind == DraftKind::none || options.draft.tokens == 0) return;
  const auto i = static_cast<std::size_t>(index);
  if (replies_.size() <= i) replies_.resize(i + 1);
  auto f = std::make_unique<Followed>(options);
  f->written.assign(prompt.begin(), prompt.end());
  f->prompt = prompt.size();
  replies_[i] = std::move(f);
}

Drafts::Followed* Drafts::followed(std::int32_t index) {
  const auto i = static_cast<std::size_t>(index);
  return i < replies_.size() ? replies_[i].get() : nullptr;
}

DraftReport Drafts::report(std::int32_t index) const {
  const auto i = static_cast<std::size_t>(index);
  return i < replies_.size() && replies_[i] != nullptr ? replies_[i]->report : DraftReport{};
}

void Drafts::prepare(Followed& f, batch::ReplyDraft& draft, const Reply& reply, std::size_t replies) {
  const auto& tokens = reply.result().tokens;
  const std::size_t known = f.written.size() - f.prompt;
  f.written.insert(f.written.end(), tokens.begin() + static_cast<std::ptrdiff_t>(known), tokens.end());
  if (draft.most <= 0) return follow(f, draft.request);
  const double cost = cost_among(token_cost_, replies);
  f.trust = 0;
  switch (f.options->draft.kind) {
    case DraftKind::none: return;
    case DraftKind::ngram: return look_up(f, draft, cost);
    case DraftKind::host: {
      if (const std::int64_t most = f.length.choose(f.trust, cost, draft.most); most > 0) {
        f.options->draft.propose(f.written, most, draft.tokens);
        if (static_cast<std::int64_t>(draft.tokens.size()) > most) draft.tokens.resize(static_cast<std::size_t>(most));
      }
      return;
    }
    case DraftKind::model: {
      if (const std::int64_t most = f.length.choose(f.trust, cost + draft_cost_, draft.most); most > 0)
        items_.push_back({draft.request, f.written, most, &reply.sampler(),
                          f.options->candidates == Candidates::all_rows, &draft.tokens});
      return;
    }
    case DraftKind::mtp: {
      if (const std::int64_t most = f.length.choose(f.trust, cost + mtp_cost_, draft.most); most > 0) {
        ModelDrafter::Item& item = mtp_items_.emplace_back(mtp_item(f, draft.request, f.written.size()));
        item.most = most, item.sampler = &reply.sampler(), item.draft = &draft.tokens;
        item.all_rows = f.options->candidates == Candidates::all_rows;
      }
      return;
    }
  }
}

// The states of a long reply without room for drafts must not pile up: the MTP layer runs its tokens, too. The last one
// has no state yet.
void Drafts::follow(Followed& f, std::int32_t index) {
  if (f.options->draft.kind != DraftKind::mtp || drafters_.mtp == nullptr) return;
  const std::int64_t D = target_.config().hidden_size, chunk = drafters_.mtp->session().options().chunk_tokens;
  const std::int64_t last = static_cast<std::int64_t>(f.written.size()) - 2, count = last + 1 - f.first_state;
  if (count <= chunk || static_cast<std::int64_t>(f.states.size()) < count * D) return;
  f.states.resize(static_cast<std::size_t>(count * D));
  run_states(f, index);
}

// Runs the tokens that have states, but the last one: it goes with a token that comes next. The memory of the others is
// given back.
void Drafts::run_states(Followed& f, std::int32_t index) {
  const std::int64_t D = target_.config().hidden_size;
  const std::int64_t end = f.first_state + static_cast<std::int64_t>(f.states.size()) / D;
  ModelDrafter::Item item = mtp_item(f, index, static_cast<std::size_t>(end));
  drafters_.mtp->follow(item);
  f.report.flops += item.flops;
  f.states = std::vector<float>(f.states.end() - D, f.states.end());
  f.first_state = end - 1;
}

// The first `tokens` of what is written.
ModelDrafter::Item Drafts::mtp_item(const Followed& f, std::int32_t index, std::size_t tokens) const {
  ModelDrafter::Item item;
  item.reply = index;
  item.written = std::span(f.written).subspan(1, tokens - 1);
  item.before = f.written.front();
  item.first_state = f.first_state, item.states = f.states;
  return item;
}

void Drafts::see(std::int32_t index, std::int64_t position, std::span<const float> states) {
  Followed* f = followed(index);
  if (f == nullptr || f->options->draft.kind != DraftKind::mtp || drafters_.mtp == nullptr) return;
  if (states.empty()) return;
  const std::int64_t D = target_.config().hidden_size, had = static_cast<std::int64_t>(f->states.size()) / D;
  // Behind a wrong draft, the states from its first wrong token on are others now.
  if (const std::int64_t right = position - f->first_state; right >= 0 && right <= had)
    f->states.resize(static_cast<std::size_t>(right * D));
  else
    f->states.clear(), f->first_state = position;
  f->states.insert(f->states.end(), states.begin(), states.end());
  const std::int64_t end = position + static_cast<std::int64_t>(states.size()) / D;
  // Only within the prompt: of the reply, `written` may lack tokens that these states belong to.
  if (end <= static_cast<std::int64_t>(f->prompt)) run_states(*f, index);
}

void Drafts::look_up(Followed& f, batch::ReplyDraft& draft, double cost) {
  f.index.extend(f.written);
  const NgramIndex::Match match = f.index.find(f.written);
  if (match.length == 0) return;
  f.trust = match.length < 4 ? 0 : match.length < 8 ? 1 : 2;
  copy_from(f.written, match.next, f.length.choose(f.trust, cost, draft.most), draft.tokens);
}

void Drafts::draw(ModelDrafter* drafter, std::vector<ModelDrafter::Item>& items) {
  if (items.empty()) return;
  drafter->propose(items);
  for (const ModelDrafter::Item& item : items) {
    followed(item.reply)->report.flops += item.flops;
    followed(item.reply)->states.clear();  // run, or there was no room
  }
  items.clear();
}

void Drafts::draw(std::span<batch::ReplyDraft> drafts) {
  draw(drafters_.model, items_);
  draw(drafters_.mtp, mtp_items_);
  for (batch::ReplyDraft& draft : drafts) {
    const auto bad = std::find_if(draft.tokens.begin(), draft.tokens.end(),
                                  [&](TokenId id) { return id < 0 || id >= target_.config().vocab_size; });
    draft.tokens.erase(bad, draft.tokens.end());
  }
}

void Drafts::note(std::int32_t index, std::span<const TokenId> draft, std::span<const TokenId> reply) {
  Followed* f = followed(index);
  if (f == nullptr) return;
  const auto behind = reply.subspan(f->written.size() - f->prompt);  // what was written when the draft was made
  const auto right = std::mismatch(draft.begin(), draft.end(), behind.begin(), behind.end()).first;
  const auto drafted = static_cast<std::int64_t>(draft.size()), accepted = right - draft.begin();
  f->report.drafted += drafted, f->report.accepted += accepted;
  f->length.note(f->trust, drafted, accepted);
}

void Drafts::end(std::int32_t index) {
  if (followed(index) == nullptr) return;
  for (ModelDrafter* drafter : {drafters_.model, drafters_.mtp})
    if (drafter != nullptr) drafter->end(index);
}

}  // namespace moe::inline MOE_ABI::generate
