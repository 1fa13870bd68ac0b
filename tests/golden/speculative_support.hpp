#pragma once
// Requests that drafts may be right or wrong about, and drafts that are known to be.

#include <nlohmann/json.hpp>

#include <algorithm>

#include "generator_support.hpp"
#include "golden/golden.hpp"
#include "golden/mtp_support.hpp"
#include "scratch_dir.hpp"

namespace moe_test {

using moe::DraftKind;
using moe::DraftLength;
using moe::DraftOptions;

/// Questions of the nano exam, and ids that repeat themselves: what an n-gram search finds something in.
inline Ids repetitive_prompt(std::mt19937& random, const moe::Model& model) {
  if (model.tokenizer() != nullptr && random() % 2 == 0) {
    static const std::vector<std::string> lines = [] {
      std::vector<std::string> out;
      std::ifstream file(fs::path(MOE_SOURCE_DIR) / "models/nano/nano_exam.jsonl");
      for (std::string line; std::getline(file, line);)
        out.push_back("Question: " + nlohmann::json::parse(line)["question"].get<std::string>() + "\nAnswer:");
      return out;
    }();
    REQUIRE_FALSE(lines.empty());
    const auto ids = model.tokenizer()->encode(lines[random() % lines.size()] + "\n" + lines[random() % lines.size()]);
    REQUIRE(ids.has_value());
    if (static_cast<std::int64_t>(ids->size()) < model.config().max_position / 2) return *ids;
  }
  const std::int64_t vocabulary = model.tokenizer() ? model.tokenizer()->vocab_size() : model.config().vocab_size;
  const std::size_t most = static_cast<std::size_t>(std::min<std::int64_t>(model.config().max_position / 4, 30));
  Ids ids(1 + random() % most);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<std::uint32_t>(vocabulary));
  const Ids once = ids;
  for (std::size_t i = random() % 3; i > 0; --i) ids.insert(ids.end(), once.begin(), once.end());
  return ids;
}

/// All kinds of options: penalties, filters, stop texts and stop tokens.
inline GenerateOptions any_options(std::mt19937& random, const moe::Model& model, unsigned most_tokens) {
  GenerateOptions o = random_options(random, most_tokens);
  if (random() % 4 == 0) o.replies = 1;
  o.log_probabilities = static_cast<std::int64_t>(random() % 4);
  if (o.sampling.temperature > 0) {
    o.sampling.temperature = random() % 2 == 0 ? 0.4 : 1.1;
    if (random() % 2 == 0) o.sampling.top_k = 1 + static_cast<std::int64_t>(random() % 20);
    if (random() % 2 == 0) o.sampling.top_p = 0.8;
    if (random() % 4 == 0) o.sampling.min_p = 0.05;
  }
  if (random() % 4 == 0) o.sampling.frequency_penalty = 0.5;
  if (random() % 4 == 0) o.sampling.presence_penalty = 0.3;
  if (random() % 8 == 0) o.sampling.logit_bias = {{static_cast<TokenId>(random() % 200), 4.0}};
  if (random() % 4 == 0) o.stop_tokens = {static_cast<TokenId>(random() % 100), static_cast<TokenId>(random() % 300)};
  if (random() % 8 == 0) o.candidates = moe::Candidates::all_rows;
  if (model.tokenizer() != nullptr && random() % 3 == 0) o.stop = {random() % 2 == 0 ? "e" : "an", "\nQ"};
  return o;
}

/// Proposes the tokens of replies that are known, each behind its prompt; `change` makes them wrong.
inline DraftOptions known_replies(std::vector<Ids> whole, std::int64_t tokens = 8, TokenId change = 0) {
  DraftOptions draft;
  draft.kind = DraftKind::host;
  draft.length = DraftLength::fixed;
  draft.tokens = tokens;
  draft.propose = [whole = std::move(whole), change](std::span<const TokenId> written, std::int64_t most, Ids& out) {
    for (const Ids& reply : whole) {
      if (reply.size() < written.size() || !std::equal(written.begin(), written.end(), reply.begin())) continue;
      for (std::size_t i = written.size(); i < reply.size() && static_cast<std::int64_t>(out.size()) < most; ++i)
        out.push_back(reply[i] == change && change != 0 ? change - 1 : change != 0 ? change : reply[i]);
      return;
    }
  };
  return draft;
}

inline Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Executed by all models.
inline std::int64_t executed(Generator& generator) {
  std::int64_t flops = generator.session().executed().total();
  for (const moe::Session* session : {generator.draft_session(), generator.mtp_session()})
    flops += session != nullptr ? session->executed().total() : 0;
  return flops;
}

/// Models with an MTP layer: the golden one, and two that guess right now and then.
inline const std::vector<std::shared_ptr<const moe::Model>>& models_with_mtp() {
  static const auto models = [] {
    std::vector<std::shared_ptr<const moe::Model>> out;
    for (const GoldenCase& c : mtp_cases()) out.push_back(load_with_mtp(c.model));
    if (out.empty()) report_skip("drafts of a golden model's MTP layer", "no golden model has one");
    const ScratchDir scratch("moe_speculative_mtp");
    for (const GoldenCase& c : models_for_mtp_copies())
      out.push_back(load_with_mtp(write_mtp_copy(c.model, scratch.dir / c.name)));
    return out;
  }();
  return models;
}

struct DraftTotals {
  moe::DraftReport report;
  std::int64_t flops = 0;
};
inline DraftTotals totals_of(const std::vector<std::vector<Generation>>& all) {
  DraftTotals totals;
  for (const auto& replies : all)
    for (const Generation& g : replies) totals.report += g.draft, totals.flops += g.flops;
  return totals;
}

}  // namespace moe_test
