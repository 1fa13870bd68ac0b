#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "batch/score_loop.hpp"
#include "moe/detail/math.hpp"
#include "moe/score.hpp"
#include "score/pair_encoder.hpp"
#include "score/text_windows.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// Passes of one call, with the score that each belongs to.
struct Jobs {
  std::vector<std::vector<TokenId>> inputs, targets;
  std::vector<Score*> owners;

  void add(std::vector<TokenId> input, std::vector<TokenId> target, Score& owner) {
    inputs.push_back(std::move(input)), targets.push_back(std::move(target)), owners.push_back(&owner);
  }
};

void fail_score(Score& score, ErrorCode code, std::string message) {
  if (!score.error) score.error = Error{code, std::move(message)};
  score.log_likelihood = std::numeric_limits<double>::quiet_NaN();
  score.is_greedy = false;
}

std::optional<Error> first_error(std::span<const Score> scores) {
  for (const Score& s : scores)
    if (s.error) return s.error;
  return {};
}

}  // namespace

struct Scorer::Impl {
  std::unique_ptr<Session> own;
  Session* session = nullptr;
  std::optional<score::PairEncoder> encoder;

  Result<void> use(Session& s) {
    session = &s;
    const Model& model = s.model();
    if (!model.tokenizer())
      return fail(ErrorCode::unsupported,
                  fmt::format("the model has no usable tokenizer: {}", model.tokenizer_error()));
    encoder.emplace(*model.tokenizer());
    return {};
  }
  std::int64_t context() const { return session->model().config().max_position; }

  // Whether a pass of so many tokens can be run; if not, records the reason.
  bool has_room(std::int64_t tokens, Score& score) const {
    const std::int64_t room = std::min(context(), session->free_tokens());
    if (tokens <= room) return true;
    fail_score(score, ErrorCode::bad_argument,
               fmt::format("the text has {} tokens, expected at most {} ({})", tokens + 1, room + 1,
                           room == context() ? "the model's context, and one that is only scored"
                                             : "room in the key/value cache, and one that is only scored"));
    return false;
  }

  void add(const ScoreRequest& request, std::vector<Score>& scores, Jobs& jobs) const {
    scores.resize(request.continuations.size());
    const std::vector<std::string_view> texts(request.continuations.begin(), request.continuations.end());
    auto pairs = encoder->encode(request.context, texts);
    if (!pairs)
      for (Score& s : scores) fail_score(s, pairs.error().code, pairs.error().message);
    for (std::size_t k = 0; pairs && k < pairs->size(); ++k) {
      auto& [input, target, reencoded] = (*pairs)[k];
      scores[k].tokens = static_cast<std::int64_t>(target.size());
      input.insert(input.end(), target.begin(), target.end() - 1);
      if (has_room(static_cast<std::int64_t>(input.size()), scores[k]))
        jobs.add(std::move(input), std::move(target), scores[k]);
    }
  }

  void add_text(std::string_view text, Score& score, Jobs& jobs) const {
    const auto ids = encoder->encode_text(text);
    if (!ids) return fail_score(score, ids.error().code, ids.error().message);
    score.tokens = static_cast<std::int64_t>(ids->size()) - 1;
    if (score.tokens == 0)
      return fail_score(score, ErrorCode::bad_argument, "the text has 0 tokens, expected at least 1");
    const auto at = [&](std::int64_t position) { return ids->begin() + 1 + position; };
    for (const score::TextWindow& w : score::text_windows(score.tokens, context())) {
      if (!has_room(w.input_count(), score)) return;
      jobs.add({at(w.first), at(w.end - 1)}, {at(w.begin), at(w.end)}, score);
    }
  }

  Result<void> run(Jobs jobs) {
    batch::Inputs inputs(jobs.inputs.size());
    for (std::size_t i = 0; i < jobs.inputs.size(); ++i) {
      jobs.owners[i]->is_greedy = true;
      inputs.set(i, std::move(jobs.inputs[i]));
    }
    std::vector<batch::TargetScore> parts(jobs.targets.size());
    batch::ScoreJob job{inputs, jobs.targets, {}};
    job.on_score = [&](std::int32_t i, const batch::TargetScore& found) {
      Score& score = *jobs.owners[static_cast<std::size_t>(i)];
      if (!found.is_finite) return fail_score(score, ErrorCode::non_finite, "a hidden state or a logit is not finite");
      parts[static_cast<std::size_t>(i)] = found;
    };
    job.on_work = [&](std::int32_t i, std::int64_t flops) { jobs.owners[static_cast<std::size_t>(i)]->flops += flops; };
    const ModelConfig& config = session->model().config();
    batch::TreeLimits limits{true, batch::most_scored_rows(config, session->options()), batch::long_rope_of(config)};
    auto plan = batch::plan_passes(batch::collect_passes(job), limits);
    // A tree needs more room than its longest branch. If the cache is too small, passes are computed separately.
    if (plan.least_pages * kPageTokens > session->free_tokens()) {
      limits.share_prefixes = false;
      plan = batch::plan_passes(std::move(plan.passes), limits);
    }
    auto done = batch::run_scores(*session, session->options().chunk_tokens, plan, job);
    if (!done) return done;
    // In the order of the windows, whatever the order of the passes.
    for (std::size_t i = 0; i < parts.size(); ++i) {
      jobs.owners[i]->log_likelihood += parts[i].log_likelihood;
      jobs.owners[i]->is_greedy = jobs.owners[i]->is_greedy && parts[i].is_greedy && !jobs.owners[i]->error;
    }
    return {};
  }
};

Scorer::Scorer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Scorer::~Scorer() = default;
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;
Session& Scorer::session() { return *impl_->session; }

Result<Scorer> Scorer::create(std::shared_ptr<const Model> model, const SessionOptions& options) {
  auto session = Session::create(std::move(model), options);
  if (!session) return forward(session);
  auto impl = std::make_unique<Impl>();
  impl->own = std::move(*session);
  if (auto ok = impl->use(*impl->own); !ok) return forward(ok);
  return Scorer(std::move(impl));
}

Result<Scorer> Scorer::create(Session& session) {
  auto impl = std::make_unique<Impl>();
  if (auto ok = impl->use(session); !ok) return forward(ok);
  return Scorer(std::move(impl));
}

Result<std::vector<std::vector<Score>>> Scorer::score(std::span<const ScoreRequest> requests) {
  std::vector<std::vector<Score>> out(requests.size());
  Jobs jobs;
  for (std::size_t i = 0; i < requests.size(); ++i) impl_->add(requests[i], out[i], jobs);
  if (auto done = impl_->run(std::move(jobs)); !done) return forward(done);
  return out;
}

Result<std::vector<Score>> Scorer::score(std::string_view context, std::span<const std::string> continuations) {
  const ScoreRequest request{std::string(context), {continuations.begin(), continuations.end()}};
  auto scores = score(std::span(&request, 1));
  if (!scores) return forward(scores);
  if (const auto error = first_error(scores->front())) return fail(error->code, error->message);
  return std::move(scores->front());
}

Result<std::vector<Score>> Scorer::score_texts(std::span<const std::string> texts) {
  std::vector<Score> out(texts.size());
  Jobs jobs;
  for (std::size_t i = 0; i < texts.size(); ++i) impl_->add_text(texts[i], out[i], jobs);
  if (auto done = impl_->run(std::move(jobs)); !done) return forward(done);
  return out;
}

Result<Score> Scorer::score_text(std::string_view text) {
  const std::string one(text);
  auto scores = score_texts(std::span(&one, 1));
  if (!scores) return forward(scores);
  if (const auto error = first_error(*scores)) return fail(error->code, error->message);
  return std::move(scores->front());
}

Result<std::vector<Choice>> Scorer::choose(std::span<const ScoreRequest> requests, CompareBy by) {
  auto scores = score(requests);
  if (!scores) return forward(scores);
  std::vector<Choice> out(requests.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    Choice& choice = out[i];
    choice.scores = std::move((*scores)[i]);
    choice.error = first_error(choice.scores);
    if (choice.scores.empty()) choice.error = Error{ErrorCode::bad_argument, "there are 0 labels, expected at least 1"};
    for (const Score& s : choice.scores) choice.flops += s.flops;
    if (choice.error) continue;
    std::vector<double>& p = choice.probabilities;
    for (const Score& s : choice.scores)
      p.push_back(by == CompareBy::per_token ? s.log_likelihood / static_cast<double>(s.tokens) : s.log_likelihood);
    choice.best = static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
    const double most = p[choice.best];
    double sum = 0;
    for (double& x : p) sum += x = detail::exp(x - most);
    for (double& x : p) x /= sum;
  }
  return out;
}

Result<Choice> Scorer::choose(std::string_view context, std::span<const std::string> labels, CompareBy by) {
  const ScoreRequest request{std::string(context), {labels.begin(), labels.end()}};
  auto choices = choose(std::span(&request, 1), by);
  if (!choices) return forward(choices);
  Choice& choice = choices->front();
  if (choice.error) return fail(choice.error->code, choice.error->message);
  return std::move(choice);
}

}  // namespace moe::inline MOE_ABI
