#pragma once
// The order of questions in a run with early stopping.

#include <cstdint>
#include <span>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

/// Questions of one task that belong together, in ascending order.
struct Cluster {
  std::size_t task = 0;
  std::vector<QuestionIndex> questions = {};
};

/// All clusters of all tasks in a uniformly random order. A question without a cluster name is a cluster of its own;
/// names of different tasks are different clusters.
std::vector<Cluster> random_clusters(std::span<const PreparedTask> tasks, std::uint64_t seed);

/// Where the block ends that begins at cluster `begin`: at least `questions` later, or at the end.
std::size_t block_end(std::span<const Cluster> clusters, std::size_t begin, std::int64_t questions);

/// The number of leading clusters that hold a question of each of `task_count` tasks.
std::size_t reach_of_all_tasks(std::span<const Cluster> clusters, std::size_t task_count);

}  // namespace moe::inline MOE_ABI::eval
