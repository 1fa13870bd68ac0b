#include "eval/run/question_order.hpp"

#include <string>
#include <unordered_map>
#include <utility>

#include "eval/score/python_random.hpp"

namespace moe::inline MOE_ABI::eval {

std::vector<Cluster> random_clusters(std::span<const PreparedTask> tasks, std::uint64_t seed) {
  std::vector<Cluster> out;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    std::unordered_map<std::string, std::size_t> index_of;
    for (const QuestionIndex& q : all_questions(tasks[t])) {
      const std::string& name = tasks[t].subtasks[q.subtask].documents[q.document].cluster;
      std::size_t at = out.size();
      if (!name.empty()) at = index_of.emplace(name, at).first->second;
      if (at == out.size()) out.push_back({t, {}});
      out[at].questions.push_back(q);
    }
  }
  // Fisher-Yates shuffle. 53 random bits per draw give a bias of count / 2^53.
  PythonRandom random(seed);
  for (std::size_t left = out.size(); left > 1; --left) std::swap(out[left - 1], out[random.next_index(left)]);
  return out;
}

std::size_t block_end(std::span<const Cluster> clusters, std::size_t begin, std::int64_t questions) {
  std::size_t end = begin;
  for (std::int64_t count = 0; end < clusters.size() && count < questions; ++end)
    count += static_cast<std::int64_t>(clusters[end].questions.size());
  return end;
}

std::size_t reach_of_all_tasks(std::span<const Cluster> clusters, std::size_t task_count) {
  std::vector<bool> seen(task_count, false);
  std::size_t missing = task_count, end = 0;
  for (; end < clusters.size() && missing > 0; ++end) {
    if (!seen[clusters[end].task]) --missing;
    seen[clusters[end].task] = true;
  }
  return end;
}

}  // namespace moe::inline MOE_ABI::eval
