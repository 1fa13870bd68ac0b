// FLOPs: what the kernels were asked to do equals the closed form of moe/flops.hpp, to the integer.

#include "golden/golden.hpp"
#include "moe/flops.hpp"

namespace work_test {

namespace {

using namespace moe_test;

moe::Work form(const moe::ModelConfig& c, std::int64_t cached, std::int64_t tokens, std::int64_t rows) {
  return moe::forward_work(c, cached, tokens, rows, moe::MlaForm::absorbed);
}

}  // namespace

TEST_CASE("executed work equals the closed form for prefill, decode, prefix reuse and batches") {
  int checked = 0;
  for (const GoldenCase& g : golden_cases()) {
    auto model = moe::Model::load(g.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    if (!model) continue;  // reported by golden_models
    CAPTURE(g.name);
    const moe::ModelConfig& c = (*model)->config();
    std::vector<moe::TokenId> ids(23, 1);
    moe::SessionOptions options = reference_options();
    options.threads = moe::openmp_pool(2);
    options.chunk_tokens = 10;
    options.max_tokens = 256;  // both sequences, however short the context
    auto session = open_session(*model, options);
    const moe::Sequence a = *session->open();

    moe::Work expected = form(c, 0, 23, 1);
    static_cast<void>(step(*session, a, ids, moe::Logits::last));
    CHECK(session->executed() == expected);

    expected += form(c, 23, 1, 1);  // decode
    static_cast<void>(step(*session, a, std::span(ids).first(1)));
    CHECK(session->executed() == expected);

    const moe::Sequence b = *session->fork(a);  // reuse: only the new tokens are computed
    expected += form(c, 24, 5, 5);
    static_cast<void>(step(*session, b, std::span(ids).first(5), moe::Logits::all));
    CHECK(session->executed() == expected);

    const moe::BatchItem both[] = {{a, std::span(ids).first(3), moe::Logits::none},
                                   {b, std::span(ids).first(4), moe::Logits::last}};
    REQUIRE(session->step(both).has_value());
    expected += form(c, 24, 3, 0);
    expected += form(c, 29, 4, 1);
    CHECK(session->executed() == expected);
    ++checked;
  }
  CHECK(checked > 0);
}

}  // namespace work_test
