// Compiler flags that would break the numerics contract.
// expect: ffast-math
// flags: -ffast-math
#include "moe/moe.hpp"
