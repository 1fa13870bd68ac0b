// RoPE frequencies against the published formulas, written out once more with the C library.

#include "moe/rope.hpp"

#include <cmath>
#include <numbers>

#include "support.hpp"

namespace rope_test {

using namespace moe;

namespace {

std::vector<double> plain(double theta, std::int64_t dim) {
  std::vector<double> f;
  for (std::int64_t i = 0; i < dim; i += 2)
    f.push_back(1.0 / std::pow(theta, static_cast<double>(i) / static_cast<double>(dim)));
  return f;
}

void check_frequencies(const RopeConfig& config, std::int64_t dim, const std::vector<double>& expected) {
  const Result<RopeTable> table = RopeTable::create(config, dim);
  REQUIRE(table.has_value());
  REQUIRE(table->frequencies().size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(table->frequencies()[i] - expected[i]) <= 1e-14 * expected[i]);
  }
}

}  // namespace

TEST_CASE("plain and linear frequencies") {
  check_frequencies({.theta = 1e6}, 128, plain(1e6, 128));
  check_frequencies({.theta = 2154434690031.9}, 8, plain(2154434690031.9, 8));  // Hunyuan's alpha in small heads
  std::vector<double> expected = plain(10000.0, 64);
  for (double& f : expected) f /= 8.0;
  check_frequencies({.theta = 10000.0, .scaling = RopeScaling::linear, .factor = 8.0}, 64, expected);
}

TEST_CASE("llama3 frequencies") {
  const double factor = 8.0, low = 1.0, high = 4.0, context = 8192.0;
  std::vector<double> expected = plain(500000.0, 128);
  int kept = 0, scaled = 0, blended = 0;
  for (double& f : expected) {
    const double wavelength = 2.0 * std::numbers::pi / f;
    if (wavelength < context / high) {
      ++kept;
    } else if (wavelength > context / low) {
      f /= factor;
      ++scaled;
    } else {
      const double smooth = (context / wavelength - low) / (high - low);
      f = (1.0 - smooth) * f / factor + smooth * f;
      ++blended;
    }
  }
  CHECK((kept > 0 && scaled > 0 && blended > 0));
  check_frequencies({.theta = 500000.0,
                     .scaling = RopeScaling::llama3,
                     .factor = factor,
                     .original_max_position = 8192,
                     .low_freq_factor = low,
                     .high_freq_factor = high},
                    128, expected);
}

TEST_CASE("factors per pair divide the frequencies") {
  std::vector<double> expected = plain(10000.0, 8);
  const std::vector<double> factors = {1.0, 1.25, 4.0, 8.0};
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] /= factors[i];
  check_frequencies({.theta = 10000.0, .scaling = RopeScaling::factors, .frequency_factors = factors}, 8, expected);
}

TEST_CASE("YaRN frequencies with truncated corrections") {
  struct Case {
    double theta;
    std::int64_t dim, context;
    double factor;
  };
  for (const Case& c : {Case{10000.0, 64, 4096, 40.0}, Case{10000.0, 16, 64, 40.0}, Case{1e6, 128, 32768, 4.0}}) {
    const auto correction = [&](double rotations) {
      return static_cast<double>(c.dim) *
             std::log(static_cast<double>(c.context) / (rotations * 2.0 * std::numbers::pi)) /
             (2.0 * std::log(c.theta));
    };
    const double low = std::max(std::floor(correction(32.0)), 0.0);
    double high = std::min(std::ceil(correction(1.0)), static_cast<double>(c.dim) - 1.0);
    if (low == high) high += 0.001;
    std::vector<double> expected = plain(c.theta, c.dim);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double ramp = std::min(1.0, std::max(0.0, (static_cast<double>(i) - low) / (high - low)));
      expected[i] = expected[i] / c.factor * ramp + expected[i] * (1.0 - ramp);
    }
    check_frequencies(
        {.theta = c.theta, .scaling = RopeScaling::yarn, .factor = c.factor, .original_max_position = c.context}, c.dim,
        expected);
  }
}

TEST_CASE("cosines and sines of a position carry the attention factor and one rounding") {
  const RopeConfig config{.theta = 10000.0, .attention_factor = 1.25};
  const RopeTable table = RopeTable::create(config, 32).value();
  std::vector<float> cos(16), sin(16);
  for (std::int64_t position : {0, 1, 77, 4095, 131071, 1000000}) {
    table.fill(position, cos.data(), sin.data());
    for (std::size_t i = 0; i < 16; ++i) {
      const double angle = static_cast<double>(position) * table.frequencies()[i];
      CHECK(std::abs(cos[i] - 1.25 * std::cos(angle)) <= 8e-8);
      CHECK(std::abs(sin[i] - 1.25 * std::sin(angle)) <= 8e-8);
    }
  }
}

TEST_CASE("a configuration that cannot give angles is refused by name") {
  const auto message = [](const RopeConfig& config, std::int64_t dim) {
    const Result<RopeTable> table = RopeTable::create(config, dim);
    REQUIRE_FALSE(table.has_value());
    CHECK(table.error().code == ErrorCode::bad_config);
    return table.error().message;
  };
  const double nan = std::nan("");
  CHECK(message({}, 0).find("rotary dimension") != std::string::npos);
  CHECK(message({}, 7).find("rotary dimension") != std::string::npos);
  CHECK(message({.theta = nan}, 8).find("theta") != std::string::npos);
  CHECK(message({.theta = 1.0}, 8).find("theta") != std::string::npos);
  CHECK(message({.scaling = RopeScaling::linear, .factor = 0.0}, 8).find("factor") != std::string::npos);
  CHECK(message({.scaling = RopeScaling::yarn, .factor = 4.0}, 8).find("original_max_position") != std::string::npos);
  CHECK(message({.scaling = RopeScaling::yarn, .factor = 4.0, .original_max_position = 64, .beta_slow = -1.0}, 8)
            .find("beta_fast") != std::string::npos);
  CHECK(
      message({.scaling = RopeScaling::llama3, .factor = 4.0, .original_max_position = 64, .high_freq_factor = 0.5}, 8)
          .find("high_freq_factor") != std::string::npos);
  CHECK(message({.scaling = RopeScaling::factors, .frequency_factors = {1.0, 2.0}}, 8).find("frequency_factors") !=
        std::string::npos);
  CHECK(message({.scaling = RopeScaling::factors, .frequency_factors = {1.0, nan}}, 4).find("frequency_factors") !=
        std::string::npos);
}

}  // namespace rope_test
