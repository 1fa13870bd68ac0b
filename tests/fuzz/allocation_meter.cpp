#include "allocation_meter.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> g_now{0}, g_peak{0}, g_start{0};

void* count_allocation(std::size_t size) {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) std::abort();
  const std::size_t now = g_now.fetch_add(malloc_usable_size(p)) + malloc_usable_size(p);
  std::size_t peak = g_peak.load();
  while (now > peak && !g_peak.compare_exchange_weak(peak, now)) {
  }
  return p;
}
void count_release(void* p) {
  if (p == nullptr) return;
  g_now.fetch_sub(malloc_usable_size(p));
  std::free(p);
}
}  // namespace

void* operator new(std::size_t size) { return count_allocation(size); }
void* operator new[](std::size_t size) { return count_allocation(size); }
// std::stable_sort asks for its buffer in this way; a sanitizer's own form would not match the deletes below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return count_allocation(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return count_allocation(size); }
void operator delete(void* p) noexcept { count_release(p); }
void operator delete[](void* p) noexcept { count_release(p); }
void operator delete(void* p, std::size_t) noexcept { count_release(p); }
void operator delete[](void* p, std::size_t) noexcept { count_release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { count_release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { count_release(p); }

namespace moe_test {

void start_allocation_meter() {
  g_start = g_now.load();
  g_peak = g_now.load();
}
std::size_t allocation_peak() { return g_peak.load() - g_start.load(); }
std::size_t allocation_level() { return g_now.load() - g_start.load(); }

}  // namespace moe_test
