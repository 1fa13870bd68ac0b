// From requests to a Session: log-softmax, prefix tree, pair encoding.

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "batch/prefix_tree.hpp"
#include "batch/tree_plan.hpp"
#include "score/pair_encoder.hpp"
#include "support.hpp"
#include "support/log_softmax.hpp"

namespace eval_scoring_test {

using namespace moe::batch;
using moe::RowSummary;
using moe::summarise;
using moe::score::PairEncoder;

TEST_CASE("log-softmax agrees with long double and ignores the row's length modulo 16") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0f, 6.0f);
  for (std::size_t n : {1, 2, 15, 16, 17, 31, 1000, 4099}) {
    std::vector<float> row(n);
    for (float& x : row) x = normal(random);
    const RowSummary got = summarise(row);
    const auto top = std::max_element(row.begin(), row.end());
    CHECK(got.argmax == top - row.begin());
    long double sum = 0;
    for (float x : row) sum += std::exp(static_cast<long double>(x) - static_cast<long double>(*top));
    const long double expected = static_cast<long double>(row[n / 2]) - static_cast<long double>(*top) - std::log(sum);
    CHECK(std::abs(got.log_probability(row[n / 2]) - static_cast<double>(expected)) <
          1e-13 * std::max(1.0L, std::abs(expected)));
  }
}

TEST_CASE("log-softmax: ties go to the first, extremes stay finite, what is not finite stays so") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(summarise(std::vector<float>{1, 3, 3}).argmax == 1);
  CHECK(summarise(std::vector<float>{-3e38f, 0, 3e38f}).log_sum == 0);
  CHECK(summarise(std::vector<float>(160, -5.0f)).log_sum == doctest::Approx(std::log(160.0)).epsilon(1e-15));
  CHECK(summarise(std::vector<float>{0, -inf}).log_sum == 0);
  CHECK_FALSE(std::isfinite(summarise(std::vector<float>{0, inf}).log_sum));
  for (std::size_t at : {0, 5, 16, 17}) {
    std::vector<float> row(18, 1.0f);
    row[at] = std::nanf("");
    CHECK_FALSE(std::isfinite(summarise(row).log_sum));
  }
}

namespace {

using Tokens = std::vector<moe::TokenId>;

// Every pass is spelled by the nodes above it, each needed row is asked for once, no token is computed twice when
// prefixes are shared.
void check_nodes(const std::vector<Tokens>& texts, const std::vector<Pass>& passes,
                 const std::vector<PrefixNode>& nodes, bool share, std::int64_t max_rows) {
  std::vector<std::int64_t> covered(passes.size(), 0);
  std::vector<std::vector<bool>> has_row;
  for (const Tokens& t : texts) has_row.emplace_back(t.size(), false);
  std::int64_t computed = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const PrefixNode& node = nodes[i];
    CHECK(node.parent < static_cast<std::int32_t>(i));
    CHECK(node.begin < node.end);
    CHECK(node.row_count() <= max_rows);
    if (node.parent >= 0) CHECK(nodes[static_cast<std::size_t>(node.parent)].end == node.begin);
    computed += node.token_count();
    for (std::int32_t p = node.first_pass; p < node.last_pass; ++p) {
      const auto pass = static_cast<std::size_t>(p);
      CHECK(covered[pass] == node.begin);
      covered[pass] = node.end;
      for (std::int64_t at = node.begin; at < node.end; ++at) {
        CHECK(texts[pass][static_cast<std::size_t>(at)] ==
              texts[static_cast<std::size_t>(node.first_pass)][static_cast<std::size_t>(at)]);
        if (at >= node.end - node.row_count()) has_row[pass][static_cast<std::size_t>(at)] = true;
      }
    }
    std::int32_t children = 0;
    for (std::int32_t c = node.first_child; c >= 0; c = nodes[static_cast<std::size_t>(c)].next_sibling) ++children;
    CHECK(children == node.child_count);
  }
  std::int64_t distinct = 0;  // prefixes
  for (std::size_t p = 0; p < passes.size(); ++p) {
    CHECK(covered[p] == static_cast<std::int64_t>(texts[p].size()));
    for (auto at = static_cast<std::size_t>(passes[p].first_row); at < texts[p].size(); ++at) CHECK(has_row[p][at]);
    std::size_t same = 0;
    if (p > 0 && share)
      while (same < texts[p - 1].size() && same < texts[p].size() && texts[p - 1][same] == texts[p][same]) ++same;
    distinct += static_cast<std::int64_t>(texts[p].size() - same);
  }
  CHECK(computed == distinct);
}

void check_tree(std::vector<Tokens> texts, std::size_t rows, bool share, std::int64_t max_rows) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  std::vector<Pass> passes;
  for (const Tokens& t : texts) passes.push_back({t, static_cast<std::int64_t>(t.size() - std::min(rows, t.size()))});
  const auto nodes = build_prefix_tree(passes, share, max_rows);
  check_nodes(texts, passes, nodes, share, max_rows);
  for (const std::int64_t most : {1, 2, 5, 100}) {
    const auto parts = divide_nodes(nodes, most);
    check_nodes(texts, passes, parts, share, max_rows);
    for (const PrefixNode& part : parts) CHECK((part.token_count() <= most || part.logits == moe::Logits::all));
    if (most == 100) CHECK(parts.size() == nodes.size());
  }
}

}  // namespace

TEST_CASE("prefix tree: every pass, every row, nothing twice") {
  check_tree({{1, 2, 3}}, 1, true, 8);
  check_tree({{1, 2, 3}, {1, 2, 4}, {1, 2}, {5}}, 1, true, 8);
  check_tree({{1, 2, 3}, {1, 2, 3, 4, 5, 6, 7}}, 3, true, 2);
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<Tokens> texts(1 + random() % 12);
    for (Tokens& t : texts) {
      t.resize(1 + random() % 9);
      for (auto& id : t) id = static_cast<moe::TokenId>(random() % 2);
    }
    const std::size_t rows = 1 + random() % 4;
    check_tree(texts, rows, round % 4 != 0, 1 + static_cast<std::int64_t>(random() % 5));
  }
}

TEST_CASE("prefix tree: parts of a long node do not count what is kept, and need its pages") {
  Inputs prompts(2);
  prompts.set(0, Tokens(200, 1));
  Tokens longer(200, 1);
  longer.push_back(2);
  prompts.set(1, longer);
  const std::vector<std::int64_t> max_tokens = {100, 100};
  TreePlan plan = plan_replies(collect_prompts(prompts), max_tokens, {});
  PrefixNode& root = plan.nodes[0];
  root.kept = 3, root.kept_tokens = 70;
  const auto parts = divide_nodes(plan.nodes, 50);
  REQUIRE(parts.size() == plan.nodes.size() + 2);
  // [0, 120), [120, 170), [170, 200), then the longer prompt and two replies, which stay whole.
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(parts[i].begin == (i == 0 ? 0 : i == 1 ? 120 : 170));
    CHECK(parts[i].end == (i == 0 ? 120 : i == 1 ? 170 : 200));
    CHECK(parts[i].parent == static_cast<std::int32_t>(i) - 1);
    CHECK(parts[i].kept == (i == 0 ? 3 : -1));
    CHECK(parts[i].kept_tokens == (i == 0 ? 70 : 0));
    CHECK(parts[i].logits == (i < 2 ? moe::Logits::none : moe::Logits::last));
    CHECK(parts[i].child_count == (i < 2 ? 1 : 2));
    CHECK(parts[i].pages == root.pages);
    // With the pages of the prompt that are still to come: 2, 3 and 4 of its 4 are there.
    CHECK(parts[i].reply_pages == root.reply_pages + (i == 0 ? 2 : i == 1 ? 1 : 0));
  }
  std::size_t replies = 0;
  for (const PrefixNode& part : parts) {
    if (part.request < 0) continue;
    ++replies;
    CHECK(part.token_count() == 99);
    CHECK(parts[static_cast<std::size_t>(part.parent)].end == part.begin);
  }
  CHECK(replies == 2);
}

TEST_CASE("pairs of context and continuation as the harness encodes them") {
  const auto folder = moe_test::reference_dir("MOE_TINY_MOE_DIR", "../shared/data/tiny_moe");
  if (folder.empty()) return moe_test::report_skip("encode_pairs", "no reference directory");
  const auto tokenizer = moe::Tokenizer::create(moe::JsonTokenizer{
      moe_test::read_file(folder / "tokenizer.json"), moe_test::read_file(folder / "tokenizer_config.json")});
  REQUIRE_MESSAGE(tokenizer.has_value(), tokenizer.error().message);
  const PairEncoder encoder(**tokenizer);
  std::size_t cases = 0;
  for (const std::string& line : moe_test::read_lines(folder / "encode_pairs.jsonl")) {
    const auto expected = nlohmann::json::parse(line);
    CAPTURE(line);
    const auto pair =
        encoder.encode(expected["context"].get<std::string>(), expected["continuation"].get<std::string>());
    REQUIRE(pair.has_value());
    CHECK(pair->context == expected["ctx"].get<Tokens>());
    CHECK(pair->continuation == expected["cont"].get<Tokens>());
    CHECK_FALSE(pair->reencoded);
    ++cases;
  }
  CHECK(cases > 0);
  CHECK_FALSE(encoder.encode("x", "").has_value());
}

}  // namespace eval_scoring_test
