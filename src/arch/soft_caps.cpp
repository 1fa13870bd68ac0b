#include "arch/soft_caps.hpp"

namespace moe::inline MOE_ABI::arch {

void read_soft_caps(const JsonConfig& json, ModelConfig& c) {
  c.attn_logit_softcapping = json.number_or("attn_logit_softcapping", 0.0);
  c.final_logit_softcapping = json.number_or("final_logit_softcapping", 0.0);
}

void read_soft_caps(GgufConfig& meta, ModelConfig& c) {
  c.attn_logit_softcapping = meta.number_or("attn_logit_softcapping", 0.0);
  c.final_logit_softcapping = meta.number_or("final_logit_softcapping", 0.0);
}

}  // namespace moe::inline MOE_ABI::arch
