// The gated delta rule of one head over 512 tokens in two forms: recurrent, a step per token, as the library computes it;
// and chunked, 64 tokens at once as matrix products (arXiv:2412.06464, section 3.3), which nothing else uses. The figures
// and the choice are in docs/NUMERICS.md.
//   moe-bench-delta_rule --benchmark_filter='/128$'        # keys and values of Qwen3-Next's width
// An operation is one of the recurrent form, 7 per number of the state and token; items are tokens. The chunked form
// is compiled for AVX-512 and left out elsewhere; `differs` is its largest distance from the other's output, relative to
// the largest value there.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/table.hpp"
#include "micro.hpp"
#include "moe/detail/recurrent.hpp"

namespace {

using moe::kernels::KernelTable;

constexpr std::int64_t kTokens = 512;

/// What a layer hands to the rule: keys and queries of unit length, decays near 1.
struct Head {
  explicit Head(std::int64_t width) : n(width) {
    q = micro::random_floats(kTokens * n), k = micro::random_floats(kTokens * n), v = micro::random_floats(kTokens * n);
    std::rotate(q.data(), q.data() + 7, q.data() + kTokens * n);
    std::rotate(v.data(), v.data() + 13, v.data() + kTokens * n);
    decay = micro::random_floats(kTokens, 0.95f, 1.0f), step = micro::random_floats(kTokens, 0.0f, 1.0f);
    for (moe::AlignedBuffer<float>* rows : {&q, &k})
      for (std::int64_t t = 0; t < kTokens; ++t) {
        float* row = rows->data() + t * n;
        float squares = 0.0f;
        for (std::int64_t i = 0; i < n; ++i) squares += row[i] * row[i];
        for (std::int64_t i = 0; i < n; ++i) row[i] /= std::sqrt(squares);
      }
  }
  std::int64_t n;
  moe::AlignedBuffer<float> q, k, v, decay, step;
};

void recurrent(const KernelTable& table, const Head& head, float* state, float* y) {
  constexpr std::int64_t kValues = 4 * moe::kStateLanes;  // of a task
  for (std::int64_t first = 0; first < head.n; first += kValues) {
    moe::StateSteps s;
    s.tokens = kTokens, s.key_dim = head.n, s.values = std::min(kValues, head.n - first);
    s.q = head.q.data(), s.k = head.k.data(), s.v = head.v.data() + first;
    s.qk_stride = s.v_stride = s.y_stride = head.n;
    s.decay = head.decay.data(), s.step = head.step.data(), s.gate_stride = 1;
    s.to = state + first * head.n, s.y = y + first;
    table.state_steps(s);
  }
}

void run_recurrent(benchmark::State& state, const KernelTable* table, std::int64_t n) {
  const Head head(n);
  auto matrix = micro::buffer<float>(n * n), y = micro::buffer<float>(kTokens * n);
  for (auto _ : state) recurrent(*table, head, matrix.data(), y.data());
  micro::count_work(state, 7.0 * static_cast<double>(kTokens * n * n), 4 * 4 * kTokens * n);
  state.SetItemsProcessed(kTokens * state.iterations());
}

#if defined(__x86_64__)
constexpr std::int64_t kChunk = 64;

using Wide = float __attribute__((vector_size(64), aligned(4)));
#define MOE_BENCH_WIDE __attribute__((target("avx512f,fma")))

/// c[4, 64] += a[4, count] * b[count, 64], with c = 0 before where `fresh`. a: numbers of a row `a_step` apart.
struct Block {
  const float* a;
  std::int64_t a_row, a_step;
  const float* b;
  std::int64_t b_row, count;
  float* c;
  std::int64_t c_row;
  bool fresh;
};
MOE_BENCH_WIDE void multiply(const Block& m) {
  Wide sum[4][4];
  for (int r = 0; r < 4; ++r)
    for (int j = 0; j < 4; ++j) {
      if (m.fresh)
        sum[r][j] = Wide{};
      else
        std::memcpy(&sum[r][j], m.c + r * m.c_row + 16 * j, sizeof(Wide));
    }
  for (std::int64_t k = 0; k < m.count; ++k)
    for (int j = 0; j < 4; ++j) {
      Wide b;
      std::memcpy(&b, m.b + k * m.b_row + 16 * j, sizeof b);
      for (int r = 0; r < 4; ++r) sum[r][j] += m.a[r * m.a_row + k * m.a_step] * b;
    }
  for (int r = 0; r < 4; ++r)
    for (int j = 0; j < 4; ++j) std::memcpy(m.c + r * m.c_row + 16 * j, &sum[r][j], sizeof(Wide));
}

/// Memory of a chunk. The state is [keys, values] in rows.
struct Chunk {
  std::vector<float> keys = std::vector<float>(128 * kChunk);  // transposed
  std::vector<float> score = std::vector<float>(kChunk * kChunk), seen = std::vector<float>(kChunk * kChunk);
  std::vector<float> updates = std::vector<float>(kChunk * 128);
  std::array<float, kChunk> reach{};  // product of the decays up to and with a token
};

/// Products of 64 rows of `a` with b[n, columns], 64 columns at a time.
MOE_BENCH_WIDE void times(const float* a, std::int64_t n, const float* b, std::int64_t columns, float* c) {
  for (std::int64_t j = 0; j < columns; j += 64)
    for (std::int64_t r = 0; r < kChunk; r += 4)
      multiply({a + r * n, n, 1, b + j, columns, n, c + r * columns + j, columns, true});
}

/// Rows of `updates` from the right-hand side: u_i = rhs_i - sum of seen_ij u_j over j < i, in blocks of four.
MOE_BENCH_WIDE void solve(std::int64_t n, Chunk& w) {
  for (std::int64_t r = 0; r < kChunk; r += 4) {
    for (std::int64_t j = 0; j < n && r > 0; j += 64)
      multiply(
          {w.seen.data() + r * kChunk, kChunk, 1, w.updates.data() + j, n, r, w.updates.data() + r * n + j, n, false});
    for (std::int64_t i = r + 1; i < r + 4; ++i)
      for (std::int64_t k = r; k < i; ++k) {
        const float f = w.seen[static_cast<std::size_t>(i * kChunk + k)];
        for (std::int64_t j = 0; j < n; ++j)
          w.updates[static_cast<std::size_t>(i * n + j)] += f * w.updates[static_cast<std::size_t>(k * n + j)];
      }
  }
}

MOE_BENCH_WIDE void step(const Head& head, std::int64_t first, float* state, float* y, Chunk& w) {
  const std::int64_t n = head.n;
  const float *q = head.q.data() + first * n, *k = head.k.data() + first * n, *v = head.v.data() + first * n;
  const float *decay = head.decay.data() + first, *beta = head.step.data() + first;
  float product = 1.0f;
  for (std::int64_t t = 0; t < kChunk; ++t) w.reach[static_cast<std::size_t>(t)] = product *= decay[t];
  for (std::int64_t t = 0; t < kChunk; ++t)
    for (std::int64_t i = 0; i < n; ++i) w.keys[static_cast<std::size_t>(i * kChunk + t)] = k[t * n + i];
  times(k, n, w.keys.data(), kChunk, w.seen.data());
  times(q, n, w.keys.data(), kChunk, w.score.data());
  times(k, n, state, n, w.updates.data());
  times(q, n, state, n, y);
  for (std::int64_t t = 0; t < kChunk; ++t) {
    const float reach = w.reach[static_cast<std::size_t>(t)];
    float *seen = w.seen.data() + t * kChunk, *score = w.score.data() + t * kChunk, *u = w.updates.data() + t * n;
    for (std::int64_t j = 0; j < kChunk; ++j) {
      const float between = j <= t ? reach / w.reach[static_cast<std::size_t>(j)] : 0.0f;
      seen[j] = j < t ? -beta[t] * between * seen[j] : 0.0f;
      score[j] = between * score[j];
    }
    for (std::int64_t j = 0; j < n; ++j) u[j] = beta[t] * (v[t * n + j] - reach * u[j]);
    for (std::int64_t j = 0; j < n; ++j) y[t * n + j] *= reach;
  }
  solve(n, w);
  for (std::int64_t r = 0; r < kChunk; r += 4)
    for (std::int64_t j = 0; j < n; j += 64)
      multiply({w.score.data() + r * kChunk, kChunk, 1, w.updates.data() + j, n, r + 4, y + r * n + j, n, false});
  const float last = w.reach[kChunk - 1];
  for (std::int64_t t = 0; t < kChunk; ++t)
    for (std::int64_t i = 0; i < n; ++i)
      w.keys[static_cast<std::size_t>(i * kChunk + t)] *= last / w.reach[static_cast<std::size_t>(t)];
  for (std::int64_t i = 0; i < n * n; ++i) state[i] *= last;
  for (std::int64_t i = 0; i < n; i += 4)
    for (std::int64_t j = 0; j < n; j += 64)
      multiply({w.keys.data() + i * kChunk, kChunk, 1, w.updates.data() + j, n, kChunk, state + i * n + j, n, false});
}

void run_chunked(benchmark::State& state, std::int64_t n) {
  const Head head(n);
  auto matrix = micro::buffer<float>(n * n), y = micro::buffer<float>(kTokens * n),
       expected = micro::buffer<float>(kTokens * n);
  Chunk memory;
  for (auto _ : state) {
    std::fill_n(matrix.data(), n * n, 0.0f);
    for (std::int64_t t = 0; t < kTokens; t += kChunk) step(head, t, matrix.data(), y.data() + t * n, memory);
  }
  micro::count_work(state, 7.0 * static_cast<double>(kTokens * n * n), 4 * 4 * kTokens * n);
  state.SetItemsProcessed(kTokens * state.iterations());
  int count = 0;
  recurrent(*moe::kernels::runnable_tables(count)[0], head, matrix.data(), expected.data());
  float worst = 0.0f, largest = 0.0f;
  for (std::int64_t i = 0; i < kTokens * n; ++i)
    worst = std::max(worst, std::abs(y.data()[i] - expected.data()[i])),
    largest = std::max(largest, std::abs(expected.data()[i]));
  state.counters["differs"] = worst / largest;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t n : {64, 128}) {
    micro::for_each_table([n](const KernelTable* table) {
      benchmark::RegisterBenchmark(micro::name("recurrent", table->isa, n).c_str(), run_recurrent, table, n);
    });
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
      benchmark::RegisterBenchmark(micro::name("chunked", "avx512f", n).c_str(), run_chunked, n);
#endif
  }
  return micro::run(argc, argv);
}
