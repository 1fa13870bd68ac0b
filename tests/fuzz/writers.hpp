#pragma once
// Writes GGUF and safetensors files in memory, right or wrong on request: every field can be set to anything.

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace moe_test {

/// Appends a number as the file holds it.
template <class T>
void put(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

/// A length and the bytes; `length` may lie.
inline void put_string(std::string& out, std::string_view text, std::optional<std::uint64_t> length = {}) {
  put(out, length.value_or(text.size()));
  out += text;
}

// GGUF's value types.
enum : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

struct GgufEntry {
  std::string key;
  std::uint32_t type = kU32;
  std::string value;  ///< as in the file
  std::optional<std::uint64_t> key_length = {};
};

template <class T>
GgufEntry number_entry(std::string key, std::uint32_t type, T value) {
  GgufEntry e{std::move(key), type, {}};
  put(e.value, value);
  return e;
}
inline GgufEntry u32_entry(std::string key, std::uint32_t value) { return number_entry(std::move(key), kU32, value); }
inline GgufEntry string_entry(std::string key, std::string_view text, std::optional<std::uint64_t> length = {}) {
  GgufEntry e{std::move(key), kString, {}};
  put_string(e.value, text, length);
  return e;
}
/// `count` may lie.
template <class T>
GgufEntry array_entry(std::string key, std::uint32_t type, const std::vector<T>& values,
                      std::optional<std::uint64_t> count = {}) {
  GgufEntry e{std::move(key), kArray, {}};
  put(e.value, type);
  put(e.value, count.value_or(values.size()));
  for (const T& v : values) {
    if constexpr (std::is_same_v<T, std::string>)
      put_string(e.value, v);
    else
      put(e.value, v);
  }
  return e;
}

struct GgufTensor {
  std::string name;
  std::vector<std::int64_t> dims;  ///< GGUF's order: innermost first
  std::uint32_t type = 0;
  std::uint64_t bytes = 0;                      ///< put into the data section
  std::optional<std::uint64_t> offset = {};     ///< instead of the right one
  std::optional<std::uint32_t> dim_count = {};  ///< instead of dims.size()
};

struct GgufFile {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::vector<GgufEntry> metadata;
  std::vector<GgufTensor> tensors;
  std::optional<std::uint64_t> metadata_count, tensor_count;
  std::uint64_t alignment = 32;

  GgufEntry& entry(std::string_view key) {
    for (GgufEntry& e : metadata)
      if (e.key == key) return e;
    return metadata.emplace_back(GgufEntry{std::string(key), kU32, {}});
  }

  std::string header() const {
    std::string out = magic;
    put(out, version);
    put<std::uint64_t>(out, tensor_count.value_or(tensors.size()));
    put<std::uint64_t>(out, metadata_count.value_or(metadata.size()));
    for (const GgufEntry& e : metadata) {
      put_string(out, e.key, e.key_length);
      put(out, e.type);
      out += e.value;
    }
    std::uint64_t offset = 0;
    for (const GgufTensor& t : tensors) {
      put_string(out, t.name);
      put<std::uint32_t>(out, t.dim_count.value_or(static_cast<std::uint32_t>(t.dims.size())));
      for (const std::int64_t n : t.dims) put(out, n);
      put(out, t.type);
      put<std::uint64_t>(out, t.offset.value_or(offset));
      offset = aligned(offset + t.bytes);
    }
    return out;
  }
  std::string bytes() const {
    std::string out = header();
    for (const GgufTensor& t : tensors) {
      out.resize(aligned(out.size()), '\0');
      for (std::uint64_t i = 0; i < t.bytes; ++i) out += static_cast<char>(i * 37 + 5);
    }
    return out;
  }

 private:
  std::uint64_t aligned(std::uint64_t n) const { return (n + alignment - 1) / alignment * alignment; }
};

/// A correct file with metadata of every kind, a vocabulary and three tensors.
inline GgufFile small_gguf() {
  GgufFile f;
  f.metadata = {
      string_entry("general.architecture", "llama"),
      u32_entry("llama.block_count", 1),
      number_entry<float>("llama.rope.freq_base", kF32, 10000.0f),
      number_entry<std::uint8_t>("llama.flag", kBool, 1),
      array_entry<std::int16_t>("llama.list", kI16, {1, -2, 3}),
      string_entry("tokenizer.ggml.model", "gpt2"),
      string_entry("tokenizer.ggml.pre", "qwen2"),
      array_entry<std::string>("tokenizer.ggml.tokens", kString, {"a", "b", "c", "ab", "<|end|>"}),
      array_entry<std::int32_t>("tokenizer.ggml.token_type", kI32, {1, 1, 1, 1, 3}),
      array_entry<std::string>("tokenizer.ggml.merges", kString, {"a b"}),
      u32_entry("tokenizer.ggml.eos_token_id", 4),
  };
  f.tensors = {{"token_embd.weight", {32, 5}, 0, 32 * 5 * 4},
               {"blk.0.ffn_up.weight", {64, 3}, 8, 3 * 68},
               {"output_norm.weight", {32}, 0, 128}};
  return f;
}

/// A .safetensors file: `length` may lie about the header.
inline std::string safetensors_bytes(std::string_view header, std::uint64_t data_bytes,
                                     std::optional<std::uint64_t> length = {}) {
  std::string out;
  put_string(out, header, length);
  for (std::uint64_t i = 0; i < data_bytes; ++i) out += static_cast<char>(i * 29 + 3);
  return out;
}

}  // namespace moe_test
