#pragma once
// The task files of src/eval/tasks, compiled in (written by embed_tasks.cmake).

#include <span>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

struct BuiltinTask {
  std::string_view name, json;
};
std::span<const BuiltinTask> builtin_tasks();

}  // namespace moe::inline MOE_ABI::eval
