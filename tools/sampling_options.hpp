#pragma once
// Options of a program that writes text: what the next token is drawn from, and what ends a reply.

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "moe/generate.hpp"
#include "tools/common/numbers.hpp"

namespace cli {

namespace detail {

inline void add_bias(std::vector<moe::LogitBias>& out, std::string_view text) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  const std::size_t split = std::min(text.find('='), text.size());
  const auto token = number_of("the token of --logit-bias", text.substr(0, split),
                               moe::Bounds<moe::TokenId>{0, std::numeric_limits<moe::TokenId>::max()});
  const std::string_view bias = text.substr(std::min(split + 1, text.size()));
  out.push_back({token, number_of("the bias of --logit-bias", bias, moe::Bounds<double>{-kLargest, kLargest})});
}

/// A repeatable option with one text each time, which may begin with a dash or stand in brackets.
inline CLI::Option* once_each(CLI::Option* option) {
  return option->expected(1)->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

inline void add_penalties(CLI::App& app, moe::SamplingConfig& sampling) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  add_number(app, "--repetition-penalty", sampling.repetition_penalty, moe::Bounds<double>{0, kLargest, true},
             "divides the positive logits of tokens seen in prompt and reply, multiplies the others (1)");
  const moe::Bounds<double> any_number{-kLargest, kLargest};
  add_number(app, "--frequency-penalty", sampling.frequency_penalty, any_number,
             "subtracted from a token's logit for each occurrence in the reply (0)")
      ->type_name("X");
  add_number(app, "--presence-penalty", sampling.presence_penalty, any_number,
             "subtracted once from the logit of each token in the reply (0)")
      ->type_name("X");
  once_each(app.add_option_function<std::vector<std::string>>(
                   "--logit-bias",
                   [&sampling](const std::vector<std::string>& all) {
                     for (const std::string& bias : all) add_bias(sampling.logit_bias, bias);
                   },
                   "added to the logit of a token, \"15043=-1.5\"; repeatable")
                ->type_name("ID=X"));
}

}  // namespace detail

/// `sampling` must live until the command line is parsed.
inline void add_sampling_options(CLI::App& app, moe::SamplingConfig& sampling) {
  constexpr moe::Bounds<std::int64_t> kCount{0, std::numeric_limits<std::int64_t>::max()};
  add_number(app, "--temp", sampling.temperature, moe::Bounds<double>{0, std::numeric_limits<double>::max()},
             "temperature; 0 takes the best token (0)");
  add_number(app, "--top-k", sampling.top_k, kCount, "sample from the k best tokens; 0 = all (0)");
  add_number(app, "--top-p", sampling.top_p, moe::Bounds<double>{0, 1, true},
             "sample from the fewest best tokens whose probabilities reach this sum (1)");
  add_number(app, "--min-p", sampling.min_p, moe::Bounds<double>{0, 1},
             "sample from tokens at least this many times as likely as the best one (0)");
  detail::add_penalties(app, sampling);
  add_number(app, "--seed", sampling.seed, moe::Bounds<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()},
             "of the random numbers (0)");
}

/// `stop` and `ignore_eos` must live as long.
inline void add_end_options(CLI::App& app, std::vector<std::string>& stop, bool& ignore_eos) {
  detail::once_each(app.add_option("--stop", stop, "text that ends the reply; repeatable")->type_name("TEXT"));
  app.add_flag("--ignore-eos", ignore_eos, "end tokens of the model do not end the reply");
}

}  // namespace cli
