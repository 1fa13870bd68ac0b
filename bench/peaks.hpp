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
  double int8_ops = 0.0;          ///< operations per second (2 per multiply-add) of int8 dot products
  double float_ops = 0.0;         ///< the same of float32 fma
  double read_bytes = 0.0;        ///< bytes per second, from a buffer far larger than the caches
  std::int64_t buffer_bytes = 0;  ///< the size of that buffer
};

/// Of the buffer, where memory allows it.
inline constexpr std::int64_t kMostBufferBytes = std::int64_t{384} << 20;

/// Name of the int8 instruction that measure_peaks uses on this CPU.
std::string int8_instruction();

/// The size of the buffer for a process that may hold `limit` bytes (0: moe::default_memory_limit()): what is left of
/// them now, within reason. Caches may help where it is smaller than kMostBufferBytes.
std::int64_t read_buffer_bytes(std::int64_t limit);

/// About half a second per figure; `cancelled` is asked several times in each. `limit` as above. Errors: out_of_memory,
/// cancelled.
moe::Result<Peaks> measure_peaks(std::int32_t threads, const std::function<bool()>& cancelled = {},
                                 std::int64_t limit = 0);
/// Only the bandwidth: on shared machines it varies from minute to minute. Errors: as above.
moe::Result<double> measure_read_bandwidth(std::int32_t threads, const std::function<bool()>& cancelled = {},
                                           std::int64_t limit = 0);

}  // namespace moe_bench
