#pragma once
// The lower bound on the time of a step on this machine.

#include <algorithm>

#include "bench/peaks.hpp"
#include "moe/demand.hpp"

namespace moe_bench {

inline double least_seconds(const moe::Demand& d, const Peaks& p) {
  return std::max(d.bytes / p.read_bytes, d.int8_ops / p.int8_ops + d.float_ops / p.float_ops);
}
/// Which of the two takes longer.
inline const char* bound_by(const moe::Demand& d, const Peaks& p) {
  return d.bytes / p.read_bytes >= d.int8_ops / p.int8_ops + d.float_ops / p.float_ops ? "bytes" : "operations";
}

}  // namespace moe_bench
