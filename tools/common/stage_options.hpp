#pragma once
// The option that all programs over a pipeline of stages have.

#include "tools/common/numbers.hpp"

namespace cli {

/// --wait: StageOptions::wait_seconds.
inline void add_wait(CLI::App& app, double& seconds) {
  add_number(app, "--wait", seconds, moe::Bounds<double>{0.1, 1e6},
             "seconds after which a stage counts as gone, plus three times the expected time of the step (30)");
}

}  // namespace cli
