#include "moe/demand.hpp"

#include "model/model_impl.hpp"
#include "moe/cpu.hpp"
#include "moe/flops.hpp"
#include "moe/weight_shapes.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// How many tokens of the step chose each expert of a layer.
std::vector<std::int64_t> tokens_of_experts(const std::vector<TokenRouting>& layer, std::size_t experts) {
  std::vector<std::int64_t> tokens(experts);
  for (const TokenRouting& token : layer)
    for (const std::int32_t expert : token.experts)
      if (static_cast<std::size_t>(expert) < experts) tokens[static_cast<std::size_t>(expert)] += 1;
  return tokens;
}

}  // namespace

StageDemands step_demand(const Model& model, KvType kv, std::int64_t cached, std::int64_t tokens,
                         const std::vector<std::vector<TokenRouting>>& routing) {
  const ModelConfig& c = model.config();
  const Weights& weights = *impl_of(model).weights;
  StageDemands by_stage;
  const auto matrix = [&](Stage stage, const Matrix& m, double copies_read, double rows_of_x) {
    if (m.empty()) return;
    Demand& d = by_stage[stage];
    d.bytes += static_cast<double>(m.panel_bytes * m.panel_count()) * copies_read;
    (multiplies_int8(m.format) && m.column_groups.empty() ? d.int8_ops : d.float_ops) +=
        2.0 * static_cast<double>(m.rows * m.k) * rows_of_x;
  };
  const auto ffn = [&](const FfnWeights& f, double copies_read, double rows_of_x) {
    for (const Matrix* m : {&f.gate, &f.up, &f.down}) matrix(Stage::experts, *m, copies_read, rows_of_x);
  };
  const auto T = static_cast<double>(tokens);
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const LayerWeights& w = weights.layers[l];
    for (const Matrix* m : {&w.q, &w.k, &w.v, &w.q_a, &w.q_b, &w.kv_a, &w.o, &w.recurrent.in, &w.recurrent.in_z,
                            &w.recurrent.in_b, &w.recurrent.in_a, &w.indexer.q, &w.indexer.k, &w.indexer.weights})
      matrix(Stage::projections, *m, 1.0, T);
    for (const Matrix* m : {&w.layer_input_gate, &w.layer_input_up}) matrix(Stage::projections, *m, 1.0, T);
    for (const Matrix& m : w.k_b) matrix(Stage::projections, m, 1.0, T);
    for (const Matrix& m : w.v_b) matrix(Stage::projections, m, 1.0, T);
    ffn(w.ffn, 1.0, T);
    matrix(Stage::router, w.router, 1.0, T);
    ffn(w.shared, 1.0, T);
    // Experts of a layer have one shape, but not always one format.
    const std::size_t experts = w.experts.size();
    const auto chosen = l < routing.size() ? tokens_of_experts(routing[l], experts) : std::vector<std::int64_t>();
    for (std::size_t e = 0; e < experts; ++e) {
      if (chosen.empty())  // not known: the operations of all alike, and no bytes
        ffn(w.experts[e], 0.0, T * static_cast<double>(c.router.top_k) / static_cast<double>(experts));
      else if (chosen[e] > 0)
        ffn(w.experts[e], 1.0, static_cast<double>(chosen[e]));
    }
  }
  matrix(Stage::projections, weights.layer_input, 1.0, T);
  matrix(Stage::head, weights.head_matrix(), 1.0, 1.0);
  const Work work = forward_work(c, cached, tokens, 1, MlaForm::absorbed);
  Demand& attention = by_stage[Stage::attention];
  attention.float_ops +=
      static_cast<double>(work.attention_score + work.attention_value + work.index_score + work.recurrent);
  attention.bytes += static_cast<double>(cache_bytes_per_token(c, kv) * (cached + tokens));
  // A state is read, where there is one, and written.
  attention.bytes += static_cast<double>(recurrent_state_bytes(c) * (cached > 0 ? 2 : 1));
  return by_stage;
}

}  // namespace moe::inline MOE_ABI
