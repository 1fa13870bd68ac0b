// Which experts stay in memory: hit rates of the policy on traffic of known form, and slots that are never lost.

#include "model/expert_cache.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

namespace expert_cache_test {

namespace {

using State = moe::CachedExpert::State;

constexpr std::int64_t kBundle = 4096;

// One layer's visit by itself: what is not there is read at once, and everything is released.
int hits_of_visit(moe::ExpertCache& cache, std::int64_t layer, const std::vector<std::int32_t>& experts) {
  int hits = 0;
  cache.count_visit(layer, experts);
  for (const std::int32_t expert : experts) {
    moe::CachedExpert& e = cache.at(layer, expert);
    if (e.state == State::ready) {
      ++hits;
      continue;
    }
    REQUIRE(cache.take_slot(layer, expert, true));
    e.state = State::ready;
    if (e.is_transient) cache.drop(layer, expert);
  }
  return hits;
}

// With room to keep that many experts.
moe::ExpertCache cache_of(std::int64_t layers, std::int64_t experts, std::int64_t kept) {
  moe::ExpertCache cache;
  const std::vector<moe::ExpertCache::Shape> shapes(static_cast<std::size_t>(layers), {experts, kBundle});
  std::int64_t bytes = moe::ExpertCache::least_bytes(shapes);
  const auto kept_in = [&](std::int64_t n) {
    const auto sizes = moe::ExpertCache::divide(shapes, n).front();
    return sizes.slots - sizes.transient_slots;
  };
  while (kept_in(bytes) < kept) bytes += kBundle;
  REQUIRE(kept_in(bytes) == kept);
  REQUIRE(cache.create(shapes, bytes).has_value());
  return cache;
}

}  // namespace

TEST_CASE("passes over all experts keep a fixed set: every kept slot is a hit in the next pass") {
  moe::ExpertCache cache = cache_of(6, 32, 48);
  std::vector<std::int32_t> all(32);
  for (std::int32_t e = 0; e < 32; ++e) all[static_cast<std::size_t>(e)] = e;
  for (int pass = 0; pass < 5; ++pass) {
    int hits = 0;
    for (std::int64_t layer = 0; layer < 6; ++layer) hits += hits_of_visit(cache, layer, all);
    CHECK(hits == (pass == 0 ? 0 : 48));
  }
}

TEST_CASE("popular experts stay: half of the traffic to an eighth of the experts is nearly all hits") {
  moe::ExpertCache cache = cache_of(2, 64, 20);
  std::minstd_rand random(7);
  int popular = 0, popular_hits = 0;
  for (int visit = 0; visit < 3000; ++visit)
    for (std::int64_t layer = 0; layer < 2; ++layer) {
      const bool is_popular = random() % 2 == 0;
      const auto expert = static_cast<std::int32_t>(is_popular ? random() % 8 : 8 + random() % 56);
      const int hits = hits_of_visit(cache, layer, {expert});
      if (visit < 500 || !is_popular) continue;
      ++popular, popular_hits += hits;
    }
  CHECK_MESSAGE(popular_hits > popular * 85 / 100, popular_hits << " of " << popular);
}

TEST_CASE("what was popular gives way to what is popular now") {
  moe::ExpertCache cache = cache_of(1, 64, 8);
  int last_hits = 0;
  for (const std::int32_t first : {0, 32}) {
    last_hits = 0;
    for (int visit = 0; visit < 400; ++visit) {
      const int hits = hits_of_visit(cache, 0, {first + visit % 8});
      if (visit >= 300) last_hits += hits;
    }
  }
  CHECK(last_hits == 100);
}

TEST_CASE("what was read on a guess stays if it is chosen more often than what has a place") {
  moe::ExpertCache cache = cache_of(1, 16, 1);
  const auto guess = [&](std::int32_t expert) -> moe::CachedExpert& {
    REQUIRE(cache.take_slot(0, expert, false));
    cache.at(0, expert).state = State::ready;
    return cache.at(0, expert);
  };
  CHECK_FALSE(guess(0).is_transient);  // the place was free
  moe::CachedExpert& guessed = guess(1);
  CHECK(guessed.is_transient);
  const std::byte* place = cache.memory(0, 1).data();
  cache.admit(0, 1);  // as often as the other: never
  CHECK(guessed.is_transient);
  cache.count_visit(0, std::vector<std::int32_t>{1});
  cache.admit(0, 1);
  CHECK_FALSE(guessed.is_transient);
  CHECK(cache.memory(0, 1).data() == place);
  CHECK(cache.at(0, 0).state == State::absent);
  // As many places that are free again after use as before.
  for (std::int32_t e = 2; e < 2 + moe::ExpertCache::kTransientSlots; ++e) CHECK(guess(e).is_transient);
  CHECK_FALSE(cache.take_slot(0, 15, false));
  // What passes through is no victim: only the one that stays could be, and it was chosen more often.
  cache.count_visit(0, std::vector<std::int32_t>{1, 15});
  CHECK_FALSE(cache.take_slot(0, 15, true));
}

TEST_CASE("what was admitted leaves like any other") {
  moe::ExpertCache cache = cache_of(1, 16, 1);
  for (const std::int32_t expert : {0, 1}) {
    REQUIRE(cache.take_slot(0, expert, false));
    cache.at(0, expert).state = State::ready;
  }
  cache.count_visit(0, std::vector<std::int32_t>{1});
  cache.admit(0, 1);
  for (int i = 0; i < 2; ++i) cache.count_visit(0, std::vector<std::int32_t>{15});
  REQUIRE(cache.take_slot(0, 15, true));
  CHECK_FALSE(cache.at(0, 15).is_transient);
  CHECK(cache.at(0, 1).state == State::absent);
}

TEST_CASE("a guess that nobody needed is counted when it leaves, by whatever way") {
  moe::ExpertCache cache = cache_of(1, 16, 1);
  for (const std::int32_t expert : {0, 1, 2}) {  // 0 has the place of one that stays
    REQUIRE(cache.take_slot(0, expert, false));
    cache.at(0, expert).state = State::ready;
    cache.at(0, expert).is_guess = expert != 2;
  }
  CHECK(cache.unused_bytes() == 0);
  cache.drop(0, 1);
  cache.drop(0, 2);
  CHECK(cache.unused_bytes() == kBundle);
  cache.count_visit(0, std::vector<std::int32_t>{15});
  REQUIRE(cache.take_slot(0, 15, true));
  CHECK(cache.at(0, 0).state == State::absent);
  CHECK(cache.unused_bytes() == 2 * kBundle);
}

TEST_CASE("the one that leaves was chosen least often, counted in visits of its own layer") {
  constexpr std::int32_t kLayers = 2, kExperts = 16;
  moe::ExpertCache cache = cache_of(kLayers, kExperts, 6);
  double frequency[kLayers][kExperts] = {};
  std::minstd_rand random(11);
  int left = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::int64_t layer = random() % 10 == 0 ? 1 : 0;
    const auto expert = static_cast<std::int32_t>(random() % kExperts);
    for (double& f : frequency[layer]) f *= std::exp(-0.02);
    frequency[layer][expert] += 1.0;
    std::set<std::pair<std::int64_t, std::int32_t>> before;
    double least = 1e300;
    for (std::int64_t l = 0; l < kLayers; ++l)
      for (std::int32_t e = 0; e < kExperts; ++e)
        if (cache.at(l, e).state == State::ready) before.insert({l, e}), least = std::min(least, frequency[l][e]);
    hits_of_visit(cache, layer, {expert});
    for (const auto& [l, e] : before) {
      if (cache.at(l, e).state == State::ready) continue;
      ++left;
      CHECK(frequency[l][e] == doctest::Approx(least).epsilon(1e-9));
    }
  }
  CHECK(left > 100);
}

TEST_CASE("slots are never lost, shared or given to a used expert") {
  moe::ExpertCache cache = cache_of(3, 16, 5);
  std::minstd_rand random(3);
  std::set<std::pair<std::int64_t, std::int32_t>> pinned;
  for (int i = 0; i < 20000; ++i) {
    const auto layer = static_cast<std::int64_t>(random() % 3);
    const auto expert = static_cast<std::int32_t>(random() % 16);
    moe::CachedExpert& e = cache.at(layer, expert);
    if (pinned.count({layer, expert}) != 0) {
      pinned.erase({layer, expert});
      if (--e.pins == 0 && e.is_transient) cache.drop(layer, expert);
      continue;
    }
    const bool guessed = random() % 3 == 0;
    if (!guessed) cache.count_visit(layer, std::vector<std::int32_t>{expert});
    if (e.state == State::absent) {
      if (!cache.take_slot(layer, expert, random() % 2 == 0)) {
        CHECK(pinned.size() >= moe::ExpertCache::kTransientSlots);
        continue;
      }
      e.state = State::ready;
    }
    e.pins += 1;
    pinned.insert({layer, expert});
    if (guessed) {
      cache.count_visit(layer, std::vector<std::int32_t>{expert});
      cache.admit(layer, expert);
    }
    std::set<const std::byte*> places;
    for (const auto& [l, x] : pinned) {
      REQUIRE(cache.at(l, x).state == State::ready);
      places.insert(cache.memory(l, x).data());
    }
    REQUIRE(places.size() == pinned.size());
  }
}

TEST_CASE("bytes are divided between sizes of bundles by what they hold, and never exceeded") {
  const std::vector<moe::ExpertCache::Shape> layers = {{0, 0}, {8, 4096}, {8, 8192}, {8, 8192}};
  const std::int64_t least = moe::ExpertCache::least_bytes(layers), most = moe::ExpertCache::most_bytes(layers);
  CHECK(least == 4 * (4096 + 8192));
  CHECK(most == least + 8 * 4096 + 16 * 8192);
  for (std::int64_t bytes = least; bytes <= most + 8192; bytes += 4096) {
    std::int64_t used = 0;
    const auto classes = moe::ExpertCache::divide(layers, bytes);
    REQUIRE(classes.size() == 2);
    for (const auto& c : classes) used += c.bundle_bytes * c.slots;
    CHECK(used <= bytes);
  }
  // A quarter of what is above the least passes through, up to a limit; where all can stay, they do.
  const std::vector<moe::ExpertCache::Shape> one = {{100, 4096}};
  for (const auto& [more, transient] : {std::pair{0, 4}, {3, 4}, {4, 5}, {40, 14}, {80, 24}, {99, 24}, {100, 4}}) {
    const auto sizes = moe::ExpertCache::divide(one, (4 + more) * 4096).front();
    CHECK(sizes.slots == 4 + more);
    CHECK(sizes.transient_slots == transient);
  }
  const auto all = moe::ExpertCache::divide(layers, most);
  CHECK(all[0].slots == 12);
  CHECK(all[1].slots == 20);
  moe::ExpertCache cache;
  const auto refused = cache.create(layers, least - 1);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find(std::to_string(least)) != std::string::npos);
}

}  // namespace expert_cache_test
