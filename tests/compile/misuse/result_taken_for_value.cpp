// A result used as if it were its value.
// expect: cannot convert|no viable conversion
#include "moe/error.hpp"

int use(moe::Result<int> result) {
#ifdef RIGHT
  return result ? *result : 0;
#else
  return result;
#endif
}
