#include "moe/sampling.hpp"

#include <fmt/format.h>

#include "c/buffers.hpp"
#include "c/handles.hpp"
#include "c/sampling_options.hpp"
#include "c/structs.hpp"

using moe::Result;

namespace moe::inline MOE_ABI::c {
namespace {

moe_sampler_options default_sampling() {
  const SamplingConfig config;
  moe_sampler_options out{};
  out.temperature = config.temperature;
  out.top_k = config.top_k;
  out.top_p = config.top_p;
  out.min_p = config.min_p;
  out.repetition_penalty = config.repetition_penalty;
  out.frequency_penalty = config.frequency_penalty;
  out.presence_penalty = config.presence_penalty;
  out.seed = config.seed;
  return out;
}

}  // namespace

Result<SamplingConfig> sampling_config(const moe_sampler_options* given) {
  const auto options = read_struct(given, "moe_sampler_options", default_sampling());
  if (!options) return forward(options);
  const auto tokens = read_list(options->bias_tokens, options->bias_count, "bias_tokens");
  if (!tokens) return forward(tokens);
  const auto biases = read_list(options->biases, options->bias_count, "biases");
  if (!biases) return forward(biases);
  SamplingConfig out;
  out.temperature = options->temperature;
  out.top_k = options->top_k;
  out.top_p = options->top_p;
  out.seed = options->seed;
  out.min_p = options->min_p;
  out.repetition_penalty = options->repetition_penalty;
  out.frequency_penalty = options->frequency_penalty;
  out.presence_penalty = options->presence_penalty;
  for (std::size_t i = 0; i < tokens->size(); ++i) out.logit_bias.push_back({(*tokens)[i], (*biases)[i]});
  return out;
}

}  // namespace moe::inline MOE_ABI::c

void moe_sampler_options_init(moe_sampler_options* options, size_t struct_size) {
  moe::c::init_struct(options, struct_size, moe::c::default_sampling());
}

moe_status moe_sampler_create(const moe_sampler_options* options, moe_sampler** sampler, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (sampler == nullptr) return moe::c::null_argument("sampler");
    const auto config = moe::c::sampling_config(options);
    if (!config) return moe::forward(config);
    auto created = moe::Sampler::create(*config);
    if (!created) return moe::forward(created);
    *sampler = new moe_sampler{std::move(*created)};
    return {};
  });
}

moe_status moe_sampler_see_prompt(moe_sampler* sampler, const int32_t* ids, int64_t count, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (sampler == nullptr) return moe::c::null_argument("sampler");
    const auto tokens = moe::c::read_list(ids, count, "ids");
    if (!tokens) return moe::forward(tokens);
    sampler->sampler.see_prompt(*tokens);
    return {};
  });
}

moe_status moe_sampler_next(moe_sampler* sampler, const float* logits, int64_t count, int32_t* id, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (sampler == nullptr) return moe::c::null_argument("sampler");
    if (id == nullptr) return moe::c::null_argument("id");
    const auto row = moe::c::read_list(logits, count, "logits");
    if (!row) return moe::forward(row);
    if (count > INT32_MAX)
      return moe::fail(moe::ErrorCode::bad_argument, fmt::format("the number of logits is {}, more than ids", count));
    const auto token = sampler->sampler.next(*row);
    if (!token) return moe::forward(token);
    *id = *token;
    return {};
  });
}

void moe_sampler_free(moe_sampler* sampler) { delete sampler; }
