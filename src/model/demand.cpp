#include "moe/demand.hpp"

#include <algorithm>

#include "model/model_impl.hpp"
#include "moe/cpu.hpp"
#include "moe/flops.hpp"
#include "moe/weight_shapes.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// Experts of one layer that at least one token of the step chose.
std::int64_t distinct_experts(const std::vector<TokenRouting>& layer) {
  std::vector<std::int32_t> ids;
  for (const TokenRouting& token : layer) ids.insert(ids.end(), token.experts.begin(), token.experts.end());
  std::sort(ids.begin(), ids.end());
  return std::unique(ids.begin(), ids.end()) - ids.begin();
}

/// Pairs of a token and one of its experts.
std::int64_t expert_runs(const std::vector<TokenRouting>& layer) {
  std::int64_t runs = 0;
  for (const TokenRouting& token : layer) runs += static_cast<std::int64_t>(token.experts.size());
  return runs;
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
    if (!w.experts.empty()) {  // experts of a layer have one shape; nearly always one format
      const std::int64_t touched = l < routing.size() ? distinct_experts(routing[l]) : 0;
      const std::int64_t rows = l < routing.size() ? expert_runs(routing[l]) : tokens * c.router.top_k;
      ffn(w.experts.front(), static_cast<double>(touched), static_cast<double>(rows));
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
