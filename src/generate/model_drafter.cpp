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

// A sequence for a new reply: behind the longest beginning that another one holds.
bool ModelDrafter::begin(Item& item) {
  while (entries_.size() >= kMostEntries)
    if (!drop_one()) return false;
  const Entry* best = nullptr;
  std::size_t most = 0;
  for (const Entry& e : entries_)
    if (const std::size_t common = common_prefix(e.tokens, item.written); common > most) best = &e, most = common;
  const auto sequence = best != nullptr ? session_->fork(best->sequence) : session_->open();
  if (!sequence) return false;
  Entry entry{*sequence, item.reply, {}};
  if (best != nullptr) entry.tokens = best->tokens;
  entries_.push_back(std::move(entry));
  return true;
}

// Runs what its sequence lacks of the first `count` tokens written.
bool ModelDrafter::catch_up(Item& item, std::size_t count) {
  const Entry& entry = *entry_of(item.reply);
  if (entry.tokens.size() >= count) return true;
  const BatchItem missing{entry.sequence, item.written.subspan(entry.tokens.size(), count - entry.tokens.size()),
                          Logits::none};
  StepOutput output;
  Item* const of[] = {&item};
  return run({&missing, 1}, of, output);
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
    Entry& entry = *entry_of(item.reply);
    // The last token is run for its logits; tokens of a draft that was not right are taken back.
    const std::size_t common = std::min(common_prefix(entry.tokens, item.written), item.written.size() - 1);
    if (!session_->rewind(entry.sequence, static_cast<std::int64_t>(common))) continue;
    entry.tokens.resize(common);
    // On its own, so that others with this prompt find it.
    if (is_new && !catch_up(item, item.written.size() - 1)) continue;
    const auto rest = item.written.subspan(entry_of(item.reply)->tokens.size());
    drawings.push_back({&item, item.sampler->look_ahead(), {rest.begin(), rest.end()}});
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
    batch.push_back({entry_of(d.item->reply)->sequence, d.next, Logits::last});
    items.push_back(d.item);
  }
  StepOutput output;
  if (!run(batch, items, output)) return false;
  for (std::size_t i = 0; i < drawings.size(); ++i) {
    Drawing& d = drawings[i];
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
