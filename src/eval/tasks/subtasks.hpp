#pragma once
// Selects a task's questions from a file and divides them into subtasks.

#include <string_view>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

/// Each is a row of the tables and has a file of samples.
inline constexpr std::size_t kMostSubtasks = 4096;

/// A subtask before its prompts are built.
struct AskedSubtask {
  Subtask subtask;  ///< without documents
  std::vector<Question> questions;
};

/// Subtasks in reporting order: the order of the task file, then that of first appearance. `limit` as in
/// PrepareOptions.
/// Errors: bad_file, cancelled.
Result<std::vector<AskedSubtask>> split(const TaskSpec& task, std::vector<Question> questions, double limit,
                                        const ReadHooks& hooks);

/// To be called with every question of `count`. Errors: cancelled.
Result<void> ask_hooks(const ReadHooks& hooks, std::string_view task, std::size_t done, std::size_t count);

}  // namespace moe::inline MOE_ABI::eval
