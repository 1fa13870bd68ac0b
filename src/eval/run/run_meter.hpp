#pragma once
// Measures time and energy of a part of an evaluation.

#include <chrono>
#include <optional>
#include <string>

#include "moe/eval/language_model.hpp"
#include "support/energy_meter.hpp"

namespace moe::inline MOE_ABI::eval {

class RunMeter {
 public:
  /// Begins now. `system_root`: EvaluateOptions::system_root.
  explicit RunMeter(const std::string& system_root) : energy_(system_root), start_(std::chrono::steady_clock::now()) {}

  /// The hooks that also look at the energy counters. The meter must outlive them.
  Hooks watched(const Hooks& hooks) {
    Hooks out = hooks;
    out.cancelled = [this, asked = hooks.cancelled] {
      energy_.tick();
      return asked && asked();
    };
    return out;
  }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  std::optional<double> joules() { return energy_.joules(); }

 private:
  EnergyMeter energy_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace moe::inline MOE_ABI::eval
