#pragma once
// The order in which a run that may stop early asks its questions.

#include <cstdint>
#include <span>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

/// Questions of one task that belong together, in rising order.
struct Cluster {
  std::size_t task = 0;
  std::vector<QuestionIndex> questions = {};
};

/// All clusters of all tasks in a uniformly random order. A question without a cluster's name is one by itself; names of
/// different tasks are different clusters.
std::vector<Cluster> random_clusters(std::span<const PreparedTask> tasks, std::uint64_t seed);

/// Where the block ends that begins at cluster `begin`: at least `questions` later, or at the end.
std::size_t block_end(std::span<const Cluster> clusters, std::size_t begin, std::int64_t questions);

/// The number of leading clusters that hold a question of each of `task_count` tasks.
std::size_t reach_of_all_tasks(std::span<const Cluster> clusters, std::size_t task_count);

}  // namespace moe::inline MOE_ABI::eval
