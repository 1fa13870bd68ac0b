// An error that was made and not returned.
// expect: nodiscard|unused-result
#include "moe/error.hpp"

moe::Result<int> parse(bool good) {
#ifdef RIGHT
  if (!good) return moe::fail(moe::ErrorCode::bad_file, "bad");
#else
  if (!good) moe::fail(moe::ErrorCode::bad_file, "bad");
#endif
  return 1;
}
