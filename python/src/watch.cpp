#include "watch.hpp"

#include "errors.hpp"

namespace moe_python {

bool in_main_thread() {
  const nb::object main = nb::module_::import_("threading").attr("main_thread")();
  return nb::cast<unsigned long>(main.attr("ident")) == PyThread_get_thread_ident();
}

Watch::Watch(nb::object progress)
    : progress_(std::move(progress)),
      sees_signals_(in_main_thread()),
      next_look_(std::chrono::steady_clock::now() + kSignalPeriod) {
  check_process();
}

bool Watch::cancelled() {
  if (stop_.load(std::memory_order_relaxed) || process_is_ending()) return true;
  if (!sees_signals_ || std::this_thread::get_id() != owner_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return false;
  const nb::gil_scoped_acquire held;
  if (PyErr_CheckSignals() != 0) keep_python_error();
  next_look_ = std::chrono::steady_clock::now() + kSignalPeriod;
  return stop_.load(std::memory_order_relaxed);
}

void Watch::report(std::int64_t done, std::int64_t total) {
  if (progress_.is_none() || stop_.load(std::memory_order_relaxed) || std::this_thread::get_id() != owner_) return;
  const auto now = std::chrono::steady_clock::now();
  if (done < total && now < next_report_) return;
  next_report_ = now + kReportPeriod;
  const nb::gil_scoped_acquire held;
  try {
    progress_(done, total);
  } catch (nb::python_error& error) {
    error.restore();
    keep_python_error();
  }
}

// The library has no exceptions: it is cancelled, and the exception is raised afterwards.
void Watch::keep_python_error() {
  try {
    throw nb::python_error();
  } catch (...) {
    raised_ = std::current_exception();
  }
  stop_.store(true);
}

void Watch::rethrow() {
  if (raised_) std::rethrow_exception(std::exchange(raised_, nullptr));
}

}  // namespace moe_python
