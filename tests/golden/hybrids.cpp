// Sequences with recurrent states: the bits of a fresh run in any chunks, after any forks and rewinds, and whatever states
// are dropped; what is computed again is counted.

#include <random>

#include "golden/golden.hpp"
#include "moe/flops.hpp"

namespace hybrids_test {

namespace {

using namespace moe_test;

struct Case {
  std::string name;
  std::shared_ptr<const moe::Model> model;
};

/// Models with recurrent layers; with `sparse` also those that attend to chosen keys, which need no states.
std::vector<Case> cases(bool sparse = false) {
  auto found = golden_cases();
  for (const char* folder : {"tests/data/golden", "tests/data/shapes"})
    for (GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / folder)) found.push_back(std::move(c));
  std::vector<Case> out;
  for (const GoldenCase& c : found) {
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::none});
    if (!model) continue;
    const moe::ModelConfig& config = (*model)->config();
    bool wanted = sparse && config.indexer.top_k > 0;
    for (std::int64_t l = 0; l < config.layer_count; ++l) wanted |= config.is_recurrent(l);
    if (wanted) out.push_back({c.name, *model});
  }
  return out;
}

std::vector<float> last_row(const std::vector<float>& rows, std::int64_t token, std::int64_t V) {
  const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(token * V);
  return {begin, begin + static_cast<std::ptrdiff_t>(V)};
}

/// Any operations on a few sequences, all of them beginnings of one text or of its other ending.
class Play {
 public:
  Play(const Case& c, const moe::SessionOptions& options, std::uint32_t seed)
      : config_(c.model->config()), random_(seed), session_(open_session(c.model, options)) {
    for (const std::int64_t text : {0, 1}) {
      texts_.push_back(prompt_for(config_, text));
      if (text > 0) std::copy_n(texts_[0].begin(), kCommon, texts_[1].begin());
      moe::SessionOptions plain = options;
      plain.chunk_tokens = 512;
      expected_.push_back(whole_logits(c.model, plain, texts_.back()));
    }
  }

  void run(int rounds) {
    open_.push_back({*session_->open(), 0, 0});
    for (int i = 0; i < rounds; ++i) {
      const std::size_t at = random_() % open_.size();
      switch (random_() % 8) {
        case 0:
          if (open_.size() < 5)
            open_.push_back({*session_->fork(open_[at].sequence), open_[at].length, open_[at].text});
          break;
        case 1: {
          Open& o = open_[at];
          o.length = static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(o.length + 1));
          REQUIRE(session_->rewind(o.sequence, o.length).has_value());
          if (o.length <= kCommon) o.text = random_() % 2;
          break;
        }
        case 2:
          if (open_.size() > 1) {
            REQUIRE(session_->close(open_[at].sequence).has_value());
            open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(at));
          }
          break;
        default: step_some(); break;
      }
    }
  }
  std::int64_t again = 0;

 private:
  static constexpr std::int64_t kCommon = 40;
  struct Open {
    moe::Sequence sequence;
    std::int64_t length;
    std::size_t text;
  };

  void step_some() {
    std::vector<moe::BatchItem> items;
    std::vector<std::size_t> who;
    for (std::size_t i = 0; i < open_.size(); ++i) {
      const Open& o = open_[i];
      const auto left = static_cast<std::int64_t>(texts_[o.text].size()) - o.length;
      const std::int64_t count = std::min<std::int64_t>(left, random_() % 3 == 0 ? random_() % 30 : 1);
      if (random_() % 2 == 0 || count == 0) continue;
      items.push_back(
          {o.sequence,
           std::span(texts_[o.text]).subspan(static_cast<std::size_t>(o.length), static_cast<std::size_t>(count))});
      who.push_back(i);
    }
    if (items.empty()) return;
    moe::Work work = session_->executed();
    const auto out = session_->step(items);
    REQUIRE_MESSAGE(out.has_value(), out.error().message);
    for (std::size_t i = 0; i < items.size(); ++i) {
      Open& o = open_[who[i]];
      const auto count = static_cast<std::int64_t>(items[i].tokens.size());
      const std::int64_t anew = out->recomputed_counts[i];
      REQUIRE(anew >= 0);
      REQUIRE(anew <= o.length);
      work += moe::forward_work(config_, o.length - anew, count + anew, 1, moe::MlaForm::absorbed);
      CHECK(out->recomputed_experts[i] == moe::routed_expert_count(config_, anew));
      CHECK(out->expert_counts[i] == moe::routed_expert_count(config_, count + anew));
      again += anew;
      o.length += count;
      CHECK(*session_->length(o.sequence) == o.length);
      const auto row = out->padded_row(static_cast<std::int64_t>(i));
      CHECK(same_bits({row.begin(), row.end()}, last_row(expected_[o.text], o.length - 1, config_.vocab_size)));
    }
    CHECK(session_->executed() == work);
  }

  const moe::ModelConfig& config_;
  std::minstd_rand random_;
  std::unique_ptr<moe::Session> session_;
  std::vector<std::vector<moe::TokenId>> texts_;
  std::vector<std::vector<float>> expected_;
  std::vector<Open> open_;
};

}  // namespace

TEST_CASE("hybrids: chunks of any size give the same bits") {
  const auto all = cases(true);
  REQUIRE(!all.empty());
  for (const Case& c : all) {
    CAPTURE(c.name);
    const auto ids = prompt_for(c.model->config(), 3);
    for (const Setting& setting : {kSettings[0], kSettings[1]}) {
      const std::vector<float> expected = whole_logits(c.model, options_for(setting, 1, 512), ids);
      for (const std::int64_t chunk : {1, 7, 64, 100}) {
        moe::SessionOptions options = options_for(setting, chunk == 64 ? 2 : 1, chunk);
        options.share_from_ns = 0;
        options.checkpoint_tokens = chunk == 100 ? 16 : 256;
        CHECK(same_bits(whole_logits(c.model, options, ids), expected));
      }
    }
  }
}

TEST_CASE("hybrids: forks and rewinds give the bits of fresh runs, with few states too") {
  std::uint32_t seed = 1;
  for (const Case& c : cases(true)) {
    CAPTURE(c.name);
    for (const std::int64_t spacing : {4, 16, 1000}) {
      CAPTURE(spacing);
      moe::SessionOptions options = options_for(kSettings[1], 1, spacing == 16 ? 11 : 512);
      options.checkpoint_tokens = spacing;
      options.state_bytes = spacing == 4 ? 1 : 0;  // 1: as few as there may be
      Play play(c, options, seed++);
      play.run(120);
      CHECK((play.again > 0) == (c.model->config().indexer.top_k == 0));
    }
  }
}

TEST_CASE("hybrids: a rewind to a checkpoint or to the start of the last step computes nothing again") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const auto ids = prompt_for(c.model->config(), 0);
    const std::span<const moe::TokenId> all(ids);
    moe::SessionOptions options = reference_options();
    options.checkpoint_tokens = 16;
    auto session = open_session(c.model, options);
    const moe::Sequence s = *session->open();
    step(*session, s, all.first(37));
    step(*session, s, all.subspan(37, 8));
    for (const auto& [length, expected] : {std::pair<std::int64_t, std::int64_t>{37, 0}, {32, 0}, {20, 4}, {16, 0}}) {
      REQUIRE(session->rewind(s, length).has_value());
      const moe::Sequence child = *session->fork(s);
      const moe::BatchItem item = {child, all.subspan(static_cast<std::size_t>(length), 1)};
      const auto out = session->step({&item, 1});
      REQUIRE(out.has_value());
      CHECK(out->recomputed_counts[0] == expected);
      REQUIRE(session->close(child).has_value());
    }
  }
}

// Four blocks for two sequences: each has one for its last state and one for where the step began.
TEST_CASE("hybrids: behind refused drafts only their right tokens are computed again, with few states too") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const std::int64_t V = c.model->config().vocab_size;
    const auto ids = prompt_for(c.model->config(), 0);
    const auto expected = whole_logits(c.model, reference_options(), ids);
    for (const std::int64_t chunk : {1, 5, 512}) {
      CAPTURE(chunk);
      moe::SessionOptions options = reference_options();
      options.checkpoint_tokens = 1000;
      options.state_bytes = 1;
      options.chunk_tokens = chunk;
      options.max_tokens = 1024;
      int calls_left = -1;  // until the step is cancelled
      options.cancelled = [&] { return calls_left >= 0 && calls_left-- == 0; };
      auto session = open_session(c.model, options);
      std::vector<moe::Sequence> sequences = {*session->open(), *session->open()};
      std::int64_t length = 12;
      const auto four = [&] { return std::span(ids).subspan(static_cast<std::size_t>(length), 4); };
      const auto try_step = [&](std::span<const moe::TokenId> tokens) {
        std::vector<moe::BatchItem> items;
        for (const moe::Sequence s : sequences) items.push_back({s, tokens, moe::Logits::all});
        return session->step(items);
      };
      const auto go_back = [&](std::int64_t to) {
        for (const moe::Sequence s : sequences) REQUIRE(session->rewind(s, to).has_value());
        length = to;
      };
      REQUIRE(try_step(std::span(ids).first(12)).has_value());

      // The last token and a draft of three, of which the first is right.
      for (int round = 0; round < 8; ++round) {
        std::vector<moe::TokenId> tokens(four().begin(), four().end());
        for (const std::size_t wrong : {2, 3}) tokens[wrong] = static_cast<moe::TokenId>((tokens[wrong] + 1) % V);
        const auto out = try_step(tokens);
        REQUIRE(out.has_value());
        for (std::int64_t i = 0; i < 2; ++i) {
          CHECK(out->recomputed_counts[static_cast<std::size_t>(i)] == (round == 0 ? 0 : 2));
          for (std::int64_t t = 0; t < 2; ++t) {
            const auto row = out->padded_row(4 * i + t);
            CHECK(same_bits({row.begin(), row.end()}, last_row(expected, length + t, V)));
          }
        }
        go_back(length + 2);
      }

      // A fork shares the state that it starts from: nobody may overwrite it, and it is kept.
      sequences.push_back(*session->fork(sequences[0]));
      for (int round = 0; round < 2; ++round) {
        const auto out = try_step(four());
        REQUIRE(out.has_value());
        for (std::int64_t i = 0; i < 3; ++i) {
          CHECK(out->recomputed_counts[static_cast<std::size_t>(i)] == (round == 1 && i == 1 ? 0 : 2));
          const auto row = out->padded_row(4 * i + 3);
          CHECK(same_bits({row.begin(), row.end()}, last_row(expected, length + 3, V)));
        }
        go_back(length);
      }

      // Steps that fail anywhere: what they have overwritten is not used.
      REQUIRE(session->close(sequences.back()).has_value());
      sequences.pop_back();
      for (const int calls : {0, 1, 2, 5, 11, 23}) {
        CAPTURE(calls);
        REQUIRE(try_step(four()).has_value());
        go_back(length + 1);
        calls_left = calls;
        if (try_step(four()).has_value()) go_back(length);
        calls_left = -1;
        const auto out = try_step(four());
        REQUIRE(out.has_value());
        for (std::int64_t i = 0; i < 2; ++i) {
          const auto row = out->padded_row(4 * i + 3);
          CHECK(same_bits({row.begin(), row.end()}, last_row(expected, length + 3, V)));
        }
        go_back(length);
      }
    }
  }
}

TEST_CASE("hybrids: a cancelled step leaves sequences as before") {
  for (const Case& c : cases(true)) {
    CAPTURE(c.name);
    const auto ids = prompt_for(c.model->config(), 0);
    const std::span<const moe::TokenId> all(ids);
    moe::SessionOptions options = reference_options();
    bool stops = false;
    options.cancelled = [&] { return stops; };
    options.chunk_tokens = 8;
    auto session = open_session(c.model, options);
    const moe::Sequence s = *session->open();
    step(*session, s, all.first(20));
    stops = true;
    const moe::BatchItem item = {s, all.subspan(20, 20)};
    CHECK(session->step({&item, 1}).error().code == moe::ErrorCode::cancelled);
    stops = false;
    CHECK(*session->length(s) == 20);
    const auto row = step(*session, s, all.subspan(20, 20), moe::Logits::last);
    const auto whole = whole_logits(c.model, reference_options(), ids);
    CHECK(same_bits(row, last_row(whole, 39, c.model->config().vocab_size)));
  }
}

}  // namespace hybrids_test
