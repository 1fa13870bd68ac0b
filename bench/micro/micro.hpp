#pragma once
// Shared by the micro-benchmarks: buffers, random values, counters, and a `main` that refuses unknown options.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <type_traits>

#include "kernels/table.hpp"
#include "moe/tensor.hpp"

namespace micro {

template <class T>
moe::AlignedBuffer<T> buffer(std::int64_t count) {
  return moe::AlignedBuffer<T>::create(static_cast<std::size_t>(count), moe::Fill::zero).value();
}

/// Uniform in [low, high), the same values in every run.
inline moe::AlignedBuffer<float> random_floats(std::int64_t count, float low = -1.0f, float high = 1.0f) {
  std::mt19937 rng(1);
  auto out = buffer<float>(count);
  for (float& x : out.span()) x = low + (high - low) * (static_cast<float>(rng() >> 8) * 0x1p-24f);
  return out;
}

/// op/s and bytes_per_second, of what one iteration computes and touches.
inline void count_work(benchmark::State& state, double operations, std::int64_t bytes) {
  state.counters["op/s"] = benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(bytes * state.iterations());
}

/// "rms_norm/avx2/4096" from its parts.
template <class... Parts>
std::string name(const std::string& first, const Parts&... rest) {
  const auto text = [](const auto& part) -> std::string {
    if constexpr (std::is_enum_v<std::decay_t<decltype(part)>>)
      return std::string(name_of(part));
    else if constexpr (std::is_integral_v<std::decay_t<decltype(part)>>)
      return std::to_string(part);
    else
      return std::string(part);
  };
  return (first + ... + ("/" + text(rest)));
}

/// Calls register_table(table) for every table that this machine can run, the portable one first.
template <class Register>
void for_each_table(Register register_table) {
  int count = 0;
  const moe::kernels::KernelTable* const* tables = moe::kernels::runnable_tables(count);
  for (int i = 0; i < count; ++i) register_table(tables[i]);
}

/// The rest of `main`, once everything is registered. A filter that matches nothing is wrong usage.
inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  return benchmark::RunSpecifiedBenchmarks() == 0 ? 2 : 0;
}

}  // namespace micro
