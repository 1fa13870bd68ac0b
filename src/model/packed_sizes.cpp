#include "model/packed_sizes.hpp"

#include "kernels/packing.hpp"
#include "model/expert_reader.hpp"
#include "moe/memory_plan.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr std::int64_t kLine = 64;  // matrices begin at multiples of it

std::int64_t padded(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

std::int64_t matrix_bytes(Format format, std::int64_t rows, std::int64_t k) {
  // Rows that are no whole blocks are float32, as a file would have them.
  if (k % format_info(format).block_values != 0) format = Format::f32;
  return padded((rows + kernels::kPanelRows - 1) / kernels::kPanelRows * kernels::panel_bytes(format, k));
}

std::int64_t mixer_bytes(const ModelConfig& c, Format format, std::int64_t layer) {
  const std::int64_t D = c.hidden_size, H = c.head_count;
  if (c.mixer(layer) == Mixer::none) return 0;
  if (c.is_recurrent(layer))
    return matrix_bytes(format, c.recurrent_in_width(layer), D) + matrix_bytes(format, D, c.recurrent_out_width(layer));
  if (c.attention != AttentionKind::mla) {
    const std::int64_t hd = c.head_dim_of(layer), kv = c.kv_heads_of(layer) * hd;
    const std::int64_t projections = (c.has_keys(layer) ? 1 : 0) + (c.has_value_projection(layer) ? 1 : 0);
    const std::int64_t gate = c.attention_gate ? 2 : 1;  // its rows are beside the query's
    return matrix_bytes(format, D, H * hd) + matrix_bytes(format, gate * H * hd, D) +
           projections * matrix_bytes(format, kv, D);
  }
  std::int64_t bytes = matrix_bytes(format, D, H * c.v_head_dim);
  const std::int64_t qk = c.qk_nope_head_dim + c.qk_rope_head_dim;
  bytes += c.q_lora_rank > 0 ? matrix_bytes(format, c.q_lora_rank, D) + matrix_bytes(format, H * qk, c.q_lora_rank)
                             : matrix_bytes(format, H * qk, D);
  bytes += matrix_bytes(format, c.kv_lora_rank + c.qk_rope_head_dim, D);
  if (c.has_indexer(layer)) {
    const std::int64_t heads = c.indexer.head_count, dim = c.indexer.head_dim;
    bytes += matrix_bytes(format, heads * dim, c.q_lora_rank) + matrix_bytes(format, dim, D) +
             matrix_bytes(format, heads, D);
  }
  // Keys' part is transposed: formats of blocks become float32.
  const Format transposed = format_info(format).block_values == 1 ? format : Format::f32;
  return bytes + H * (matrix_bytes(transposed, c.kv_lora_rank, c.qk_nope_head_dim) +
                      matrix_bytes(format, c.v_head_dim, c.kv_lora_rank));
}

std::int64_t ffn_bytes(const ModelConfig& c, Format format, std::int64_t width) {
  if (width == 0) return 0;
  return (c.ffn_matrices() - 1) * matrix_bytes(format, width, c.hidden_size) +
         matrix_bytes(format, c.hidden_size, width);
}

}  // namespace

std::int64_t packed_bytes(const LoadPlan& plan) {
  std::int64_t all = 0;
  for (const MatrixJob& job : plan.matrices) all += padded(job.out->bytes());
  for (const VectorJob& job : plan.vectors) all += job.count * static_cast<std::int64_t>(sizeof(float));
  return all;
}

PackedSizes packed_sizes(const LoadPlan& plan, const Weights& weights) {
  PackedSizes sizes;
  std::int64_t routed = 0;
  for (const LayerWeights& layer : weights.layers) {
    const auto count = static_cast<std::int64_t>(layer.experts.size());
    std::int64_t bundles = 0;
    for (const FfnWeights& e : layer.experts) {
      bundles += BundleLayout::of(e).bytes;
      for (const Matrix* m : {&e.gate, &e.up, &e.down}) routed += padded(m->bytes());
    }
    sizes.expert.push_back(count == 0 ? 0 : (bundles + count - 1) / count);
  }
  sizes.always = packed_bytes(plan) - routed;
  return sizes;
}

PackedSizes assumed_sizes(const ModelConfig& c, Format format) {
  PackedSizes sizes;
  sizes.always = matrix_bytes(format, c.vocab_size, c.hidden_size) * (c.tie_word_embeddings ? 1 : 2);
  if (const std::int64_t all = c.layer_count * c.layer_input_size; all > 0)
    sizes.always += matrix_bytes(format, c.layer_input_vocab_size, all) + matrix_bytes(format, all, c.hidden_size);
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    sizes.always += mixer_bytes(c, format, l);
    const bool moe = c.layer_is_moe(l);
    FfnWeights expert;
    if (moe) {
      sizes.always += matrix_bytes(Format::f32, c.router.expert_count, c.hidden_size);
      sizes.always += ffn_bytes(c, format, c.shared_width());
      const auto shape = [&](Matrix& m, std::int64_t rows, std::int64_t k) {
        m.format = k % format_info(format).block_values == 0 ? format : Format::f32;
        m.rows = rows, m.k = k, m.panel_bytes = kernels::panel_bytes(m.format, k);
      };
      if (c.has_gates()) shape(expert.gate, c.moe_intermediate_size, c.hidden_size);
      shape(expert.up, c.moe_intermediate_size, c.hidden_size);
      shape(expert.down, c.hidden_size, c.moe_intermediate_size);
    }
    if (c.has_dense_ffn(l)) sizes.always += ffn_bytes(c, format, c.dense_width(l));
    if (const std::int64_t n = c.layer_input_size; n > 0)
      sizes.always += matrix_bytes(format, n, c.hidden_size) + matrix_bytes(format, c.hidden_size, n);
    sizes.expert.push_back(moe ? BundleLayout::of(expert).bytes : 0);
  }
  return sizes;
}

}  // namespace moe::inline MOE_ABI
