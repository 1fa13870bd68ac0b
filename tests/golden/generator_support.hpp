#pragma once
// Models, short calls and comparisons for tests of the Generator.

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "moe/generate.hpp"
#include "support.hpp"

namespace moe_test {

namespace fs = std::filesystem;
using moe::EndReason;
using moe::GenerateOptions;
using moe::GenerateRequest;
using moe::Generation;
using moe::Generator;
using moe::TokenId;
using Ids = std::vector<TokenId>;

inline std::shared_ptr<const moe::Model> load(const std::string& path) {
  auto model = moe::Model::load((fs::path(MOE_SOURCE_DIR) / path).string(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}
inline const std::shared_ptr<const moe::Model>& nano() {  // a compressed cache (MLA), a context of 1024
  static const auto model = load("models/nano/nano-moe");
  return model;
}
inline const std::shared_ptr<const moe::Model>& padded() {  // 320 rows for 316 tokens, a context of 256
  static const auto model = load("tests/data/golden/qwen3_moe");
  return model;
}
inline const std::shared_ptr<const moe::Model>& without_tokenizer() {  // sliding windows
  static const auto model = load("tests/data/variants/gpt_oss");
  return model;
}

inline const std::shared_ptr<const moe::Model>& hybrid() {  // recurrent states beside the cache
  static const auto model = load("tests/data/shapes/qwen3_5_text");
  return model;
}

/// A prefix of `trunk`, often empty, followed by `own`.
inline Ids branch_of(std::mt19937& random, const Ids& trunk, const Ids& own) {
  const auto shared = random() % 3 == 0 ? random() % 10 : random() % trunk.size();
  Ids prompt(trunk.begin(), trunk.begin() + static_cast<long>(shared));
  prompt.insert(prompt.end(), own.begin(), own.end());
  return prompt;
}

inline GenerateOptions random_options(std::mt19937& random, unsigned most_tokens) {
  GenerateOptions o;
  o.max_tokens = 1 + static_cast<std::int64_t>(random() % most_tokens);
  o.replies = 1 + static_cast<std::int64_t>(random() % 3);
  o.sampling.temperature = random() % 2 == 0 ? 0.0 : 1.1;
  o.sampling.seed = random();
  if (random() % 2 == 0) o.sampling.repetition_penalty = 1.2;
  if (random() % 2 == 0) o.log_probabilities = 2;
  if (random() % 4 == 0) o.end_tokens = moe::EndTokens::ignore;
  return o;
}

inline Generator create(const std::shared_ptr<const moe::Model>& model, const moe::SessionOptions& options = {}) {
  auto generator = Generator::create(model, options);
  REQUIRE_MESSAGE(generator.has_value(), generator.error().message);
  return std::move(*generator);
}

inline Generation generate(Generator& generator, const moe::Prompt& prompt, const GenerateOptions& options = {}) {
  auto reply = generator.generate(prompt, options);
  REQUIRE_MESSAGE(reply.has_value(), reply.error().message);
  return std::move(*reply);
}

inline std::vector<std::vector<Generation>> generate(Generator& generator,
                                                     const std::vector<GenerateRequest>& requests) {
  auto replies = generator.generate(requests);
  REQUIRE_MESSAGE(replies.has_value(), replies.error().message);
  REQUIRE(replies->size() == requests.size());
  return std::move(*replies);
}

/// Everything of a reply that may not depend on how it came about.
inline std::string bits(const Generation& g) {
  std::string out = g.text + '\0' + std::string(name_of(g.end)) + '\0' + g.stop + '\0';
  const auto add = [&](const auto& value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (const TokenId id : g.tokens) add(id);
  for (const moe::PositionLogProbabilities& p : g.log_probabilities) {
    add(p.chosen.token), add(p.chosen.log_probability);
    for (const moe::TokenLogProbability& best : p.best) add(best.token), add(best.log_probability);
  }
  add(g.prompt_tokens), add(g.seed);
  return out + (g.error ? g.error->message : "");
}

}  // namespace moe_test
