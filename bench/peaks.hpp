#pragma once
// Measures this machine's peaks: int8 dot products, float32 fma, reading memory.

#include <cstdint>
#include <functional>
#include <string>

#include "moe/error.hpp"
#include "moe/parallel.hpp"

namespace moe_bench {

struct Peaks {
  std::int32_t threads = 1;
  double int8_ops = 0.0;    ///< operations per second (2 per multiply-add) of int8 dot products
  double float_ops = 0.0;   ///< the same of float32 fma
  double read_bytes = 0.0;  ///< bytes per second, from a buffer far larger than the caches
};

/// Names of the instructions that measure_peaks uses here, fastest first choice.
std::string int8_instruction();

/// About half a second per figure; `cancelled` is asked several times in each. Errors: out_of_memory, cancelled.
moe::Result<Peaks> measure_peaks(std::int32_t threads, const std::function<bool()>& cancelled = {});
/// Only the bandwidth: on shared machines it varies from minute to minute. Errors: as above.
moe::Result<double> measure_read_bandwidth(std::int32_t threads, const std::function<bool()>& cancelled = {});

}  // namespace moe_bench
