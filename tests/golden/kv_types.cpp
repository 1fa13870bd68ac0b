// Types of the key/value cache: a page takes the bytes that moe-inspect predicts, and q8_0 moves logits no further than
// its rounding, which that of bf16 measures.

#include <algorithm>
#include <cmath>

#include "golden/golden.hpp"
#include "moe/flops.hpp"

namespace kv_types_test {

namespace {

using namespace moe_test;

/// Calls f(model) for every golden model of a known family.
template <class F>
void each_model(F&& f) {
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (c.name.ends_with("-bf16.gguf")) continue;  // the values of a directory, which is here as well
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    if (!model) continue;  // the model test reports it
    CAPTURE(c.name);
    f(*model);
    ++checked;
  }
  CHECK(checked > 0);
}

/// Of each position the root of the mean square of the differences of its logits.
std::vector<double> distances(const std::vector<float>& a, const std::vector<float>& b, std::size_t vocabulary) {
  REQUIRE(a.size() == b.size());
  std::vector<double> out;
  for (std::size_t row = 0; row < a.size(); row += vocabulary) {
    double sum = 0.0;
    for (std::size_t i = row; i < row + vocabulary; ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
    out.push_back(std::sqrt(sum / static_cast<double>(vocabulary)));
  }
  return out;
}

/// Changed routing moves a few positions far; the median is of the others.
double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

}  // namespace

TEST_CASE("a page of the cache takes 64 times the bytes per token, for every type") {
  each_model([](const std::shared_ptr<const moe::Model>& model) {
    const moe::ModelConfig& c = model->config();
    CHECK(moe::cache_bytes_per_token(c, moe::KvType::f32) == 4 * moe::cache_values_per_token(c));
    CHECK(moe::cache_bytes_per_token(c, moe::KvType::f16) == 2 * moe::cache_values_per_token(c));
    CHECK(moe::cache_bytes_per_token(c, moe::KvType::bf16) == 2 * moe::cache_values_per_token(c));
    // By hand: a byte for each number and two for each 32 of a head; of MLA two for each rotated number.
    const auto q8 = [](std::int64_t n) { return n + (n + 31) / 32 * 2; };
    std::int64_t row = 0;
    for (std::int64_t l = 0; l < c.layer_count; ++l)
      if (c.mixer(l) == moe::Mixer::attention && c.key_layer(l) == l)
        row += c.attention == moe::AttentionKind::gqa
                   ? 2 * c.kv_heads_of(l) * q8(c.head_dim_of(l))
                   : q8(c.kv_lora_rank) + 2 * c.qk_rope_head_dim + (c.has_indexer(l) ? 2 * c.indexer.head_dim : 0);
    CHECK(moe::cache_bytes_per_token(c, moe::KvType::q8_0) == row);
    for (const moe::KvType type : moe::kKvTypes)
      for (const std::int64_t tokens : {1, 64, 65, 6400}) {
        CAPTURE(name_of(type));
        const auto estimate = moe::Session::estimate_memory(model->info(), {.kv = type, .max_tokens = tokens});
        CHECK(estimate.cache_bytes == (tokens + 63) / 64 * 64 * moe::cache_bytes_per_token(c, type));
      }
  });
}

TEST_CASE("q8_0 moves logits by its rounding alone") {
  each_model([](const std::shared_ptr<const moe::Model>& model) {
    const auto vocabulary = static_cast<std::size_t>(model->config().vocab_size);
    const auto ids = prompt_before_choice(model->config(), 0);
    const auto logits = [&](moe::KvType type) {
      return whole_logits(model, options_for({"", moe::Precision::reference, type}, 2, 64), ids);
    };
    const std::vector<float> exact = logits(moe::KvType::f32);
    const auto moved = [&](moe::KvType type) { return median(distances(logits(type), exact, vocabulary)); };
    const double bf16 = moved(moe::KvType::bf16), q8_0 = moved(moe::KvType::q8_0);
    CAPTURE(bf16);
    CAPTURE(q8_0);
    CHECK(q8_0 > 0.0);
    // Steps of bf16 are 2^-8 to 2^-7 of a number; of q8_0 1 / 127 of the largest of 32, which is at most sqrt(32) times
    // their root mean square. Measured on 50 models: 1.2 to 5.1 times.
    CHECK(q8_0 < bf16 * 256.0 / 127.0 * std::sqrt(32.0));
  });
}

}  // namespace kv_types_test
