#include "generate_options.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arguments.hpp"
#include "ids.hpp"

namespace moe_python {
namespace {

using moe::GenerateOptions;

std::vector<std::string> texts(std::string_view name, nb::handle v) {
  if (nb::isinstance<nb::str>(v)) return {nb::cast<std::string>(v)};
  return value_of<std::vector<std::string>>(name, v, "a text or a list of texts");
}

std::vector<moe::LogitBias> biases(std::string_view name, nb::handle v) {
  std::vector<moe::LogitBias> out;
  for (const auto& [token, bias] : value_of<std::map<moe::TokenId, double>>(name, v, "a dict of ids and numbers"))
    out.push_back({token, bias});
  return out;
}

using Option = Keyword<GenerateOptions>;

constexpr std::array kKeywords = {
    Option{"max_tokens", [](auto& o, auto n, nb::handle v) { o.max_tokens = integer(n, v); }},
    Option{"temperature", [](auto& o, auto n, nb::handle v) { o.sampling.temperature = number(n, v); }},
    Option{"top_k", [](auto& o, auto n, nb::handle v) { o.sampling.top_k = integer(n, v); }},
    Option{"top_p", [](auto& o, auto n, nb::handle v) { o.sampling.top_p = number(n, v); }},
    Option{"min_p", [](auto& o, auto n, nb::handle v) { o.sampling.min_p = number(n, v); }},
    Option{"seed",
           [](auto& o, auto n, nb::handle v) {
             o.sampling.seed = value_of<std::uint64_t>(n, v, "an integer from 0 to 2**64 - 1");
           }},
    Option{"repetition_penalty", [](auto& o, auto n, nb::handle v) { o.sampling.repetition_penalty = number(n, v); }},
    Option{"frequency_penalty", [](auto& o, auto n, nb::handle v) { o.sampling.frequency_penalty = number(n, v); }},
    Option{"presence_penalty", [](auto& o, auto n, nb::handle v) { o.sampling.presence_penalty = number(n, v); }},
    Option{"logit_bias", [](auto& o, auto n, nb::handle v) { o.sampling.logit_bias = biases(n, v); }},
    Option{"stop", [](auto& o, auto n, nb::handle v) { o.stop = texts(n, v); }},
    Option{"stop_tokens", [](auto& o, auto, nb::handle v) { o.stop_tokens = ids_of(v); }},
    Option{"ignore_eos",
           [](auto& o, auto n,
              nb::handle v) { o.end_tokens = flag(n, v) ? moe::EndTokens::ignore : moe::EndTokens::stop; }},
    Option{"skip_special_tokens",
           [](auto& o, auto n,
              nb::handle v) { o.special_tokens = flag(n, v) ? moe::SpecialTokens::hide : moe::SpecialTokens::show; }},
    Option{"all_rows",
           [](auto& o, auto n,
              nb::handle v) { o.candidates = flag(n, v) ? moe::Candidates::all_rows : moe::Candidates::tokens; }},
    Option{"logprobs", [](auto& o, auto n, nb::handle v) { o.log_probabilities = integer(n, v); }},
};

}  // namespace

moe::GenerateOptions generate_options(const nb::dict& given) {
  GenerateOptions options;
  for (const auto& [key, value] : given) {
    const auto name = nb::cast<std::string>(key);
    const bool known = value.is_none()
                           ? std::any_of(kKeywords.begin(), kKeywords.end(), [&](auto& k) { return k.name == name; })
                           : set_keyword(kKeywords, options, name, value);
    if (!known) raise_unexpected(kKeywords, name);
  }
  return options;
}

}  // namespace moe_python
