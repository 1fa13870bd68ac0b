// Metrics of a question and their aggregation, as in the reference harness.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/score/filter.hpp"
#include "eval/score/metric_names.hpp"
#include "eval/score/python_random.hpp"
#include "eval/score/text.hpp"
#include "moe/eval/evaluate.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// np.argmax: the first maximum.
std::size_t first_max(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

double mean(std::span<const double> values) {
  double sum = 0;
  for (double x : values) sum += x;
  return sum / static_cast<double>(values.size());
}

// Sample standard deviation, from the mean, as the harness computes it.
double sample_deviation(std::span<const double> values) {
  const double m = mean(values);
  double squares = 0;
  for (double x : values) squares += (x - m) * (x - m);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

// The harness's bootstrap: chunk i draws 1,000 resamples with random.Random(i).
double bootstrap_error(std::span<const double> log_likelihoods, std::int64_t count, const ParallelFor& threads,
                       const std::function<bool()>& cancelled) {
  constexpr std::int64_t kChunk = 1000;
  const std::int64_t chunk_count = (count + kChunk - 1) / kChunk;
  std::vector<double> perplexities(static_cast<std::size_t>(chunk_count * kChunk));
  parallel_for(threads, chunk_count, [&](std::int64_t chunk, std::int32_t) {
    if (cancelled && cancelled()) return;  // the result will not be used
    PythonRandom random(static_cast<std::uint64_t>(chunk));
    for (std::int64_t r = 0; r < kChunk; ++r) {
      double sum = 0;
      for (std::size_t i = 0; i < log_likelihoods.size(); ++i)
        sum += log_likelihoods[random.next_index(log_likelihoods.size())];
      perplexities[static_cast<std::size_t>(chunk * kChunk + r)] =
          std::exp(-sum / static_cast<double>(log_likelihoods.size()));
    }
  });
  return sample_deviation(perplexities);
}

// Squared distance of softmax(log-likelihoods) from the right answer.
double brier(const std::vector<double>& log_likelihoods, std::size_t answer) {
  const double most = *std::max_element(log_likelihoods.begin(), log_likelihoods.end());
  std::vector<double> p;
  double sum = 0, score = 0;
  for (double x : log_likelihoods) sum += p.emplace_back(std::exp(x - most));
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double off = p[i] / sum - (i == answer ? 1 : 0);
    score += off * off;
  }
  return score;
}

// Answers among the scores: with acc_mutual_info each occurs a second time, alone.
std::size_t answer_count(const TaskSpec& task, const std::vector<Score>& scores) {
  const bool are_twice = column_of(task.metrics, Metric::acc_mutual_info) < task.metrics.size();
  return are_twice ? scores.size() / 2 : scores.size();
}

// The value of each answer for metrics that take the first maximum.
std::vector<double> worth(Metric metric, const Document& document, const std::vector<Score>& scores,
                          std::size_t count) {
  std::vector<double> out;
  for (std::size_t i = 0; i < count; ++i) {
    double x = scores[i].log_likelihood;
    if (metric == Metric::acc_norm) x /= static_cast<double>(document.lengths[i]);
    if (metric == Metric::acc_bytes) x /= static_cast<double>(document.byte_lengths[i]);
    if (metric == Metric::acc_mutual_info) x -= scores[count + i].log_likelihood;
    out.push_back(x);
  }
  return out;
}

double metric_of(Metric metric, const TaskSpec& task, const Document& document, const std::vector<Score>& scores) {
  const auto answer = static_cast<std::size_t>(document.question.answer);
  const bool one_request = task.kind != TaskKind::multiple_choice;
  switch (metric) {
    case Metric::perplexity:
    case Metric::word_perplexity:
    case Metric::byte_perplexity:
    case Metric::bits_per_byte: return scores[one_request ? 0 : answer].log_likelihood;
    case Metric::exact_match: return scores[answer].is_greedy ? 1 : 0;
    case Metric::brier_score: return brier(worth(Metric::acc, document, scores, answer_count(task, scores)), answer);
    default: break;
  }
  if (one_request) return scores[0].is_greedy ? 1 : 0;
  return first_max(worth(metric, document, scores, answer_count(task, scores))) == answer ? 1 : 0;
}

std::string about(const Document& document, const Error& error) {
  return fmt::format("question {}: {}", in_quotes(document.question.id), error.message);
}

}  // namespace

std::string_view name_of(Metric metric) {
  const auto index = static_cast<std::size_t>(metric);
  return index < std::size(kMetricNames) ? kMetricNames[index] : std::string_view();
}
bool higher_is_better(Metric metric) { return is_share(metric); }
bool is_share(Metric metric) {
  return metric == Metric::acc || metric == Metric::acc_norm || metric == Metric::exact_match ||
         metric == Metric::acc_bytes || metric == Metric::acc_mutual_info;
}

std::size_t column_of(std::span<const MetricColumn> columns, Metric metric) {
  return static_cast<std::size_t>(
      std::find_if(columns.begin(), columns.end(), [&](const MetricColumn& c) { return c.metric == metric; }) -
      columns.begin());
}

std::size_t headline_column(std::span<const MetricColumn> columns) {
  for (Metric metric : {Metric::acc, Metric::exact_match})
    if (const std::size_t at = column_of(columns, metric); at < columns.size()) return at;
  return static_cast<std::size_t>(
      std::find_if(columns.begin(), columns.end(), [](const MetricColumn& c) { return is_share(c.metric); }) -
      columns.begin());
}

Result<DocumentOutcome> score_document(const TaskSpec& task, const Document& document, std::vector<Score> scores) {
  DocumentOutcome out;
  std::vector<double> plain;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    // A NaN would win every comparison of argmax, so it must not be scored.
    if (!std::isfinite(scores[i].log_likelihood))
      return fail(ErrorCode::non_finite, fmt::format("question {}: the log-likelihood of continuation {} is {}",
                                                     in_quotes(document.question.id), i + 1, scores[i].log_likelihood));
    if (i < answer_count(task, scores)) plain.push_back(scores[i].log_likelihood);
  }
  if (task.kind == TaskKind::multiple_choice) {
    const std::size_t best = first_max(plain);
    out.prediction = static_cast<std::int32_t>(best);
    out.tied = std::count(plain.begin(), plain.end(), plain[best]) > 1;
  }
  for (const MetricColumn& column : task.metrics)
    out.metrics.push_back(metric_of(column.metric, task, document, scores));
  out.scores = std::move(scores);
  return out;
}

namespace {

// Patterns compile and steps are possible (check_filters): what is left of bad_argument is the match limit.
bool is_match_limit(const Error& error) { return error.code == ErrorCode::bad_argument; }

DocumentOutcome beyond_limit(const TaskSpec& task, Generation reply) {
  DocumentOutcome out;
  out.metrics.assign(task.metrics.size(), 0.0);
  out.filtered.resize(task.filters.size());
  out.failure = Failure::match_limit;
  out.reply = std::move(reply);
  return out;
}

}  // namespace

Result<DocumentOutcome> score_reply(const TaskSpec& task, const Document& document, Generation reply) {
  DocumentOutcome out;
  for (const FilterSpec& filter : task.filters) {
    auto answer = apply_filter(filter, {reply.text});
    if (!answer && is_match_limit(answer.error())) return beyond_limit(task, std::move(reply));
    if (!answer) return fail(answer.error().code, about(document, answer.error()));
    out.filtered.push_back(std::move(*answer));
  }
  for (const MetricColumn& column : task.metrics) {
    const auto filter = std::find_if(task.filters.begin(), task.filters.end(),
                                     [&](const FilterSpec& f) { return f.name == column.filter; });
    const auto& answer = out.filtered[static_cast<std::size_t>(filter - task.filters.begin())];
    const auto equal = exact_match(task.exact_match, answer, document.target);
    if (!equal && is_match_limit(equal.error())) return beyond_limit(task, std::move(reply));
    if (!equal) return fail(equal.error().code, about(document, equal.error()));
    out.metrics.push_back(*equal ? 1 : 0);
  }
  out.reply = std::move(reply);
  return out;
}

MetricValue aggregate(Metric metric, std::span<const double> values, std::int64_t bootstrap_count,
                      const ParallelFor& threads, const std::function<bool()>& cancelled) {
  MetricValue out;
  if (values.empty()) return {is_share(metric) ? 0 : std::nan(""), std::nullopt};
  out.value = metric == Metric::perplexity ? std::exp(-mean(values)) : mean(values);
  if (values.size() < 2) return out;
  if (is_share(metric))
    out.standard_error = sample_deviation(values) / std::sqrt(static_cast<double>(values.size()));
  else if (metric == Metric::perplexity && bootstrap_count > 0)
    out.standard_error = bootstrap_error(values, bootstrap_count, threads, cancelled);
  return out;
}

MetricValue aggregate_texts(Metric metric, std::span<const double> log_likelihoods,
                            std::span<const std::int64_t> sizes) {
  double sum = 0, size = 0;
  for (double x : log_likelihoods) sum += x;
  for (std::int64_t n : sizes) size += static_cast<double>(n);
  if (size == 0) return {std::nan(""), std::nullopt};
  return {metric == Metric::bits_per_byte ? -sum / size / std::log(2.0) : std::exp(-sum / size), std::nullopt};
}

MetricValue pool(std::span<const MetricValue> parts, std::span<const std::int64_t> counts) {
  MetricValue out;
  double total = 0, squares = 0, used = 0;
  bool all_known = true;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (std::isnan(parts[i].value)) continue;  // none of its questions has a value
    ++used;
    const double n = static_cast<double>(counts[i]);
    total += n;
    out.value += parts[i].value * n;
    all_known = all_known && parts[i].standard_error.has_value();
    if (all_known) squares += (n - 1) * *parts[i].standard_error * *parts[i].standard_error * n;
  }
  if (total == 0) return {parts.empty() ? 0 : std::nan(""), std::nullopt};
  out.value /= total;
  const double freedom = total - used;
  if (all_known && freedom > 0) out.standard_error = std::sqrt(squares / freedom / total);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
