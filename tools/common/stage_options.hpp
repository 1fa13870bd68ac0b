#pragma once
// The option that all programs over a pipeline of stages have.

#include "tools/common/numbers.hpp"

namespace cli {

/// --wait: StageOptions::wait_seconds.
inline void add_wait(CLI::App& app, double& seconds) {
  add_number(app, "--wait", seconds, moe::Bounds<double>{0.1, 1e6},
             "seconds, beside three times what a step takes by those before it, until a stage counts as gone (30)");
}

}  // namespace cli
