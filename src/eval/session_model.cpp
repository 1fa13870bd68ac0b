// Scores requests over a Session: encode, sort into a prefix tree, run it in full batches, read log-probabilities.

#include "moe/eval/session_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/encode.hpp"
#include "eval/log_softmax.hpp"
#include "eval/prefix_tree.hpp"
#include "eval/text.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Rows of logits held at one time: 128 MiB, 220 rows of a vocabulary of 152,000.
constexpr std::int64_t kLogitBytes = std::int64_t{128} << 20;
// What a sequence may occupy beyond its tokens, in tokens (caches are paged).
constexpr std::int64_t kPageSlack = 64;

// A request as tokens. `input` is what the model sees, `targets` are the continuation's tokens.
struct EncodedRequest {
  std::vector<TokenId> input, targets;
  std::int64_t first_row() const { return static_cast<std::int64_t>(input.size() - targets.size()); }
};

struct Encoded {
  std::vector<EncodedRequest> requests;
  std::vector<Score> scores;
};

// Context + continuation, cut from the left to the model's context, without the last token.
Result<EncodedRequest> fit(PairEncoder::Pair pair, std::string_view question, std::int64_t max_length, Score& score) {
  score.context_tokens = static_cast<std::int32_t>(pair.context.size());
  score.continuation_tokens = static_cast<std::int32_t>(pair.continuation.size());
  score.reencoded = pair.reencoded;
  if (score.continuation_tokens > max_length)
    return fail(ErrorCode::bad_argument,
                fmt::format("question {}: an answer of {} tokens is longer than the model's context of {}",
                            shown(question), score.continuation_tokens, max_length));
  EncodedRequest out;
  out.input = std::move(pair.context);
  out.input.insert(out.input.end(), pair.continuation.begin(), pair.continuation.end());
  out.input.pop_back();
  out.targets = std::move(pair.continuation);
  const auto surplus = static_cast<std::int64_t>(out.input.size()) - max_length;
  if (surplus > 0) {
    out.input.erase(out.input.begin(), out.input.begin() + static_cast<std::ptrdiff_t>(surplus));
    score.truncated = true;
  }
  score.pass_tokens = static_cast<std::int32_t>(out.input.size());
  return out;
}

// Requests with the same context stand together and share its encoding.
Result<Encoded> encode_all(const Tokenizer& tokenizer, std::span<const ScoreRequest> requests, std::int64_t max_length,
                           const ParallelFor& threads, const Hooks& hooks) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < requests.size(); ++i)
    if (i == 0 || requests[i].context != requests[i - 1].context) starts.push_back(i);
  starts.push_back(requests.size());
  const PairEncoder encoder(tokenizer);
  Encoded out;
  out.requests.resize(requests.size());
  out.scores.resize(requests.size());
  std::vector<Result<void>> failures(starts.size() - 1);
  const auto encode_group = [&](std::int64_t group, std::int32_t) {
    const std::size_t begin = starts[static_cast<std::size_t>(group)],
                      end = starts[static_cast<std::size_t>(group) + 1];
    std::vector<std::string_view> continuations;
    for (std::size_t i = begin; i < end; ++i) continuations.push_back(requests[i].continuation);
    auto pairs = encoder.encode(requests[begin].context, continuations);
    if (!pairs) {
      failures[static_cast<std::size_t>(group)] = fail(
          pairs.error().code, fmt::format("question {}: {}", shown(requests[begin].question), pairs.error().message));
      return;
    }
    for (std::size_t i = begin; i < end; ++i) {
      auto fitted = fit(std::move((*pairs)[i - begin]), requests[i].question, max_length, out.scores[i]);
      if (fitted)
        out.requests[i] = std::move(*fitted);
      else
        failures[static_cast<std::size_t>(group)] = forward(fitted);
    }
  };
  // In slices, so that Ctrl-C does not wait for a long exam to be encoded.
  constexpr std::int64_t kSlice = 512;
  const auto group_count = static_cast<std::int64_t>(failures.size());
  for (std::int64_t done = 0; done < group_count; done += kSlice) {
    if (hooks.cancelled && hooks.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    parallel_for(threads, std::min(kSlice, group_count - done),
                 [&](std::int64_t i, std::int32_t worker) { encode_group(done + i, worker); });
  }
  for (const auto& failure : failures)
    if (!failure) return forward(failure);
  return out;
}

// Requests with equal inputs are one pass; passes sorted by tokens.
struct Passes {
  std::vector<Pass> list;
  std::vector<std::vector<std::int32_t>> requests;  // [pass]
  std::int64_t longest = 0, tokens = 0;
};

Passes collect_passes(const std::vector<EncodedRequest>& requests, std::vector<Score>& scores) {
  std::vector<std::int32_t> order(requests.size());
  std::iota(order.begin(), order.end(), 0);
  const auto input = [&](std::int32_t i) -> const std::vector<TokenId>& {
    return requests[static_cast<std::size_t>(i)].input;
  };
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return input(a) < input(b); });
  Passes out;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const EncodedRequest& request = requests[static_cast<std::size_t>(order[i])];
    if (i == 0 || input(order[i]) != input(order[i - 1])) {
      out.list.push_back({request.input, request.first_row()});
      out.requests.emplace_back();
      out.tokens += static_cast<std::int64_t>(request.input.size());
      out.longest = std::max(out.longest, static_cast<std::int64_t>(request.input.size()));
    }
    out.requests.back().push_back(order[i]);
    out.list.back().first_row = std::min(out.list.back().first_row, request.first_row());
    scores[static_cast<std::size_t>(order[i])].pass = static_cast<std::int64_t>(out.list.size()) - 1;
  }
  return out;
}

}  // namespace

struct SessionModel::Impl {
  std::shared_ptr<const Model> model;
  SessionModelOptions options;
  std::unique_ptr<Session> session;
  Work finished;  // of sessions that were replaced
  const Hooks* hooks = nullptr;

  SessionOptions session_options(std::int64_t max_tokens) {
    SessionOptions o;
    o.precision = options.precision;
    o.kv = options.kv;
    o.threads = options.threads;
    o.chunk_tokens = options.batch_tokens;
    o.max_tokens = max_tokens;
    o.cancelled = [this] { return hooks != nullptr && hooks->cancelled && hooks->cancelled(); };
    return o;
  }

  // Room for one longest pass beside another one, more where the budget allows; less where the whole run is smaller.
  Result<void> prepare_session(const Passes& passes) {
    constexpr std::int64_t kProbe = 1 << 20;
    const std::int64_t probe_bytes = Session::estimate_memory(model->info(), session_options(kProbe)).cache_bytes;
    const double token_bytes = std::max(1.0, static_cast<double>(probe_bytes) / kProbe);
    const auto affordable = static_cast<std::int64_t>(static_cast<double>(options.cache_bytes) / token_bytes);
    const auto pass_count = static_cast<std::int64_t>(passes.list.size());
    const std::int64_t everything = passes.tokens + 4 * kPageSlack * pass_count;
    const std::int64_t least = 2 * passes.longest + 16 * kPageSlack;
    const std::int64_t wanted = std::max(
        least, std::min({everything, affordable, std::int64_t{16} * options.batch_tokens + 4 * passes.longest}));
    if (session && session->options().max_tokens >= wanted) return {};
    if (session) finished += session->executed();
    session.reset();
    auto created = Session::create(model, session_options(wanted));
    if (!created) return forward(created);
    session = std::move(*created);
    return {};
  }
};

namespace {

// Runs the tree depth first, many branches per step. A node's sequence lives until its last child took it over.
class TreeRun {
 public:
  TreeRun(Session& session, const SessionModelOptions& options, const Hooks& hooks, const Encoded& encoded,
          const Passes& passes, std::vector<Score>& scores)
      : session_(session), options_(options), hooks_(hooks), encoded_(encoded), passes_(passes), scores_(scores) {
    max_rows_ = std::clamp<std::int64_t>(kLogitBytes / (4 * session.model().config().vocab_size), 1, 4096);
    nodes_ = build_prefix_tree(passes.list, options.share_prefixes, max_rows_);
    sequence_.assign(nodes_.size(), -1);
    children_left_.resize(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) children_left_[i] = nodes_[i].child_count;
    rows_left_.resize(scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) rows_left_[i] = scores[i].continuation_tokens;
    for (Score& s : scores_) s.is_greedy = true;
  }
  ~TreeRun() {
    for (Sequence s : sequence_)
      if (s >= 0) static_cast<void>(session_.close(s));
  }
  TreeRun(const TreeRun&) = delete;
  TreeRun& operator=(const TreeRun&) = delete;

  Result<void> run() {
    push_siblings(nodes_.empty() ? -1 : 0);
    std::size_t most = nodes_.size();
    while (!ready_.empty()) {
      if (hooks_.cancelled && hooks_.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
      const std::vector<std::int32_t> batch = take_batch(most);
      const auto done = step(batch);
      if (!done && done.error().code == ErrorCode::out_of_memory && batch.size() > 1) {
        // The cache's pages fitted worse than estimated: fewer at a time. The nodes go back in their order.
        for (auto node = batch.rbegin(); node != batch.rend(); ++node) ready_.push_back(*node);
        most = batch.size() / 2;
        continue;
      }
      if (!done) return done;
      most = std::max<std::size_t>(most, batch.size() * 2);
      for (auto node = batch.rbegin(); node != batch.rend(); ++node) push_siblings(at(*node).first_child);
      if (hooks_.on_progress) hooks_.on_progress(requests_done_, static_cast<std::int64_t>(scores_.size()));
    }
    return {};
  }

 private:
  const PrefixNode& at(std::int32_t node) const { return nodes_[static_cast<std::size_t>(node)]; }

  // The first sibling ends on top of the stack.
  void push_siblings(std::int32_t first) {
    const std::size_t bottom = ready_.size();
    for (std::int32_t i = first; i >= 0; i = at(i).next_sibling) ready_.push_back(i);
    std::reverse(ready_.begin() + static_cast<std::ptrdiff_t>(bottom), ready_.end());
  }

  // From the top of the stack: at least one node, then as many as tokens, rows and cache allow. What stays free is
  // enough to finish any one branch, so the run never gets stuck.
  std::vector<std::int32_t> take_batch(std::size_t most) {
    std::vector<std::int32_t> batch;
    std::int64_t tokens = 0, rows = 0;
    std::int64_t room = session_.free_tokens() - passes_.longest - 4 * kPageSlack;
    while (!ready_.empty() && batch.size() < most) {
      const PrefixNode& node = at(ready_.back());
      const std::int64_t cost = node.token_count() + kPageSlack;
      const bool fits =
          tokens + node.token_count() <= options_.batch_tokens && rows + node.row_count() <= max_rows_ && cost <= room;
      if (!batch.empty() && !fits) break;
      tokens += node.token_count(), rows += node.row_count(), room -= cost;
      batch.push_back(ready_.back());
      ready_.pop_back();
    }
    return batch;
  }

  Result<Sequence> sequence_for(std::int32_t node) {
    const std::int32_t parent = at(node).parent;
    return parent < 0 ? session_.open() : session_.fork(sequence_[static_cast<std::size_t>(parent)]);
  }

  Result<void> step(const std::vector<std::int32_t>& batch) {
    std::vector<BatchItem> items;
    Result<void> opened;
    for (std::int32_t node : batch) {
      const auto sequence = sequence_for(node);
      if (!sequence) {
        opened = forward(sequence);
        break;
      }
      const auto tokens = passes_.list[static_cast<std::size_t>(at(node).first_pass)].tokens;
      items.push_back(
          {*sequence,
           tokens.subspan(static_cast<std::size_t>(at(node).begin), static_cast<std::size_t>(at(node).token_count())),
           at(node).logits});
    }
    auto output = opened ? session_.step(items) : Result<StepOutput>(forward(opened));
    if (!output) {
      for (const BatchItem& item : items) static_cast<void>(session_.close(item.sequence));
      return forward(output);
    }
    const auto read = read_rows(batch, *output);
    for (std::size_t i = 0; i < batch.size(); ++i) sequence_[static_cast<std::size_t>(batch[i])] = items[i].sequence;
    for (std::int32_t node : batch) release(node);
    return read;
  }

  // Sequences that nothing will continue: a leaf's, and the parent's whose last child has forked it.
  void release(std::int32_t node) {
    const std::int32_t parent = at(node).parent;
    if (at(node).child_count == 0) close(node);
    if (parent >= 0 && --children_left_[static_cast<std::size_t>(parent)] == 0) close(parent);
  }
  void close(std::int32_t node) {
    Sequence& sequence = sequence_[static_cast<std::size_t>(node)];
    if (sequence >= 0) static_cast<void>(session_.close(sequence));
    sequence = -1;
  }

  Result<void> read_rows(const std::vector<std::int32_t>& batch, const StepOutput& output) {
    std::vector<RowSummary> rows(static_cast<std::size_t>(output.row_count));
    parallel_for(options_.threads, output.row_count,
                 [&](std::int64_t r, std::int32_t) { rows[static_cast<std::size_t>(r)] = summarise(output.row(r)); });
    std::int64_t row = 0;
    for (std::int32_t node : batch) {
      const std::int64_t count = at(node).row_count();
      for (std::int64_t r = 0; r < count; ++r)
        if (const auto read = read_row(at(node), at(node).end - count + r, output.row(row + r),
                                       rows[static_cast<std::size_t>(row + r)]);
            !read)
          return read;
      row += count;
    }
    return {};
  }

  // Every request that scores a token after `position` of this node. Positions come in rising order for each request.
  Result<void> read_row(const PrefixNode& node, std::int64_t position, std::span<const float> logits,
                        const RowSummary& summary) {
    for (std::int32_t pass = node.first_pass; pass < node.last_pass; ++pass)
      for (std::int32_t index : passes_.requests[static_cast<std::size_t>(pass)]) {
        const EncodedRequest& request = encoded_.requests[static_cast<std::size_t>(index)];
        const std::int64_t nth = position - request.first_row();
        if (nth < 0) continue;
        const TokenId target = request.targets[static_cast<std::size_t>(nth)];
        if (target < 0 || static_cast<std::size_t>(target) >= logits.size())
          return fail(
              ErrorCode::bad_argument,
              fmt::format("token {} of an answer lies outside the model's vocabulary of {}", target, logits.size()));
        const double log_probability = summary.log_probability(logits[static_cast<std::size_t>(target)]);
        if (!std::isfinite(log_probability))
          return fail(ErrorCode::non_finite,
                      fmt::format("the logits after token {} of a prompt are not finite", position));
        Score& score = scores_[static_cast<std::size_t>(index)];
        score.log_likelihood += log_probability;
        score.is_greedy = score.is_greedy && summary.argmax == target;
        if (--rows_left_[static_cast<std::size_t>(index)] > 0) continue;
        ++requests_done_;
        if (hooks_.on_score) hooks_.on_score(index, score);
      }
    return {};
  }

  Session& session_;
  const SessionModelOptions& options_;
  const Hooks& hooks_;
  const Encoded& encoded_;
  const Passes& passes_;
  std::vector<Score>& scores_;
  std::int64_t max_rows_ = 1, requests_done_ = 0;
  std::vector<PrefixNode> nodes_;
  std::vector<Sequence> sequence_;
  std::vector<std::int32_t> children_left_, rows_left_, ready_;
};

}  // namespace

SessionModel::SessionModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SessionModel::~SessionModel() = default;

Result<std::unique_ptr<SessionModel>> SessionModel::create(std::shared_ptr<const Model> model,
                                                           const SessionModelOptions& options) {
  if (!model->tokenizer())
    return fail(ErrorCode::unsupported, fmt::format("the model has no usable tokenizer: {}", model->tokenizer_error()));
  if (options.batch_tokens < 1) return fail(ErrorCode::bad_argument, "batch_tokens is below 1");
  auto impl = std::make_unique<Impl>();
  impl->model = std::move(model);
  impl->options = options;
  return std::unique_ptr<SessionModel>(new SessionModel(std::move(impl)));
}

Result<std::vector<Score>> SessionModel::score(std::span<const ScoreRequest> requests, const Hooks& hooks) {
  const ModelConfig& config = impl_->model->config();
  auto encoded = encode_all(*impl_->model->tokenizer(), requests, config.max_position, impl_->options.threads, hooks);
  if (!encoded) return forward(encoded);
  std::vector<Score> scores = std::move(encoded->scores);
  const Passes passes = collect_passes(encoded->requests, scores);
  impl_->hooks = &hooks;
  auto done = impl_->prepare_session(passes);
  if (done) done = TreeRun(*impl_->session, impl_->options, hooks, *encoded, passes, scores).run();
  impl_->hooks = nullptr;
  if (!done) return forward(done);
  return scores;
}

Work SessionModel::pass_work(std::int64_t tokens, std::int64_t rows) const {
  return forward_work(impl_->model->config(), 0, tokens, rows, MlaForm::expanded);
}

Work SessionModel::executed() const {
  Work total = impl_->finished;
  if (impl_->session) total += impl_->session->executed();
  return total;
}

std::int64_t SessionModel::session_bytes() const {
  if (!impl_->session) return 0;
  const MemoryEstimate memory = Session::estimate_memory(impl_->model->info(), impl_->session->options());
  return memory.cache_bytes + memory.scratch_bytes;
}

}  // namespace moe::inline MOE_ABI::eval
