// The numerics contract end to end: the same logits, bit for bit, over instruction sets, threads, chunk sizes, batches,
// cached and recomputed prefixes, for every golden model of a known family, in both precisions and all cache types.

#include <array>
#include <cfenv>
#include <cstdlib>
#include <string_view>

#include "golden/golden.hpp"
#include "golden/wide_model.hpp"
#include "kernels/table.hpp"

namespace contract_test {

namespace {

using namespace moe_test;

/// Names the instruction set for the scope.
struct ForcedIsa {
  explicit ForcedIsa(const char* isa)
      : had(std::getenv("MOE_ISA") != nullptr), before(had ? std::getenv("MOE_ISA") : "") {
    setenv("MOE_ISA", isa, 1);
  }
  ~ForcedIsa() { had ? setenv("MOE_ISA", before.c_str(), 1) : unsetenv("MOE_ISA"); }
  bool had;
  std::string before;
};

// Two sequences in one batch, in uneven stretches, then a fork that continues and a rewound one that recomputes.
void check_sharing(const std::shared_ptr<const moe::Model>& model, const moe::SessionOptions& options,
                   const std::vector<moe::TokenId>& ids, const std::vector<float>& expected) {
  const auto V = static_cast<std::size_t>(model->config().vocab_size);
  auto session = open_session(model, options);
  const moe::Sequence a = *session->open(), b = *session->open();
  const std::vector<moe::TokenId> other = prompt_for(model->config(), 5);
  const std::size_t cut = ids.size() / 2 + 3;
  const std::span<const moe::TokenId> all(ids);
  const moe::BatchItem both[] = {{b, std::span(other).first(17), moe::Logits::none},
                                 {a, all.first(cut), moe::Logits::all}};
  auto out = session->step(both);
  REQUIRE(out.has_value());
  REQUIRE(out->row_count == static_cast<std::int64_t>(cut));
  CHECK(std::memcmp(out->logits.get(), expected.data(), cut * V * sizeof(float)) == 0);

  const moe::Sequence fork = *session->fork(a);
  const std::vector<float> tail(expected.begin() + static_cast<std::ptrdiff_t>(cut * V), expected.end());
  CHECK(same_bits(step(*session, fork, all.subspan(cut)), tail));
  // The parent continues and is rewound: its cache is not affected by the fork, nor the fork by it.
  static_cast<void>(step(*session, a, std::span(other).first(20), moe::Logits::none));
  REQUIRE(session->rewind(a, static_cast<std::int64_t>(cut)).has_value());
  CHECK(same_bits(step(*session, a, all.subspan(cut)), tail));
  REQUIRE(session->rewind(fork, static_cast<std::int64_t>(ids.size()) - 1).has_value());
  const std::vector<float> last(expected.end() - static_cast<std::ptrdiff_t>(V), expected.end());
  CHECK(same_bits(step(*session, fork, all.last(1)), last));
}

// Every way to compute the same logits, for one setting.
void check_contract(const std::shared_ptr<const moe::Model>& model, const Setting& setting) {
  CAPTURE(setting.name);
  int isa_count = 0;
  const moe::kernels::KernelTable* const* tables = moe::kernels::runnable_tables(isa_count);
  const std::vector<moe::TokenId> ids = prompt_for(model->config(), 0);
  const auto V = static_cast<std::size_t>(model->config().vocab_size);
  const std::vector<float> expected = whole_logits(model, options_for(setting, 1, 512), ids);
  // These models are so small that their blocks stay in one thread unless every block is to be shared.
  for (int threads : {2, 3}) {
    moe::SessionOptions shared = options_for(setting, threads, 512);
    shared.share_from_ns = 0;
    CHECK(same_bits(whole_logits(model, shared, ids), expected));
  }
  CHECK(same_bits(whole_logits(model, options_for(setting, 1, 1), ids), expected));
  CHECK(same_bits(whole_logits(model, options_for(setting, 2, 37), ids), expected));
  for (int i = 0; i < isa_count; ++i) {
    CAPTURE(tables[i]->isa);
    const ForcedIsa forced(tables[i]->isa);
    REQUIRE(moe::kernels::active_table() == tables[i]);
    // The scalar table is tens of times slower: a prefix that crosses one key block. Later tokens change no logit of
    // it.
    const std::size_t count =
        std::string_view(tables[i]->isa) == "scalar" ? std::min<std::size_t>(ids.size(), 70) : ids.size();
    const std::vector<moe::TokenId> some(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
    const std::vector<float> prefix(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(count * V));
    CHECK(same_bits(whole_logits(model, options_for(setting, 2, 64), some), prefix));
  }
  check_sharing(model, options_for(setting, 2, 64), ids, expected);
}

/// Of golden-2026, by default the models with arithmetic that no model of golden has: each costs seconds.
bool adds_arithmetic(const GoldenCase& c) {
  if (c.name.ends_with("-bf16.gguf")) return false;  // the values of a directory, which is here as well
  if (std::getenv("MOE_GOLDEN_DIR") != nullptr || c.model.string().find("golden-2026") == std::string::npos)
    return true;
  for (const char* name :
       {"ministral3", "olmo3", "smollm3", "phi3_longrope", "gemma4_moe", "gemma4_ple", "deepseek_v32", "glm_moe_dsa"})
    if (c.name == name) return true;
  return false;
}

}  // namespace

TEST_CASE("the same bits over instruction sets, threads, chunks, batches and cached prefixes") {
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (!adds_arithmetic(c)) continue;
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    if (!model) continue;  // the model test reports it
    CAPTURE(c.name);
    for (const Setting& setting : kSettings) check_contract(*model, setting);
    ++checked;
  }
  CHECK(checked > 0);
}

TEST_CASE("the same for a model of 256-wide rows in every format that is written") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  int checked = 0;
  for (const moe::FormatInfo& info : moe::kFormats) {
    CAPTURE(info.name);
    const auto report = moe::quantize(scratch.file("wide"), scratch.file("wide.gguf"), to(info.format));
    if (!report) continue;  // read, not written
    auto model = moe::Model::load(scratch.file("wide.gguf"), {.tokenizer = moe::TokenizerUse::optional});
    if (!model) FAIL(model.error().message);
    check_contract(*model, kSettings[1]);
    ++checked;
  }
  CHECK(checked >= 10);
}

TEST_CASE("the bits do not depend on the rounding mode of the thread that calls") {
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    CAPTURE(c.name);
    const auto logits = [&] {
      const auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::none});
      if (!model) return std::vector<float>();  // models.cpp says why
      return whole_logits(*model, options_for(kSettings[0], 2, 37), prompt_for((*model)->config(), 0));
    };
    const std::vector<float> expected = logits();
    const int before = std::fegetround();
    std::fesetround(FE_UPWARD);
    const std::vector<float> upward = logits();
    std::fesetround(before);
    CHECK(same_bits(upward, expected));
    checked += expected.empty() ? 0 : 1;
  }
  CHECK(checked > 0);
}

TEST_CASE("profiling changes no bit and accounts for all of the workers' time") {
  for (const GoldenCase& c : golden_cases()) {
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    if (!model) continue;
    CAPTURE(c.name);
    moe::SessionOptions options = options_for(kSettings[1], 2, 64);
    const auto ids = prompt_for((*model)->config(), 0);
    const std::vector<float> expected = whole_logits(*model, options, ids);
    options.profile = true;
    auto session = open_session(*model, options);
    CHECK(same_bits(step(*session, *session->open(), ids), expected));
    const moe::Profile& p = session->profile();
    std::int64_t busy = 0;
    for (const std::int64_t ns : p.busy_ns) busy += ns;
    for (const moe::Stage s : {moe::Stage::projections, moe::Stage::attention, moe::Stage::experts, moe::Stage::head})
      CHECK(p.busy_ns[static_cast<std::size_t>(s)] > 0);
    CHECK((p.busy_ns[static_cast<std::size_t>(moe::Stage::router)] > 0) ==
          ((*model)->config().router.expert_count > 0));
    CHECK(busy + p.waiting_ns <= p.total_ns);
  }
}

}  // namespace contract_test
