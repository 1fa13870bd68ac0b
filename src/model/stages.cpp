#include "model/stages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "model/model_impl.hpp"
#include "model/stage_link.hpp"
#include "support/fnv1a.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr std::int32_t kMostStages = 4096;

/// Messages of all pairs of stages in one process.
struct Boxes {
  std::mutex mutex;
  std::condition_variable has_message;
  std::vector<std::deque<std::vector<std::byte>>> boxes;  // [to * size + from]
};

class LocalStage final : public StageTransport {
 public:
  LocalStage(std::shared_ptr<Boxes> boxes, std::int32_t rank, std::int32_t size)
      : boxes_(std::move(boxes)), rank_(rank), size_(size) {}
  std::int32_t rank() const override { return rank_; }
  std::int32_t size() const override { return size_; }
  Result<void> send(std::int32_t to, std::span<const std::byte> message) override {
    const std::lock_guard lock(boxes_->mutex);
    box(to, rank_).emplace_back(message.begin(), message.end());
    boxes_->has_message.notify_all();
    return {};
  }
  Result<std::vector<std::byte>> receive(std::int32_t from, double seconds) override {
    std::unique_lock lock(boxes_->mutex);
    auto& messages = box(rank_, from);
    const auto has_one = [&] { return !messages.empty(); };
    if (seconds <= 0.0)
      boxes_->has_message.wait(lock, has_one);
    else if (!boxes_->has_message.wait_for(lock, std::chrono::duration<double>(seconds), has_one))
      return fail(ErrorCode::io, fmt::format("no message within {:.1f} seconds", seconds));
    std::vector<std::byte> message = std::move(messages.front());
    messages.pop_front();
    return message;
  }

 private:
  std::deque<std::vector<std::byte>>& box(std::int32_t to, std::int32_t from) {
    return boxes_
        ->boxes[static_cast<std::size_t>(to) * static_cast<std::size_t>(size_) + static_cast<std::size_t>(from)];
  }
  std::shared_ptr<Boxes> boxes_;
  std::int32_t rank_, size_;
};

StageCard card_of(const Model& model, const SessionOptions& options) {
  const ModelConfig& c = model.config();
  const ModelInfo& info = model.info();
  StageCard card;
  card.layers = model.layers();
  const auto add = [&](const char* name, std::string value) { card.equal.emplace_back(name, std::move(value)); };
  const auto number = [&](const char* name, std::int64_t value) { add(name, std::to_string(value)); };
  number("numerics version", kNumericsVersion);
  add("model family", c.family);
  add("weight formats", info.format_summary);
  number("parameters", info.total_parameters);
  number("layers", c.layer_count);
  number("hidden size", c.hidden_size);
  number("vocabulary", c.vocab_size);
  number("experts", c.router.expert_count);
  for (std::int64_t i = 0; i < c.moe_layer_count(); ++i)
    number(fmt::format("experts per token in MoE layer {}", i).c_str(), c.moe_layer_top_k(i));
  add("expert mass", fmt::format("{}", c.router.expert_mass));
  add("variant of the expert mass", std::string(name_of(c.router.mass_variant)));
  add("precision", std::string(name_of(options.precision)));
  add("cache", std::string(name_of(options.kv)));
  number("max_tokens", options.max_tokens);
  number("chunk_tokens", options.chunk_tokens);
  // Sizes above say more than digests. One file may be called anything; of several, the one that differs is named.
  if (const auto& files = impl_of(model).file_digests; files.size() > 1)
    for (const auto& [name, digest] : files) add(name.c_str(), digest);
  add(kModelContent, model.content_hash());
  return card;
}

}  // namespace

Result<std::vector<std::shared_ptr<StageTransport>>> local_stages(std::int32_t count) {
  if (count < 1 || count > kMostStages)
    return fail(ErrorCode::bad_argument, fmt::format("{} stages, expected 1 to {}", count, kMostStages));
  auto boxes = std::make_shared<Boxes>();
  boxes->boxes.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(count));
  std::vector<std::shared_ptr<StageTransport>> stages;
  for (std::int32_t r = 0; r < count; ++r) stages.push_back(std::make_shared<LocalStage>(boxes, r, count));
  return stages;
}

Result<std::shared_ptr<Stages>> Stages::join(std::shared_ptr<StageTransport> transport, const StageOptions& options) {
  if (transport == nullptr) return fail(ErrorCode::bad_argument, "transport is null");
  if (transport->size() < 1 || transport->size() > kMostStages)
    return fail(ErrorCode::bad_argument,
                fmt::format("the transport has {} stages, expected 1 to {}", transport->size(), kMostStages));
  if (transport->rank() < 0 || transport->rank() >= transport->size())
    return fail(ErrorCode::bad_argument,
                fmt::format("the transport's rank is {}, expected 0 to {}", transport->rank(), transport->size() - 1));
  return std::shared_ptr<Stages>(new Stages(std::make_unique<StageLink>(std::move(transport), options)));
}

Stages::Stages(std::unique_ptr<StageLink> link) : link_(std::move(link)) {}
Stages::~Stages() = default;
std::int32_t Stages::rank() const { return link_->rank(); }
std::int32_t Stages::size() const { return link_->size(); }

Result<std::vector<LayerRange>> divide_layers(const ModelInfo& info, std::int32_t stages) {
  const ModelConfig& c = info.config;
  if (stages < 1 || stages > c.layer_count)
    return fail(ErrorCode::bad_argument,
                fmt::format("{} stages, expected 1 to {} (the model's layers)", stages, c.layer_count));
  // Dense layers count as equal, and so does what MoE layers have beside their experts.
  const auto bytes = [&](std::int64_t l) {
    const std::int64_t expert = info.packed.expert.empty() ? 0 : info.packed.expert[static_cast<std::size_t>(l)];
    return static_cast<double>(info.packed.always) / static_cast<double>(c.layer_count) +
           static_cast<double>(expert) * static_cast<double>(c.router.expert_count) + 1.0;
  };
  double left = 0.0;
  for (std::int64_t l = 0; l < c.layer_count; ++l) left += bytes(l);
  std::vector<LayerRange> out;
  std::int64_t next = 0;
  for (std::int32_t s = 0; s < stages; ++s) {
    const double share = left / static_cast<double>(stages - s);
    LayerRange range = {next, next};
    double held = 0.0;
    // The layer at the border goes where more than half of it belongs; later stages keep one each.
    while (range.end < c.layer_count - (stages - s - 1) &&
           (range.end == range.begin || s + 1 == stages || held + bytes(range.end) / 2 < share))
      held += bytes(range.end++);
    left -= held;
    next = range.end;
    out.push_back(range);
  }
  return out;
}

Result<void> agree_with_stages(const Model& model, const SessionOptions& options) {
  const ModelConfig& c = model.config();
  const LayerRange all = {0, c.layer_count}, layers = model.layers();
  if (!is_pipeline(options)) {
    if (layers == all) return {};
    return fail(ErrorCode::bad_argument, fmt::format("of {} layers the model has {} to {}, expected all, or "
                                                     "SessionOptions::stages",
                                                     c.layer_count, layers.begin, layers.end - 1));
  }
  for (const auto& [is_set, name] : {std::pair{options.record_routing, "record_routing"},
                                     {options.record_hidden, "record_hidden"},
                                     {options.record_chosen_keys, "record_chosen_keys"},
                                     {options.record_states, "record_states"}})
    if (is_set)
      return fail(ErrorCode::unsupported, fmt::format("{} is set, and a pipeline of stages records nothing", name));
  if (!c.mixers.empty())
    return fail(ErrorCode::unsupported, "a model with recurrent layers has states, which stages do not keep yet");
  if (c.layer_input_size > 0 || c.kv_shared_layer_count > 0 || !c.indexer.shared_layers.empty())
    return fail(
        ErrorCode::unsupported,
        "a model whose layers use the keys, choices of keys or inputs of others is not divided into stages yet");
  if (c.rope.scaling == RopeScaling::longrope)
    return fail(ErrorCode::unsupported, "a model with LongRoPE recomputes sequences, which stages do not");
  if (c.router.expert_count > 65535)
    return fail(ErrorCode::unsupported,
                fmt::format("{} experts, expected at most 65535 in a pipeline", c.router.expert_count));
  return link_of(*options.stages).agree(card_of(model, options), c.layer_count);
}

namespace {

Result<void> repeat(Session& session, const std::vector<StageOperation>& operations) {
  using Kind = StageOperation::Kind;
  const auto compare = [](const Result<Sequence>& got, std::int64_t expected) -> Result<void> {
    if (!got) return forward(got);
    if (*got == expected) return {};
    return fail(ErrorCode::internal, fmt::format("sequence {} was opened, stage 0 has {}", *got, expected));
  };
  for (const StageOperation& o : operations) {
    const auto sequence = static_cast<Sequence>(o.sequence);
    Result<void> ok;
    if (o.kind == Kind::open) ok = compare(session.open(), o.sequence);
    if (o.kind == Kind::fork) ok = compare(session.fork(static_cast<Sequence>(o.value)), o.sequence);
    if (o.kind == Kind::rewind) ok = session.rewind(sequence, o.value);
    if (o.kind == Kind::close) ok = session.close(sequence);
    if (!ok) return ok;
  }
  return {};
}

struct Length {
  Sequence sequence;
  std::int64_t tokens;
};

/// One step as stage 0 has it. `before`: the lengths to go back to if another stage fails.
Result<void> repeat_step(Session& session, const StageCommand& command, std::vector<Length>& before) {
  if (auto ok = repeat(session, command.operations); !ok) return ok;
  std::vector<BatchItem> batch;
  for (const StageCommand::Item& item : command.items) {
    const auto length = session.length(item.sequence);
    if (!length) return forward(length);
    before.push_back({item.sequence, *length});
    batch.push_back({item.sequence, item.tokens, item.logits, item.tally});
  }
  const auto out = session.step(batch);
  if (!out) return forward(out);
  return {};
}

}  // namespace

Result<void> serve_stage(std::shared_ptr<const Model> model, const SessionOptions& options) {
  if (options.stages == nullptr || options.stages->rank() == 0)
    return fail(ErrorCode::bad_argument, "stage 0 has a Session, expected a later stage in SessionOptions::stages");
  StageLink& link = link_of(*options.stages);
  const auto session = Session::create(std::move(model), options);
  if (!session) return forward(session);
  std::vector<Length> before;
  for (;;) {
    const auto command = link.next_command();
    if (!command) return forward(command);
    for (const Length& l : before)
      if (!command->last_was_done)
        if (auto ok = (*session)->rewind(l.sequence, l.tokens); !ok) return ok;
    before.clear();
    if (command->ends) return {};
    const Result<void> done = repeat_step(**session, *command, before);
    if (auto ok = link.tell_end(done); !ok) return ok;
    const auto settled = link.settle(done);
    if (link.is_broken()) return settled;
  }
}

Result<std::uint64_t> canary(Session& session) {
  const std::int64_t vocabulary = session.model().config().vocab_size;
  std::vector<TokenId> ids;
  for (std::int64_t i = 0; i < 16; ++i) ids.push_back(static_cast<TokenId>((7919 * i + 13) % vocabulary));
  const auto sequence = session.open();
  if (!sequence) return forward(sequence);
  const auto out = session.step(*sequence, ids, Logits::all);
  if (auto ok = session.close(*sequence); !ok) return forward(ok);
  if (!out) return forward(out);
  Fnv1a hash;  // a step per number, not per byte
  for (std::int64_t i = 0; i < out->row_count * out->vocab_size; ++i)
    hash.step(std::bit_cast<std::uint32_t>(out->logits[i]));
  return hash.value();
}

}  // namespace moe::inline MOE_ABI
