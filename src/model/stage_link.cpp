#include "model/stage_link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "support/crc32c.hpp"
#include "support/now.hpp"

namespace moe::inline MOE_ABI {

constexpr std::uint32_t kStageMagic = 0x3167746d;  // "mtg1": also tells the byte order

/// What every message begins with.
struct StageHeader {
  std::uint32_t magic = kStageMagic, kind = 0;
  std::uint32_t crc = 0, code = 0;  // of the body; of an error
  std::int64_t step = 0;
};

namespace {

enum Kind : std::uint32_t { kCard, kVerdict, kCommand, kChunk, kDone, kFailed };

/// Bytes of a message, one value after the other.
class Writer {
 public:
  template <class T>
  void put(const T& value) {
    put_all(std::span(&value, 1));
  }
  template <class T>
  void put_all(std::span<const T> values) {
    const auto raw = std::as_bytes(values);
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  void put_text(const std::string& text) {
    put(static_cast<std::int64_t>(text.size()));
    put_all(std::span(text.data(), text.size()));
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// What does not fit is zero, and noticed by is_right(). Counts are checked against the bytes that are there.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}
  template <class T>
  T get() {
    T value{};
    get_all(std::span(&value, 1));
    return value;
  }
  template <class T>
  void get_all(std::span<T> values) {
    if (values.size_bytes() > left_.size()) {
      is_short_ = true;
      return;
    }
    if (!values.empty()) std::memcpy(values.data(), left_.data(), values.size_bytes());
    left_ = left_.subspan(values.size_bytes());
  }
  /// The number of things of `least_bytes` or more each that follow.
  std::size_t count(std::size_t least_bytes) {
    const auto n = get<std::int64_t>();
    if (n >= 0 && static_cast<std::uint64_t>(n) <= left_.size() / least_bytes) return static_cast<std::size_t>(n);
    is_short_ = true;
    return 0;
  }
  std::string text() {
    std::string out(count(1), '\0');
    get_all(std::span(out.data(), out.size()));
    return out;
  }
  bool is_right() const { return !is_short_ && left_.empty(); }

 private:
  std::span<const std::byte> left_;
  bool is_short_ = false;
};

std::span<const std::byte> as_body(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::vector<std::byte> bytes_of(const StageCard& card) {
  Writer out;
  out.put(card.layers.begin);
  out.put(card.layers.end);
  out.put(static_cast<std::int64_t>(card.equal.size()));
  for (const auto& [name, value] : card.equal) out.put_text(name), out.put_text(value);
  return {out.bytes().begin(), out.bytes().end()};
}

StageCard card_of(std::span<const std::byte> body, bool& is_right) {
  Reader in(body);
  StageCard card;
  card.layers.begin = in.get<std::int64_t>();
  card.layers.end = in.get<std::int64_t>();
  for (std::size_t n = in.count(16); n > 0; --n) {
    std::string name = in.text();
    card.equal.emplace_back(std::move(name), in.text());
  }
  is_right = in.is_right();
  return card;
}

/// Empty where the stages fit each other.
std::string difference(const std::vector<StageCard>& cards, std::int64_t layer_count) {
  std::int64_t next = 0;
  for (std::size_t r = 0; r < cards.size(); ++r) {
    const auto& [first, other] = std::tie(cards[0].equal, cards[r].equal);
    for (std::size_t i = 0; i < std::min(first.size(), other.size()); ++i) {
      const auto& [name, value] = other[i];
      if (name == kModelContent && value.empty())
        return fmt::format("stage {} does not know its {}, expected a model loaded with LoadOptions::content_hash", r,
                           name);
      if (first[i] != other[i])
        return fmt::format("stage {} has {} '{}', stage 0 has {} '{}'", r, name, value, first[i].first,
                           first[i].second);
    }
    if (first.size() != other.size())
      return fmt::format("stage {} compares {} things, stage 0 {}", r, other.size(), first.size());
    const LayerRange layers = cards[r].layers;
    if (layers.begin != next || layers.end <= layers.begin)
      return fmt::format("stage {} has layers {} to {}, expected its first one to be {}", r, layers.begin,
                         layers.end - 1, next);
    next = layers.end;
  }
  if (next != layer_count)
    return fmt::format("the last stage ends with layer {}, expected {} (the model's last)", next - 1, layer_count - 1);
  return {};
}

}  // namespace

struct StageLink::Message {
  StageHeader header;
  std::vector<std::byte> bytes;  // with the header
  std::span<const std::byte> body() const { return std::span(bytes).subspan(sizeof(StageHeader)); }
  Error error() const {
    const auto text = body();
    const auto code = static_cast<ErrorCode>(header.code);
    return {name_of(code).empty() ? ErrorCode::internal : code,
            std::string(reinterpret_cast<const char*>(text.data()), text.size())};
  }
};

// Fewer tokens take longer for each of them: their time says little of a prompt's.
constexpr std::int64_t kManyTokens = 16;

void StageLink::note_begin(const StageCommand& command) {
  step_tokens_ = 0;
  for (const StageCommand::Item& item : command.items) step_tokens_ += static_cast<std::int64_t>(item.tokens.size());
  step_began_ns_ = now_ns();
  before_has_ended_ = false;
}

void StageLink::note_end() {
  const std::int64_t ns = std::max<std::int64_t>(1, now_ns() - step_began_ns_);
  longest_step_ns_ = std::max(longest_step_ns_, ns);
  if (step_tokens_ >= kManyTokens)
    slowest_token_ns_ = std::max(slowest_token_ns_, static_cast<double>(ns) / static_cast<double>(step_tokens_));
}

double StageLink::patience() const {
  const bool is_known = longest_step_ns_ > 0 && (step_tokens_ < kManyTokens || slowest_token_ns_ > 0.0);
  if (!is_known) return std::max(options_.first_wait_seconds, options_.wait_seconds);
  const double step_ns =
      std::max(static_cast<double>(longest_step_ns_), slowest_token_ns_ * static_cast<double>(step_tokens_));
  return options_.wait_seconds + 3e-9 * step_ns;
}

Result<void> StageLink::put(std::int32_t to, std::uint32_t kind, std::span<const std::byte> body, ErrorCode code) {
  StageHeader header;
  header.kind = kind, header.step = steps_, header.crc = crc32c(body), header.code = static_cast<std::uint32_t>(code);
  std::vector<std::byte> message(sizeof header + body.size());
  std::memcpy(message.data(), &header, sizeof header);
  if (!body.empty()) std::memcpy(message.data() + sizeof header, body.data(), body.size());
  auto ok = transport_->send(to, message);
  if (!ok) is_broken_ = true;
  return ok;
}

Result<StageLink::Message> StageLink::take(std::int32_t from, double seconds) {
  if (is_broken_) return fail(ErrorCode::io, "the pipeline has failed before");
  is_broken_ = true;  // until this message is one that is understood
  auto bytes = transport_->receive(from, seconds);
  if (!bytes)
    return fail(bytes.error().code,
                fmt::format("stage {} of {}, step {}: {}", from, size(), steps_, bytes.error().message));
  Message message{{}, std::move(*bytes)};
  const auto damaged = [&](const char* what) {
    return fail(ErrorCode::bad_file, fmt::format("a message of stage {} has {}", from, what));
  };
  if (message.bytes.size() < sizeof(StageHeader)) return damaged("too few bytes");
  std::memcpy(&message.header, message.bytes.data(), sizeof(StageHeader));
  if (message.header.magic != kStageMagic) return damaged("another format or byte order");
  if (message.header.crc != crc32c(message.body())) return damaged("another checksum");
  if (message.header.step != steps_ && message.header.kind != kCommand) return damaged("another step");
  is_broken_ = false;
  return message;
}

Result<void> StageLink::agree(const StageCard& card, std::int64_t layer_count) {
  const double seconds = options_.agree_wait_seconds;
  operations_.clear();
  last_was_done_ = true;
  longest_step_ns_ = 0, slowest_token_ns_ = 0.0;  // another session may have a slower model
  if (!is_first()) {
    if (auto ok = put(0, kCard, bytes_of(card)); !ok) return ok;
    const auto verdict = take(0, seconds);
    if (!verdict) return forward(verdict);
    if (verdict->header.kind == kVerdict) return {};
    return tl::unexpected<Error>(verdict->error());
  }
  std::vector<StageCard> cards = {card};
  std::string wrong;
  for (std::int32_t r = 1; r < size(); ++r) {
    const auto got = take(r, seconds);
    if (!got) return forward(got);
    bool is_right = false;
    cards.push_back(card_of(got->body(), is_right));
    if (!is_right && wrong.empty()) wrong = fmt::format("stage {} is of another version: its card is not readable", r);
  }
  if (wrong.empty()) wrong = difference(cards, layer_count);
  const Result<void> verdict = wrong.empty() ? Result<void>{} : fail(ErrorCode::bad_config, wrong);
  for (std::int32_t r = 1; r < size(); ++r)
    if (auto ok = put(r, verdict ? kVerdict : kFailed, as_body(wrong), ErrorCode::bad_config); !ok) return ok;
  return verdict;
}

namespace {

std::vector<std::byte> bytes_of(const StageCommand& c) {
  Writer out;
  out.put(static_cast<std::int64_t>(c.ends));
  out.put(static_cast<std::int64_t>(c.last_was_done));
  out.put(static_cast<std::int64_t>(c.operations.size()));
  for (const StageOperation& o : c.operations) out.put(o);
  out.put(static_cast<std::int64_t>(c.items.size()));
  for (const StageCommand::Item& item : c.items) {
    for (const std::int64_t v : {std::int64_t{item.sequence}, static_cast<std::int64_t>(item.logits),
                                 std::int64_t{item.tally}, static_cast<std::int64_t>(item.tokens.size())})
      out.put(v);
    out.put_all(std::span<const TokenId>(item.tokens));
  }
  return {out.bytes().begin(), out.bytes().end()};
}

StageCommand command_of(std::span<const std::byte> body, bool& is_right) {
  Reader in(body);
  StageCommand c;
  c.ends = in.get<std::int64_t>() != 0;
  c.last_was_done = in.get<std::int64_t>() != 0;
  c.operations.resize(in.count(sizeof(StageOperation)));
  for (StageOperation& o : c.operations) o = in.get<StageOperation>();
  for (std::size_t n = in.count(32); n > 0; --n) {
    StageCommand::Item& item = c.items.emplace_back();
    item.sequence = static_cast<Sequence>(in.get<std::int64_t>());
    item.logits = static_cast<Logits>(in.get<std::int64_t>());
    item.tally = static_cast<std::int32_t>(in.get<std::int64_t>());
    item.tokens.resize(in.count(sizeof(TokenId)));
    in.get_all(std::span<TokenId>(item.tokens));
  }
  is_right = in.is_right();
  return c;
}

}  // namespace

Result<void> StageLink::begin_step(Batch batch) {
  if (is_broken_) return fail(ErrorCode::io, "the pipeline has failed before");
  StageCommand command;
  command.last_was_done = last_was_done_;
  command.operations.swap(operations_);
  for (const BatchItem& item : batch)
    command.items.push_back({item.sequence, item.logits, item.tally, {item.tokens.begin(), item.tokens.end()}});
  steps_ += 1;
  note_begin(command);
  return put(after(), kCommand, bytes_of(command));
}

// Also after an error: the others may be waiting for a command.
void StageLink::end_session() {
  StageCommand command;
  command.ends = true;
  command.last_was_done = last_was_done_;
  static_cast<void>(put(after(), kCommand, bytes_of(command)));
}

// Stage 0 may have nothing to do for hours: no deadline.
Result<StageCommand> StageLink::next_command() {
  const auto got = take(before(), 0.0);
  if (!got) return forward(got);
  bool is_right = false;
  StageCommand command = command_of(got->body(), is_right);
  if (got->header.kind != kCommand || !is_right)
    return fail(ErrorCode::bad_file, fmt::format("stage {} sent no command, expected one", before()));
  steps_ = got->header.step;
  note_begin(command);
  if (!is_last())
    if (auto ok = put(after(), kCommand, got->body()); !ok) return forward(ok);
  return command;
}

Result<StageLink::Message> StageLink::take_of_step() {
  auto got = take(before(), patience());
  if (got && (got->header.kind == kDone || got->header.kind == kFailed)) before_has_ended_ = true;
  return got;
}

Result<void> StageLink::receive(std::span<float> values, StageRecord& record) {
  const auto got = take_of_step();
  if (!got) return forward(got);
  if (got->header.kind == kFailed) return tl::unexpected<Error>(got->error());
  Reader in(got->body());
  record.work = in.get<Work>();
  record.routes.resize(in.count(sizeof(std::uint16_t)));
  in.get_all(std::span(record.routes));
  in.get_all(values);
  if (got->header.kind == kChunk && in.is_right()) return {};
  is_broken_ = true;
  return fail(ErrorCode::bad_file,
              fmt::format("stage {} sent {} bytes, expected {} numbers", before(), got->bytes.size(), values.size()));
}

Result<void> StageLink::send(std::span<const float> values, const StageRecord& record) {
  Writer out;
  out.put(record.work);
  out.put(static_cast<std::int64_t>(record.routes.size()));
  out.put_all(std::span<const std::uint16_t>(record.routes));
  out.put_all(values);
  return put(after(), kChunk, out.bytes());
}

Result<void> StageLink::tell_end(const Result<void>& done) {
  if (done) return put(after(), kDone, {});
  if (is_broken_) return {};  // the next stage will time out, or find this one gone
  return put(after(), kFailed, as_body(done.error().message), done.error().code);
}

Result<void> StageLink::settle(const Result<void>& done) {
  Result<void> result = done;
  while (!before_has_ended_) {
    const auto got = take_of_step();
    if (!got) {
      if (result) result = forward(got);  // else this is what followed
      break;
    }
    if (got->header.kind == kFailed && result) result = tl::unexpected<Error>(got->error());
  }
  last_was_done_ = result.has_value();
  if (result) note_end();
  return result;
}

}  // namespace moe::inline MOE_ABI
