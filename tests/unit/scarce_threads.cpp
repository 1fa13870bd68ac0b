// A system that starts only MOE_TEST_THREADS threads beside a program's first one: pthread_create as LD_PRELOAD or the
// program itself puts it in front of the C library's.

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace {

using Start = void* (*)(void*);

struct Call {
  Start start;
  void* argument;
};

std::atomic<int> alive{0};

// OpenMP's threads end in pthread_exit, which unwinds this.
struct AtEnd {
  ~AtEnd() { --alive; }
};

void* counted(void* pointer) {
  const AtEnd uncount;
  const Call call = *static_cast<Call*>(pointer);
  delete static_cast<Call*>(pointer);
  return call.start(call.argument);
}

}  // namespace

/// Threads that are counted here now.
extern "C" int moe_test_threads_alive() { return alive; }

extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                                     const pthread_attr_t* attributes, Start start,
                                                                     void* argument) noexcept {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, Start, void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  const char* const most = std::getenv("MOE_TEST_THREADS");
  if (++alive > (most != nullptr ? std::atoi(most) : 1 << 20)) {
    --alive;
    return EAGAIN;
  }
  auto* const call = new (std::nothrow) Call{start, argument};
  const int error = call != nullptr ? create(thread, attributes, counted, call) : ENOMEM;
  if (error != 0) {
    delete call;
    --alive;
  }
  return error;
}
