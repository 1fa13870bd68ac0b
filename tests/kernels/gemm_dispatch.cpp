// MOE_ISA decides the active table, or there is none: CTest runs this once per name and once without.

#include <cstdlib>
#include <cstring>

#include "kernels/table.hpp"
#include "support.hpp"

using namespace moe::kernels;

TEST_CASE("the forced instruction set is the active one") {
  int count = 0;
  const KernelTable* const* tables = runnable_tables(count);
  REQUIRE(count >= 1);
  CHECK(std::strcmp(tables[0]->isa, "scalar") == 0);
  const char* forced = std::getenv("MOE_ISA");
  if (forced == nullptr || *forced == '\0') {
    CHECK(active_table() == tables[count - 1]);
    return;
  }
  if (find_table(forced) == nullptr) {
    CHECK(active_table() == nullptr);
    moe_test::report_skip(forced, "this CPU or operating system cannot run it");
    return;
  }
  REQUIRE(active_table() != nullptr);
  CHECK(std::strcmp(active_table()->isa, forced) == 0);
}

TEST_CASE("a name nobody knows finds no table") {
  CHECK(find_table("avx9000") == nullptr);
  CHECK(find_table("") == nullptr);
}
