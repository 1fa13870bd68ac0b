// Encoders: the reference's bytes, errors within what the format can do, and refusals.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>

#include "moe/decode.hpp"
#include "moe/encode.hpp"
#include "safetensors.hpp"

namespace quant_encode_test {

namespace {

using moe::Format;
using moe_test::ReferenceTensor;

std::vector<Format> encoded_formats() {
  std::vector<Format> formats;
  for (const moe::FormatInfo& f : moe::kFormats)
    if (moe::can_encode(f.format)) formats.push_back(f.format);
  return formats;
}

std::optional<Format> encoded_format_named(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const Format f : encoded_formats())
    if (moe::name_of(f) == name) return f;
  return {};
}

std::vector<std::byte> encoded(Format format, const float* row, std::size_t count) {
  std::vector<std::byte> out(static_cast<std::size_t>(moe::row_bytes(format, static_cast<std::int64_t>(count))));
  const auto ok = moe::encode_row(format, row, static_cast<std::int64_t>(count), out.data());
  if (!ok) FAIL(ok.error().message);
  return out;
}

std::vector<float> decoded(Format format, const std::vector<std::byte>& bytes, std::size_t count) {
  std::vector<float> out(count);
  moe::decode_row(format, bytes.data(), static_cast<std::int64_t>(count), out.data());
  return out;
}

/// Compares row by row, so that a failure names the row.
void check_rows(Format format, const ReferenceTensor& input, const ReferenceTensor& expected) {
  const auto values = input.values<float>();
  const auto cols = static_cast<std::size_t>(input.shape.back());
  REQUIRE(cols % static_cast<std::size_t>(moe::format_info(format).block_values) == 0);
  const auto bytes = static_cast<std::size_t>(moe::row_bytes(format, static_cast<std::int64_t>(cols)));
  REQUIRE(expected.bytes.size() == values.size() / cols * bytes);
  for (std::size_t r = 0; r < values.size() / cols; ++r) {
    const auto found = encoded(format, values.data() + r * cols, cols);
    for (std::size_t i = 0; i < bytes; ++i)
      if (static_cast<unsigned char>(expected.bytes[r * bytes + i]) != std::to_integer<unsigned char>(found[i])) {
        FAIL_CHECK("row " << r << ", byte " << i << " is " << std::to_integer<int>(found[i]) << ", expected "
                          << static_cast<int>(static_cast<unsigned char>(expected.bytes[r * bytes + i])));
        break;
      }
  }
}

const std::map<std::string, ReferenceTensor>& own_reference() {
  static const auto tensors =
      moe_test::read_safetensors(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/quant/encoded.safetensors");
  return tensors;
}

std::vector<std::vector<float>> rows_of(const ReferenceTensor& tensor) {
  const auto values = tensor.values<float>();
  std::vector<std::vector<float>> rows;
  for (auto at = values.begin(); at != values.end(); at += 256) rows.emplace_back(at, at + 256);
  return rows;
}

double relative_rms(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0.0, size = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
    size += static_cast<double>(x[i]) * x[i];
  }
  return std::sqrt(error / size);
}

}  // namespace

TEST_CASE("encode_row gives the bytes of ggml's quantisation, hard rows included") {
  const auto& tensors = own_reference();
  int formats = 0;
  for (const auto& entry : tensors) {
    const std::string& name = entry.first;
    if (!name.ends_with(".bytes")) continue;
    CAPTURE(name);
    const auto format = encoded_format_named(name.substr(0, name.rfind('.')));
    REQUIRE(format.has_value());
    check_rows(*format, tensors.at("input"), entry.second);
    ++formats;
  }
  // f32 has no reference there: it is the input.
  CHECK(formats == static_cast<int>(encoded_formats().size()) - 1);
}

TEST_CASE("encode_row gives the bytes of gguf-py where the golden file has quantised inputs") {
  const auto dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  if (dir.empty() || !std::filesystem::exists(dir / "quant.safetensors"))
    return moe_test::report_skip("encode_row against gguf-py", "no quant.safetensors");
  const auto tensors = moe_test::read_safetensors(dir / "quant.safetensors");
  int formats = 0;
  for (const auto& entry : tensors) {
    const std::string& name = entry.first;
    if (!name.ends_with(".quant_input")) continue;
    const std::string type = name.substr(0, name.rfind('.'));
    const auto format = encoded_format_named(type);
    if (!format) {
      moe_test::report_skip("encoding " + type, "libmoe reads the format and does not write it");
      continue;
    }
    CAPTURE(name);
    check_rows(*format, entry.second, tensors.at(type + ".quant_bytes"));
    ++formats;
  }
  MESSAGE(formats << " formats compared");
}

TEST_CASE("errors of the 32-value formats stay within half a step, and what f16 does to the scale") {
  struct Rule {
    Format format;
    int levels;      // codes 0 .. levels
    bool symmetric;  // d from the largest magnitude; else from the range, with a minimum
  };
  for (const Rule rule : {Rule{Format::q8_0, 254, true},
                          {Format::q4_0, 16, true},
                          {Format::q5_0, 32, true},
                          {Format::q4_1, 15, false},
                          {Format::q5_1, 31, false}}) {
    CAPTURE(moe::name_of(rule.format));
    for (const auto& row : rows_of(own_reference().at("input"))) {
      const auto values = decoded(rule.format, encoded(rule.format, row.data(), row.size()), row.size());
      for (std::size_t at = 0; at < row.size(); at += 32) {
        const auto [low, high] = std::minmax_element(row.data() + at, row.data() + at + 32);
        const double span =
            rule.symmetric ? 2.0 * std::max(std::abs(*low), std::abs(*high)) : static_cast<double>(*high) - *low;
        const double d = span / rule.levels;
        const double d_lost = std::abs(d - moe::f16_to_float(moe::float_to_f16(static_cast<float>(d))));
        const double minimum_lost = rule.symmetric ? 0.0 : std::abs(*low - moe::f16_to_float(moe::float_to_f16(*low)));
        // 4 and 5 bits have no code for the largest magnitude's opposite: a whole step there.
        const double steps = rule.symmetric && rule.levels != 254 ? 1.0 : 0.5;
        const double bound = steps * d + rule.levels * d_lost + minimum_lost + 1e-6 * span;
        for (std::size_t i = at; i < at + 32; ++i)
          if (std::abs(static_cast<double>(row[i]) - values[i]) > bound)
            FAIL_CHECK("value " << i << " = " << row[i] << " became " << values[i] << ", bound " << bound);
      }
    }
  }
}

TEST_CASE("K formats: every value takes the nearest of what its part's stored scale offers") {
  for (const auto& entry : {std::pair{Format::q4_k, std::size_t{32}}, {Format::q6_k, std::size_t{16}}}) {
    const Format format = entry.first;  // doctest makes lambdas, for which clang 14 captures no structured binding
    const std::size_t part = entry.second;
    CAPTURE(moe::name_of(format));
    for (const auto& row : rows_of(own_reference().at("input"))) {
      const auto values = decoded(format, encoded(format, row.data(), row.size()), row.size());
      for (std::size_t at = 0; at < row.size(); at += part)
        for (std::size_t i = at; i < at + part; ++i)
          for (std::size_t j = at; j < at + part; ++j)
            if (const float slack = 1e-6f * (std::abs(row[i]) + std::abs(values[i]) + std::abs(values[j]));
                std::abs(row[i] - values[i]) > std::abs(row[i] - values[j]) + slack)
              FAIL_CHECK("value " << i << " = " << row[i] << " became " << values[i] << ", but " << values[j]
                                  << " is nearer");
    }
  }
}

TEST_CASE("more bits lose less, and about as much as bits say") {
  // Uniform rounding to steps of size s loses s / sqrt(12) rms. Normal values of a block of 32 span about 4.1 standard
  // deviations, and 2.1 on the larger side.
  const auto rows = rows_of(own_reference().at("input"));
  const auto loss = [&](Format format) {
    double worst = 0.0;
    for (std::size_t r = 0; r < 2; ++r)  // the normal rows with scales that f16 holds
      worst = std::max(worst, relative_rms(rows[r], decoded(format, encoded(format, rows[r].data(), 256), 256)));
    return worst;
  };
  CHECK(loss(Format::f32) == 0.0);
  CHECK(loss(Format::f16) < 0x1p-11);
  CHECK(loss(Format::bf16) < 0x1p-8);
  CHECK(loss(Format::q8_0) < 1.5 * 2.1 / 127 / std::sqrt(12.0));
  CHECK(loss(Format::q6_k) < 1.5 * 2.1 / 32 / std::sqrt(12.0));
  CHECK(loss(Format::q5_1) < 1.5 * 4.1 / 31 / std::sqrt(12.0));
  CHECK(loss(Format::q5_0) < 1.5 * 2.1 / 16 / std::sqrt(12.0));
  CHECK(loss(Format::q4_1) < 1.5 * 4.1 / 15 / std::sqrt(12.0));
  CHECK(loss(Format::q4_0) < 1.5 * 2.1 / 8 / std::sqrt(12.0));
  CHECK(loss(Format::q4_k) < loss(Format::q4_1));
  CHECK(loss(Format::q6_k) < loss(Format::q5_1));
}

TEST_CASE("values that are no numbers or too large are refused, at any place of a row") {
  const auto huge = rows_of(own_reference().at("too_large.input"));
  REQUIRE(huge.size() == 3);
  for (const Format format : encoded_formats()) {
    CAPTURE(moe::name_of(format));
    std::vector<std::byte> out(static_cast<std::size_t>(moe::row_bytes(format, 512)));
    const auto wrong = [&](std::vector<float> row, moe::ErrorCode code, const std::string& named) {
      const auto done = moe::encode_row(format, row.data(), static_cast<std::int64_t>(row.size()), out.data());
      REQUIRE_FALSE(done.has_value());
      CHECK(done.error().code == code);
      CHECK_MESSAGE(done.error().message.find(named) != std::string::npos, done.error().message);
    };
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()})
      for (const std::size_t at : {std::size_t{0}, std::size_t{300}, std::size_t{511}}) {
        std::vector<float> row(512, 0.25f);
        row[at] = bad;
        wrong(row, moe::ErrorCode::non_finite, "value " + std::to_string(at));
      }
    if (format != Format::f32 && format != Format::bf16)
      for (const auto& row : huge) wrong(row, moe::ErrorCode::bad_argument, "too large");
    if (moe::format_info(format).block_values > 1) wrong(std::vector<float>(33), moe::ErrorCode::bad_shape, "33");
  }
  std::vector<float> last(1, std::numeric_limits<float>::max());
  std::byte two[2];
  CHECK_FALSE(moe::encode_row(Format::bf16, last.data(), 1, two).has_value());
  std::byte block[176];
  const std::vector<float> zeros(256);
  const auto unknown = moe::encode_row(Format::q5_k, zeros.data(), 256, block);
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().code == moe::ErrorCode::unsupported);
}

TEST_CASE("scales and minimums of six bits come back from their twelve bytes") {
  for (int b = 0; b < 8; ++b)
    for (int value = 0; value < 64; ++value) {
      std::byte scales[12] = {};
      for (int other = 0; other < 8; ++other)
        moe::quant::store_k_scale(scales, other,
                                  other == b ? moe::quant::KScale{value, 63 - value} : moe::quant::KScale{21, 42});
      for (int other = 0; other < 8; ++other) {
        const moe::quant::KScale s = moe::quant::k_scale(scales, other);
        CHECK(s.scale == (other == b ? value : 21));
        CHECK(s.minimum == (other == b ? 63 - value : 42));
      }
    }
}

}  // namespace quant_encode_test
