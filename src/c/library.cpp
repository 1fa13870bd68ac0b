#include "c/handles.hpp"
#include "c/status.hpp"
#include "moe/cpu.hpp"

#include <fmt/format.h>

using moe::Result;

const char* moe_version(void) { return MOE_VERSION; }
int32_t moe_abi_version(void) { return MOE_ABI_VERSION; }
int32_t moe_numerics_version(void) { return moe::kNumericsVersion; }
// Names of instruction sets are literals, so they end with a zero byte.
const char* moe_isa(void) {
  const std::string_view name = moe::active_isa();
  return name.empty() ? "" : name.data();
}

moe_status moe_pool_openmp(int64_t threads, moe_pool** pool, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (pool == nullptr) return moe::c::null_argument("pool");
    if (threads < 0 || threads > moe::kMaxThreads)
      return moe::fail(moe::ErrorCode::bad_argument,
                       fmt::format("the number of threads is {}, expected 0 to {}", threads, moe::kMaxThreads));
    const auto started = moe::start_openmp_pool(static_cast<std::int32_t>(threads));
    if (!started) return moe::forward(started);
    *pool = new moe_pool{*started};
    return {};
  });
}

moe_status moe_pool_host(moe_parallel_for run, void* host, int64_t worker_count, moe_pool** pool, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (run == nullptr) return moe::c::null_argument("run");
    if (pool == nullptr) return moe::c::null_argument("pool");
    if (worker_count < 1 || worker_count > moe::kMaxThreads)
      return moe::fail(moe::ErrorCode::bad_argument,
                       fmt::format("worker_count is {}, expected 1 to {}", worker_count, moe::kMaxThreads));
    *pool = new moe_pool{{run, host, static_cast<std::int32_t>(worker_count)}};
    return {};
  });
}

void moe_pool_free(moe_pool* pool) { delete pool; }
