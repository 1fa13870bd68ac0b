#include "c/session_options.hpp"

#include "c/handles.hpp"
#include "c/structs.hpp"

namespace moe::inline MOE_ABI::c {
namespace {

moe_session_options default_options() {
  moe_session_options out{};
  out.kv = MOE_KV_F16;
  out.chunk_tokens = SessionOptions().chunk_tokens;
  out.checkpoint_tokens = SessionOptions().checkpoint_tokens;
  return out;
}

}  // namespace

static_assert(static_cast<int>(KvType::f32) == MOE_KV_F32 && static_cast<int>(KvType::f16) == MOE_KV_F16);
static_assert(static_cast<int>(KvType::bf16) == MOE_KV_BF16 && static_cast<int>(KvType::q8_0) == MOE_KV_Q8_0);
static_assert(static_cast<int>(Precision::reference) == MOE_PRECISION_REFERENCE);

Result<SessionOptions> session_options(const moe_session_options* given, moe_session_options& read) {
  const auto options = read_struct(given, "moe_session_options", default_options());
  if (!options) return forward(options);
  read = *options;
  SessionOptions out;
  const auto precision = read_choice(read.precision, Precision::reference, "moe_session_options.precision");
  if (!precision) return forward(precision);
  const auto kv = read_choice(read.kv, KvType::q8_0, "moe_session_options.kv");
  if (!kv) return forward(kv);
  out.precision = *precision;
  out.kv = *kv;
  out.max_tokens = read.max_tokens;
  out.chunk_tokens = read.chunk_tokens;
  out.state_bytes = read.state_bytes;
  out.checkpoint_tokens = read.checkpoint_tokens;
  if (read.pool != nullptr) out.threads = read.pool->threads;
  return out;
}

}  // namespace moe::inline MOE_ABI::c

void moe_session_options_init(moe_session_options* options, size_t struct_size) {
  moe::c::init_struct(options, struct_size, moe::c::default_options());
}
