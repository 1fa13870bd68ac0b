#pragma once
// Copies of a Hugging Face directory whose weights are stored in another way.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moe/detail/quant/half.hpp"
#include "safetensors.hpp"

namespace moe_test {

using Tensors = std::map<std::string, ReferenceTensor>;

template <class T>
ReferenceTensor tensor_of(const std::string& dtype, const std::vector<std::int64_t>& shape,
                          const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {dtype, shape, bytes};
}

/// Numbers as a tensor of F32, F16 or BF16, and as those types hold them.
inline ReferenceTensor float_tensor(const std::string& dtype, const std::vector<std::int64_t>& shape,
                                    std::vector<float>& values) {
  if (dtype == "F32") return tensor_of(dtype, shape, values);
  std::vector<std::uint16_t> halves;
  for (float& v : values) {
    halves.push_back(dtype == "F16" ? moe::float_to_f16(v) : moe::float_to_bf16(v));
    v = dtype == "F16" ? moe::f16_to_float(halves.back()) : moe::bf16_to_float(halves.back());
  }
  return tensor_of(dtype, shape, halves);
}

inline void write_safetensors(const std::filesystem::path& path, const Tensors& tensors) {
  nlohmann::ordered_json header;
  std::string data;
  for (const auto& [name, t] : tensors) {
    header[name] = {
        {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.bytes.size()}}};
    data += t.bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out << text << data;
}

/// config.json, with Python's Infinity as a string that write_folder() turns back.
inline nlohmann::json read_config(const std::filesystem::path& folder) {
  std::string text = read_file(folder / "config.json");
  for (std::size_t at = 0; (at = text.find("Infinity", at)) != std::string::npos; at += 10)
    text.replace(at, 8, "\"Infinity\"");
  return nlohmann::json::parse(text);
}

inline void write_folder(const std::filesystem::path& folder, const nlohmann::json& config, const Tensors& tensors) {
  std::filesystem::create_directories(folder);
  std::string text = config.dump();
  for (std::size_t at = 0; (at = text.find("\"Infinity\"", at)) != std::string::npos;) text.replace(at, 10, "Infinity");
  std::ofstream(folder / "config.json") << text;
  write_safetensors(folder / "model.safetensors", tensors);
}

inline bool has_ending(const std::string& text, const std::string& end) { return text.ends_with(end); }

/// By its definition: sign, 4 bits of exponent, 3 of mantissa.
inline double e4m3_value(unsigned code) {
  const int exponent = static_cast<int>(code >> 3 & 15u), mantissa = static_cast<int>(code & 7u);
  const double size = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code & 128u) != 0 ? -size : size;
}

/// sqrt(sum (a - b)^2 / sum b^2)
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double error = 0.0, sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    error += (x - y) * (x - y);
    sum += y * y;
  }
  return std::sqrt(error / sum);
}

}  // namespace moe_test
