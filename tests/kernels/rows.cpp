// Kernels over one row: every table gives the bits of include/moe/detail/reference, which follow float64.

#include <cmath>
#include <functional>
#include <string>

#include "moe/detail/reference/activation.hpp"
#include "moe/detail/reference/elementwise.hpp"
#include "moe/detail/reference/rms_norm.hpp"
#include "moe/detail/reference/rope.hpp"
#include "moe/detail/reference/softmax.hpp"
#include "tables.hpp"

using namespace moe;
using namespace moe_test;
using kernels::KernelTable;

namespace {

constexpr double kUnit = 0x1p-24;  // half an ulp of a float, relative

/// Runs twin(y) and kernel(y) on copies of the same row with a NaN tail: same bits, tail untouched.
template <class Twin, class Kernel>
void check_same(std::int64_t n, const std::vector<float>& start, Twin&& twin, Kernel&& kernel) {
  CAPTURE(n);
  std::vector<float> expected = with_nan_tail(start), found = expected;
  twin(expected.data());
  kernel(found.data());
  CHECK(same_bits(expected, found));
}

}  // namespace

TEST_CASE("rms_norm: same bits as the twin, in place as well") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t n : kRowSizes)
      for (std::uint64_t seed : {1, 2}) {
        CAPTURE(table->isa);
        const std::vector<float> x = with_nan_tail(random_row(n, seed, 3.0f)),
                                 w = with_nan_tail(random_row(n, seed + 9));
        const std::vector<float> zero(static_cast<std::size_t>(n));
        check_same(
            n, zero, [&](float* y) { reference::rms_norm(x.data(), w.data(), 1e-6f, n, y); },
            [&](float* y) { table->rms_norm(x.data(), w.data(), 1e-6f, n, y); });
        const std::vector<float> start(x.begin(), x.begin() + n);
        check_same(
            n, start, [&](float* y) { reference::rms_norm(x.data(), w.data(), 1e-6f, n, y); },
            [&](float* y) { table->rms_norm(y, w.data(), 1e-6f, n, y); });
      }
}

TEST_CASE("rms_norm: the twin follows float64") {
  for (std::int64_t n : kRowSizes) {
    const std::vector<float> x = random_row(n, 3, 3.0f), w = random_row(n, 4);
    std::vector<float> y(x.size());
    reference::rms_norm(x.data(), w.data(), 1e-6f, n, y.data());
    double sum = 0.0;
    for (float v : x) sum += static_cast<double>(v) * v;
    const double r = 1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(1e-6f));
    // n/16 + 4 additions of positive terms, halved by the root, and 5 single roundings.
    const double bound = (0.5 * (static_cast<double>(n) / 16 + 8) + 5) * kUnit;
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(std::abs(y[i] - x[i] * r * w[i]) <= bound * std::abs(x[i] * r * w[i]));
  }
}

TEST_CASE("silu_mul, sigmoid and the like: same bits as the twin, far arguments included") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t n : kRowSizes) {
      CAPTURE(table->isa);
      std::vector<float> gate = random_row(n, 5, 20.0f), up = random_row(n, 6);
      const float far[] = {-200.0f, 200.0f, -88.7f, 0.0f, -0.0f, 1e-40f, std::numeric_limits<float>::infinity()};
      for (std::size_t i = 0; i < gate.size() && i < std::size(far); ++i) gate[gate.size() - 1 - i] = far[i];
      const std::vector<float> g = with_nan_tail(gate), u = with_nan_tail(up);
      check_same(
          n, gate, [&](float* y) { reference::silu_mul(g.data(), u.data(), n, y); },
          [&](float* y) { table->silu_mul(y, u.data(), n, y); });
      check_same(
          n, gate, [&](float* y) { reference::gelu_mul(g.data(), u.data(), n, y); },
          [&](float* y) { table->gelu_mul(y, u.data(), n, y); });
      check_same(
          n, gate, [&](float* y) { reference::swiglu_clamped(g.data(), g.data(), 1.702f, 7.0f, n, y); },
          [&](float* y) { table->swiglu_clamped(y, g.data(), 1.702f, 7.0f, n, y); });
      check_same(
          n, gate, [&](float* y) { reference::sigmoid(g.data(), n, y); }, [&](float* y) { table->sigmoid(y, n, y); });
      check_same(
          n, gate, [&](float* y) { reference::soft_cap(g.data(), 5.0f, n, y); },
          [&](float* y) { table->soft_cap(y, 5.0f, n, y); });
    }
}

TEST_CASE("gelu_mul and swiglu_clamped: the twins follow float64") {
  std::vector<float> gate = random_row(4000, 5, 12.0f), up = random_row(4000, 6, 12.0f), y(4000);
  gate[0] = 0.0f, gate[1] = -0.0f, gate[2] = 1e-30f, gate[3] = 300.0f, gate[4] = -300.0f, gate[5] = 1e20f;
  reference::gelu_mul(gate.data(), up.data(), 4000, y.data());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double x = gate[i], u = 0.7978845608028654 * (x + 0.044715 * x * x * x);
    const double exact = x / (1.0 + std::exp(-2.0 * u)) * up[i];
    // u carries four roundings, which exp turns into a relative error of 2 |u| of them.
    CHECK(std::abs(y[i] - exact) <=
          (8 + 8 * std::min(std::abs(2 * u), 104.0)) * kUnit * std::abs(exact) + 1e-37 * std::abs(up[i]));
  }
  reference::swiglu_clamped(gate.data(), up.data(), 1.702f, 7.0f, 4000, y.data());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double g = std::min<double>(gate[i], 7.0), u = std::clamp<double>(up[i], -7.0, 7.0);
    const double exact = (u + 1.0) * g / (1.0 + std::exp(-static_cast<double>(1.702f) * g));
    CHECK(std::abs(y[i] - exact) <= (8 + 4 * std::min(std::abs(1.702 * g), 104.0)) * kUnit * std::abs(exact) + 1e-36);
  }
}

TEST_CASE("exp inside sigmoid: every table over every exponent") {
  std::vector<float> x;
  for (std::uint32_t bits = 0; bits < 0x43800000u; bits += 4001) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-std::bit_cast<float>(bits));
  }
  const auto n = static_cast<std::int64_t>(x.size());
  std::vector<float> expected(x.size()), found(x.size());
  reference::sigmoid(x.data(), n, expected.data());
  for (const KernelTable* table : all_tables()) {
    CAPTURE(table->isa);
    table->sigmoid(x.data(), n, found.data());
    CHECK(same_bits(expected, found));
  }
}

TEST_CASE("softmax: same bits as the twin, minus infinity included, in place") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t n : kRowSizes)
      for (std::uint64_t seed : {1, 2}) {
        CAPTURE(table->isa);
        std::vector<float> x = random_row(n, seed, 8.0f);
        if (n > 4) x[static_cast<std::size_t>(n) / 2] = -std::numeric_limits<float>::infinity();
        check_same(
            n, x, [&](float* y) { reference::softmax(x.data(), n, y); }, [&](float* y) { table->softmax(y, n, y); });
      }
}

TEST_CASE("add and axpy: same bits as the twin, and exactly one rounding") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t n : kRowSizes) {
      CAPTURE(table->isa);
      const std::vector<float> start = random_row(n, 7), x = with_nan_tail(random_row(n, 8));
      check_same(
          n, start, [&](float* y) { reference::add(x.data(), n, y); }, [&](float* y) { table->add(x.data(), n, y); });
      check_same(
          n, start, [&](float* y) { reference::axpy(0.37f, x.data(), n, y); },
          [&](float* y) { table->axpy(0.37f, x.data(), n, y); });
      std::vector<float> y = start;
      table->axpy(0.37f, x.data(), n, y.data());
      for (std::size_t i = 0; i < y.size(); ++i)  // products of floats are exact in double
        CHECK(std::abs(y[i] - (static_cast<double>(0.37f) * x[i] + start[i])) <=
              1.001 * kUnit * std::abs(y[i]) + 1e-45);
    }
}

TEST_CASE("rope: same bits as the twin, lengths of pairs kept, both pairings the same rotation") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t pairs : {1, 2, 7, 8, 16, 24, 32, 33, 64}) {
      CAPTURE(table->isa);
      std::vector<float> cos, sin;
      for (std::int64_t i = 0; i < pairs; ++i) {
        cos.push_back(static_cast<float>(std::cos(0.7 * static_cast<double>(i))));
        sin.push_back(static_cast<float>(std::sin(0.7 * static_cast<double>(i))));
      }
      const std::vector<float> c = with_nan_tail(cos), s = with_nan_tail(sin), start = random_row(2 * pairs, 11);
      check_same(
          2 * pairs, start, [&](float* x) { reference::rope_half(c.data(), s.data(), pairs, x); },
          [&](float* x) { table->rope_half(c.data(), s.data(), pairs, x); });
      check_same(
          2 * pairs, start, [&](float* x) { reference::rope_interleaved(c.data(), s.data(), pairs, x); },
          [&](float* x) { table->rope_interleaved(c.data(), s.data(), pairs, x); });

      const auto at = [&](std::int64_t i) { return static_cast<std::size_t>(i); };
      std::vector<float> half = start, interleaved(start.size());
      for (std::int64_t i = 0; i < pairs; ++i) {
        interleaved[at(2 * i)] = start[at(i)];
        interleaved[at(2 * i + 1)] = start[at(i + pairs)];
      }
      table->rope_half(c.data(), s.data(), pairs, half.data());
      table->rope_interleaved(c.data(), s.data(), pairs, interleaved.data());
      for (std::int64_t i = 0; i < pairs; ++i) {
        CHECK(half[at(i)] == interleaved[at(2 * i)]);
        CHECK(half[at(i + pairs)] == interleaved[at(2 * i + 1)]);
        const double a = start[at(i)], b = start[at(i + pairs)];
        CHECK(std::abs(half[at(i)] - (a * c[at(i)] - b * s[at(i)])) <= 4 * kUnit * (std::abs(a) + std::abs(b)));
        CHECK(std::abs(half[at(i + pairs)] - (b * c[at(i)] + a * s[at(i)])) <= 4 * kUnit * (std::abs(a) + std::abs(b)));
      }
    }
}
