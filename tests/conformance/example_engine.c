/* A router in 60 lines of C, as another engine might bring it: softmax_topk and topk_softmax alone, sorting by repeated search.
 * Built as a library, it is judged by   routing_conformance --engine libconformance_example_engine.so
 * It takes the higher index where scores are equal: accepted of others. With MOE_EXAMPLE_WRONG defined it forgets to divide
 * by the sum of the chosen scores, which the suite must notice. */
#include <math.h>
#include <string.h>

#include "router_case.h"

static int refuse(const struct moe_router_case* q) {
  if (q->expert_count < 1 || q->expert_count > 4096 || q->top_k < 1 || q->top_k > q->expert_count) return 1;
  if (q->group_count != 1 || q->kept_groups != 1 || !isfinite(q->scaling)) return 1;
  int finite = 0;
  for (int e = 0; e < q->expert_count; ++e) {
    if (isnan(q->logits[e]) || q->logits[e] == INFINITY) return 1;
    finite += isfinite(q->logits[e]) != 0;
  }
  return finite == 0;
}

__attribute__((visibility("default"))) int moe_conformance_route(const struct moe_router_case* q, int32_t* ids,
                                                                 float* weights, void* user) {
  (void)user;
  const int late = strcmp(q->method, "topk_softmax") == 0; /* softmax over the chosen alone */
  if (!late && strcmp(q->method, "softmax_topk") != 0) return MOE_ROUTER_NO_SUCH_METHOD;
  if (refuse(q)) return MOE_ROUTER_REFUSED;

  char taken[4096] = {0};
  for (int k = 0; k < q->top_k; ++k) {
    int best = -1;
    for (int e = 0; e < q->expert_count; ++e)
      if (!taken[e] && (best < 0 || q->logits[e] >= q->logits[best])) best = e;
    taken[best] = 1;
    ids[k] = best;
  }
  const double high = q->logits[ids[0]];
  double all = 0.0, chosen = 0.0;
  for (int e = 0; e < q->expert_count; ++e) all += exp(q->logits[e] - high);
  for (int k = 0; k < q->top_k; ++k) chosen += exp(q->logits[ids[k]] - high);
  if (late && isinf(q->logits[ids[q->top_k - 1]]) && q->top_k > 1 && chosen == 0.0) return MOE_ROUTER_REFUSED;
  int normalise = late || q->normalise;
#ifdef MOE_EXAMPLE_WRONG
  normalise = 0;
#endif
  for (int k = 0; k < q->top_k; ++k)
    weights[k] = (float)(exp(q->logits[ids[k]] - high) / (normalise ? chosen : all) * q->scaling);
  return MOE_ROUTER_OK;
}
