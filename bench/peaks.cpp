// Peaks of the machine. Each loop keeps 12 independent accumulators, enough for 5 cycles of latency on 2 ports.

#include "peaks.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <vector>

#include "moe/memory_plan.hpp"
#include "moe/tensor.hpp"
#include "support/seconds_since.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace moe_bench {
namespace {

using moe::seconds_since;
using Clock = std::chrono::steady_clock;

constexpr int kChains = 12;
/// Runs `rounds` rounds of kChains instructions; the result depends on all of them.
using Loop = float (*)(std::int64_t rounds);
struct PeakLoop {
  const char* name;
  Loop run;
  double ops_per_round;
};

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) float int8_avx512vnni(std::int64_t rounds) {
  __m512i acc[kChains], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
  for (__m512i& x : acc) x = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m512i& x : acc) x = _mm512_dpbusd_epi32(x, a, b);
    __asm__ volatile("" : "+v"(a), "+v"(b));  // the operands may change: nothing moves out of the loop
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
  alignas(64) std::int32_t out[16];
  _mm512_store_si512(out, acc[0]);
  return static_cast<float>(out[0]);
}
__attribute__((target("avx2"))) float int8_avx2(std::int64_t rounds) {
  __m256i acc[kChains], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2);
  const __m256i ones = _mm256_set1_epi16(1);
  for (__m256i& x : acc) x = _mm256_setzero_si256();
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m256i& x : acc) x = _mm256_add_epi32(x, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    __asm__ volatile("" : "+x"(a), "+x"(b));
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm256_add_epi32(acc[0], acc[i]);
  return static_cast<float>(_mm256_extract_epi32(acc[0], 0));
}
__attribute__((target("avx512f"))) float float_avx512(std::int64_t rounds) {
  __m512 acc[kChains], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (__m512& x : acc) x = _mm512_set1_ps(1.0f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m512& x : acc) x = _mm512_fmadd_ps(x, a, b);
    __asm__ volatile("" : "+v"(a), "+v"(b));
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm512_add_ps(acc[0], acc[i]);
  alignas(64) float out[16];
  _mm512_store_ps(out, acc[0]);
  return out[0];
}
__attribute__((target("avx2,fma"))) float float_avx2(std::int64_t rounds) {
  __m256 acc[kChains], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (__m256& x : acc) x = _mm256_set1_ps(1.0f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m256& x : acc) x = _mm256_fmadd_ps(x, a, b);
    __asm__ volatile("" : "+x"(a), "+x"(b));
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm256_add_ps(acc[0], acc[i]);
  return _mm256_cvtss_f32(acc[0]);
}
float plain_sse(std::int64_t rounds) {
  __m128 acc[kChains], a = _mm_set1_ps(0.999f), b = _mm_set1_ps(0.001f);
  for (__m128& x : acc) x = _mm_set1_ps(1.0f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (__m128& x : acc) x = _mm_add_ps(_mm_mul_ps(x, a), b);
    __asm__ volatile("" : "+x"(a), "+x"(b));
  }
  for (int i = 1; i < kChains; ++i) acc[0] = _mm_add_ps(acc[0], acc[i]);
  return _mm_cvtss_f32(acc[0]);
}

PeakLoop int8_loop() {
  if (__builtin_cpu_supports("avx512vnni")) return {"vpdpbusd (512 bits)", int8_avx512vnni, kChains * 128.0};
  if (__builtin_cpu_supports("avx2")) return {"vpmaddubsw + vpmaddwd (256 bits)", int8_avx2, kChains * 64.0};
  return {"mulps + addps", plain_sse, kChains * 8.0};
}
PeakLoop float_loop() {
  if (__builtin_cpu_supports("avx512f")) return {"vfmadd (512 bits)", float_avx512, kChains * 32.0};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {"vfmadd (256 bits)", float_avx2, kChains * 16.0};
  return {"mulps + addps", plain_sse, kChains * 8.0};
}
#elif defined(__aarch64__)
__attribute__((target("+dotprod"))) float int8_sdot(std::int64_t rounds) {
  int32x4_t acc[kChains];
  int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-2);
  for (int32x4_t& x : acc) x = vdupq_n_s32(0);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (int32x4_t& x : acc) x = vdotq_s32(x, a, b);
    __asm__ volatile("" : "+w"(a), "+w"(b));
  }
  for (int i = 1; i < kChains; ++i) acc[0] = vaddq_s32(acc[0], acc[i]);
  return static_cast<float>(vgetq_lane_s32(acc[0], 0));
}
float float_neon(std::int64_t rounds) {
  float32x4_t acc[kChains], a = vdupq_n_f32(0.999f), b = vdupq_n_f32(0.001f);
  for (float32x4_t& x : acc) x = vdupq_n_f32(1.0f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (float32x4_t& x : acc) x = vfmaq_f32(b, x, a);
    __asm__ volatile("" : "+w"(a), "+w"(b));
  }
  for (int i = 1; i < kChains; ++i) acc[0] = vaddq_f32(acc[0], acc[i]);
  return vgetq_lane_f32(acc[0], 0);
}

PeakLoop int8_loop() { return {"sdot (128 bits)", int8_sdot, kChains * 32.0}; }
PeakLoop float_loop() { return {"fmla (128 bits)", float_neon, kChains * 8.0}; }
#endif

volatile float keep_result = 0.0f;

auto interrupted() { return moe::fail(moe::ErrorCode::cancelled, "interrupted while peaks were measured"); }

/// Every worker runs until the time is over; the rates of the workers add up.
template <class Body>
double summed_rate(std::int32_t threads, double seconds, Body&& body) {
  std::vector<double> rate(static_cast<std::size_t>(threads));
  std::atomic<std::int32_t> ready{0};
  moe::parallel_for(moe::openmp_pool(threads), threads, [&](std::int64_t index, std::int32_t) {
    // All start together. A worker that takes two tasks (one thread is late) must not wait for itself: 10 ms at most.
    ++ready;
    const auto arrival = Clock::now();
    while (ready.load() < threads && seconds_since(arrival) < 0.01) {
    }
    double units = 0.0;
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) units += body(index);
    rate[static_cast<std::size_t>(index)] = units / seconds_since(start);
  });
  double sum = 0.0;
  for (double r : rate) sum += r;
  return sum;
}

moe::Result<double> measure_loop(const PeakLoop& loop, std::int32_t threads, const std::function<bool()>& cancelled) {
  constexpr std::int64_t kRounds = 100000;
  double best = 0.0;
  for (int repetition = 0; repetition < 3; ++repetition) {
    if (cancelled && cancelled()) return interrupted();
    best = std::max(best, summed_rate(threads, 0.12, [&](std::int64_t) {
                      keep_result = loop.run(kRounds);
                      return kRounds * loop.ops_per_round;
                    }));
  }
  return best;
}

// Of this process, now; 0 where that cannot be read.
std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  return file >> all >> resident ? resident * sysconf(_SC_PAGESIZE) : 0;
}

moe::Result<double> read_rate(std::int32_t threads, const std::function<bool()>& cancelled, std::int64_t bytes) {
  const std::size_t values = static_cast<std::size_t>(bytes) / sizeof(std::uint64_t);
  auto buffer = moe::AlignedBuffer<std::uint64_t>::create(values, moe::Fill::zero);
  if (!buffer) return moe::forward(buffer);
  const std::size_t share = values / static_cast<std::size_t>(threads) / 64 * 64;
  const std::size_t piece = std::min<std::size_t>(share, std::size_t{1} << 20);
  std::vector<std::size_t> at(static_cast<std::size_t>(threads), 0);
  const std::uint64_t* data = buffer->data();
  double best = 0.0;
  for (int repetition = 0; repetition < 3; ++repetition) {
    if (cancelled && cancelled()) return interrupted();
    best = std::max(best, summed_rate(threads, 0.15, [&](std::int64_t index) {
                      std::size_t& offset = at[static_cast<std::size_t>(index)];
                      const std::uint64_t* p = data + static_cast<std::size_t>(index) * share + offset;
                      std::uint64_t sum[8] = {};
                      for (std::size_t i = 0; i + 8 <= piece; i += 8)
                        for (std::size_t lane = 0; lane < 8; ++lane) sum[lane] += p[i + lane];
                      std::uint64_t total = 0;
                      for (std::uint64_t s : sum) total += s;
                      keep_result = static_cast<float>(total);
                      offset = offset + 2 * piece <= share ? offset + piece : 0;
                      return static_cast<double>(piece / 8 * 8 * sizeof(std::uint64_t));
                    }));
  }
  return best;
}

}  // namespace

std::string int8_instruction() { return int8_loop().name; }

std::int64_t read_buffer_bytes(std::int64_t limit) {
  constexpr std::int64_t kMargin = std::int64_t{8} << 20;  // stacks and other small things that are not there yet
  constexpr std::int64_t kLeast = std::int64_t{4} << 20;
  if (limit == 0) limit = moe::default_memory_limit().value_or(kMostBufferBytes * 2);
  return std::clamp(limit - resident_bytes() - kMargin, kLeast, kMostBufferBytes);
}

moe::Result<double> measure_read_bandwidth(std::int32_t threads, const std::function<bool()>& cancelled,
                                           std::int64_t limit) {
  return read_rate(threads, cancelled, read_buffer_bytes(limit));
}

moe::Result<Peaks> measure_peaks(std::int32_t threads, const std::function<bool()>& cancelled, std::int64_t limit) {
  const auto int8 = measure_loop(int8_loop(), threads, cancelled);
  if (!int8) return moe::forward(int8);
  const auto floats = measure_loop(float_loop(), threads, cancelled);
  if (!floats) return moe::forward(floats);
  const std::int64_t buffer = read_buffer_bytes(limit);
  const auto bandwidth = read_rate(threads, cancelled, buffer);
  if (!bandwidth) return moe::forward(bandwidth);
  return Peaks{threads, *int8, *floats, *bandwidth, buffer};
}

}  // namespace moe_bench
