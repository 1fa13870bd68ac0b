// Fewer experts per token, by layer and by mass, on every golden model that routes.

#include <algorithm>

#include "golden/golden.hpp"
#include "moe/flops.hpp"

namespace experts_test {

namespace {

using namespace moe_test;
using ModelPointer = std::shared_ptr<const moe::Model>;

// Calls body(model) for the golden models with experts, two per token at least.
template <class Body>
void each_router(Body&& body) {
  int seen = 0;
  for (const GoldenCase& g : golden_cases()) {
    if (g.model.extension() == ".gguf") continue;  // the same routers once more
    const auto info = moe::Model::inspect(g.model.string());
    if (!info || info->config.router.top_k < 2) continue;
    const auto model = moe::Model::load(g.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    if (!model) continue;  // reported by golden_models
    CAPTURE(g.name);
    body(*model);
    ++seen;
  }
  CHECK(seen > 0);
}

ModelPointer with(const ModelPointer& model, const moe::ExpertOptions& options) {
  const auto changed = model->with_experts(options);
  if (!changed) FAIL(changed.error().message);
  return *changed;
}

// One expert less in every second MoE layer.
std::vector<std::int64_t> uneven(const moe::ModelConfig& c) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < c.moe_layer_count(); ++i) out.push_back(c.router.top_k - (i % 2 == 0));
  return out;
}

std::vector<ModelPointer> variants(const ModelPointer& model) {
  const auto list = uneven(model->config());
  return {with(model, {.top_k = list}), with(model, {.expert_mass = 0.6}),
          with(model, {.top_k = list, .expert_mass = 0.8, .mass_variant = moe::MassVariant::plain})};
}

}  // namespace

TEST_CASE("a mass of 1, and a list of equal numbers, change no bit") {
  each_router([](const ModelPointer& model) {
    const moe::ModelConfig& c = model->config();
    const auto ids = prompt_for(c, 3);
    for (const Setting& setting : kSettings) {
      const auto logits = [&](const ModelPointer& m) { return whole_logits(m, options_for(setting, 2, 64), ids); };
      const auto as_it_is = logits(model);
      CHECK(same_bits(logits(with(model, {.expert_mass = 1.0})), as_it_is));
      const std::vector<std::int64_t> ones(static_cast<std::size_t>(c.moe_layer_count()), 1);
      const auto one = model->with_top_k(1);
      REQUIRE(one.has_value());
      CHECK(same_bits(logits(with(model, {.top_k = ones})), logits(*one)));
      CHECK_FALSE(same_bits(logits(*one), as_it_is));
    }
  });
}

TEST_CASE("top_k by layer and mass: same bits for any threads, chunk and batch") {
  each_router([](const ModelPointer& model) {
    const auto ids = prompt_for(model->config(), 5);
    const std::size_t half = ids.size() / 2;
    for (const ModelPointer& variant : variants(model)) {
      const Setting& setting = kSettings[1];
      const auto whole = whole_logits(variant, options_for(setting, 1, 512), ids);
      CHECK(same_bits(whole_logits(variant, options_for(setting, 3, 7), ids), whole));
      // Beside another sequence, in two steps.
      auto session = open_session(variant, options_for(setting, 2, 33));
      const moe::Sequence a = *session->open(), b = *session->open();
      const auto tokens = std::span(ids);
      const moe::BatchItem first[] = {{b, tokens.first(5), moe::Logits::all},
                                      {a, tokens.first(half), moe::Logits::all}};
      REQUIRE(session->step(first).has_value());
      const auto rest = step(*session, a, tokens.subspan(half));
      CHECK(same_bits(std::span<const float>(rest), std::span<const float>(whole).last(rest.size())));
    }
  });
}

TEST_CASE("the counter equals the closed form with the measured counts, and the load is made of them") {
  each_router([](const ModelPointer& model) {
    const auto ids = prompt_for(model->config(), 9);
    for (const ModelPointer& variant : variants(model)) {
      const moe::ModelConfig& c = variant->config();
      moe::SessionOptions options = options_for(kSettings[0], 2, 10);
      options.record_routing = true;
      auto session = open_session(variant, options);
      const moe::Sequence a = *session->open(), b = *session->open();
      const auto tokens = std::span(ids);
      const moe::BatchItem items[] = {{a, tokens.first(13), moe::Logits::last, 0},
                                      {b, tokens.first(4), moe::Logits::all, 2}};
      const auto out = session->step(items);
      REQUIRE(out.has_value());
      REQUIRE(out->expert_counts.size() == 2);
      moe::Work expected = moe::forward_work(c, 0, 13, 1, moe::MlaForm::absorbed, out->expert_counts[0]);
      expected += moe::forward_work(c, 0, 4, 4, moe::MlaForm::absorbed, out->expert_counts[1]);
      CHECK(session->executed() == expected);
      const moe::ExpertLoad& load = session->expert_load();
      REQUIRE(load.tallies.size() == 3);
      CHECK(load.tallies[0].tokens == 13);
      CHECK(load.tallies[1].tokens == 0);
      CHECK(load.tallies[2].tokens == 4);
      std::int64_t chosen = 0;
      for (std::size_t l = 0; l < load.layers.size(); ++l) {
        std::vector<std::int64_t> counts(static_cast<std::size_t>(load.expert_count), 0);
        for (const moe::TokenRouting& token : session->routing()[static_cast<std::size_t>(load.layers[l])]) {
          CHECK(token.experts.size() == token.weights.size());
          CHECK(static_cast<std::int64_t>(token.experts.size()) <= c.moe_layer_top_k(static_cast<std::int64_t>(l)));
          for (const std::int32_t e : token.experts) ++counts[static_cast<std::size_t>(e)], ++chosen;
        }
        for (std::size_t e = 0; e < counts.size(); ++e)
          CHECK(load.tallies[0].counts[l * counts.size() + e] + load.tallies[2].counts[l * counts.size() + e] ==
                counts[e]);
      }
      CHECK(chosen == out->expert_counts[0] + out->expert_counts[1]);
      CHECK(chosen <= moe::routed_expert_count(c, 17));
      if (c.router.expert_mass == 1.0) CHECK(chosen == moe::routed_expert_count(c, 17));
    }
  });
}

}  // namespace experts_test
