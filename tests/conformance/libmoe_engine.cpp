#include "libmoe_engine.hpp"

#include <algorithm>
#include <string_view>

#include "moe/router.hpp"

namespace {

/// False for a method that libmoe does not have.
bool configure(const moe_router_case& q, moe::RouterConfig& c) {
  const std::string_view method = q.method;
  c.expert_count = q.expert_count;
  c.top_k = q.top_k;
  c.group_count = q.group_count;
  c.topk_group = q.kept_groups;
  c.norm_topk_prob = q.normalise != 0;
  c.norm_min = q.norm_min;
  c.routed_scaling_factor = q.scaling;
  c.selection_bias = q.bias != nullptr;
  if (method == "noaux_tc") {
    c.score = moe::RouterScore::sigmoid;
    c.group_score = moe::GroupScore::top2_sum;
    return true;
  }
  if (method == "topk_softmax") {
    c.score = moe::RouterScore::chosen_softmax;
    return true;
  }
  return method == "greedy" || method == "group_limited_greedy" || method == "softmax_topk" || method == "softmax_bias";
}

}  // namespace

int libmoe_route(const moe_router_case* question, int32_t* ids, float* weights, void*) {
  moe::RouterConfig config;
  if (!configure(*question, config)) return MOE_ROUTER_NO_SUCH_METHOD;
  auto out = moe::Routing::create(config, 1);
  if (!out) return MOE_ROUTER_REFUSED;
  const moe::MatrixView<const float> logits(question->logits, 1, question->expert_count);
  const std::span<const float> bias(question->bias,
                                    question->bias == nullptr ? 0 : static_cast<std::size_t>(question->expert_count));
  if (!moe::route(logits, bias, config, *out)) return MOE_ROUTER_REFUSED;
  std::copy(out->ids(0).begin(), out->ids(0).end(), ids);
  std::copy(out->weights(0).begin(), out->weights(0).end(), weights);
  return MOE_ROUTER_OK;
}
