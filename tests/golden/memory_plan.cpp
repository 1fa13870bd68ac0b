// Plans of memory: what they promise is what a session takes, they stay within the limit, and a limit that is too small
// names one that works.

#include "moe/memory_plan.hpp"

#include <limits>
#include <regex>

#include "golden/golden.hpp"
#include "golden/memory_reader.hpp"
#include "golden/mtp_support.hpp"
#include "model/workspace.hpp"
#include "scratch_dir.hpp"

namespace memory_plan_test {

namespace {

using namespace moe_test;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

std::vector<std::pair<std::string, std::string>> paths() {
  std::vector<std::pair<std::string, std::string>> out;
  std::vector<GoldenCase> cases = golden_cases();
  for (GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden"))
    cases.push_back(std::move(c));
  for (const GoldenCase& c : cases) out.emplace_back(c.name, c.model.string());
  return out;
}

/// A model of Qwen3-30B-A3B's shapes in q4_0, of which there is no file.
moe::ModelInfo large_model() {
  moe::ModelInfo info;
  moe::ModelConfig& c = info.config;
  c.family = "qwen3_moe";
  c.layer_count = 48, c.hidden_size = 2048, c.vocab_size = 151936, c.max_position = 40960;
  c.head_count = 32, c.kv_head_count = 4, c.head_dim = c.v_head_dim = 128;
  c.intermediate_size = 6144, c.moe_intermediate_size = 768;
  c.router.expert_count = 128, c.router.top_k = 8;
  info.packed = moe::assumed_sizes(c, moe::Format::q4_0);
  return info;
}

}  // namespace

TEST_CASE("sizes from headers are those of the loaded weights") {
  int with_experts = 0;
  for (const auto& [name, path] : paths()) {
    const auto info = moe::Model::inspect(path);
    const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
    if (!info || !model) continue;
    const std::string& model_name = name;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(model_name);
    const auto shapes = expert_shapes(**model);
    REQUIRE(info->packed.expert.size() == shapes.size());
    std::int64_t routed = 0;
    for (std::size_t l = 0; l < shapes.size(); ++l) {
      CHECK(info->packed.expert[l] == shapes[l].bundle_bytes);
      for (const moe::FfnWeights& e : moe::impl_of(**model).weights->layers[l].experts)
        for (const moe::Matrix* m : {&e.gate, &e.up, &e.down}) routed += (m->bytes() + 63) / 64 * 64;
    }
    CHECK(info->packed.always + routed == (*model)->resident_bytes());
    with_experts += routed > 0;
    // A directory of one format has the sizes that its configuration and the format give, but for norms and biases.
    if (info->formats.size() != 1 || info->formats.front().name != "bf16") continue;
    const moe::PackedSizes assumed = moe::assumed_sizes(info->config, moe::Format::bf16);
    CHECK(assumed.expert == info->packed.expert);
    const auto matrices = static_cast<std::int64_t>(moe::impl_of(**model).weights->memory.size());
    CHECK(assumed.always + routed >= matrices);
  }
  CHECK(with_experts > 0);
}

TEST_CASE("a plan stays within its limit, and less memory means fewer experts in it, down to an error") {
  const moe::ModelInfo info = large_model();
  moe::MemoryRequest request;
  request.session.threads.worker_count = 2;
  request.session.max_tokens = 4096;
  for (const bool whole_passes : {false, true}) {
    CAPTURE(whole_passes);
    request.whole_passes = whole_passes;
    request.session.chunk_tokens = whole_passes ? moe::kMaxChunkTokens : 512;
    std::int64_t before = 0, fits_from = 0;
    for (std::int64_t limit = 512 * kMiB; limit <= 32768 * kMiB; limit += 256 * kMiB) {
      request.limit = limit;
      const auto plan = moe::plan_memory(info, request);
      if (!plan) {
        CHECK(plan.error().code == moe::ErrorCode::out_of_memory);
        CHECK(fits_from == 0);  // what works with less works with more
        continue;
      }
      if (fits_from == 0) fits_from = limit;
      CHECK(plan->total_bytes() <= limit);
      if (!plan->streams_experts) {
        CHECK(plan->expert_bytes == 0);
        CHECK(plan->weight_bytes > 16000 * kMiB);
        before = plan->all_expert_bytes;
        continue;
      }
      CHECK(plan->pass_bytes() + plan->kept_expert_bytes == plan->all_expert_bytes);
      if (!whole_passes) CHECK(plan->kept_expert_bytes >= before);
      before = plan->kept_expert_bytes;
    }
    CHECK(fits_from > 0);
    CHECK(fits_from < 4096 * kMiB);
    CHECK(before > 15000 * kMiB);  // the last ones hold everything
  }
}

TEST_CASE("where no step reads experts, the largest one is taken that fits") {
  const moe::ModelInfo info = large_model();
  moe::MemoryRequest request;
  request.session.threads.worker_count = 2;
  request.session.chunk_tokens = moe::kMaxChunkTokens;
  request.whole_passes = true;
  request.limit = 65536 * kMiB;
  const auto whole = moe::plan_memory(info, request);
  REQUIRE(whole.has_value());
  CHECK(!whole->streams_experts);
  request.limit = whole->total_bytes() - 1;
  const auto plan = moe::plan_memory(info, request);
  REQUIRE(plan.has_value());
  CHECK(plan->streams_experts);
  CHECK(plan->pass_bytes() == 0);
  CHECK(plan->chunk_tokens == whole->chunk_tokens / 2);
}

TEST_CASE("the least that an error names works, and a byte less does not") {
  const moe::ModelInfo info = large_model();
  moe::MemoryRequest request;
  request.session.threads.worker_count = 2;
  request.session.max_tokens = 2048;
  request.limit = 100 * kMiB;
  for (const auto& [whole_passes, without_pack] :
       {std::pair(false, false), std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
    request.whole_passes = whole_passes, request.without_pack = without_pack;
    request.limit = 100 * kMiB;
    const auto refused = moe::plan_memory(info, request);
    REQUIRE_FALSE(refused.has_value());
    std::smatch found;
    const std::string& text = refused.error().message;
    REQUIRE(std::regex_search(text, found, std::regex("expected at least ([0-9]+) ")));
    request.limit = std::stoll(found[1]);
    const auto plan = moe::plan_memory(info, request);
    REQUIRE(plan.has_value());
    CHECK(plan->streams_experts != without_pack);
    request.limit -= 1;
    CHECK_FALSE(moe::plan_memory(info, request).has_value());
    if (!without_pack) continue;
    REQUIRE(std::regex_search(text, found, std::regex(", or ([0-9]+) ")));
    request.limit = std::stoll(found[1]), request.without_pack = false;
    CHECK(moe::plan_memory(info, request)->streams_experts);
    request.limit -= 1;
    CHECK_FALSE(moe::plan_memory(info, request).has_value());
  }
}

TEST_CASE("what is reserved is missing from the limit") {
  const moe::ModelInfo info = large_model();
  moe::MemoryRequest request;
  request.session.threads.worker_count = 2;
  request.limit = 8192 * kMiB;
  const auto all = moe::plan_memory(info, request);
  request.limit += 1000 * kMiB, request.reserved_bytes = 1000 * kMiB;
  const auto rest = moe::plan_memory(info, request);
  REQUIRE(all.has_value());
  REQUIRE(rest.has_value());
  CHECK(rest->expert_bytes == all->expert_bytes);
  CHECK(rest->other_bytes == all->other_bytes + 1000 * kMiB);
  CHECK(rest->bytes_beside_another() == rest->total_bytes() - moe::kProgramBytes);
  request.reserved_bytes = -1;
  CHECK(moe::plan_memory(info, request).error().code == moe::ErrorCode::bad_argument);
}

namespace {

// Of at most so many tokens, within 8 GiB.
moe::MemoryRequest whole_passes(std::int64_t tokens) {
  moe::MemoryRequest request;
  request.session.threads.worker_count = 2;
  request.limit = 8192 * kMiB;
  request.whole_passes = true;
  request.session.chunk_tokens = tokens;
  return request;
}

}  // namespace

TEST_CASE("scoring takes larger steps where experts are read") {
  const moe::ModelInfo info = large_model();
  const moe::MemoryRequest request = whole_passes(moe::kMaxChunkTokens);
  const auto plan = moe::plan_memory(info, request);
  REQUIRE(plan.has_value());
  CHECK(plan->streams_experts);
  CHECK(plan->chunk_tokens >= 4096);
}

TEST_CASE("whole passes have the cache that is asked for, and their own where that is more") {
  const moe::ModelInfo info = large_model();
  moe::MemoryRequest request = whole_passes(4096);
  request.session.max_tokens = 1;
  const auto usual = moe::plan_memory(info, request);
  REQUIRE(usual.has_value());
  CHECK(usual->cache_tokens == 2 * usual->chunk_tokens + 4096);
  constexpr std::int64_t kTokens = 36000 + 4096, kTokenBytes = 48 * 2 * 4 * 128 * 2;
  request.session.max_tokens = kTokens;
  const auto deep = moe::plan_memory(info, request);
  REQUIRE(deep.has_value());
  CHECK(deep->cache_tokens == kTokens);
  CHECK(deep->cache_bytes >= kTokens * kTokenBytes);
  CHECK(deep->total_bytes() <= request.limit);
}

TEST_CASE("more experts per token are planned as a session of them takes its memory") {
  const auto model = moe::Model::load((std::filesystem::path(MOE_SOURCE_DIR) / "models/nano/nano-moe").string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  moe::MemoryRequest request;
  request.limit = 2048 * kMiB;
  request.whole_passes = true;
  std::int64_t before = 0;
  for (const std::int64_t top_k : {1, 4, 32}) {
    CAPTURE(top_k);
    request.experts.top_k = {top_k};
    const auto plan = moe::plan_memory((*model)->info(), request);
    REQUIRE_MESSAGE(plan.has_value(), plan.error().message);
    const auto changed = (*model)->with_top_k(top_k);
    REQUIRE(changed.has_value());
    moe::SessionOptions options;
    options.chunk_tokens = plan->chunk_tokens, options.max_tokens = plan->cache_tokens;
    CHECK(plan->scratch_bytes == moe::Session::estimate_memory(**changed, options).scratch_bytes);
    CHECK(plan->scratch_bytes > before);
    before = plan->scratch_bytes;
  }
  request.experts.top_k = {33};  // 4 of 8 groups of 8 experts are kept
  CHECK(moe::plan_memory((*model)->info(), request).error().code == moe::ErrorCode::bad_config);
}

TEST_CASE("with an MTP layer a plan has the states of a few chunks, however long prompts are") {
  const ScratchDir scratch("moe_memory_plan");
  const GoldenCase c = models_for_mtp_copies().front();
  const auto info = moe::Model::inspect(write_mtp_copy(c.model, scratch.dir / c.name).string());
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  REQUIRE(info->mtp_bytes > 0);
  const auto mtp = moe::mtp_config(info->config);
  REQUIRE(mtp.has_value());
  moe::MemoryRequest request;
  request.limit = 65536 * kMiB;
  request.session.threads.worker_count = 2;
  for (const std::int64_t tokens : {1024, 65536})
    for (const std::int64_t chunk : {64, 512}) {
      CAPTURE(tokens);
      CAPTURE(chunk);
      request.session.max_tokens = tokens;
      request.session.chunk_tokens = chunk;
      request.mtp = false;
      const auto without = moe::plan_memory(*info, request);
      request.mtp = true;
      const auto with = moe::plan_memory(*info, request);
      REQUIRE(without.has_value());
      REQUIRE(with.has_value());
      const std::int64_t workspace =
          moe::scratch_bytes(*mtp, {with->chunk_tokens, 2, with->streams_experts, with->cache_tokens});
      CHECK(with->scratch_bytes - without->scratch_bytes - workspace == 6 * chunk * mtp->hidden_size * 4);
    }
}

TEST_CASE("requests that make no sense are refused") {
  moe::ModelInfo info = large_model();
  moe::MemoryRequest request;
  request.limit = -1;
  CHECK(moe::plan_memory(info, request).error().code == moe::ErrorCode::bad_argument);
  request.limit = 1;
  request.session.chunk_tokens = 0;
  CHECK(moe::plan_memory(info, request).error().code == moe::ErrorCode::bad_argument);
  request.session.chunk_tokens = 512;
  // Numbers whose sums would not fit 64 bits.
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  moe::MemoryRequest reserved = request;
  reserved.reserved_bytes = kMost;
  CHECK(moe::plan_memory(info, reserved).error().code == moe::ErrorCode::bad_argument);
  moe::MemoryRequest long_cache = request;
  long_cache.session.max_tokens = kMost;
  CHECK(moe::plan_memory(info, long_cache).error().code == moe::ErrorCode::bad_argument);
  long_cache.session.max_tokens = std::int64_t{1} << 40;
  long_cache.limit = kMost;
  long_cache.reserved_bytes = std::int64_t{1} << 59;
  CHECK(moe::plan_memory(info, long_cache).has_value());
  info.packed = {};
  CHECK(moe::plan_memory(info, request).error().code == moe::ErrorCode::bad_argument);
}

}  // namespace memory_plan_test
