// moe-eval. What it does is in eval_program.cpp.

#include "bench/eval_program.hpp"

int main(int argc, char** argv) { return eval_program::run(argc, argv, nullptr); }
