#include "model/load_work.hpp"

#include <algorithm>

#include "support/float_environment.hpp"

namespace moe::inline MOE_ABI {

void LoadWork::add(std::int64_t bytes) {
  done_ += bytes;
  if (std::this_thread::get_id() == caller_) report();
}

void LoadWork::report() {
  if (options_.cancelled && options_.cancelled()) stop_ = true;
  if (!options_.on_progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_report_ < std::chrono::milliseconds(100)) return;
  last_report_ = now;
  options_.on_progress({done_.load(), total_});
}

Result<void> LoadWork::run(std::int64_t count, const std::function<Result<void>(std::int64_t, std::int32_t)>& task) {
  // Where the calling thread works as well, its tasks call the host. In a pool where it waits, slices end for that.
  constexpr std::int64_t kSlice = 8;
  for (std::int64_t begin = 0, size = 0; begin < count && !stop_; begin += size) {
    size = caller_works_ ? count - begin : std::min(count - begin, kSlice * worker_count());
    parallel_for(options_.threads, size, [&](std::int64_t i, std::int32_t worker) {
      if (std::this_thread::get_id() == caller_) caller_works_ = true;
      if (stop_) return;
      const FloatEnvironment environment;
      if (const auto ok = task(begin + i, worker); !ok) {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = ok.error();
        stop_ = true;
      }
    });
    if (!caller_works_) report();
  }
  if (error_) return tl::unexpected<Error>(*error_);
  if (stop_) return fail(ErrorCode::cancelled, "loading was cancelled");
  return {};
}

void LoadWork::finish() {
  if (options_.on_progress) options_.on_progress({total_, total_});
}

}  // namespace moe::inline MOE_ABI
