#include "serve/api/reply_fields.hpp"

#include <fmt/format.h>

#include <random>
#include <set>

#include "support/number.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

constexpr std::size_t kMostStops = 64, kMostStopBytes = 256, kMostBiases = 4096;

Checked<std::string> stop_text(JsonValue value) {
  if (!value.is_string()) return invalid("stop", "stop holds " + value.in_ascii(60) + ", expected a string");
  const auto text = value.get<std::string>();
  if (text.empty() || text.size() > kMostStopBytes)
    return invalid("stop", fmt::format("a text of stop has {} bytes, expected 1 to {}", text.size(), kMostStopBytes));
  return text;
}

Checked<std::vector<std::string>> read_stop(const Fields& fields) {
  std::vector<std::string> out;
  const auto value = fields.find("stop");
  if (!value) return out;
  if (!value->is_array()) {
    auto text = stop_text(*value);
    if (!text) return pass_on(text);
    out.push_back(std::move(*text));
    return out;
  }
  if (value->size() > kMostStops)
    return invalid("stop", fmt::format("stop has {} texts, expected at most {}", value->size(), kMostStops));
  for (const JsonValue v : *value) {
    auto text = stop_text(v);
    if (!text) return pass_on(text);
    out.push_back(std::move(*text));
  }
  return out;
}

Checked<std::vector<LogitBias>> read_biases(const Fields& fields, const Tokenizer& tokenizer) {
  std::vector<LogitBias> out;
  const auto value = fields.find("logit_bias");
  if (!value) return out;
  if (!value->is_object() || value->size() > kMostBiases)
    return invalid("logit_bias", fmt::format("logit_bias is {}, expected an object of at most {} token ids",
                                             value->in_ascii(60), kMostBiases));
  std::set<TokenId> seen;  // "5" and "05" are one token
  for (const auto& member : value->items()) {
    const auto id = parse_number("a key of logit_bias", member.first,
                                 Bounds<TokenId>{0, static_cast<TokenId>(tokenizer.vocab_size() - 1)});
    if (!id) return invalid("logit_bias", id.error().message);
    if (!seen.insert(*id).second) return invalid("logit_bias", fmt::format("logit_bias names token {} twice", *id));
    const auto bias = member.second.get<double>();
    if (!member.second.is_number() || bias < -100 || bias > 100)
      return invalid("logit_bias", fmt::format("logit_bias of token {} is {}, expected a number from -100 to 100", *id,
                                               member.second.in_ascii(60)));
    out.push_back({*id, bias});
  }
  return out;
}

Checked<void> read_stream(const Fields& fields, ReplySettings& out) {
  out.stream = fields.flag("stream");
  const auto options = fields.find("stream_options");
  if (!options) return {};
  if (!out.stream) return invalid("stream_options", "stream_options needs stream: true");
  for (const auto& member : options->items()) {
    const JsonValue value = member.second;
    if (value.is_null()) continue;
    bool* into = member.first == "include_usage"            ? &out.include_usage
                 : member.first == "continuous_usage_stats" ? &out.continuous_usage
                                                            : nullptr;
    if (into == nullptr && !(member.first == "include_obfuscation" && !value.get<bool>()))
      return invalid("stream_options",
                     "stream_options has a field that is not known: expected include_usage or "
                     "continuous_usage_stats");
    if (!value.is_boolean()) return invalid("stream_options", "a field of stream_options is not true or false");
    if (into != nullptr) *into = value.get<bool>();
  }
  return {};
}

// Two names of the same field: clients send either, or both with equal values.
Checked<void> check_synonyms(const Fields& fields, std::string_view name, std::string_view other) {
  if (!fields.has(name) || !fields.has(other) || fields.number(name) == fields.number(other)) return {};
  return invalid(other, fmt::format("{} is {} and {} is {}, expected one of them", name, fields.number(name), other,
                                    fields.number(other)));
}

Checked<void> check_numbers(const Fields& fields) {
  if (auto ok = check_synonyms(fields, "max_tokens", "max_completion_tokens"); !ok) return ok;
  if (auto ok = check_synonyms(fields, "repetition_penalty", "repeat_penalty"); !ok) return ok;
  if (fields.number("top_p") == 0) return invalid("top_p", "top_p is 0, expected more than 0 and at most 1");
  return {};
}

void read_sampling(const Fields& fields, const SamplingDefaults& defaults, ReplySettings& out) {
  const auto number = [&](std::string_view name) {
    const auto found = defaults.find(name);
    return fields.has(name) || found == defaults.end() ? fields.number(name) : found->second;
  };
  SamplingConfig& s = out.options.sampling;
  s.temperature = number("temperature");
  s.top_p = number("top_p");
  s.top_k = std::max<std::int64_t>(static_cast<std::int64_t>(number("top_k")), 0);
  s.min_p = number("min_p");
  s.frequency_penalty = fields.number("frequency_penalty");
  s.presence_penalty = fields.number("presence_penalty");
  s.repetition_penalty = fields.has("repeat_penalty") ? fields.number("repeat_penalty") : number("repetition_penalty");
  const auto seed = fields.find("seed");
  if (seed && seed->kind() == JsonValue::Kind::whole) {
    s.seed = seed->get<std::uint64_t>();
    out.shows_seed = true;
  } else if (s.temperature > 0) {  // greedy replies need no seed
    std::random_device device;
    s.seed = (std::uint64_t{device()} << 21) ^ device();  // 53 bits: JavaScript reads it back
    out.shows_seed = true;
  }
}

}  // namespace

Checked<std::vector<TokenId>> read_ids(JsonValue list, std::string_view name, const Tokenizer& tokenizer) {
  std::vector<TokenId> out;
  out.reserve(list.size());
  for (const JsonValue v : list) {
    if (v.kind() != JsonValue::Kind::whole ||
        v.get<std::uint64_t>() >= static_cast<std::uint64_t>(tokenizer.vocab_size()))
      return invalid(name, fmt::format("{} holds {}, expected token ids from 0 to {}", name, v.in_ascii(60),
                                       tokenizer.vocab_size() - 1));
    out.push_back(v.get<TokenId>());
  }
  return out;
}

Checked<ReplySettings> read_reply_settings(const Fields& fields, const Context& context,
                                           std::optional<std::int64_t> max_tokens) {
  const Tokenizer& tokenizer = context.tokenizer();
  ReplySettings out;
  out.max_tokens = max_tokens;
  if (auto ok = check_numbers(fields); !ok) return pass_on(ok);
  read_sampling(fields, context.sampling_defaults, out);
  auto stop = read_stop(fields);
  if (!stop) return pass_on(stop);
  out.options.stop = std::move(*stop);
  auto biases = read_biases(fields, tokenizer);
  if (!biases) return pass_on(biases);
  out.options.sampling.logit_bias = std::move(*biases);
  if (auto sampler = Sampler::create(out.options.sampling); !sampler)
    return tl::unexpected<ApiError>(from_library(sampler.error()));
  if (const auto list = fields.find("stop_token_ids")) {
    auto ids = read_ids(*list, "stop_token_ids", tokenizer);
    if (!ids) return pass_on(ids);
    out.options.stop_tokens = std::move(*ids);
  }
  if (auto ok = read_stream(fields, out); !ok) return pass_on(ok);
  if (fields.flag("ignore_eos")) out.options.end_tokens = EndTokens::ignore;
  if (!fields.flag("skip_special_tokens")) out.options.special_tokens = SpecialTokens::show;
  for (const auto name : {"max_tokens", "max_completion_tokens"})
    if (fields.has(name)) out.max_tokens = fields.integer(name);
  out.min_tokens = fields.integer("min_tokens");
  if (out.max_tokens && out.min_tokens > *out.max_tokens)
    return invalid("min_tokens", fmt::format("min_tokens is {}, expected at most max_tokens, which is {}",
                                             out.min_tokens, *out.max_tokens));
  if (fields.has("truncate_prompt_tokens")) out.truncate_prompt = fields.integer("truncate_prompt_tokens");
  if (out.truncate_prompt == 0) return invalid("truncate_prompt_tokens", "truncate_prompt_tokens is 0");
  out.n = static_cast<std::size_t>(fields.integer("n"));
  out.include_stop = fields.flag("include_stop_str_in_output");
  out.include_work = fields.flag("include_work");
  return out;
}

Checked<void> fit_prompt(std::vector<TokenId>& ids, const ReplySettings& settings, std::int64_t context_tokens) {
  const std::int64_t reply = std::max<std::int64_t>(settings.max_tokens.value_or(1) - 1, 0);
  if (settings.truncate_prompt) {
    const std::int64_t most = *settings.truncate_prompt > 0 ? *settings.truncate_prompt : context_tokens - reply;
    if (most > 0 && static_cast<std::int64_t>(ids.size()) > most)
      ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(most));
  }
  const auto prompt = static_cast<std::int64_t>(ids.size());
  if (prompt + reply <= context_tokens) return {};
  return tl::unexpected<ApiError>(
      {400,
       fmt::format(
           "the prompt has {} tokens and the reply up to {}, which exceeds the available context size: expected "
           "at most {} together",
           prompt, settings.max_tokens.value_or(1), context_tokens),
       settings.max_tokens.value_or(0) > 1 && prompt <= context_tokens ? "max_tokens" : "prompt",
       "context_length_exceeded", std::pair{prompt, context_tokens}});
}

}  // namespace moe::inline MOE_ABI::serve::api
