#include <fmt/format.h>

#include "c/buffers.hpp"
#include "c/handles.hpp"
#include "c/status.hpp"

using moe::ErrorCode;
using moe::Result;

namespace {

Result<const moe::Tokenizer*> tokenizer_of(const moe_model* model) {
  if (model == nullptr) return moe::c::null_argument("model");
  const moe::Tokenizer* tokenizer = model->model->tokenizer().get();
  if (tokenizer == nullptr)
    return moe::fail(ErrorCode::unsupported, "the model has no usable tokenizer: " + model->model->tokenizer_error());
  return tokenizer;
}

Result<void> check_flags(std::int32_t flags, std::int32_t known) {
  if ((flags & ~known) != 0)
    return moe::fail(ErrorCode::bad_argument,
                     fmt::format("flags are {}, expected a sum of those up to {}", flags, known));
  return {};
}

// Runs body(tokenizer) for an id of the vocabulary.
template <class Body>
moe_status enter_token(const moe_model* model, int32_t id, moe_error* error, Body&& body) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto tokenizer = tokenizer_of(model);
    if (!tokenizer) return moe::forward(tokenizer);
    if (id < 0 || id >= (*tokenizer)->vocab_size())
      return moe::fail(ErrorCode::bad_argument,
                       fmt::format("token is {}, expected an id from 0 to {}", id, (*tokenizer)->vocab_size() - 1));
    return body(**tokenizer);
  });
}

}  // namespace

moe_status moe_tokenize(const moe_model* model, const char* text, int64_t text_length, int32_t flags, int32_t* ids,
                        int64_t capacity, int64_t* count, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto tokenizer = tokenizer_of(model);
    if (!tokenizer) return moe::forward(tokenizer);
    const auto out = moe::c::IdsOut::create(ids, capacity, count, "ids");
    if (!out) return moe::forward(out);
    const auto given = moe::c::read_text(text, text_length, "text");
    if (!given) return moe::forward(given);
    if (auto ok = check_flags(flags, MOE_TOKENIZE_ENDS | MOE_TOKENIZE_PLAIN); !ok) return ok;
    moe::EncodeOptions options;
    if ((flags & MOE_TOKENIZE_ENDS) != 0) options.ends = moe::TextEnds::as_model;
    if ((flags & MOE_TOKENIZE_PLAIN) != 0) options.special = moe::SpecialText::plain;
    const auto tokens = (*tokenizer)->encode(*given, options);
    if (!tokens) return moe::forward(tokens);
    return out->write(*tokens);
  });
}

moe_status moe_detokenize(const moe_model* model, const int32_t* ids, int64_t count, int32_t flags, char* text,
                          int64_t capacity, int64_t* length, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto tokenizer = tokenizer_of(model);
    if (!tokenizer) return moe::forward(tokenizer);
    const auto out = moe::c::TextOut::create(text, capacity, length, "text");
    if (!out) return moe::forward(out);
    const auto tokens = moe::c::read_list(ids, count, "ids");
    if (!tokens) return moe::forward(tokens);
    if (auto ok = check_flags(flags, MOE_DETOKENIZE_HIDE_SPECIAL | MOE_DETOKENIZE_CONTINUE); !ok) return ok;
    const auto special =
        (flags & MOE_DETOKENIZE_HIDE_SPECIAL) != 0 ? moe::SpecialTokens::hide : moe::SpecialTokens::show;
    const auto bytes = (flags & MOE_DETOKENIZE_CONTINUE) != 0 ? (*tokenizer)->decode_more(*tokens, special)
                                                              : (*tokenizer)->decode(*tokens, special);
    if (!bytes) return moe::forward(bytes);
    return out->write(*bytes);
  });
}

moe_status moe_token_bytes(const moe_model* model, int32_t id, const char** bytes, int64_t* length, moe_error* error) {
  return enter_token(model, id, error, [&](const moe::Tokenizer& tokenizer) -> Result<void> {
    if (bytes == nullptr) return moe::c::null_argument("bytes");
    if (length == nullptr) return moe::c::null_argument("length");
    const std::string_view text = tokenizer.bytes_of(id);
    *bytes = text.empty() ? "" : text.data();
    *length = static_cast<std::int64_t>(text.size());
    return {};
  });
}

moe_status moe_token_find(const moe_model* model, const char* text, int64_t text_length, int32_t* id,
                          moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto tokenizer = tokenizer_of(model);
    if (!tokenizer) return moe::forward(tokenizer);
    if (id == nullptr) return moe::c::null_argument("id");
    const auto given = moe::c::read_text(text, text_length, "text");
    if (!given) return moe::forward(given);
    const auto found = (*tokenizer)->find(*given);
    if (!found) return moe::fail(ErrorCode::not_found, "the vocabulary has no token of that text");
    *id = *found;
    return {};
  });
}

moe_status moe_token_special(const moe_model* model, int32_t which, int32_t* id, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto tokenizer = tokenizer_of(model);
    if (!tokenizer) return moe::forward(tokenizer);
    if (id == nullptr) return moe::c::null_argument("id");
    if (which != MOE_TOKEN_BOS && which != MOE_TOKEN_EOS)
      return moe::fail(ErrorCode::bad_argument,
                       fmt::format("which is {}, expected MOE_TOKEN_BOS or MOE_TOKEN_EOS", which));
    const auto token = which == MOE_TOKEN_BOS ? (*tokenizer)->bos() : (*tokenizer)->eos();
    if (!token)
      return moe::fail(ErrorCode::not_found, which == MOE_TOKEN_BOS ? "the model has no BOS" : "the model has no EOS");
    *id = *token;
    return {};
  });
}

moe_status moe_token_is_stop(const moe_model* model, int32_t id, int32_t* is_stop, moe_error* error) {
  return enter_token(model, id, error, [&](const moe::Tokenizer& tokenizer) -> Result<void> {
    if (is_stop == nullptr) return moe::c::null_argument("is_stop");
    *is_stop = tokenizer.is_stop(id) ? 1 : 0;
    return {};
  });
}
