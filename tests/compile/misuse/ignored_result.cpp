// An ignored error.
// expect: nodiscard|unused-result|warn_unused_result
#include "moe/error.hpp"

moe::Result<void> load();

void use() {
#ifdef RIGHT
  if (!load()) return;
#else
  load();
#endif
}
