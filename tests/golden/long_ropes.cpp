// LongRoPE: a sequence that grows beyond the original context, or is rewound to less, gives the bits of a new sequence with
// the same tokens, whatever its steps, forks and neighbours; what that costs is counted.

#include <numeric>

#include "golden/golden.hpp"
#include "moe/flops.hpp"

namespace long_ropes_test {

namespace {

using namespace moe_test;

std::shared_ptr<const moe::Model> model() {
  const auto path = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/shapes/phi3_longrope";
  auto loaded = moe::Model::load(path.string(), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_MESSAGE(loaded.has_value(), loaded.error().message);
  REQUIRE((*loaded)->config().rope.scaling == moe::RopeScaling::longrope);
  return *loaded;
}

std::vector<float> fresh(const std::shared_ptr<const moe::Model>& m, std::span<const moe::TokenId> ids,
                         moe::KvType kv = moe::KvType::f32) {
  moe::SessionOptions options = reference_options();
  options.kv = kv;
  auto session = open_session(m, options);
  return step(*session, *session->open(), ids, moe::Logits::last);
}

}  // namespace

TEST_CASE("token by token, every step gives the last logits of the whole") {
  const auto m = model();
  const std::int64_t context = m->config().rope.original_max_position;
  const auto ids = prompt_for(m->config(), 4);
  const auto length = static_cast<std::size_t>(context + 6);
  auto session = open_session(m, reference_options());
  const moe::Sequence s = *session->open();
  moe::Work expected;
  for (std::size_t t = 0; t < length; ++t) {
    CAPTURE(t);
    const auto row = step(*session, s, std::span(ids).subspan(t, 1));
    CHECK(same_bits(row, fresh(m, std::span(ids).first(t + 1))));
    expected += moe::forward_work(m->config(), static_cast<std::int64_t>(t), 1, 1, moe::MlaForm::absorbed);
    CHECK(session->executed() == expected);
  }
  CHECK(session->executed().tokens == static_cast<std::int64_t>(length) + context);  // once more, all but the last ones
}

void check_forks(moe::KvType kv) {
  const auto m = model();
  const auto context = static_cast<std::size_t>(m->config().rope.original_max_position);
  const auto ids = prompt_for(m->config(), 4), other = prompt_for(m->config(), 5);
  const std::span<const moe::TokenId> all(ids);
  moe::SessionOptions options = reference_options();
  options.kv = kv;
  options.chunk_tokens = 7;
  options.record_hidden = true;
  auto session = open_session(m, options);
  const moe::Sequence a = *session->open(), b = *session->open();
  static_cast<void>(step(*session, a, all.first(context - 2)));
  static_cast<void>(step(*session, b, std::span(other).first(3)));
  const moe::Sequence fork = *session->fork(a);
  const moe::BatchItem items[] = {{a, all.subspan(context - 2, 5), moe::Logits::all},
                                  {b, std::span(other).subspan(3, 2), moe::Logits::last}};
  const auto out = session->step(items);
  REQUIRE(out.has_value());
  REQUIRE(out->row_count == 6);
  CHECK(session->hidden()[1].size() == 7 * static_cast<std::size_t>(m->config().hidden_size));
  const auto row = [&](std::int64_t r) {
    const auto values = out->padded_row(r);
    return std::vector<float>(values.begin(), values.end());
  };
  CHECK(same_bits(row(4), fresh(m, all.first(context + 3), kv)));
  CHECK(same_bits(row(5), fresh(m, std::span(other).first(5), kv)));
  // The fork stayed short, and so does what comes back.
  CHECK(same_bits(step(*session, fork, all.subspan(context - 2, 1)), fresh(m, all.first(context - 1), kv)));
  REQUIRE(session->rewind(a, static_cast<std::int64_t>(context) - 5).has_value());
  CHECK(same_bits(step(*session, a, all.subspan(context - 5, 2), moe::Logits::last),
                  fresh(m, all.first(context - 3), kv)));
  const moe::Sequence late = *session->fork(a);
  CHECK(same_bits(step(*session, late, all.subspan(context - 3, 9), moe::Logits::last),
                  fresh(m, all.first(context + 6), kv)));
}

TEST_CASE("forks, rewinds and batches across the original context, in any cache") {
  for (const moe::KvType kv : moe::kKvTypes) {
    CAPTURE(name_of(kv));
    check_forks(kv);
  }
}

TEST_CASE("one sequence fills the cache across the original context, and an error leaves it as it was") {
  const auto m = model();
  const auto context = static_cast<std::size_t>(m->config().rope.original_max_position);
  const auto ids = prompt_for(m->config(), 4);
  const std::span<const moe::TokenId> all(ids);
  bool cancel = false;
  moe::SessionOptions options = reference_options();
  options.max_tokens = moe::kPageTokens;
  options.cancelled = [&] { return cancel; };
  auto session = open_session(m, options);
  const moe::Sequence s = *session->open();
  static_cast<void>(step(*session, s, all.first(context)));
  cancel = true;
  CHECK(session->step(s, all.subspan(context, 1)).error().code == moe::ErrorCode::cancelled);
  cancel = false;
  CHECK(*session->length(s) == static_cast<std::int64_t>(context));
  CHECK(session->free_tokens() == 0);
  CHECK(same_bits(step(*session, s, all.subspan(context, 2), moe::Logits::last), fresh(m, all.first(context + 2))));
  CHECK(session->free_tokens() == 0);
  CHECK(session->step(s, all.subspan(context, static_cast<std::size_t>(moe::kPageTokens))).error().code ==
        moe::ErrorCode::out_of_memory);
}

}  // namespace long_ropes_test
