#pragma once
// A small model whose numbers overflow at one token.

#include <nlohmann/json.hpp>
#include <optional>

#include "moe/tokenizer.hpp"
#include "support.hpp"

namespace moe_test {

/// A copy of the model whose hidden state comes near the end of float32: layer 0 adds about 1e37 to every number. With
/// `token`, the embedding of that token is so large that the sum overflows.
inline std::filesystem::path spoiled_model(const std::filesystem::path& model, const std::filesystem::path& folder,
                                           std::optional<moe::TokenId> token) {
  namespace fs = std::filesystem;
  const fs::path copy = folder / (token ? "spoiled" : "near");
  fs::copy(model, copy);
  std::string file = moe_test::read_file(copy / "model.safetensors");
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const nlohmann::json header = nlohmann::json::parse(file.substr(8, header_bytes));
  const auto set = [&](const std::string& tensor, std::size_t row, std::size_t column, std::uint16_t value) {
    const auto shape = header[tensor]["shape"].get<std::vector<std::size_t>>();
    const auto range = header[tensor]["data_offsets"].get<std::vector<std::size_t>>();
    REQUIRE(range[1] - range[0] == 2 * shape[0] * shape[1]);  // bfloat16
    std::memcpy(file.data() + 8 + header_bytes + range[0] + 2 * (row * shape[1] + column), &value, sizeof value);
  };
  for (std::size_t d = 0; d < 64; ++d) {
    set("model.layers.0.self_attn.o_proj.weight", d, 0, 0x7EE0);  // 1.5e38
    if (token)
      set("model.embed_tokens.weight", static_cast<std::size_t>(*token), d, d % 2 == 0 ? 0x7F7F : 0xFF7F);  // 3.4e38
  }
  fs::remove(copy / "model.safetensors");
  std::ofstream(copy / "model.safetensors", std::ios::binary) << file;
  return copy;
}

}  // namespace moe_test
