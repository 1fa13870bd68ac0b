#pragma once
// Bytes and operations that a step needs, by stage: the counterpart of Session::profile(). Divided by the machine's
// bandwidth and operations per second, they give a lower bound on the time of a step.

#include <array>
#include <cstdint>
#include <vector>

#include "moe/model.hpp"
#include "moe/profile.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// Bytes read and operations computed by one or more steps.
struct Demand {
  double bytes = 0.0;      ///< packed weights and cache; an expert that several tokens chose counts once per step
  double int8_ops = 0.0;   ///< products with weights whose kernel is int8
  double float_ops = 0.0;  ///< the other products, scores and values
  Demand& operator+=(const Demand& o) {
    bytes += o.bytes, int8_ops += o.int8_ops, float_ops += o.float_ops;
    return *this;
  }
};

/// The same by stage of the forward pass; 0 for stages that multiply nothing.
struct StageDemands {
  std::array<Demand, kStageCount> stage{};
  Demand& operator[](Stage s) { return stage[static_cast<std::size_t>(s)]; }
  Demand total() const {
    Demand sum;
    for (const Demand& d : stage) sum += d;
    return sum;
  }
  StageDemands& operator+=(const StageDemands& o) {
    for (std::size_t i = 0; i < stage.size(); ++i) stage[i] += o.stage[i];
    return *this;
  }
};

/// A step of `tokens` new tokens after `cached` ones in one sequence, logits of the last token only, with the
/// current active_isa(). `routing`: Session::routing() of such a step, from which the experts touched are counted.
MOE_API StageDemands step_demand(const Model& model, KvType kv, std::int64_t cached, std::int64_t tokens,
                                 const std::vector<std::vector<TokenRouting>>& routing);

}  // namespace moe::inline MOE_ABI
