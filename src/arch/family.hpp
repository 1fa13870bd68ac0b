#pragma once
// A model family: how its files describe it, and its tensors. One file per family, one line in registry.cpp.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "arch/wrappers.hpp"
#include "checkpoint/checkpoint.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// The role of a tensor. Patterns in TensorNames map roles to names in files.
enum class Role {
  embedding,
  final_norm,
  head,
  rope_factors,
  rope_factors_short,
  rope_factors_long,
  attention_norm,
  q,
  k,
  v,
  o,
  q_bias,
  k_bias,
  v_bias,
  o_bias,
  q_norm,
  k_norm,
  sinks,
  qkv,
  qkv_bias,  // GGUF: rows of q, then k, then v
  q_a,
  q_a_norm,
  q_b,
  kv_a,
  kv_a_norm,
  kv_b,
  k_b,
  v_b,
  index_q,  // DSA: the lightning indexer
  index_k,
  index_k_norm,
  index_k_norm_bias,
  index_weights,
  post_attention_norm,
  ffn_norm,
  post_ffn_norm,
  gate,
  up,
  gate_up,
  down,
  router,
  router_bias,
  expert_gate,
  expert_up,
  expert_down,
  shared_gate,
  shared_up,
  shared_down,
  shared_gate_up,  // rows of gate, then of up
  shared_expert_gate,
  router_logit_bias,
  expert_gate_bias,
  expert_up_bias,
  expert_down_bias,
  expert_gate_up,
  recurrent_in,    // delta_net: q, k and v
  recurrent_qkvz,  // delta_net: both, rows grouped by key head
  recurrent_z,
  recurrent_b,
  recurrent_a,
  recurrent_ba,  // b and a, grouped by key head
  recurrent_dt_bias,
  recurrent_a_log,
  recurrent_skip,
  recurrent_norm,
  recurrent_out,
  conv,
  conv_bias,
  layer_embedding,  // Gemma 4: further inputs of all layers by token, and from the embedding
  layer_input,
  layer_input_norm,
  layer_input_gate,
  layer_input_up,
  post_layer_input_norm,
  layer_scalar,
  router_norm,
  expert_scale,
  expert_norm,
  post_dense_norm,
  post_expert_norm,
  expert_down_rows,     // HF: of all experts, as matrices one after the other
  expert_gate_up_bias,  // of all experts in one tensor: outputs interleaved in HF, two halves in GGUF
  // of an MTP layer, which has its own number
  mtp_embedding,
  mtp_head,
  mtp_norm,            // of the head's input
  mtp_embedding_norm,  // of both halves of the projection's input
  mtp_state_norm,
  mtp_projection,
};

/// "{l}" is the layer, "{e}" the expert; an expert pattern without "{e}" is one tensor with all experts.
struct TensorName {
  Role role;
  std::string_view pattern;
};

struct Family {
  std::string_view name;                             ///< "qwen3_moe"
  std::string_view gguf_architecture;                ///< general.architecture; two families may share one
  std::string_view hf_architecture;                  ///< architectures[0] of config.json
  ModelConfig (*from_hf)(const JsonConfig& config);  ///< errors are in config.status()
  /// Null: another family with the same architecture reads it.
  ModelConfig (*from_gguf)(GgufConfig& metadata);
  std::span<const TensorName> hf_names = {};  ///< where this family differs from the common names
  bool hf_norms_minus_one = false;            ///< Hugging Face files hold w - 1 of every norm (Gemma)
  std::span<const TensorName> gguf_names = {};
  bool gguf_rope_pairs = false;  ///< GGUF files have q and k rows permuted for interleaved RoPE (Llama)
  /// Hugging Face files with all experts in one tensor hold them as matrices, rows of gate before those of up.
  bool hf_expert_rows = false;
  bool gguf_joined_experts = false;  ///< GGUF files hold gate and up of all experts in one tensor (llama.cpp's Gemma 4)
  /// GGUF files have value head 0 of every key head first, then value head 1 of every key head, ..
  bool gguf_tiled_heads = false;
  bool has_mtp = false;  ///< its MTP layer is DeepSeek-V3's, behind the last layer
  /// "mtp.layers.0.": in Hugging Face files its tensors begin so, not with its number. Configurations may not count it.
  std::string_view hf_mtp_layer = {};
  std::string_view hf_other_architecture = {};  ///< architectures[0] of files of other programs
  std::string_view gguf_moe_architecture = {};  ///< general.architecture of models with experts, where it is another
};

/// quantization_config of a Hugging Face checkpoint.
struct Quantization {
  enum class Method { none, fp8, mxfp4, compressed_tensors, gptq, awq };
  Method method = Method::none;
  std::int64_t block_rows = 0, block_columns = 0;  ///< fp8: what one scale covers; 0: a tensor or a row
  std::int64_t bits = 4;                           ///< of a code
  bool one_width = true;                           ///< false: `bits` differ by module, and the tensors show them
  std::vector<std::int64_t> group_sizes = {};      ///< columns that may share a scale, other than all of them
  bool whole_rows = false;                         ///< some weights have one scale for a row or for all
  int zero_offset = 0;                             ///< gptq: added to the numbers of stored words of zero points
  bool has_zeros = false;                          ///< compressed-tensors: every weight has zero points
  bool has_order = false;                          ///< every weight has a tensor with the group of each column
};

/// All families, in the order of docs and messages.
const std::vector<const Family*>& families();

/// The family of a checkpoint, and its validated configuration.
/// Errors: unsupported (naming the architecture and listing the known ones), bad_config.
struct Recognised {
  const Family* family = nullptr;
  ModelConfig config;
  Quantization quantization;
  std::vector<std::string> notes;        ///< for the user: contradictions in the file, and parts that are not used
  std::vector<std::string> unread_keys;  ///< keys that were not read
  std::vector<std::string> assumed;      ///< integers missing in config.json
  const Wrapper* wrapper = nullptr;      ///< of a multimodal checkpoint
  TextPrefix prefix = {};                ///< of its tensors' names
  bool wrapper_ties = false;             ///< tie_word_embeddings outside of text_config is true, or its default is
};
/// " (config.json does not give num_hidden_layers: the default of its class was taken)": a hint for resulting errors.
std::string about_assumed(const Recognised& model);
Result<Recognised> recognise(const checkpoint::Checkpoint& file);
/// Whether a configuration, or general.architecture, names a family of libmoe, whatever else is refused.
bool names_family(const JsonConfig& json);
bool names_gguf_family(std::string_view architecture);
Result<Recognised> recognise_hf_config(std::string_view config_json);

/// tie_word_embeddings with a separate head, decided as in transformers 5: different values are two matrices, and a
/// note says so.
/// Errors: bad_shape, io.
Result<void> untie_own_head(const checkpoint::Checkpoint& file, Recognised& model);
/// Without any head, that of a wrapper which says tie_word_embeddings is the embedding, whatever text_config says: as in
/// transformers 5, which asks the wrapper.
void tie_missing_head(const checkpoint::Checkpoint& file, Recognised& model);
/// The tensor of the embedding. A tied model may have it only under the head's name.
std::string embedding_name(const checkpoint::Checkpoint& file, const Recognised& model);

/// The name of one expert's tensor in GGUF files from before experts were merged; empty for other roles.
std::string legacy_expert_name(Role role, std::int64_t layer, std::int64_t expert);
/// The name that most families use for a tensor; empty when there is none.
std::string tensor_name(checkpoint::Kind kind, Role role, std::int64_t layer = 0, std::int64_t expert = 0);
/// The family's own name of a tensor, else the common one; with the wrapper's prefix in a Hugging Face checkpoint.
std::string tensor_name(const Recognised& model, checkpoint::Kind kind, Role role, std::int64_t layer = 0,
                        std::int64_t expert = 0);

/// Rotary frequencies and the like that older converters wrote to the file; the configuration determines them.
bool is_leftover(checkpoint::Kind kind, std::string_view tensor);
/// A tensor of a layer for multi-token prediction: behind the last layer, or under a name that only such layers have.
bool is_mtp(const Recognised& model, checkpoint::Kind kind, std::string_view tensor);

extern const Family kLlama, kMistral, kQwen2, kQwen3, kQwen2Moe, kQwen3Moe, kDeepseekV2, kDeepseekV3, kMixtral, kOlmoe,
    kSeedOss, kDots1, kHunyuanDense, kHunyuanMoe, kGlm4, kGlm4Moe, kErnieMoe, kGptOss, kGemma2, kGemma3, kMinistral3,
    kGlm4MoeLite, kMinimaxM2, kHyV3, kErnie, kOlmo2, kOlmo3, kSmolLm3, kPhi3, kQwen3Next, kQwen35, kQwen35Moe, kGemma4,
    kLfm2, kLfm2Moe, kGraniteHybrid, kNemotronH, kDeepseekV32, kGlmMoeDsa;

}  // namespace moe::inline MOE_ABI::arch
