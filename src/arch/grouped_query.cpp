#include "arch/grouped_query.hpp"

#include <fmt/format.h>

#include <cmath>

#include "arch/family.hpp"
#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {

void read_gqa(const JsonConfig& json, ModelConfig& c) {
  c.kv_head_count = json.integer_or("num_key_value_heads", c.head_count, 1, kMaxWidth);
  c.head_dim = json.integer_or("head_dim", c.hidden_size / c.head_count, 1, kMaxWidth);
  c.v_head_dim = c.head_dim;
  c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
}

void read_gqa(GgufConfig& meta, ModelConfig& c) {
  c.kv_head_count = meta.integer_or("attention.head_count_kv", c.head_count, 1, kMaxWidth);
  read_head_dim(meta, c);
}

void read_head_dim(GgufConfig& meta, ModelConfig& c) {
  c.head_dim = meta.integer_or("attention.key_length", c.hidden_size / c.head_count, 1, kMaxWidth);
  c.v_head_dim = meta.integer_or("attention.value_length", c.head_dim, 1, kMaxWidth);
  if (c.v_head_dim != c.head_dim)
    meta.refuse(ErrorCode::unsupported, fmt::format("attention.value_length is {}, expected attention.key_length ({})",
                                                    c.v_head_dim, c.head_dim));
  c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
}

void read_qkv_bias(const GgufConfig& meta, ModelConfig& c) {
  for (const Role role : {Role::q_bias, Role::k_bias, Role::v_bias, Role::qkv_bias})
    if (meta.file().find(tensor_name(checkpoint::Kind::gguf, role)) != nullptr) c.qkv_bias = true;
}

}  // namespace moe::inline MOE_ABI::arch
