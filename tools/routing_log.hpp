#pragma once
// Chosen experts and their weights as JSON, for moe-run --routing.

#include <algorithm>
#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "moe/session.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"

namespace cli {

/// Routing of every token that ran, layer by layer, in the form of the reference files.
class RoutingLog {
 public:
  void append(const std::vector<std::vector<moe::TokenRouting>>& step) {
    for (std::size_t layer = 0; layer < step.size(); ++layer) {
      for (const moe::TokenRouting& token : step[layer]) {
        // Files list experts by ascending index, not by rank.
        std::vector<std::size_t> order(token.experts.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(),
                  [&](std::size_t a, std::size_t b) { return token.experts[a] < token.experts[b]; });
        nlohmann::json experts = nlohmann::json::array(), weights = nlohmann::json::array();
        for (const std::size_t i : order) {
          experts.push_back(token.experts[i]);
          weights.push_back(token.weights[i]);
        }
        auto& entry = layers_[layer];
        entry["experts"].push_back(std::move(experts));
        entry["weights"].push_back(std::move(weights));
      }
    }
  }
  moe::Result<void> write(moe::OutputFile& file, const std::vector<moe::TokenId>& ids,
                          std::size_t prompt_length) const {
    nlohmann::json routing = nlohmann::json::object();
    for (const auto& [layer, entry] : layers_) routing[std::to_string(layer)] = entry;
    const nlohmann::json all = {
        {"ids", std::vector<moe::TokenId>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(prompt_length))},
        {"generated", std::vector<moe::TokenId>(ids.begin() + static_cast<std::ptrdiff_t>(prompt_length), ids.end())},
        {"routing", routing}};
    if (auto ok = file.write(moe::json_text(all) + "\n"); !ok) return ok;
    return file.finish();
  }

 private:
  std::map<std::size_t, nlohmann::json> layers_;
};

}  // namespace cli
