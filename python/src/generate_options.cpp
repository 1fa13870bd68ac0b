#include "generate_options.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "errors.hpp"
#include "ids.hpp"

namespace moe_python {
namespace {

using moe::GenerateOptions;

template <class T>
T value_of(std::string_view name, nb::handle value, const char* expected) {
  T out{};
  if (!nb::try_cast(value, out))
    raise_type_error(std::string(name) + ": expected " + expected + ", found " + nb::repr(value).c_str());
  return out;
}

double number(std::string_view name, nb::handle v) { return value_of<double>(name, v, "a number"); }
std::int64_t integer(std::string_view name, nb::handle v) { return value_of<std::int64_t>(name, v, "an integer"); }
bool flag(std::string_view name, nb::handle v) { return value_of<bool>(name, v, "True or False"); }

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

struct Keyword {
  std::string_view name;
  void (*set)(GenerateOptions& options, std::string_view name, nb::handle value);
};

constexpr std::array kKeywords = {
    Keyword{"max_tokens", [](auto& o, auto n, nb::handle v) { o.max_tokens = integer(n, v); }},
    Keyword{"temperature", [](auto& o, auto n, nb::handle v) { o.sampling.temperature = number(n, v); }},
    Keyword{"top_k", [](auto& o, auto n, nb::handle v) { o.sampling.top_k = integer(n, v); }},
    Keyword{"top_p", [](auto& o, auto n, nb::handle v) { o.sampling.top_p = number(n, v); }},
    Keyword{"min_p", [](auto& o, auto n, nb::handle v) { o.sampling.min_p = number(n, v); }},
    Keyword{"seed",
            [](auto& o, auto n, nb::handle v) {
              o.sampling.seed = value_of<std::uint64_t>(n, v, "an integer from 0 to 2**64 - 1");
            }},
    Keyword{"repetition_penalty", [](auto& o, auto n, nb::handle v) { o.sampling.repetition_penalty = number(n, v); }},
    Keyword{"frequency_penalty", [](auto& o, auto n, nb::handle v) { o.sampling.frequency_penalty = number(n, v); }},
    Keyword{"presence_penalty", [](auto& o, auto n, nb::handle v) { o.sampling.presence_penalty = number(n, v); }},
    Keyword{"logit_bias", [](auto& o, auto n, nb::handle v) { o.sampling.logit_bias = biases(n, v); }},
    Keyword{"stop", [](auto& o, auto n, nb::handle v) { o.stop = texts(n, v); }},
    Keyword{"stop_tokens", [](auto& o, auto, nb::handle v) { o.stop_tokens = ids_of(v); }},
    Keyword{"ignore_eos",
            [](auto& o, auto n,
               nb::handle v) { o.end_tokens = flag(n, v) ? moe::EndTokens::ignore : moe::EndTokens::stop; }},
    Keyword{"skip_special_tokens",
            [](auto& o, auto n,
               nb::handle v) { o.special_tokens = flag(n, v) ? moe::SpecialTokens::hide : moe::SpecialTokens::show; }},
    Keyword{"all_rows",
            [](auto& o, auto n,
               nb::handle v) { o.candidates = flag(n, v) ? moe::Candidates::all_rows : moe::Candidates::tokens; }},
    Keyword{"logprobs", [](auto& o, auto n, nb::handle v) { o.log_probabilities = integer(n, v); }},
};

}  // namespace

moe::GenerateOptions generate_options(const nb::dict& given) {
  GenerateOptions options;
  for (const auto& [key, value] : given) {
    const auto name = nb::cast<std::string>(key);
    bool known = false;
    for (const Keyword& keyword : kKeywords) {
      if (keyword.name != name) continue;
      known = true;
      if (!value.is_none()) keyword.set(options, keyword.name, value);
    }
    if (known) continue;
    std::string all;
    for (const Keyword& keyword : kKeywords) all += (all.empty() ? "" : ", ") + std::string(keyword.name);
    raise_type_error("unexpected keyword argument '" + name + "', expected one of " + all);
  }
  return options;
}

}  // namespace moe_python
