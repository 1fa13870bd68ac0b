#pragma once
// The least time a step can take on this machine: bytes it must read, operations it must do.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "model/model_impl.hpp"
#include "moe/flops.hpp"
#include "moe/profile.hpp"
#include "moe/session.hpp"
#include "peaks.hpp"

namespace moe_bench {

/// What one step (or a whole tg run) asks of the machine.
struct Demand {
  double bytes = 0.0;      ///< packed weights and cache, each block of an expert once per step
  double int8_ops = 0.0;   ///< products with weights whose kernel is int8
  double float_ops = 0.0;  ///< the other products, scores and values
  Demand& operator+=(const Demand& o) {
    bytes += o.bytes, int8_ops += o.int8_ops, float_ops += o.float_ops;
    return *this;
  }
};

/// The same by stage of the forward pass; stages that multiply nothing ask for nothing.
struct StageDemands {
  std::array<Demand, moe::kStageCount> stage{};
  Demand& operator[](moe::Stage s) { return stage[static_cast<std::size_t>(s)]; }
  Demand total() const {
    Demand sum;
    for (const Demand& d : stage) sum += d;
    return sum;
  }
  StageDemands& operator+=(const StageDemands& o) {
    for (std::size_t i = 0; i < stage.size(); ++i) stage[i] += o.stage[i];
    return *this;
  }
};

inline double least_seconds(const Demand& d, const Peaks& p) {
  return std::max(d.bytes / p.read_bytes, d.int8_ops / p.int8_ops + d.float_ops / p.float_ops);
}
inline bool bound_by_bytes(const Demand& d, const Peaks& p) {
  return d.bytes / p.read_bytes >= d.int8_ops / p.int8_ops + d.float_ops / p.float_ops;
}

/// Experts of one layer that at least one token of the step chose.
inline std::int64_t distinct_experts(const std::vector<moe::TokenRouting>& layer) {
  std::vector<std::int32_t> ids;
  for (const moe::TokenRouting& token : layer) ids.insert(ids.end(), token.experts.begin(), token.experts.end());
  std::sort(ids.begin(), ids.end());
  return std::unique(ids.begin(), ids.end()) - ids.begin();
}

/// A step of `tokens` new tokens after `cached` ones, logits of the last token only.
/// `routing` as in Session::routing() of such a step.
inline StageDemands step_demand(const moe::Model& model, moe::KvType kv, std::int64_t cached, std::int64_t tokens,
                                const std::vector<std::vector<moe::TokenRouting>>& routing) {
  const moe::ModelConfig& c = model.config();
  const moe::Weights& weights = *model.impl().weights;
  const moe::kernels::KernelTable* table = moe::kernels::active_table();
  StageDemands by_stage;
  const auto matrix = [&](moe::Stage stage, const moe::Matrix& m, double copies_read, double rows_of_x) {
    if (m.empty()) return;
    Demand& d = by_stage[stage];
    d.bytes += static_cast<double>(m.panel_bytes * m.panel_count()) * copies_read;
    const bool int8 = table != nullptr && table->gemm_q8[static_cast<std::size_t>(m.format)] != nullptr;
    (int8 ? d.int8_ops : d.float_ops) += 2.0 * static_cast<double>(m.rows * m.k) * rows_of_x;
  };
  const auto ffn = [&](const moe::FfnWeights& f, double copies_read, double rows_of_x) {
    for (const moe::Matrix* m : {&f.gate, &f.up, &f.down}) matrix(moe::Stage::experts, *m, copies_read, rows_of_x);
  };
  const auto T = static_cast<double>(tokens);
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const moe::LayerWeights& w = weights.layers[l];
    for (const moe::Matrix* m : {&w.q, &w.k, &w.v, &w.q_a, &w.q_b, &w.kv_a, &w.o})
      matrix(moe::Stage::projections, *m, 1.0, T);
    for (const moe::Matrix& m : w.k_b) matrix(moe::Stage::projections, m, 1.0, T);
    for (const moe::Matrix& m : w.v_b) matrix(moe::Stage::projections, m, 1.0, T);
    ffn(w.ffn, 1.0, T);
    matrix(moe::Stage::router, w.router, 1.0, T);
    ffn(w.shared, 1.0, T);
    if (!w.experts.empty()) {  // experts of a layer have one shape; nearly always one format
      const auto touched = static_cast<double>(l < routing.size() ? distinct_experts(routing[l]) : 0);
      ffn(w.experts.front(), touched, T * static_cast<double>(c.router.top_k));
    }
  }
  matrix(moe::Stage::head, weights.head_matrix(), 1.0, 1.0);
  const moe::Work work = moe::forward_work(c, cached, tokens, 1, moe::MlaForm::absorbed);
  Demand& attention = by_stage[moe::Stage::attention];
  attention.float_ops += static_cast<double>(work.attention_score + work.attention_value);
  const double value_bytes = kv == moe::KvType::f32 ? 4.0 : 2.0;
  attention.bytes += static_cast<double>(moe::cache_values_per_token(c) * (cached + tokens)) * value_bytes;
  return by_stage;
}

}  // namespace moe_bench
