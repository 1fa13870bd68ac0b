// Experts that are read when needed: the bits of a model that has them in memory, for any memory, any number of reading
// threads and any delay; and one error where a read fails.

#include <thread>

#include "golden/golden.hpp"
#include "golden/memory_reader.hpp"

namespace streamed_experts_test {

namespace {

using namespace moe_test;

std::vector<std::pair<std::string, std::shared_ptr<const moe::Model>>> moe_models() {
  std::vector<std::pair<std::string, std::shared_ptr<const moe::Model>>> models;
  std::vector<GoldenCase> cases = golden_cases();
  for (GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden"))
    cases.push_back(std::move(c));
  for (const GoldenCase& c : cases) {
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    if (model && (*model)->config().router.expert_count > 0) models.emplace_back(c.name, *model);
  }
  return models;
}

std::shared_ptr<MemoryReader> reader_of(const std::shared_ptr<const moe::Model>& model,
                                        const MemoryReader::Options& options = {}) {
  return std::make_shared<MemoryReader>(model, options);
}

/// One model with a prompt, its logits in memory, and the least memory for its experts.
struct Case {
  std::shared_ptr<const moe::Model> model;
  std::vector<moe::TokenId> ids;
  std::vector<float> expected;
  std::int64_t least = 0;
};

Case case_of(const std::shared_ptr<const moe::Model>& model) {
  Case c{model, {}, {}, moe::ExpertCache::least_bytes(expert_shapes(*model))};
  c.ids = prompt_for(c.model->config(), 0);
  c.expected = whole_logits(c.model, options_for(kSettings[0], 1, 512), c.ids);
  return c;
}

Case first_case() {
  const auto models = moe_models();
  REQUIRE(!models.empty());
  return case_of(models.front().second);
}

/// Layers with experts.
std::vector<std::int64_t> moe_layers(const moe::Model& model) {
  std::vector<std::int64_t> layers;
  const auto shapes = expert_shapes(model);
  for (std::size_t l = 0; l < shapes.size(); ++l)
    if (shapes[l].experts > 0) layers.push_back(static_cast<std::int64_t>(l));
  return layers;
}

/// The first with a layer of experts behind another, and more experts than are kept in the least memory.
Case case_with_two_layers() {
  for (const auto& [name, model] : moe_models())
    if (moe_layers(*model).size() > 1 && model->config().router.expert_count >= 8) return case_of(model);
  FAIL("no model has two layers with experts");
  return {};
}

}  // namespace

TEST_CASE("the same bits for any memory, number of reading threads and delay") {
  const auto models = moe_models();
  REQUIRE(!models.empty());
  std::uint32_t seed = 1;
  for (const auto& one : models) {  // no structured binding: clang's lambdas cannot capture it
    const auto& name = one.first;
    const auto& model = one.second;
    CAPTURE(name);
    const auto shapes = expert_shapes(*model);
    const std::int64_t least = moe::ExpertCache::least_bytes(shapes), most = moe::ExpertCache::most_bytes(shapes);
    for (const Setting& setting : {kSettings[0], kSettings[1]}) {
      const auto ids = prompt_for(model->config(), 0);
      const std::vector<float> expected = whole_logits(model, options_for(setting, 1, 512), ids);
      int round = 0;
      for (const std::int64_t bytes : {least, (3 * least + most) / 4, most}) {
        CAPTURE(bytes);
        const auto reader = reader_of(model, {seed++, round == 1 ? 200 : 0});
        const auto stream = streamed(model, reader, bytes, 1 + round);
        REQUIRE(stream != nullptr);
        moe::SessionOptions options = options_for(setting, 1 + round % 2, round == 0 ? 512 : 37);
        options.share_from_ns = 0;
        CHECK(same_bits(whole_logits(stream, options, ids), expected));
        const moe::ExpertTraffic after = stream->expert_traffic();
        CHECK(after.read_bytes > 0);
        CHECK(after.memory_bytes <= bytes);
        // Again, one token at a time, with what the cache kept.
        const std::vector<moe::TokenId> some(ids.begin(), ids.begin() + 24);
        const std::vector<float> prefix(expected.begin(), expected.begin() + 24 * model->config().vocab_size);
        CHECK(same_bits(whole_logits(stream, options_for(setting, 1, 1), some), prefix));
        if (bytes == most) {
          const auto again = stream->expert_traffic();
          CHECK(same_bits(whole_logits(stream, options, ids), expected));
          const auto kept = stream->expert_traffic() - again;
          CHECK_MESSAGE(kept.misses == 0, kept.misses);
          CHECK(kept.hits > 0);
        }
        ++round;
        CHECK(reader->most_reads() <= round);  // as many at a time as there were reading threads
      }
    }
  }
}

TEST_CASE("executed FLOPs, routing and expert counts are those of a model in memory") {
  for (const auto& one : moe_models()) {
    const auto& name = one.first;
    const auto& model = one.second;
    CAPTURE(name);
    const auto stream = streamed(model, reader_of(model), moe::ExpertCache::least_bytes(expert_shapes(*model)), 2);
    const auto ids = prompt_for(model->config(), 0);
    moe::SessionOptions options = options_for(kSettings[0], 1, 512);
    options.record_routing = true;
    auto here = open_session(model, options), there = open_session(stream, options);
    static_cast<void>(step(*here, *here->open(), ids));
    static_cast<void>(step(*there, *there->open(), ids));
    const auto whole = moe::Session::estimate_memory(*model, options),
               part = moe::Session::estimate_memory(*stream, options);
    CHECK(whole.scratch_bytes == moe::Session::estimate_memory(model->info(), options).scratch_bytes);
    CHECK(part.scratch_bytes != whole.scratch_bytes);
    CHECK(part.cache_bytes == whole.cache_bytes);
    CHECK(part.weight_bytes == stream->resident_bytes() + stream->expert_traffic().memory_bytes);
    CHECK(here->executed().total() == there->executed().total());
    CHECK(here->executed().routed_experts == there->executed().routed_experts);
    REQUIRE(here->routing().size() == there->routing().size());
    for (std::size_t l = 0; l < here->routing().size(); ++l) {
      REQUIRE(here->routing()[l].size() == there->routing()[l].size());
      for (std::size_t t = 0; t < here->routing()[l].size(); ++t)
        CHECK(here->routing()[l][t].experts == there->routing()[l][t].experts);
    }
  }
}

TEST_CASE("a read that fails is one error that names it, and the sequence is as before") {
  const Case c = first_case();
  for (const int works : {0, 1, 5}) {
    const auto reader = reader_of(c.model, {1, 50, works});
    const auto stream = streamed(c.model, reader, c.least, 2);
    auto session = open_session(stream, options_for(kSettings[0], 1, 512));
    const moe::Sequence s = *session->open();
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto out = session->step(s, c.ids, moe::Logits::all);
      REQUIRE_FALSE(out.has_value());
      CHECK(out.error().code == moe::ErrorCode::io);
      CHECK_MESSAGE(out.error().message.find("the disk is gone") != std::string::npos, out.error().message);
      CHECK(*session->length(s) == 0);
    }
  }
}

TEST_CASE("a step can be cancelled between experts, and the next one is right") {
  const Case c = first_case();
  const auto stream = streamed(c.model, reader_of(c.model, {3, 300}), c.least, 3);
  int calls = 0, limit = 0;
  moe::SessionOptions options = options_for(kSettings[0], 1, 512);
  options.cancelled = [&] { return ++calls > limit; };
  auto session = open_session(stream, options);
  const moe::Sequence s = *session->open();
  for (limit = 0; limit < 12; ++limit) {
    calls = 0;
    const auto out = session->step(s, c.ids, moe::Logits::all);
    if (out) break;  // it needed fewer calls
    CHECK(out.error().code == moe::ErrorCode::cancelled);
  }
  limit = 1 << 30;
  REQUIRE(session->rewind(s, 0).has_value());
  CHECK(same_bits(step(*session, s, c.ids), c.expected));
}

TEST_CASE("sessions in several threads share the least memory without waiting for each other for ever") {
  const Case c = first_case();
  const auto stream = streamed(c.model, reader_of(c.model, {5, 100}), c.least, 2);
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round)
        equal += same_bits(whole_logits(stream, options_for(kSettings[0], 1, i % 2 == 0 ? 512 : 5), c.ids), c.expected);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(equal == 18);
}

TEST_CASE("several threads read one expert, and the rest of one that failed is not read") {
  const Case c = first_case();
  const auto reader = reader_of(c.model, {7, 2000});
  auto session = open_session(streamed(c.model, reader, c.least, 4), options_for(kSettings[0], 1, 1));
  const moe::Sequence s = *session->open();
  static_cast<void>(step(*session, s, {c.ids.begin(), c.ids.begin() + 4}));
  CHECK(reader->most_together() > 1);
  const auto bad = reader_of(c.model, {1, 0, 0});
  auto failing = open_session(streamed(c.model, bad, c.least, 1), options_for(kSettings[0], 1, 1));
  CHECK_FALSE(failing->step(*failing->open(), {c.ids.data(), 1}, moe::Logits::all).has_value());
  CHECK(bad->reads() <= c.model->config().router.top_k);  // one part of each
}

TEST_CASE("experts read on a guess are there for the next layer, and guesses that are wrong end") {
  const Case c = case_with_two_layers();
  const std::vector<std::int64_t> layers = moe_layers(*c.model);
  const auto reader = reader_of(c.model);
  const auto source = *moe::ExpertSource::create(reader, *moe::impl_of(*c.model).weights, {c.least, 2});
  const auto use = [](moe::ExpertSource::Visit& visit) {
    std::vector<std::int32_t> used;
    for (;;) {
      const auto leases = *visit.next(1);
      if (leases.empty()) return used;
      used.push_back(leases.front().expert);
      visit.release(used.back());
    }
  };
  const auto visit = [&](std::int64_t layer, std::vector<std::int32_t> experts, std::vector<std::int32_t> ahead) {
    auto v = source->visit(layer, experts);
    std::vector<moe::ExpertSource::Guess> guesses;
    for (const std::int32_t expert : ahead) guesses.push_back({expert, static_cast<std::int32_t>(guesses.size())});
    if (!guesses.empty()) v.read_ahead(layers[1], guesses);
    const int parts = 3 * static_cast<int>(experts.size());
    CHECK(use(v).size() == experts.size());
    return parts;
  };
  const int parts = visit(layers[0], {0, 1}, {3, 2});
  // While the visit's own layer is long done.
  const std::int64_t both = 2 * (reader->bundle_bytes(layers[0]) + reader->bundle_bytes(layers[1]));
  while (source->traffic().read_bytes < both) std::this_thread::yield();
  visit(layers[1], {2, 1}, {});
  CHECK(source->traffic().unused_bytes == reader->bundle_bytes(layers[1]));
  CHECK(source->traffic().misses == 4);
  CHECK(reader->reads() == parts + 6 + 3);
  // Ranks are judged one by one: the first was wrong just now, the second right.
  CHECK(source->guessed_ranks(3) == 3);
  const auto seen = [&](std::vector<std::int32_t> guesses, std::vector<std::int32_t> needed) {
    for (int i = 0; i < 64; ++i) {
      visit(layers[0], {0, 1}, guesses);
      visit(layers[1], needed, {});
    }
  };
  seen({3, 2}, {3});
  CHECK(source->guessed_ranks(1) == 1);
  int ranks = 0;
  for (int i = 0; i < 160; ++i) ranks += source->guessed_ranks(3);
  CHECK(ranks == 160 + 10);
  seen({3, 2}, {1});
  ranks = 0;
  for (int i = 0; i < 160; ++i) ranks += source->guessed_ranks(3);
  CHECK(ranks == 10);
  seen({3, 2}, {3, 2});
  CHECK(source->guessed_ranks(3) == 3);
  for (int i = 0; i < 160; ++i) CHECK(source->guessed_ranks(2) == 2);
}

TEST_CASE("a wrong guess was in vain only if it was read and has left") {
  const Case c = case_with_two_layers();
  const std::vector<std::int64_t> layers = moe_layers(*c.model);
  const auto source_with = [&](const std::shared_ptr<MemoryReader>& reader, std::int64_t bytes) {
    return *moe::ExpertSource::create(reader, *moe::impl_of(*c.model).weights, {bytes, 1});
  };
  const auto visit = [&](moe::ExpertSource& source, std::int64_t layer, std::int32_t expert, bool guesses) {
    auto v = source.visit(layer, std::vector<std::int32_t>{expert});
    const moe::ExpertSource::Guess guess = {3, 0};
    if (guesses) v.read_ahead(layers[1], {&guess, 1});
    REQUIRE((*v.next(1)).size() == 1);
    v.release(expert);
  };
  // With room for all it stays, and is a hit when it is needed.
  const auto reader = reader_of(c.model);
  const auto roomy = source_with(reader, moe::ExpertCache::most_bytes(expert_shapes(*c.model)));
  visit(*roomy, layers[0], 0, true);
  const std::int64_t both = reader->bundle_bytes(layers[0]) + reader->bundle_bytes(layers[1]);
  while (roomy->traffic().read_bytes < both) std::this_thread::yield();
  visit(*roomy, layers[1], 1, false);
  visit(*roomy, layers[1], 3, false);
  CHECK(roomy->traffic().unused_bytes == 0);
  CHECK(roomy->traffic().hits == 1);
  // One that could not be read is no traffic.
  MemoryReader::Options fails;
  fails.fails = [&](std::int64_t layer, std::int64_t expert) { return layer == layers[1] && expert == 3; };
  const auto broken = reader_of(c.model, fails);
  const auto tight = source_with(broken, c.least);
  visit(*tight, layers[0], 0, true);
  while (broken->reads() < 4) std::this_thread::yield();
  visit(*tight, layers[1], 1, false);
  CHECK(tight->traffic().unused_bytes == 0);
  CHECK(tight->traffic().read_bytes == both);
}

TEST_CASE("right guesses that could not be read are read again: an error of the layer, and no slot is lost") {
  const Case c = case_with_two_layers();
  const std::vector<std::int64_t> layers = moe_layers(*c.model);
  std::atomic<bool> is_gone{true};
  MemoryReader::Options fails;
  fails.fails = [&](std::int64_t layer, std::int64_t expert) { return is_gone && layer == layers[1] && expert != 0; };
  const auto reader = reader_of(c.model, fails);
  const auto source = *moe::ExpertSource::create(reader, *moe::impl_of(*c.model).weights, {c.least, 1});
  const std::vector<moe::ExpertSource::Guess> guesses = {{1, 0}, {2, 1}, {3, 2}, {4, 3}};
  const auto use_all = [&](moe::ExpertSource::Visit& visit) -> moe::Result<std::size_t> {
    for (std::size_t used = 0;; ++used) {
      const auto leases = visit.next(1);
      if (!leases) return moe::forward(leases);
      if (leases->empty()) return used;
      visit.release(leases->front().expert);
    }
  };
  {
    auto first = source->visit(layers[0], std::vector<std::int32_t>{0});
    first.read_ahead(layers[1], guesses);
    REQUIRE(use_all(first).value() == 1);
    while (reader->reads() < 3 + 4) std::this_thread::yield();
  }
  {
    // Expert 0 lies first in the file: it needs a slot that a failed guess has.
    auto second = source->visit(layers[1], std::vector<std::int32_t>{0, 1, 2, 3, 4});
    const auto used = use_all(second);
    REQUIRE_FALSE(used.has_value());
    CHECK(used.error().code == moe::ErrorCode::io);
  }
  is_gone = false;
  for (const std::int64_t layer : layers) {
    auto again = source->visit(layer, std::vector<std::int32_t>{0, 1, 2, 3, 4});
    const auto all = use_all(again);
    REQUIRE_MESSAGE(all.has_value(), all.error().message);
    CHECK(*all == 5);
  }
}

TEST_CASE("of several reads that fail, each visit gets the error of its own") {
  const Case c = case_with_two_layers();
  const std::vector<std::int64_t> layers = moe_layers(*c.model);
  const auto source =
      *moe::ExpertSource::create(reader_of(c.model, {1, 0, 0}), *moe::impl_of(*c.model).weights, {c.least, 1});
  auto first = source->visit(layers[0], std::vector<std::int32_t>{0});
  auto second = source->visit(layers[1], std::vector<std::int32_t>{1});
  const auto check = [](moe::ExpertSource::Visit& visit, std::int64_t layer, int expert) {
    const auto leases = visit.next(1);
    REQUIRE_FALSE(leases.has_value());
    const std::string name = "layer " + std::to_string(layer) + ", expert " + std::to_string(expert) + ":";
    CHECK_MESSAGE(leases.error().message.starts_with(name), leases.error().message);
  };
  check(second, layers[1], 1);
  check(first, layers[0], 0);
}

TEST_CASE("a part with another checksum is an error of its layer, and the other experts are there") {
  const Case c = case_with_two_layers();
  const std::vector<std::int64_t> layers = moe_layers(*c.model);
  std::atomic<bool> is_damaged{true};
  MemoryReader::Options options;
  options.most_us = 200;
  options.is_damaged = [&](std::int64_t layer, std::int64_t expert, std::int64_t part) {
    return is_damaged && layer == layers[1] && expert == 1 && part == 1;
  };
  const auto source =
      *moe::ExpertSource::create(reader_of(c.model, options), *moe::impl_of(*c.model).weights, {c.least, 2});
  const auto use_all = [&](std::int64_t layer, bool guesses = false) -> moe::Result<std::size_t> {
    auto visit = source->visit(layer, std::vector<std::int32_t>{0, 1, 2});
    const std::vector<moe::ExpertSource::Guess> ahead = {{1, 0}, {2, 1}};
    if (guesses) visit.read_ahead(layers[1], ahead);
    for (std::size_t used = 0;; ++used) {
      const auto leases = visit.next(1);
      if (!leases) return moe::forward(leases);
      if (leases->empty()) return used;
      visit.release(leases->front().expert);
    }
  };
  for (const bool guesses : {false, true, true}) {
    CHECK(use_all(layers[0], guesses).value() == 3);
    const auto refused = use_all(layers[1]);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == moe::ErrorCode::bad_file);
    CHECK(refused.error().message.find("expert 1: another checksum") != std::string::npos);
  }
  CHECK(use_all(layers[0]).value() == 3);
  is_damaged = false;
  CHECK(use_all(layers[1]).value() == 3);
}

TEST_CASE("one token's layers ask ahead for a few experts of the next") {
  const Case c = case_with_two_layers();
  const auto reader = reader_of(c.model);
  const auto shapes = expert_shapes(*c.model);
  const auto stream = streamed(c.model, reader, (c.least + moe::ExpertCache::most_bytes(shapes)) / 2, 2);
  moe::SessionOptions options = options_for(kSettings[0], 1, 1);
  auto session = open_session(stream, options);
  const moe::Sequence s = *session->open();
  for (const moe::TokenId id : c.ids) static_cast<void>(step(*session, s, {&id, 1}));
  // Wrong guesses are the ones that can be seen from outside: they were read and not used.
  CHECK(stream->expert_traffic().unused_bytes > 0);
  CHECK(stream->expert_traffic().unused_bytes < stream->expert_traffic().read_bytes / 2);
}

TEST_CASE("memory below the least is refused with the number that works") {
  const Case c = first_case();
  const auto source = moe::ExpertSource::create(reader_of(c.model), *moe::impl_of(*c.model).weights, {c.least - 1, 2});
  REQUIRE_FALSE(source.has_value());
  CHECK(source.error().code == moe::ErrorCode::out_of_memory);
  CHECK(source.error().message.find(std::to_string(c.least)) != std::string::npos);
  CHECK(moe::ExpertSource::create(reader_of(c.model), *moe::impl_of(*c.model).weights, {c.least, 0}).error().code ==
        moe::ErrorCode::bad_argument);
}

}  // namespace streamed_experts_test
