#include "bench/store_commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "moe/eval/statistics.hpp"
#include "moe/eval/store.hpp"
#include "support/number.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"
#include "tools/common/interrupt.hpp"
#include "tools/common/progress.hpp"
#include "tools/common/standard_output.hpp"
#include "tools/common/terminal.hpp"

namespace store_commands {
namespace {

namespace eval = moe::eval;

std::string percent(double x) { return fmt::format("{:.2f}", 100 * x); }
std::string percent(const std::optional<double>& x) { return x ? percent(*x) : std::string("N/A"); }

// The runs that an argument names: one by its number, or the last finished one of each task by the model's name.
moe::Result<std::map<std::string, eval::StoredRun>> named(const std::vector<eval::StoredRun>& runs,
                                                          const std::string& word) {
  const auto number = moe::parse_number<std::int64_t>("run", word, {1, std::numeric_limits<std::int64_t>::max()});
  std::map<std::string, eval::StoredRun> out;
  bool unfinished = false;
  for (const eval::StoredRun& run : runs) {
    if (number ? run.id != *number : run.model != word) continue;
    if (run.finished.empty())
      unfinished = true;
    else
      out[run.task] = run;
  }
  if (!out.empty()) return out;
  return moe::fail(unfinished ? moe::ErrorCode::bad_argument : moe::ErrorCode::not_found,
                   unfinished ? "run '" + word + "' is unfinished: run the same command again, it continues"
                              : "the store has no run '" + word + "' (moe-eval history lists them)");
}

moe::Result<std::vector<std::string>> compare_runs(const eval::RunStore& store, const eval::StoredRun& a,
                                                   const eval::StoredRun& b) {
  const auto left = store.answers(a.id), right = store.answers(b.id);
  if (!left) return moe::forward(left);
  if (!right) return moe::forward(right);
  std::vector<double> x, y;
  std::vector<std::string> clusters;
  for (std::size_t i = 0; i < left->size() && i < right->size(); ++i) {
    if ((*left)[i].question != (*right)[i].question) break;
    x.push_back((*left)[i].correct), y.push_back((*right)[i].correct), clusters.push_back((*left)[i].cluster);
  }
  if (a.task != b.task || x.size() != left->size() || x.size() != right->size())
    return moe::fail(moe::ErrorCode::bad_argument, "runs " + std::to_string(a.id) + " (" + a.task + ") and " +
                                                       std::to_string(b.id) + " (" + b.task +
                                                       ") did not ask the same questions");
  if (!a.accuracy || !b.accuracy)
    return moe::fail(moe::ErrorCode::bad_argument,
                     "runs of " + a.task + " have no accuracy that could be compared question by question");
  const auto gap = eval::paired_gap(x, y, clusters);
  if (!gap) return moe::forward(gap);
  const std::string mde = gap->standard_error ? percent(eval::minimum_detectable_effect(*gap->standard_error)) : "N/A";
  const std::string verdict =
      gap->p_value >= 0.05 ? "not distinguishable" : "run " + std::to_string(gap->gap > 0 ? a.id : b.id) + " is better";
  // With other prompts, the gap is not only between the models.
  const std::string note = a.questions_hash == b.questions_hash ? "" : "the prompts differ";
  return std::vector<std::string>{moe::shown_name(a.task),
                                  std::to_string(a.id) + " " + moe::shown_name(a.model),
                                  percent(a.accuracy),
                                  std::to_string(b.id) + " " + moe::shown_name(b.model),
                                  percent(b.accuracy),
                                  fmt::format("{:+.2f}", 100 * gap->gap),
                                  percent(gap->standard_error),
                                  std::to_string(gap->only_a),
                                  std::to_string(gap->only_b),
                                  fmt::format("{:.4g}", gap->p_value),
                                  mde,
                                  verdict,
                                  note};
}

}  // namespace

moe::Result<std::unique_ptr<eval::RunStore>> open_whole(const std::string& path) {
  auto store = eval::RunStore::open_read_only(path);
  if (!store) return store;
  if (auto ok = (*store)->verify(); !ok) return moe::forward(ok);
  return store;
}

moe::Result<void> history(const std::string& path) {
  const auto store = open_whole(path);
  if (!store) return moe::forward(store);
  const auto runs = (*store)->runs();
  if (!runs) return moe::forward(runs);
  moe::TextTable table({"run", "started", "model", "precision", "kv", "top-k", "task", "shots", "questions", "acc %",
                        "+- SE", "GFLOPs/question", "state"},
                       moe::TextTable::Align::words);
  for (const eval::StoredRun& r : *runs) {
    const auto questions = static_cast<double>(std::max<std::int64_t>(r.question_count, 1));
    const std::string giga = fmt::format("{:.4g}", static_cast<double>(r.model_flops) / 1e9 / questions);
    const bool done = !r.finished.empty();
    table.add({std::to_string(r.id), r.started.substr(0, 19), moe::shown_name(r.model),
               std::string(name_of(r.setting.precision)), std::string(name_of(r.setting.kv)),
               r.setting.experts.empty() ? std::to_string(r.setting.top_k) : moe::shown_name(r.setting.experts),
               moe::shown_name(r.task), std::to_string(r.num_fewshot), std::to_string(r.question_count),
               done ? percent(r.accuracy) : "-", done ? percent(r.standard_error) : "-", done ? giga : "-",
               done ? "finished" : "cut short"});
  }
  return cli::print(table.render(cli::standard_output().columns));
}

moe::Result<void> compare(const std::string& path, const std::string& a, const std::string& b) {
  const auto store = open_whole(path);
  if (!store) return moe::forward(store);
  const auto runs = (*store)->runs();
  if (!runs) return moe::forward(runs);
  const auto left = named(*runs, a), right = named(*runs, b);
  if (!left) return moe::forward(left);
  if (!right) return moe::forward(right);
  moe::TextTable table(
      {"task", "A", "acc %", "B", "acc %", "A - B", "+- SE", "only A", "only B", "p (McNemar)", "MDE", "verdict", ""},
      moe::TextTable::Align::words);
  bool any = false;
  for (const auto& [task, run] : *left) {
    auto other = right->find(task);
    // Two numbers of different tasks: the comparison reports it.
    if (other == right->end() && left->size() == 1 && right->size() == 1) other = right->begin();
    if (other == right->end() || (left->size() > 1 && !run.accuracy)) continue;
    auto row = compare_runs(**store, run, other->second);
    if (!row) return moe::forward(row);
    table.add(std::move(*row));
    any = true;
  }
  if (!any) return moe::fail(moe::ErrorCode::not_found, "'" + a + "' and '" + b + "' have no finished task in common");
  return cli::print(table.render(cli::standard_output().columns));
}

moe::Result<void> merge(const std::string& into, const std::vector<std::string>& from) {
  // A name that leads nowhere is found before the first hour of copying.
  for (const std::string& path : from)
    if (const auto store = eval::RunStore::open_read_only(path); !store) return moe::forward(store);
  moe::Result<void> printed;
  for (const std::string& path : from) {
    cli::ProgressLine line("merging " + path);
    eval::ReadHooks hooks;
    hooks.cancelled = cli::interrupted;
    hooks.on_progress = [&](std::string_view, std::int64_t done, std::int64_t total) { line.update({done, total}); };
    const auto counts = eval::merge_store(into, path, hooks);
    line.clear();
    // Nothing is removed: another process may merge into the same new store.
    if (!counts) return moe::forward(counts);
    // Without a reader the other stores are merged all the same.
    if (printed)
      printed = cli::print(fmt::format("{}: {} new answers, {} known before, {} new runs\n", moe::printable(path),
                                       counts->added, counts->known, counts->runs));
    if (!printed && printed.error().code == moe::ErrorCode::cancelled) return printed;
  }
  return printed;
}

}  // namespace store_commands
