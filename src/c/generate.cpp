#include "moe/generate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "c/buffers.hpp"
#include "c/sampling_options.hpp"
#include "c/session_call.hpp"
#include "c/structs.hpp"

using moe::ErrorCode;
using moe::Result;

namespace moe::inline MOE_ABI::c {
namespace {

static_assert(static_cast<int>(EndReason::end_token) == MOE_END_TOKEN);
static_assert(static_cast<int>(EndReason::stop_text) == MOE_END_STOP);
static_assert(static_cast<int>(EndReason::max_tokens) == MOE_END_MAX_TOKENS);
static_assert(static_cast<int>(EndReason::cancelled) == MOE_END_CANCELLED);

moe_generate_options default_generate() {
  moe_generate_options out{};
  out.max_tokens = GenerateOptions().max_tokens;
  return out;
}

/// All options except callbacks.
Result<GenerateOptions> read_options(const moe_generate_options& given) {
  GenerateOptions out;
  const auto ignore = read_flag(given.ignore_end_tokens, "moe_generate_options.ignore_end_tokens");
  if (!ignore) return forward(ignore);
  const auto show = read_flag(given.show_special, "moe_generate_options.show_special");
  if (!show) return forward(show);
  const auto sampling = sampling_config(given.sampling);
  if (!sampling) return forward(sampling);
  auto stops = read_texts(given.stops, given.stop_lengths, given.stop_count, "stops");
  if (!stops) return forward(stops);
  const auto stop_tokens = read_list(given.stop_tokens, given.stop_token_count, "stop_tokens");
  if (!stop_tokens) return forward(stop_tokens);
  out.max_tokens = given.max_tokens;
  out.sampling = *sampling;
  out.stop = std::move(*stops);
  out.stop_tokens.assign(stop_tokens->begin(), stop_tokens->end());
  if (*ignore) out.end_tokens = EndTokens::ignore;
  if (*show) out.special_tokens = SpecialTokens::show;
  return out;
}

moe_reply reply_of(const Generation& g, const std::vector<std::string>& stops) {
  moe_reply out{};
  out.end = static_cast<std::int32_t>(g.end);
  out.stop = -1;
  if (g.end == EndReason::stop_text) out.stop = std::find(stops.begin(), stops.end(), g.stop) - stops.begin();
  out.token_count = static_cast<std::int64_t>(g.tokens.size());
  out.text_length = static_cast<std::int64_t>(g.text.size());
  out.prompt_tokens = g.prompt_tokens;
  out.reused_tokens = g.reused_tokens;
  out.flops = g.flops;
  out.prompt_seconds = g.prompt_seconds;
  out.reply_seconds = g.reply_seconds;
  return out;
}

Result<void> generate(moe_session& s, std::vector<TokenId> prompt, const moe_generate_options& given) {
  auto options = read_options(given);
  if (!options) return forward(options);
  bool is_stopped = false;
  options->cancelled = [&s, &is_stopped] { return is_stopped || s.asks_to_stop(); };
  if (given.on_piece != nullptr)
    options->on_piece = [&is_stopped, call = given.on_piece, user = given.user](const Piece& piece) {
      if (call(user, piece.text.data(), static_cast<std::int64_t>(piece.text.size()), piece.tokens.data(),
               static_cast<std::int64_t>(piece.tokens.size())) != 0)
        is_stopped = true;
    };
  s.last = {};
  s.reply.reset();
  if (!s.generator) s.generator.emplace(*s.session);
  auto written = s.generator->generate(Prompt(std::move(prompt)), *options);
  if (!written) return forward(written);
  if (written->end == EndReason::cancelled) s.cancel.store(false, std::memory_order_relaxed);
  s.reply = std::move(*written);
  return {};
}

Result<void> check_reply(const moe_session& session) {
  if (!session.reply) return fail(ErrorCode::not_found, "the session has no reply, expected a generation");
  return {};
}

}  // namespace
}  // namespace moe::inline MOE_ABI::c

void moe_generate_options_init(moe_generate_options* options, size_t struct_size) {
  moe::c::init_struct(options, struct_size, moe::c::default_generate());
}

moe_status moe_generate(moe_session* session, const int32_t* prompt, int64_t prompt_count,
                        const moe_generate_options* options, moe_reply* reply, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto ids = moe::c::read_list(prompt, prompt_count, "prompt");
    if (!ids) return moe::forward(ids);
    const auto given = moe::c::read_struct(options, "moe_generate_options", moe::c::default_generate());
    if (!given) return moe::forward(given);
    moe_reply unwanted{};
    unwanted.struct_size = sizeof unwanted;
    const auto out = moe::c::StructOut<moe_reply>::create(reply == nullptr ? &unwanted : reply, "moe_reply");
    if (!out) return moe::forward(out);
    if (auto done = moe::c::generate(s, {ids->begin(), ids->end()}, *given); !done) return done;
    const auto stops = moe::c::read_texts(given->stops, given->stop_lengths, given->stop_count, "stops");
    out->write(moe::c::reply_of(*s.reply, *stops));
    return {};
  });
}

moe_status moe_reply_text(moe_session* session, char* text, int64_t capacity, int64_t* length, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto out = moe::c::TextOut::create(text, capacity, length, "text");
    if (!out) return moe::forward(out);
    if (auto ok = moe::c::check_reply(s); !ok) return ok;
    return out->write(s.reply->text);
  });
}

moe_status moe_reply_tokens(moe_session* session, int32_t* ids, int64_t capacity, int64_t* count, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto out = moe::c::IdsOut::create(ids, capacity, count, "ids");
    if (!out) return moe::forward(out);
    if (auto ok = moe::c::check_reply(s); !ok) return ok;
    return out->write(s.reply->tokens);
  });
}

moe_status moe_session_forget(moe_session* session, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    if (s.generator) s.generator->forget();
    return {};
  });
}
