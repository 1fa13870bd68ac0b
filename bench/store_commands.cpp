#include "bench/store_commands.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
#include <vector>

#include "moe/eval/statistics.hpp"
#include "moe/eval/store.hpp"
#include "support/number.hpp"
#include "tools/cli.hpp"

namespace store_commands {
namespace {

namespace eval = moe::eval;

const char* name_of(moe::KvType kv) { return kv == moe::KvType::f32 ? "f32" : kv == moe::KvType::f16 ? "f16" : "bf16"; }

std::string percent(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", 100 * x);
  return text;
}
std::string percent(const std::optional<double>& x) { return x ? percent(*x) : std::string("N/A"); }

// Columns as wide as their widest cell.
void print(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width(rows[0].size(), 0);
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      line += row[c];
      if (c + 1 < row.size()) line += std::string(width[c] - row[c].size() + 2, ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

// The runs that a word names: one by its number, or the last finished one of each task by the model's name.
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
                   unfinished ? "run '" + word + "' was cut short: ask it again with the same command, it goes on"
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
  char points[32], p[32];
  std::snprintf(points, sizeof points, "%+.2f", 100 * gap->gap);
  std::snprintf(p, sizeof p, "%.4g", gap->p_value);
  const std::string mde = gap->standard_error ? percent(eval::minimum_detectable_effect(*gap->standard_error)) : "N/A";
  const std::string verdict =
      gap->p_value >= 0.05 ? "not distinguishable" : "run " + std::to_string(gap->gap > 0 ? a.id : b.id) + " is better";
  // Another prompt is another question to the model; the gap then holds more than the models.
  const std::string note = a.questions_hash == b.questions_hash ? "" : "the prompts differ";
  return std::vector<std::string>{a.task,
                                  std::to_string(a.id) + " " + cli::printable(a.model),
                                  percent(a.accuracy),
                                  std::to_string(b.id) + " " + cli::printable(b.model),
                                  percent(b.accuracy),
                                  points,
                                  percent(gap->standard_error),
                                  std::to_string(gap->only_a),
                                  std::to_string(gap->only_b),
                                  p,
                                  mde,
                                  verdict,
                                  note};
}

}  // namespace

moe::Result<void> history(const std::string& path) {
  const auto store = eval::RunStore::open_read_only(path);
  if (!store) return moe::forward(store);
  const auto runs = (*store)->runs();
  if (!runs) return moe::forward(runs);
  std::vector<std::vector<std::string>> rows = {{"run", "started", "model", "precision", "kv", "top-k", "task", "shots",
                                                 "questions", "acc %", "+- SE", "GFLOPs/question", "state"}};
  for (const eval::StoredRun& r : *runs) {
    char giga[32];
    std::snprintf(
        giga, sizeof giga, "%.4g",
        static_cast<double>(r.model_flops) / 1e9 / static_cast<double>(std::max<std::int64_t>(r.question_count, 1)));
    const bool done = !r.finished.empty();
    rows.push_back({std::to_string(r.id), r.started.substr(0, 19), cli::printable(r.model),
                    r.setting.precision == moe::Precision::reference ? "reference" : "auto", name_of(r.setting.kv),
                    std::to_string(r.setting.top_k), cli::printable(r.task), std::to_string(r.num_fewshot),
                    std::to_string(r.question_count), done ? percent(r.accuracy) : "-",
                    done ? percent(r.standard_error) : "-", done ? giga : "-", done ? "finished" : "cut short"});
  }
  print(rows);
  return {};
}

moe::Result<void> compare(const std::string& path, const std::string& a, const std::string& b) {
  const auto store = eval::RunStore::open_read_only(path);
  if (!store) return moe::forward(store);
  const auto runs = (*store)->runs();
  if (!runs) return moe::forward(runs);
  const auto left = named(*runs, a), right = named(*runs, b);
  if (!left) return moe::forward(left);
  if (!right) return moe::forward(right);
  std::vector<std::vector<std::string>> rows = {
      {"task", "A", "acc %", "B", "acc %", "A - B", "+- SE", "only A", "only B", "p (McNemar)", "MDE", "verdict", ""}};
  for (const auto& [task, run] : *left) {
    auto other = right->find(task);
    // Two numbers of different tasks: let the comparison say so.
    if (other == right->end() && left->size() == 1 && right->size() == 1) other = right->begin();
    if (other == right->end() || (left->size() > 1 && !run.accuracy)) continue;
    auto row = compare_runs(**store, run, other->second);
    if (!row) return moe::forward(row);
    rows.push_back(std::move(*row));
  }
  if (rows.size() == 1)
    return moe::fail(moe::ErrorCode::not_found, "'" + a + "' and '" + b + "' have no finished task in common");
  print(rows);
  return {};
}

}  // namespace store_commands
