#pragma once
// Reference tensors for tests: a plain reader of trusted .safetensors files, independent of the library's own.

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support.hpp"

namespace moe_test {

struct ReferenceTensor {
  std::string dtype;  ///< "F32", "U8", "I64", ..
  std::vector<std::int64_t> shape;
  std::string bytes;

  template <class T>
  std::vector<T> values() const {
    std::vector<T> out(bytes.size() / sizeof(T));
    std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
    return out;
  }
};

inline std::map<std::string, ReferenceTensor> read_safetensors(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  std::map<std::string, ReferenceTensor> tensors;
  const auto header = nlohmann::json::parse(file.substr(8, header_bytes));
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const auto range = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
    tensors[name] = {entry.at("dtype").get<std::string>(), entry.at("shape").get<std::vector<std::int64_t>>(),
                     file.substr(8 + header_bytes + range[0], range[1] - range[0])};
  }
  return tensors;
}

}  // namespace moe_test
