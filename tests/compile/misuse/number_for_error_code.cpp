// A number where an error code belongs.
// expect: could not convert|cannot convert|cannot initialize
#include "moe/error.hpp"

#ifdef RIGHT
moe::Result<int> use() { return moe::fail(moe::ErrorCode::io, "disk"); }
#else
moe::Result<int> use() { return moe::fail(3, "disk"); }
#endif
