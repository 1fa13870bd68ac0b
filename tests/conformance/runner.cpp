#include "runner.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

namespace conformance {
namespace {

using nlohmann::json;

constexpr double kEqual = 1e-7;  // scores closer than this are a tie; other gaps in the files are 1e-5 and more
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

struct Case {
  std::string name, method, expect;
  std::vector<float> logits, bias;
  std::vector<int> ids;         // sorted
  std::vector<double> weights;  // in that order
  moe_router_case question{};
};

float number(const json& j) {
  if (!j.is_string()) return j.get<float>();
  const std::string text = j.get<std::string>();
  return text == "inf"
             ? std::numeric_limits<float>::infinity()
             : (text == "-inf" ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN());
}

Case read_case(const json& j, const std::string& list) {
  Case c;
  c.method = j.at("method").get<std::string>();
  c.expect = j.value("expect", "exact");
  c.name = list + " " + std::to_string(j.at("id").get<int>()) + " (" + c.method +
           (j.contains("why") ? ", " + j["why"].get<std::string>() : "") + ")";
  for (const json& x : j.at("logits")) c.logits.push_back(number(x));
  if (j.contains("bias") && j["bias"].is_array())
    for (const json& x : j["bias"]) c.bias.push_back(number(x));
  if (j.contains("indices") && j["indices"].is_array()) c.ids = j["indices"].get<std::vector<int>>();
  if (j.contains("weights") && j["weights"].is_array()) c.weights = j["weights"].get<std::vector<double>>();
  moe_router_case& q = c.question;
  q.expert_count = j.at("n_experts").get<std::int32_t>();
  q.group_count = j.at("n_group").get<std::int32_t>();
  q.kept_groups = j.at("topk_group").get<std::int32_t>();
  q.top_k = j.at("top_k").get<std::int32_t>();
  q.normalise = j.at("norm").get<bool>() ? 1 : 0;
  q.scaling = j.at("scaling").get<double>();
  q.norm_min = j.value("norm_min", 1e-12);
  return c;
}

/// Scores, and what the choice is made by.
struct Scores {
  std::vector<double> score, selection;
};

Scores scores_of(const Case& c) {
  Scores s;
  const std::size_t n = c.logits.size();
  const double high = *std::max_element(c.logits.begin(), c.logits.end());
  double sum = 0.0;
  for (const float x : c.logits) sum += std::exp(static_cast<double>(x) - high);
  for (std::size_t e = 0; e < n; ++e) {
    const double x = c.logits[e];
    s.score.push_back(c.method == "noaux_tc" ? 1.0 / (1.0 + std::exp(-x))
                                             : (c.method == "topk_softmax" ? x : std::exp(x - high) / sum));
    s.selection.push_back(s.score[e] + (c.bias.empty() ? 0.0 : static_cast<double>(c.bias[e])));
  }
  return s;
}

std::vector<double> group_scores(const Case& c, const Scores& s) {
  const auto groups = static_cast<std::size_t>(c.question.group_count), size = s.selection.size() / groups;
  std::vector<double> out;
  for (std::size_t g = 0; g < groups; ++g) {
    std::vector<double> part(s.selection.begin() + static_cast<std::ptrdiff_t>(g * size),
                             s.selection.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(part.rbegin(), part.rend());
    out.push_back(c.method == "noaux_tc" && size > 1 ? part[0] + part[1] : part[0]);
  }
  return out;
}

/// Every candidate outside `chosen` is at most as good as every one inside.
bool is_best(const std::vector<double>& values, const std::vector<bool>& candidate, const std::vector<bool>& chosen) {
  double worst_in = std::numeric_limits<double>::infinity(), best_out = kMinusInfinity;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (chosen[i])
      worst_in = std::min(worst_in, values[i]);
    else if (candidate[i])
      best_out = std::max(best_out, values[i]);
  return best_out == kMinusInfinity || best_out <= worst_in + kEqual;
}

/// Whether some right choice of groups makes these experts a right choice.
bool is_valid_choice(const Case& c, const Scores& s, const std::vector<int>& ids) {
  const auto groups = static_cast<std::size_t>(c.question.group_count), experts = s.selection.size(),
             size = experts / groups;
  const auto kept_count = static_cast<std::size_t>(c.question.kept_groups);
  std::vector<bool> chosen(experts), needed(groups), kept(groups), candidate(experts);
  for (const int id : ids) {
    chosen[static_cast<std::size_t>(id)] = true;
    needed[static_cast<std::size_t>(id) / size] = true;
  }
  if (kept_count == groups) return is_best(s.selection, std::vector<bool>(experts, true), chosen);
  const std::vector<double> ranks = group_scores(c, s);
  std::vector<double> falling = ranks, best(groups);
  std::sort(falling.rbegin(), falling.rend());
  const double last = falling[kept_count - 1];
  for (std::size_t e = 0; e < experts; ++e)
    best[e / size] = e % size == 0 ? s.selection[e] : std::max(best[e / size], s.selection[e]);
  // Groups better than the last kept one are in. Those that tie with it fill up: first the ones that hold chosen experts,
  // then those whose best expert is missed least. That is the most favourable choice, so no other needs to be tried.
  std::size_t count = 0;
  std::vector<std::size_t> tied;
  for (std::size_t g = 0; g < groups; ++g) {
    if (ranks[g] > last + kEqual) {
      kept[g] = true;
      ++count;
    } else if (ranks[g] >= last - kEqual) {
      tied.push_back(g);
    }
  }
  std::sort(tied.begin(), tied.end(), [&](std::size_t x, std::size_t y) {
    return needed[x] != needed[y] ? static_cast<bool>(needed[x]) : best[x] < best[y];
  });
  for (const std::size_t g : tied)
    if (count < kept_count) {
      kept[g] = true;
      ++count;
    }
  for (std::size_t e = 0; e < experts; ++e) {
    candidate[e] = kept[e / size];
    if (chosen[e] && !candidate[e]) return false;
  }
  return is_best(s.selection, candidate, chosen);
}

std::vector<double> weights_of(const Case& c, const Scores& s, const std::vector<int>& ids) {
  std::vector<double> w;
  for (const int id : ids) w.push_back(s.score[static_cast<std::size_t>(id)]);
  if (c.method == "topk_softmax") {
    const double high = *std::max_element(w.begin(), w.end());
    for (double& x : w) x = std::exp(x - high);
  }
  double sum = std::accumulate(w.begin(), w.end(), 0.0);
  if (c.question.normalise != 0 || c.method == "topk_softmax") {
    if (c.method == "noaux_tc") sum += 1e-20;
    if (c.method == "softmax_bias") sum = std::max(sum, c.question.norm_min);
    for (double& x : w) x /= sum;
  }
  for (double& x : w) x *= c.question.scaling;
  return w;
}

std::string list_of(const std::vector<int>& ids) {
  std::string text;
  for (const int id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return "[" + text + "]";
}

/// Empty when the answer is right.
std::string judge(const Case& c, const Options& options, std::vector<int> ids, std::vector<float> weights) {
  std::vector<std::size_t> order(ids.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ids[a] < ids[b]; });
  std::vector<int> sorted;
  for (const std::size_t i : order) sorted.push_back(ids[i]);
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] < 0 || sorted[i] >= c.question.expert_count || (i > 0 && sorted[i] == sorted[i - 1]))
      return "experts " + list_of(sorted) + ": one twice or outside 0.." + std::to_string(c.question.expert_count - 1);
  const Scores s = scores_of(c);
  const bool any_set = c.expect == "tie" && !options.lower_index_first;
  if (!any_set && sorted != c.ids) return "experts " + list_of(sorted) + ", expected " + list_of(c.ids);
  if (!is_valid_choice(c, s, sorted)) return "experts " + list_of(sorted) + " are not the best";
  const std::vector<double> expected =
      !any_set && c.weights.size() == sorted.size() ? c.weights : weights_of(c, s, sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const double found = weights[order[i]];
    if (!(std::abs(found - expected[i]) <= options.tolerance * std::max(1.0, std::abs(c.question.scaling))))
      return "expert " + std::to_string(sorted[i]) + " has weight " + std::to_string(found) + ", expected " +
             std::to_string(expected[i]);
  }
  if (!options.lower_index_first) return {};
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const double before = s.selection[static_cast<std::size_t>(ids[i - 1])],
                 here = s.selection[static_cast<std::size_t>(ids[i])];
    if (before < here - kEqual || (before == here && ids[i - 1] > ids[i]))
      return "experts are not best first: " + list_of(ids);
  }
  return {};
}

void ask(const Case& c, const Options& options, Report& report) {
  moe_router_case question = c.question;
  question.method = c.method.c_str();
  question.logits = c.logits.data();
  question.bias = c.bias.empty() ? nullptr : c.bias.data();
  const auto room = static_cast<std::size_t>(std::clamp(question.top_k, 1, 1 << 16));
  std::vector<std::int32_t> ids(room, -1);
  std::vector<float> weights(room, std::numeric_limits<float>::quiet_NaN());
  const int answer = options.router(&question, ids.data(), weights.data(), options.user);
  if (answer == MOE_ROUTER_NO_SUCH_METHOD) {
    if (std::find(report.skipped.begin(), report.skipped.end(), c.method) == report.skipped.end())
      report.skipped.push_back(c.method);
    return;
  }
  std::string problem;
  if (answer != MOE_ROUTER_OK)
    problem = c.expect == "error" || c.expect == "exact_or_error" ? "" : "refused, expected experts " + list_of(c.ids);
  else if (c.expect == "error")
    problem = "was answered, expected a refusal";
  else
    problem = judge(c, options, {ids.begin(), ids.end()}, weights);
  if (problem.empty())
    ++report.passed;
  else
    report.failures.push_back(c.name + ": " + problem);
}

}  // namespace

bool run_file(const std::string& path, const Options& options, Report& report, std::string& problem) {
  std::ifstream in(path);
  const json all = json::parse(in, nullptr, false);
  if (!in.good() && all.is_discarded()) return problem = path + ": cannot be read", false;
  if (!all.is_object() || !all.contains("cases")) return problem = path + ": has no list of cases", false;
  try {
    for (const char* list : {"cases", "edge_cases"})
      if (all.contains(list))
        for (const json& j : all[list]) ask(read_case(j, list), options, report);
  } catch (const json::exception& e) {
    return problem = path + ": " + e.what(), false;
  }
  return true;
}

}  // namespace conformance
