#pragma once
// One call into the library: runs without the GIL, can be ended by Ctrl-C, and reports progress to Python.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>

#include "bindings.hpp"
#include "process.hpp"

namespace moe_python {

/// Created with the GIL held, by the thread that will compute.
class Watch {
 public:
  /// `progress`: a callable of (done, total), or None. Raises as check_process().
  explicit Watch(nb::object progress = nb::none());

  /// The library's hook `cancelled`. In the main thread it checks for signals, at most every 50 ms.
  bool cancelled();
  /// The library's hook on_progress. An exception of the callback ends the work.
  void report(std::int64_t done, std::int64_t total);

  /// Runs work() without the GIL and returns its result. Raises exceptions of signal handlers and callbacks.
  template <class Work>
  auto run(Work&& work) {
    auto result = [&] {
      const InFlight in_flight;
      const nb::gil_scoped_release released;
      return work();
    }();
    rethrow();
    return result;
  }

 private:
  void keep_python_error();
  void rethrow();

  nb::object progress_;
  std::thread::id owner_ = std::this_thread::get_id();
  bool sees_signals_ = false;  // Python delivers them to its main thread alone
  std::chrono::steady_clock::time_point next_look_, next_report_ = {};
  std::atomic<bool> stop_{false};
  std::exception_ptr raised_;
};

/// True in the thread to which Python delivers signals. Needs the GIL.
bool in_main_thread();

inline constexpr std::chrono::milliseconds kSignalPeriod{50}, kReportPeriod{100};

}  // namespace moe_python
