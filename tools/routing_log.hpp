#pragma once
// Chosen experts and their weights as JSON, for moe-run --routing.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "moe/session.hpp"
#include "support/output_file.hpp"

namespace cli {

/// Routing of every token that ran, layer by layer, in the form of the reference files. The JSON is made when it is
/// written, and in pieces: as text or as values it is many times larger.
class RoutingLog {
 public:
  /// Tokens of a step whose routing is appended: a step holds that of all its tokens.
  static constexpr std::int64_t kStepTokens = 1024;
  /// Most memory that a log of so many tokens takes, with the steps that it is made of.
  static std::int64_t most_bytes(const moe::ModelConfig& config, std::int64_t tokens);

  RoutingLog(const moe::ModelConfig& config, std::size_t tokens)
      : top_k_(static_cast<std::size_t>(config.router.top_k)), tokens_(tokens) {}
  void append(const std::vector<std::vector<moe::TokenRouting>>& step);
  moe::Result<void> write(moe::OutputFile& file, std::span<const moe::TokenId> ids, std::size_t prompt_length) const;

 private:
  // Of all tokens, one after the other; the experts of a token by ascending index, not by rank.
  struct Layer {
    std::vector<std::int32_t> counts, experts;
    std::vector<float> weights;
  };
  std::size_t top_k_, tokens_;
  std::map<std::string, Layer> layers_;  // by number, in the order of JSON objects
};

}  // namespace cli
