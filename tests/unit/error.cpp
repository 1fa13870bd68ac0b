#include "moe/error.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "moe/parallel.hpp"
#include "moe/tensor.hpp"

namespace error_test {

namespace {
moe::Result<int> half(int x) {
  if (x % 2 != 0) return moe::fail(moe::ErrorCode::bad_argument, "odd");
  return x / 2;
}
}  // namespace

TEST_CASE("Result carries a value or an error") {
  CHECK(*half(4) == 2);
  const moe::Result<int> odd = half(3);
  REQUIRE_FALSE(odd.has_value());
  CHECK(odd.error().code == moe::ErrorCode::bad_argument);
  CHECK(odd.error().message == "odd");
  CHECK(half(8).value() == 4);
}

#ifndef MOE_NO_EXCEPTIONS
TEST_CASE("value() of an error throws for those who like exceptions") {
  CHECK_THROWS_AS(static_cast<void>(half(3).value()), tl::bad_expected_access<moe::Error>);
}
#endif

TEST_CASE("AlignedBuffer is aligned and refuses sizes that wrap") {
  auto buffer = moe::AlignedBuffer<float>::create(33, moe::Fill::zero);
  REQUIRE(buffer.has_value());
  CHECK(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64 == 0);
  for (float x : buffer->span()) CHECK(x == 0.0f);
  const auto huge = moe::AlignedBuffer<double>::create(~std::size_t{0} / 4);
  REQUIRE_FALSE(huge.has_value());
  CHECK(huge.error().code == moe::ErrorCode::out_of_memory);
}

TEST_CASE("parallel_for visits every index once, with any pool") {
  for (int threads : {1, 2, 3}) {
    std::vector<int> seen(1000, 0);
    moe::parallel_for(moe::openmp_pool(threads), 1000, [&](std::int64_t i, std::int32_t worker) {
      CHECK_FALSE(worker >= threads);
      seen[static_cast<std::size_t>(i)] += 1;
    });
    for (int n : seen) CHECK(n == 1);
  }
}

#ifndef MOE_NO_EXCEPTIONS
TEST_CASE("an exception of a loop's body ends that index alone, and the first one is thrown when all are done") {
  // Every task runs here: an exception that left one would end the loop.
  moe::ParallelFor pool;
  pool.worker_count = 2;
  pool.run = [](void*, std::int64_t count, void* context, moe::ParallelFor::Task task) {
    for (std::int64_t i = 0; i < count; ++i) task(context, i, 0);
  };
  std::vector<int> seen(6, 0);
  const auto loop = [&] {
    moe::parallel_for(pool, 6, [&](std::int64_t i, std::int32_t) {
      seen[static_cast<std::size_t>(i)] += 1;
      if (i == 1 || i == 4) throw std::runtime_error("index " + std::to_string(i));
    });
  };
  CHECK_THROWS_WITH_AS(loop(), "index 1", std::runtime_error);
  CHECK(seen == std::vector<int>(6, 1));
}
#endif

}  // namespace error_test
