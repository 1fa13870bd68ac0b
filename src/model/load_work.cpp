#include "model/load_work.hpp"

#include "support/float_environment.hpp"

namespace moe::inline MOE_ABI {

void LoadWork::add(std::int64_t bytes, std::int32_t worker) {
  done_ += bytes;
  if (worker != 0) return;
  if (options_.cancelled && options_.cancelled()) stop_ = true;
  if (!options_.on_progress) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_report_ < std::chrono::milliseconds(100)) return;
  last_report_ = now;
  options_.on_progress({done_.load(), total_});
}

Result<void> LoadWork::run(std::int64_t count, const std::function<Result<void>(std::int64_t, std::int32_t)>& task) {
  parallel_for(options_.threads, count, [&](std::int64_t i, std::int32_t worker) {
    if (stop_) return;
    const FloatEnvironment environment;
    if (const auto ok = task(i, worker); !ok) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = ok.error();
      stop_ = true;
    }
  });
  if (error_) return tl::unexpected<Error>(*error_);
  if (stop_) return fail(ErrorCode::cancelled, "loading was cancelled");
  return {};
}

void LoadWork::finish() {
  if (options_.on_progress) options_.on_progress({total_, total_});
}

}  // namespace moe::inline MOE_ABI
