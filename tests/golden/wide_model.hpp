#pragma once
// A model wide enough for every weight format, generated, and a place for the files that quantising it makes.

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moe/quantize.hpp"
#include "scratch_dir.hpp"

namespace moe_test {

struct Scratch : ScratchDir {
  Scratch() : ScratchDir("moe_wide_model") {}
  std::string file(const std::string& name) const { return *this / name; }
};

inline moe::QuantizeOptions to(moe::Format type) {
  moe::QuantizeOptions options;
  options.type = type;
  options.replace = true;
  return options;
}

/// A random Qwen3-MoE whose rows all have 256 values: the golden models are too narrow for the K formats.
inline void write_wide_model(const std::filesystem::path& dir) {
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "config.json")
      << R"({"architectures": ["Qwen3MoeForCausalLM"], "vocab_size": 320, "hidden_size": 256, "intermediate_size": 256,
             "moe_intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 64,
             "num_experts": 4, "num_experts_per_tok": 2, "norm_topk_prob": true, "hidden_act": "silu", "rms_norm_eps": 1e-6,
             "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": false})";
  nlohmann::ordered_json header;
  std::string data;
  std::uint32_t state = 1;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, float scale) {
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    const std::size_t begin = data.size();
    for (std::int64_t i = 0; i < count; ++i) {
      float sum = scale == 0.0f ? 1.0f : 0.0f;  // a norm
      for (int k = 0; k < 4; ++k)
        sum += scale * static_cast<float>(static_cast<std::int32_t>(state = state * 1664525u + 1013904223u)) * 0x1p-31f;
      data.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    }
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  };
  add("model.embed_tokens.weight", {320, 256}, 0.5f);
  add("lm_head.weight", {320, 256}, 0.1f);
  add("model.norm.weight", {256}, 0.0f);
  for (const std::string l : {"model.layers.0.", "model.layers.1."}) {
    for (const char* norm : {"input_layernorm.weight", "post_attention_layernorm.weight"}) add(l + norm, {256}, 0.0f);
    for (const char* norm : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}) add(l + norm, {64}, 0.0f);
    for (const char* part : {"q", "k", "v", "o"}) add(l + "self_attn." + part + "_proj.weight", {256, 256}, 0.05f);
    add(l + "mlp.gate.weight", {4, 256}, 0.1f);
    for (int e = 0; e < 4; ++e)
      for (const char* part : {"gate", "up", "down"})
        add(l + "mlp.experts." + std::to_string(e) + "." + part + "_proj.weight", {256, 256}, 0.05f);
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  std::ofstream out(dir / "model.safetensors", std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out << text << data;
}

}  // namespace moe_test
