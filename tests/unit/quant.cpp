#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "moe/decode.hpp"
#include "moe/detail/quant/half.hpp"
#include "safetensors.hpp"

namespace quant_test {

namespace {

using moe_test::ReferenceTensor;

std::optional<moe::Format> format_named(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const moe::FormatInfo& f : moe::kFormats)
    if (f.name == name) return f.format;
  return {};
}

bool same_value(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

void check_values(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (same_value(found[i], expected[i])) continue;
    FAIL_CHECK("value " << i << " is " << found[i] << ", expected " << expected[i]);
    return;
  }
}

void check_decode(moe::Format format, const ReferenceTensor& bytes, const ReferenceTensor& values) {
  const moe::FormatInfo& info = moe::format_info(format);
  REQUIRE(bytes.bytes.size() % static_cast<std::size_t>(info.block_bytes) == 0);
  const auto count = static_cast<std::int64_t>(bytes.bytes.size()) / info.block_bytes * info.block_values;
  std::vector<float> out(static_cast<std::size_t>(count));
  moe::decode_row(format, reinterpret_cast<const std::byte*>(bytes.bytes.data()), count, out.data());
  check_values(out, values.values<float>());
}

std::filesystem::path quant_file() {
  const auto dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  return dir.empty() || !std::filesystem::exists(dir / "quant.safetensors") ? std::filesystem::path{}
                                                                            : dir / "quant.safetensors";
}

}  // namespace

TEST_CASE("decode_row gives the reference's bits for every format of the reference file") {
  const auto path = quant_file();
  if (path.empty()) return moe_test::report_skip("decode_row", "no quant.safetensors");
  const auto tensors = moe_test::read_safetensors(path);
  int formats = 0;
  for (const auto& tensor : tensors) {
    const std::string& name =
        tensor.first;  // clang 14's lambdas, which doctest makes, do not capture structured bindings
    const auto dot = name.rfind('.');
    const std::string type = name.substr(0, dot), part = name.substr(dot + 1);
    const bool quantized = part == "quant_bytes";
    if (!quantized && part != "bytes") continue;
    const auto values = tensors.find(type + (quantized ? ".quant_values" : ".values"));
    const auto format = format_named(type);
    if (!format || values == tensors.end()) {
      // fp8 code tables and the bf16 rounding cases are not GGUF formats.
      CHECK_MESSAGE(std::islower(static_cast<unsigned char>(type[0])), "no format for " << name);
      continue;
    }
    CAPTURE(name);
    check_decode(*format, tensor.second, values->second);
    formats += quantized ? 0 : 1;
  }
  CHECK(formats >= 1);
  MESSAGE(formats << " formats compared");
}

TEST_CASE("the codebooks of the iq formats are whole") {
  // The reference blocks visit only a part of each codebook; these sums were taken when all of it was compared.
  auto sum = [](const auto& book) {
    std::uint64_t h = 0xcbf29ce484222325u;
    for (const std::uint16_t vector : book)
      for (const int shift : {0, 8}) h = (h ^ (vector >> shift & 255u)) * 0x100000001b3u;
    return h;
  };
  CHECK(sum(moe::quant::kIq2XxsBook) == 0x6fca17f5c451905du);
  CHECK(sum(moe::quant::kIq2XsBook) == 0x29d6ac8e0e6b14e3u);
  CHECK(sum(moe::quant::kIq2SBook) == 0x641f9aa3fbd98694u);
  CHECK(sum(moe::quant::kIq1SBook) == 0x3f1880817eeffa4u);
  CHECK(sum(moe::quant::kIq3XxsBook) == 0x79d733576d562547u);
  CHECK(sum(moe::quant::kIq3SBook) == 0x55b224116d1e5ca2u);
}

TEST_CASE("decode_row reads rows of any number of blocks and leaves what follows alone") {
  for (const moe::FormatInfo& info : moe::kFormats) {
    CAPTURE(info.name);
    std::vector<std::byte> row(static_cast<std::size_t>(3 * info.block_bytes));
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<std::byte>((37 * i + 11) & 0x3f);
    const auto n = static_cast<std::size_t>(info.block_values);
    std::vector<float> all(3 * n + 1, 77.0f), one(n);
    moe::decode_row(info.format, row.data(), static_cast<std::int64_t>(3 * n), all.data());
    CHECK(all.back() == 77.0f);
    for (std::size_t b = 0; b < 3; ++b) {
      moe::decode_row(info.format, row.data() + b * static_cast<std::size_t>(info.block_bytes),
                      static_cast<std::int64_t>(n), one.data());
      for (std::size_t i = 0; i < n; ++i)
        if (!same_value(all[b * n + i], one[i])) FAIL_CHECK("block " << b << " value " << i);
    }
  }
}

TEST_CASE("f16 and bf16: every code survives widening and narrowing") {
  for (std::uint32_t code = 0; code < 65536; ++code) {
    const auto h = static_cast<std::uint16_t>(code);
    const float f = moe::f16_to_float(h), b = moe::bf16_to_float(h);
    const bool f_ok = std::isnan(f) ? (h & 0x7fffu) > 0x7c00u && std::isnan(moe::f16_to_float(moe::float_to_f16(f)))
                                    : moe::float_to_f16(f) == h;
    const bool b_ok = std::isnan(b) ? (h & 0x7fffu) > 0x7f80u && std::isnan(moe::bf16_to_float(moe::float_to_bf16(b)))
                                    : moe::float_to_bf16(b) == h;
    if (!f_ok || !b_ok) FAIL_CHECK("code " << code);
  }
}

TEST_CASE("narrowing rounds to nearest, ties to even") {
  // Between any two neighbours: just below the middle goes down, just above goes up, the middle to the even code.
  auto check_between = [](auto widen, auto narrow, std::uint32_t last_finite) {
    for (std::uint32_t code = 0; code < last_finite; ++code) {
      const double low = widen(static_cast<std::uint16_t>(code)), high = widen(static_cast<std::uint16_t>(code + 1));
      const auto middle = static_cast<float>((low + high) / 2);  // exact: one bit more than either
      const std::uint32_t even = code % 2 == 0 ? code : code + 1;
      const bool ok = narrow(middle) == even && narrow(std::nextafter(middle, -1.0f)) == code &&
                      narrow(std::nextafter(middle, INFINITY)) == code + 1 && narrow(-middle) == (even | 0x8000u);
      if (!ok) FAIL_CHECK("after code " << code);
    }
  };
  check_between(moe::f16_to_float, moe::float_to_f16, 0x7bff);
  check_between(moe::bf16_to_float, moe::float_to_bf16, 0x7f7f);
  CHECK(moe::float_to_f16(65519.996f) == 0x7bff);
  CHECK(moe::float_to_f16(65520.0f) == 0x7c00);
  CHECK(moe::float_to_f16(3e38f) == 0x7c00);
  CHECK(moe::float_to_bf16(3.4028235e38f) == 0x7f80);
}

TEST_CASE("float_to_bf16 agrees with the reference's rounding") {
  const auto path = quant_file();
  if (path.empty()) return moe_test::report_skip("float_to_bf16", "no quant.safetensors");
  const auto tensors = moe_test::read_safetensors(path);
  for (const auto& [input_name, bytes_name] :
       {std::pair{"f32_to_bf16.input", "f32_to_bf16.bytes"}, std::pair{"BF16.quant_input", "BF16.quant_bytes"}}) {
    const auto input = tensors.find(input_name), bytes = tensors.find(bytes_name);
    if (input == tensors.end() || bytes == tensors.end()) continue;
    const auto values = input->second.values<float>();
    const auto codes = bytes->second.values<std::uint16_t>();
    REQUIRE(values.size() == codes.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!same_value(moe::bf16_to_float(moe::float_to_bf16(values[i])), moe::bf16_to_float(codes[i])))
        FAIL_CHECK(input_name << " value " << i << ": " << values[i]);
  }
}

}  // namespace quant_test
