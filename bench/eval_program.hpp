#pragma once
// moe-eval: accuracy with standard errors, and the FLOPs of answers. A thin layer over moe::eval.

#include "bench/eval_stages.hpp"

namespace eval_program {

/// `start`: null, or how this process joins the stages of a pipeline. Returns the exit status.
int run(int argc, char** argv, eval_stages::Start start);

}  // namespace eval_program
