#include "generate/model_drafter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "batch/work.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::generate {
namespace {

constexpr std::size_t kMostEntries = 256;

tl::unexpected<Error> refuse(const std::string& what, const std::string& found, const std::string& expected) {
  return fail(
      ErrorCode::bad_argument,
      fmt::format("the draft model's vocabulary differs: {} is {}, expected {} as in the model that it drafts for",
                  what, found, expected));
}

Result<void> check_same_vocabulary(const Model& target, const Model& draft) {
  const Tokenizer *t = target.tokenizer().get(), *d = draft.tokenizer().get();
  const auto what_is = [](const Tokenizer* one) { return one == nullptr ? "none" : "there"; };
  if ((t == nullptr) != (d == nullptr)) return refuse("its tokenizer", what_is(d), what_is(t));
  const std::int64_t wanted = t != nullptr ? t->vocab_size() : target.config().vocab_size;
  const std::int64_t found = d != nullptr ? d->vocab_size() : draft.config().vocab_size;
  if (wanted != found) return refuse("the number of tokens", std::to_string(found), std::to_string(wanted));
  for (TokenId id = 0; t != nullptr && id < wanted; ++id)
    if (t->bytes_of(id) != d->bytes_of(id) || t->is_control(id) != d->is_control(id)) {
      const auto named = [id](const Tokenizer* one) {
        return in_quotes(one->bytes_of(id)) + (one->is_control(id) ? " (a control token)" : "");
      };
      return refuse("token " + std::to_string(id), named(d), named(t));
    }
  return {};
}

std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
}

}  // namespace

Result<std::unique_ptr<ModelDrafter>> ModelDrafter::create(const Model& target, std::shared_ptr<const Model> model,
                                                           const SessionOptions& options) {
  if (model == nullptr) return fail(ErrorCode::bad_argument, "the draft model is null");
  if (auto same = check_same_vocabulary(target, *model); !same) return forward(same);
  auto session = Session::create(std::move(model), options);
  if (!session) return forward(session);
  return std::unique_ptr<ModelDrafter>(new ModelDrafter(std::move(*session)));
}

Result<std::unique_ptr<ModelDrafter>> ModelDrafter::create_mtp(const Model& target, SessionOptions options) {
  if (target.mtp() == nullptr)
    return fail(ErrorCode::bad_argument,
                "the model was loaded without its MTP layer, expected it with LoadOptions::mtp");
  options.record_states = true;
  auto session = Session::create(target.mtp(), options);
  if (!session) return forward(session);
  return std::unique_ptr<ModelDrafter>(new ModelDrafter(std::move(*session)));
}

ModelDrafter::Entry* ModelDrafter::entry_of(std::int32_t reply) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.reply == reply; });
  return found == entries_.end() ? nullptr : &*found;
}

void ModelDrafter::end(std::int32_t reply) {
  if (Entry* entry = entry_of(reply)) entry->reply = -1;
}

void ModelDrafter::forget() {
  for (const Entry& e : std::exchange(entries_, {})) static_cast<void>(session_->close(e.sequence));
}

// The oldest one that no reply uses.
bool ModelDrafter::drop_one() {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.reply < 0; });
  if (found == entries_.end()) return false;
  static_cast<void>(session_->close(found->sequence));
  entries_.erase(found);
  return true;
}

// The sequence that has most of the tokens written.
const ModelDrafter::Entry* ModelDrafter::longest(const Item& item) const {
  const Entry* best = nullptr;
  std::size_t most = 0;
  for (const Entry& e : entries_)
    if (const std::size_t common = common_part(e, item); common > most) best = &e, most = common;
  return best;
}

// A sequence for a new reply: behind the longest beginning that another one holds.
bool ModelDrafter::begin(Item& item) {
  while (entries_.size() >= kMostEntries)
    if (!drop_one()) return false;
  const Entry* best = longest(item);
  const auto sequence = best != nullptr ? session_->fork(best->sequence) : session_->open();
  if (!sequence) return false;
  Entry entry{*sequence, item.reply, {}, 0, item.before};
  if (best != nullptr) entry.tokens = best->tokens, entry.valid_tokens = best->valid_tokens;
  entries_.push_back(std::move(entry));
  return true;
}

// A sequence for the reply to a prompt, also where it has one already and another reply is ahead in the same prompt.
bool ModelDrafter::join(Item& item) {
  if (const Entry* own = entry_of(item.reply); own != nullptr) {
    const Entry* best = longest(item);
    if (best == nullptr || common_part(*best, item) == common_part(*own, item)) return true;
    static_cast<void>(session_->close(own->sequence));
    entries_.erase(entries_.begin() + (own - entries_.data()));
  }
  return begin(item);
}

// What the sequence has of the tokens written, and need not be run again.
std::size_t ModelDrafter::common_part(const Entry& entry, const Item& item) const {
  const std::size_t common = common_prefix(entry.tokens, item.written);
  if (!reads_states()) return common;
  return entry.before == item.before ? std::min(common, entry.valid_tokens) : 0;
}

// Tokens that are not written any more are taken back, and all behind the first `most`.
bool ModelDrafter::go_back(const Item& item, std::size_t most) {
  Entry& entry = *entry_of(item.reply);
  const std::size_t common = std::min(common_part(entry, item), most);
  if (!session_->rewind(entry.sequence, static_cast<std::int64_t>(common))) return false;
  entry.tokens.resize(common);
  entry.valid_tokens = std::min(entry.valid_tokens, common);
  return true;
}

// Of so many tokens written, from the first-th on.
std::vector<float> ModelDrafter::states_for(const Item& item, std::size_t first, std::size_t count) const {
  if (!reads_states()) return {};
  const std::int64_t D = session_->model().config().hidden_size;
  const auto known = static_cast<std::int64_t>(item.states.size()) / D;
  std::vector<float> out(count * static_cast<std::size_t>(D));
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t row = static_cast<std::int64_t>(first + i) - item.first_state;
    if (row >= 0 && row < known)
      std::copy_n(item.states.begin() + row * D, D, out.begin() + static_cast<std::int64_t>(i) * D);
  }
  return out;
}

// Runs what its sequence lacks of the first `count` tokens written; with states, a chunk at a time.
bool ModelDrafter::catch_up(Item& item, std::size_t count) {
  const auto most = reads_states() ? static_cast<std::size_t>(session_->options().chunk_tokens) : count;
  for (std::size_t done = entry_of(item.reply)->tokens.size(); done < count;) {
    const std::size_t end = std::min(count, done + most);
    const std::vector<float> states = states_for(item, done, end - done);
    const BatchItem missing{entry_of(item.reply)->sequence, item.written.subspan(done, end - done), Logits::none, 0,
                            states};
    StepOutput output;
    Item* const of[] = {&item};
    if (!run({&missing, 1}, of, output)) return false;
    entry_of(item.reply)->valid_tokens = done = end;
  }
  return true;
}

void ModelDrafter::follow(Item& item) {
  if (item.written.empty() || !join(item)) return;
  if (go_back(item, item.written.size())) static_cast<void>(catch_up(item, item.written.size()));
}

// A step, its work counted; tokens are noted in the entries.
bool ModelDrafter::run(std::span<const BatchItem> batch, std::span<Item* const> items, StepOutput& output) {
  std::vector<std::int64_t> lengths;
  for (const BatchItem& b : batch) lengths.push_back(session_->length(b.sequence).value_or(0));
  const std::int64_t before = session_->executed().total();
  auto done = session_->step(batch);
  while (!done && done.error().code == ErrorCode::out_of_memory && drop_one()) done = session_->step(batch);
  if (!done) {
    items.front()->flops += session_->executed().total() - before;
    return false;
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto count = static_cast<std::int64_t>(batch[i].tokens.size());
    items[i]->flops += batch::flops_of(session_->model().config(), lengths[i], count,
                                       batch[i].logits == Logits::last ? 1 : 0, i, *done);
    auto& tokens = entry_of(items[i]->reply)->tokens;
    tokens.insert(tokens.end(), batch[i].tokens.begin(), batch[i].tokens.end());
  }
  output = std::move(*done);
  return true;
}

// Sequences that hold what is written but its last token.
std::vector<ModelDrafter::Drawing> ModelDrafter::start(std::span<Item> items) {
  const std::int64_t context = session_->model().config().max_position;
  std::vector<Drawing> drawings;
  for (Item& item : items) {
    const auto written = static_cast<std::int64_t>(item.written.size());
    item.most = std::min(item.most, context - written + 1);
    if (item.most <= 0) continue;
    const bool is_new = entry_of(item.reply) == nullptr;
    if (is_new && !begin(item)) continue;
    if (!go_back(item, item.written.size() - 1)) continue;  // the last token is run for its logits
    // On its own, so that others with this prompt find it; and what is more than a chunk, to keep steps small.
    const auto behind = static_cast<std::int64_t>(item.written.size() - entry_of(item.reply)->tokens.size());
    const bool is_far = reads_states() && behind > session_->options().chunk_tokens;
    if ((is_new || is_far) && !catch_up(item, item.written.size() - 1)) continue;
    const std::size_t done = entry_of(item.reply)->tokens.size();
    const auto rest = item.written.subspan(done);
    drawings.push_back(
        {&item, item.sampler->look_ahead(), {rest.begin(), rest.end()}, states_for(item, done, rest.size())});
  }
  return drawings;
}

void ModelDrafter::propose(std::span<Item> items) {
  std::vector<Drawing> drawings = start(items);
  while (!drawings.empty() && draw(drawings)) std::erase_if(drawings, [](const Drawing& d) { return d.next.empty(); });
}

// A token of every draft.
bool ModelDrafter::draw(std::vector<Drawing>& drawings) {
  std::vector<BatchItem> batch;
  std::vector<Item*> items;
  for (const Drawing& d : drawings) {
    batch.push_back({entry_of(d.item->reply)->sequence, d.next, Logits::last, 0, d.states});
    items.push_back(d.item);
  }
  StepOutput output;
  if (!run(batch, items, output)) return false;
  std::int64_t ran = 0;
  for (std::size_t i = 0; i < drawings.size(); ++i) {
    Drawing& d = drawings[i];
    if (d.item->draft->empty()) entry_of(d.item->reply)->valid_tokens = entry_of(d.item->reply)->tokens.size();
    ran += static_cast<std::int64_t>(d.next.size());
    if (reads_states()) {  // of the last token that it ran
      const std::int64_t D = session_->model().config().hidden_size;
      d.states.assign(session_->states().begin() + (ran - 1) * D, session_->states().begin() + ran * D);
    }
    const auto row = static_cast<std::int64_t>(i);
    const auto token = d.sampler.next(d.item->all_rows ? output.padded_row(row) : output.row(row));
    d.next.clear();
    if (!token) continue;
    d.item->draft->push_back(*token);
    if (static_cast<std::int64_t>(d.item->draft->size()) < d.item->most) d.next.push_back(*token);
  }
  return true;
}

}  // namespace moe::inline MOE_ABI::generate
