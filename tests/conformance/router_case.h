/* One question to a router, in plain C: what tests/conformance asks of any engine. */
#ifndef MOE_CONFORMANCE_ROUTER_CASE_H
#define MOE_CONFORMANCE_ROUTER_CASE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* method        scores            choice                                        weights, before normalise and scaling
 * noaux_tc      sigmoid           groups by the sum of their best two,          scores
 *                                 experts, both by score + bias
 * greedy        softmax           experts by score                              scores
 * group_limited_greedy  softmax   groups by their best, experts by score        scores
 * softmax_topk  softmax           experts by score                              scores
 * softmax_bias  softmax           experts by score + bias                       scores
 * topk_softmax  the logits        experts by logit                              softmax over the chosen logits
 */
struct moe_router_case {
  const char* method;
  int32_t expert_count;
  int32_t group_count; /* groups are consecutive runs of expert_count / group_count experts */
  int32_t kept_groups;
  int32_t top_k;
  int32_t normalise; /* 1: weights are divided by their sum (noaux_tc: sum + 1e-20; softmax_bias: max(sum, norm_min)) */
  double scaling;    /* then multiplied by this */
  double norm_min;
  const float* logits; /* [expert_count] */
  const float* bias;   /* [expert_count], or null */
};

enum { MOE_ROUTER_OK = 0, MOE_ROUTER_REFUSED = 1, MOE_ROUTER_NO_SUCH_METHOD = 2 };

/* Fills ids [top_k] and weights [top_k], in any order, and returns MOE_ROUTER_OK; MOE_ROUTER_REFUSED for numbers or logits
 * that cannot be routed; MOE_ROUTER_NO_SUCH_METHOD for a method that the engine does not have (counted as skipped). */
typedef int (*moe_router)(const struct moe_router_case* question, int32_t* ids, float* weights, void* user);

#ifdef __cplusplus
}
#endif

#endif
