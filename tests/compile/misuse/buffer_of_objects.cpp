// Raw memory for objects that have constructors.
// expect: static assertion|static_assert
#include <string>

#include "moe/tensor.hpp"

#ifdef RIGHT
moe::AlignedBuffer<float> buffer;
#else
moe::AlignedBuffer<std::string> buffer;
#endif
