// The elementary functions of include/moe/detail/math.hpp against the C library in higher precision.

#include "moe/detail/math.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "support.hpp"

using namespace moe;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Distance of `found` from the exact value in units of the last place of a float of that size.
double error_in_ulp(float found, double exact) {
  if (exact > std::numeric_limits<float>::max()) return std::isinf(found) || found > 3.4e38f ? 0.0 : 1e9;
  int exponent = 0;
  std::frexp(exact, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent, -125) - 24);
  return std::abs(static_cast<double>(found) - exact) / ulp;
}

}  // namespace

TEST_CASE("exp(float) is within 1 ulp over a dense sweep of every exponent, down to where it vanishes") {
  double worst = 0.0;
  float at = 0.0f;
  for (std::uint32_t bits = 0; bits < 0x43000000u; bits += 521) {  // 0 .. 128, every exponent, both signs
    for (float x : {std::bit_cast<float>(bits), -std::bit_cast<float>(bits)}) {
      if (x < detail::ExpF32::kLow) continue;
      const double e = error_in_ulp(detail::exp(x), std::exp(static_cast<double>(x)));
      if (e > worst) worst = e, at = x;
    }
  }
  CAPTURE(at);
  CHECK(worst < 1.0);
  MESSAGE("worst error of exp: " << worst << " ulp at " << at);
}

TEST_CASE("exp(float) saturates, keeps NaN and gives +0 at minus infinity") {
  CHECK(std::bit_cast<std::uint32_t>(detail::exp(-kInfinity)) == 0u);
  CHECK(std::bit_cast<std::uint32_t>(detail::exp(-1e30f)) == 0u);
  CHECK(detail::exp(kInfinity) == kInfinity);
  CHECK(detail::exp(88.73f) == kInfinity);
  CHECK(detail::exp(0.0f) == 1.0f);
  CHECK(detail::exp(-0.0f) == 1.0f);
  // No subnormal results: the smallest one is the first normal number, and below it comes zero.
  CHECK(detail::exp(detail::ExpF32::kLow) >= std::numeric_limits<float>::min());
  CHECK(detail::exp(detail::ExpF32::kLow) < 1.0001f * std::numeric_limits<float>::min());
  CHECK(std::bit_cast<std::uint32_t>(detail::exp(std::nextafter(detail::ExpF32::kLow, -kInfinity))) == 0u);
  CHECK(std::isnan(detail::exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("sigmoid and silu follow float64") {
  for (float x = -90.0f; x < 90.0f; x += 0.0371f) {
    const double exact = 1.0 / (1.0 + std::exp(-static_cast<double>(x)));
    CAPTURE(x);
    CHECK(std::abs(detail::sigmoid(x) - exact) <= 3e-7 * exact + 1e-38);
    CHECK(std::abs(detail::silu(x) - x * exact) <= 3e-7 * std::abs(x * exact) + 1e-36);
  }
  CHECK(detail::sigmoid(-kInfinity) == 0.0f);
  CHECK(detail::sigmoid(kInfinity) == 1.0f);
}

TEST_CASE("soft_cap follows float64, stays within the cap and keeps 0 and NaN") {
  for (const float cap : {0.001f, 1.0f, 30.0f, 50.0f, 1e6f}) {
    const detail::SoftCap c(cap);
    CAPTURE(cap);
    for (float u = -100.0f; u < 100.0f; u += 0.0137f) {
      const float x = u * cap, y = detail::soft_cap(x, c);
      CAPTURE(x);
      CHECK(std::abs(y - cap * std::tanh(static_cast<double>(x) / cap)) <= 0x1p-21 * cap);
      CHECK(std::abs(y) <= cap);
    }
    CHECK(detail::soft_cap(0.0f, c) == 0.0f);
    CHECK(detail::soft_cap(kInfinity, c) == cap);
    CHECK(detail::soft_cap(-kInfinity, c) == -cap);
    CHECK(std::isnan(detail::soft_cap(std::numeric_limits<float>::quiet_NaN(), c)));
  }
}

TEST_CASE("exp, log and pow of double follow long double") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-700.0, 700.0);
  for (int i = 0; i < 200000; ++i) {
    const double x = exponent(random);
    const long double exact = std::exp(static_cast<long double>(x));
    CAPTURE(x);
    REQUIRE(std::abs((detail::exp(x) - exact) / exact) < 2.5e-16L);
    const double y = static_cast<double>(exact);
    const long double logarithm = std::log(static_cast<long double>(y));
    REQUIRE(std::abs(detail::log(y) - logarithm) <= 2.5e-16L * std::abs(logarithm) + 1e-17L);
  }
  std::uniform_real_distribution<double> near_one(0.5, 2.0);
  for (int i = 0; i < 200000; ++i) {
    const double x = near_one(random);
    const long double logarithm = std::log(static_cast<long double>(x));
    CAPTURE(x);
    REQUIRE(std::abs(detail::log(x) - logarithm) <= 4.5e-16L * std::abs(logarithm));
  }
  CHECK(detail::log(1.0) == 0.0);
  CHECK(detail::exp(0.0) == 1.0);
  CHECK(detail::exp(-std::numeric_limits<double>::infinity()) == 0.0);
  CHECK(std::isinf(detail::exp(800.0)));
  CHECK(std::abs(detail::pow(10000.0, -0.5) - 0.01) < 1e-17);
}

TEST_CASE("sin and cos of double are within 1e-15 up to 1e6") {
  std::mt19937_64 random(2);
  for (double range : {1.0, 100.0, 1e4, 1e6}) {
    std::uniform_real_distribution<double> angle(-range, range);
    long double worst = 0.0L;
    for (int i = 0; i < 100000; ++i) {
      const double x = angle(random);
      const detail::SinCos found = detail::sin_cos(x);
      worst = std::max(worst, std::abs(found.sin - std::sin(static_cast<long double>(x))));
      worst = std::max(worst, std::abs(found.cos - std::cos(static_cast<long double>(x))));
    }
    CAPTURE(range);
    CHECK(worst < 1e-15L);
  }
  // Multiples of pi/2 are where the reduction cancels most.
  for (int n = 0; n < 600000; n += 37) {
    const double x = n * 1.5707963267948966;
    const detail::SinCos found = detail::sin_cos(x);
    REQUIRE(std::abs(found.sin - std::sin(static_cast<long double>(x))) < 1e-15L);
    REQUIRE(std::abs(found.cos - std::cos(static_cast<long double>(x))) < 1e-15L);
  }
}

TEST_CASE("the softmax sums to one and follows float64") {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  for (std::int64_t n : {1, 2, 15, 16, 17, 64, 255}) {
    std::vector<float> x(static_cast<std::size_t>(n)), y(x.size());
    for (float& v : x) v = normal(random);
    detail::softmax(x.data(), n, y.data());
    double largest = x[0], sum = 0.0;
    for (float v : x) largest = std::max<double>(largest, v);
    for (float v : x) sum += std::exp(v - largest);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(x[i] - largest) / sum;
      CHECK(std::abs(y[i] - exact) <= 2e-6 * exact);
    }
  }
}

TEST_CASE("the fixed values of these functions, which no compiler may change") {
  CHECK(std::bit_cast<std::uint32_t>(detail::exp(1.0f)) == 0x402DF854u);
  std::uint64_t hash = 1469598103934665603u;
  const auto mix = [&](std::uint64_t v) { hash = (hash ^ v) * 1099511628211u; };
  for (int i = -2000; i < 2000; ++i) {
    const float x = static_cast<float>(i) * 0.0517f;
    mix(std::bit_cast<std::uint32_t>(detail::exp(x)));
    mix(std::bit_cast<std::uint32_t>(detail::silu(x)));
    const detail::SinCos angle = detail::sin_cos(i * 311.7);
    mix(std::bit_cast<std::uint64_t>(angle.sin));
    mix(std::bit_cast<std::uint64_t>(angle.cos));
    mix(std::bit_cast<std::uint64_t>(detail::pow(10000.0 + i, i * 0.0004)));
  }
  CHECK(hash == 16589969319549323821u);
}
