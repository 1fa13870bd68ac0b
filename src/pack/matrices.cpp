#include "pack/matrices.hpp"

#include <fmt/format.h>

namespace moe::inline MOE_ABI::pack {
namespace {

void add(std::vector<NamedMatrix>& out, std::int64_t layer, MatrixKind kind, Matrix& matrix, std::int64_t number = -1) {
  if (!matrix.empty())
    out.push_back({static_cast<std::int32_t>(layer), kind, static_cast<std::int32_t>(number), &matrix});
}

void add_attention(std::vector<NamedMatrix>& out, std::int64_t layer, LayerWeights& w) {
  const std::pair<MatrixKind, Matrix*> single[] = {{MatrixKind::q, &w.q},     {MatrixKind::k, &w.k},
                                                   {MatrixKind::v, &w.v},     {MatrixKind::q_a, &w.q_a},
                                                   {MatrixKind::q_b, &w.q_b}, {MatrixKind::kv_a, &w.kv_a}};
  for (const auto& [kind, matrix] : single) add(out, layer, kind, *matrix);
  for (std::size_t h = 0; h < w.k_b.size(); ++h)
    add(out, layer, MatrixKind::k_b, w.k_b[h], static_cast<std::int64_t>(h));
  for (std::size_t h = 0; h < w.v_b.size(); ++h)
    add(out, layer, MatrixKind::v_b, w.v_b[h], static_cast<std::int64_t>(h));
  add(out, layer, MatrixKind::recurrent_in, w.recurrent.in);
  add(out, layer, MatrixKind::recurrent_z, w.recurrent.in_z);
  add(out, layer, MatrixKind::recurrent_b, w.recurrent.in_b);
  add(out, layer, MatrixKind::recurrent_a, w.recurrent.in_a);
  add(out, layer, MatrixKind::index_q, w.indexer.q);
  add(out, layer, MatrixKind::index_k, w.indexer.k);
  add(out, layer, MatrixKind::index_weights, w.indexer.weights);
  add(out, layer, MatrixKind::o, w.o);
}

void add_ffn(std::vector<NamedMatrix>& out, std::int64_t layer, FfnWeights& w, MatrixKind gate,
             std::int64_t number = -1) {
  const auto kind = [gate](std::uint32_t n) { return static_cast<MatrixKind>(static_cast<std::uint32_t>(gate) + n); };
  add(out, layer, kind(0), w.gate, number);
  add(out, layer, kind(1), w.up, number);
  add(out, layer, kind(2), w.down, number);
}

}  // namespace

std::string_view name_of(MatrixKind kind) noexcept {
  static constexpr std::string_view kNames[] = {"embedding",
                                                "head",
                                                "q",
                                                "k",
                                                "v",
                                                "q_a",
                                                "q_b",
                                                "kv_a",
                                                "k_b",
                                                "v_b",
                                                "o",
                                                "gate",
                                                "up",
                                                "down",
                                                "router",
                                                "shared_gate",
                                                "shared_up",
                                                "shared_down",
                                                "shared_expert_gate",
                                                "expert_gate",
                                                "expert_up",
                                                "expert_down",
                                                "recurrent_in",
                                                "recurrent_z",
                                                "recurrent_b",
                                                "recurrent_a",
                                                "layer_embedding",
                                                "layer_input",
                                                "layer_input_gate",
                                                "layer_input_up",
                                                "index_q",
                                                "index_k",
                                                "index_weights"};
  const auto number = static_cast<std::size_t>(kind);
  return number < std::size(kNames) ? kNames[number] : std::string_view();
}

std::string text_of(const NamedMatrix& matrix) {
  std::string text(name_of(matrix.kind));
  if (matrix.layer >= 0) text += fmt::format(" of layer {}", matrix.layer);
  if (matrix.number >= 0) text += fmt::format(", number {}", matrix.number);
  return text;
}

NamedMatrices matrices_of(Weights& weights) {
  NamedMatrices all;
  add(all.resident, -1, MatrixKind::embedding, weights.embedding);
  add(all.resident, -1, MatrixKind::head, weights.head);
  add(all.resident, -1, MatrixKind::layer_embedding, weights.layer_embedding);
  add(all.resident, -1, MatrixKind::layer_input, weights.layer_input);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    LayerWeights& w = weights.layers[i];
    const auto layer = static_cast<std::int64_t>(i);
    add_attention(all.resident, layer, w);
    add_ffn(all.resident, layer, w.ffn, MatrixKind::gate);
    add(all.resident, layer, MatrixKind::router, w.router);
    add_ffn(all.resident, layer, w.shared, MatrixKind::shared_gate);
    add(all.resident, layer, MatrixKind::shared_expert_gate, w.shared_gate);
    add(all.resident, layer, MatrixKind::layer_input_gate, w.layer_input_gate);
    add(all.resident, layer, MatrixKind::layer_input_up, w.layer_input_up);
    for (std::size_t e = 0; e < w.experts.size(); ++e)
      add_ffn(all.experts, layer, w.experts[e], MatrixKind::expert_gate, static_cast<std::int64_t>(e));
  }
  return all;
}

}  // namespace moe::inline MOE_ABI::pack
