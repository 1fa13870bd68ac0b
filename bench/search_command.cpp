#include "bench/search_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>

#include "moe/eval/statistics.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/standard_output.hpp"

namespace search_command {
namespace {

namespace eval = moe::eval;
using Model = std::shared_ptr<const moe::Model>;
using TopK = std::vector<std::int64_t>;

// Of one setting on one half.
struct Answers {
  std::vector<double> correct;
  std::vector<std::string> clusters;
  std::int64_t flops = 0;  // model FLOPs
  double accuracy() const {
    double sum = 0;
    for (const double x : correct) sum += x;
    return sum / static_cast<double>(correct.size());
  }
  double giga_per_question() const { return static_cast<double>(flops) / 1e9 / static_cast<double>(correct.size()); }
};

// A question without a cluster is a cluster of its own.
std::string cluster_key(std::size_t task, const eval::Subtask& subtask, const eval::Document& document) {
  if (!document.cluster.empty()) return fmt::format("{} cluster {}", task, document.cluster);
  return fmt::format("{} question {} {}", task, subtask.name, document.question.id);
}

std::map<std::string, std::int64_t> cluster_sizes(const std::vector<eval::PreparedTask>& tasks) {
  std::map<std::string, std::int64_t> sizes;
  for (std::size_t t = 0; t < tasks.size(); ++t)
    for (const eval::Subtask& subtask : tasks[t].subtasks)
      for (const eval::Document& document : subtask.documents) ++sizes[cluster_key(t, subtask, document)];
  return sizes;
}

template <class Keep>
std::vector<eval::PreparedTask> part_of(const std::vector<eval::PreparedTask>& tasks, Keep&& keep) {
  std::vector<eval::PreparedTask> out = tasks;
  for (std::size_t t = 0; t < out.size(); ++t) {
    for (eval::Subtask& subtask : out[t].subtasks)
      std::erase_if(subtask.documents, [&](const eval::Document& d) { return !keep(cluster_key(t, subtask, d)); });
    std::erase_if(out[t].subtasks, [](const eval::Subtask& s) { return s.documents.empty(); });
  }
  std::erase_if(out, [](const eval::PreparedTask& task) { return task.subtasks.empty(); });
  return out;
}

moe::Result<Answers> answers_of(const Search& search, const Model& model, const std::vector<eval::PreparedTask>& tasks,
                                const std::string& label) {
  Answers out;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const auto outcome = search.ask(model, tasks[t], label + " " + tasks[t].spec.name);
    if (!outcome) return moe::forward(outcome);
    const std::size_t column = eval::headline_column(tasks[t].spec.metrics);
    for (std::size_t s = 0; s < tasks[t].subtasks.size(); ++s)
      for (std::size_t d = 0; d < tasks[t].subtasks[s].documents.size(); ++d) {
        out.correct.push_back(outcome->documents[s][d].metrics[column]);
        out.clusters.push_back(cluster_key(t, tasks[t].subtasks[s], tasks[t].subtasks[s].documents[d]));
      }
    out.flops += outcome->model_flops;
  }
  return out;
}

std::string list_text(const TopK& top_k) { return fmt::format("{}", fmt::join(top_k, ",")); }

// The current setting of every MoE layer.
TopK top_k_of(const moe::ModelConfig& config) {
  TopK out;
  config.for_each_moe_layer([&](std::int64_t, std::int64_t index) { out.push_back(config.moe_layer_top_k(index)); });
  return out;
}

struct Step {
  TopK top_k;
  Answers answers;
  std::int64_t layer = -1;
};

// The layer where one expert less costs the least accuracy; of equals the first. No layer: all have one expert.
moe::Result<Step> best_step(const Search& search, const std::vector<eval::PreparedTask>& tasks, const TopK& from) {
  Step best;
  moe::Result<void> status;
  search.model->config().for_each_moe_layer([&](std::int64_t layer, std::int64_t index) {
    TopK top_k = from;
    if (!status || --top_k[static_cast<std::size_t>(index)] < 1) return;
    const auto model = search.model->with_experts({.top_k = top_k});
    if (!model) return void(status = moe::forward(model));
    auto answers = answers_of(search, *model, tasks, "top_k=" + list_text(top_k));
    if (!answers) return void(status = moe::forward(answers));
    if (best.layer >= 0 && answers->accuracy() <= best.answers.accuracy()) return;
    best = {std::move(top_k), std::move(*answers), layer};
  });
  if (!status) return moe::forward(status);
  return best;
}

std::vector<std::string> row_of(const std::string& step, const TopK& top_k, const Answers& answers,
                                const Answers& first) {
  return {step, list_text(top_k), fmt::format("{:.2f}", 100 * answers.accuracy()),
          fmt::format("{:.4g}", answers.giga_per_question()),
          fmt::format("{:.2f}", 100.0 * static_cast<double>(answers.flops) / static_cast<double>(first.flops))};
}

// Evaluates the result on the other half.
moe::Result<std::string> verdict_of(const Search& search, const Halves& halves, const TopK& found) {
  const auto model = search.model->with_experts({.top_k = found});
  if (!model) return moe::forward(model);
  const auto before = answers_of(search, search.model, halves.verdict, "verdict: as it was");
  if (!before) return moe::forward(before);
  const auto after = answers_of(search, *model, halves.verdict, "verdict: top_k=" + list_text(found));
  if (!after) return moe::forward(after);
  const auto gap = eval::paired_gap(after->correct, before->correct, after->clusters);
  if (!gap) return moe::forward(gap);
  const auto [low, high] = eval::interval_of(*gap).value_or(std::pair{gap->gap, gap->gap});
  const char* word = gap->p_value >= 0.05 ? "not distinguishable" : gap->gap > 0 ? "better" : "worse";
  return fmt::format(
      "Verdict, on {} questions that the search did not see: {:.2f} % with top_k={}, {:.2f} % before.\n"
      "Gap {:+.2f} points, 95 % interval {:+.2f} to {:+.2f}, p (McNemar) {:.4g}: {}{}.\n"
      "GFLOPs/question {:.4g}, {:.4g} before: {:.2f} %.\n"
      "To run it: --top-k {}\n",
      after->correct.size(), 100 * after->accuracy(), list_text(found), 100 * before->accuracy(), 100 * gap->gap,
      100 * low, 100 * high, gap->p_value, word,
      gap->standard_error.value_or(0) > 0 ? fmt::format(" (a gap of {:.2f} would be found)",
                                                        100 * eval::minimum_detectable_effect(*gap->standard_error))
                                          : "",
      after->giga_per_question(), before->giga_per_question(),
      100.0 * static_cast<double>(after->flops) / static_cast<double>(before->flops), list_text(found));
}

}  // namespace

CLI::App* add(CLI::App& app, Options& options) {
  CLI::App* command = app.add_subcommand(
      "search", "top_k of each layer for a budget of FLOPs: greedy on half of the questions, verdict on the others");
  command->fallthrough();
  cli::add_number(*command, "--budget", options.budget, moe::Bounds<double>{0.0, 1.0, true},
                  "model FLOPs per question, as a share of what they are now (0.9)")
      ->type_name("SHARE");
  return command;
}

moe::Result<Halves> split(const std::vector<eval::PreparedTask>& tasks, std::uint64_t seed) {
  const auto sizes = cluster_sizes(tasks);
  if (sizes.size() < 2)
    return moe::fail(moe::ErrorCode::bad_argument,
                     fmt::format("search: the questions are {} cluster, expected at least 2", sizes.size()));
  std::vector<std::string> order;
  std::int64_t questions = 0;
  for (const auto& [key, size] : sizes) order.push_back(key), questions += size;
  std::mt19937_64 random(seed);  // its numbers are the same everywhere, those of std::shuffle are not
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
  std::map<std::string, bool> searched;
  std::int64_t taken = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool take = i == 0 || (2 * taken < questions && i + 1 < order.size());
    searched[order[i]] = take;
    if (take) taken += sizes.at(order[i]);
  }
  return Halves{part_of(tasks, [&](const std::string& key) { return searched.at(key); }),
                part_of(tasks, [&](const std::string& key) { return !searched.at(key); })};
}

moe::Result<void> run(const Search& search) {
  if (search.model->config().moe_layer_count() == 0)
    return moe::fail(moe::ErrorCode::bad_config, "search: " + search.name + " is dense, it has no experts");
  for (const eval::PreparedTask& task : search.tasks)
    if (eval::headline_column(task.spec.metrics) >= task.spec.metrics.size())
      return moe::fail(moe::ErrorCode::bad_argument, "search: task " + task.spec.name + " has no accuracy");
  const auto halves = split(search.tasks, search.seed);
  if (!halves) return moe::forward(halves);

  TopK top_k = top_k_of(search.model->config());
  const auto first = answers_of(search, search.model, halves->search, "as it is");
  if (!first) return moe::forward(first);
  moe::TextTable table({"step", "top_k", "acc %", "GFLOPs/question", "% of FLOPs"}, moe::TextTable::Align::words);
  table.add(row_of("as it is", top_k, *first, *first));
  const auto allowed = search.budget * static_cast<double>(first->flops);
  for (std::int64_t flops = first->flops; static_cast<double>(flops) > allowed;) {
    const auto step = best_step(search, halves->search, top_k);
    if (!step) return moe::forward(step);
    if (step->layer < 0)
      return moe::fail(
          moe::ErrorCode::bad_argument,
          fmt::format("search: --budget {} is out of reach: with one expert in every layer {:.1f} % of "
                      "the FLOPs remain",
                      search.budget, 100.0 * static_cast<double>(flops) / static_cast<double>(first->flops)));
    top_k = step->top_k, flops = step->answers.flops;
    table.add(row_of(fmt::format("layer {}", step->layer), top_k, step->answers, *first));
  }
  const auto verdict = verdict_of(search, *halves, top_k);
  if (!verdict) return moe::forward(verdict);
  std::size_t questions = 0;
  for (const eval::PreparedTask& task : search.tasks) questions += static_cast<std::size_t>(task.question_count());
  return cli::print(fmt::format("{}, search on {} of {} questions:\n\n{}\n{}", moe::shown_name(search.name),
                                first->correct.size(), questions, table.render(), *verdict));
}

}  // namespace search_command
