// LoadOptions::tokenizer: a model without one is an error unless the caller says otherwise.

#include "model/model_impl.hpp"
#include "moe/session.hpp"
#include "scratch_dir.hpp"

namespace load_test {

namespace {

namespace fs = std::filesystem;
const fs::path kTiny = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";

/// A copy of the model with another tokenizer.json; none when the text is empty.
struct Copy : moe_test::ScratchDir {
  explicit Copy(const std::string& tokenizer_json) : ScratchDir("moe_load") {
    for (const auto& entry : fs::directory_iterator(kTiny))
      if (entry.path().filename() != "tokenizer.json") fs::copy(entry.path(), dir / entry.path().filename());
    if (!tokenizer_json.empty()) write("tokenizer.json", tokenizer_json);
  }
};

}  // namespace

TEST_CASE("a model without a usable tokenizer is refused, unless it may do without") {
  for (const char* text : {"", R"({"model": {"type": "Unigram"}})", "{"}) {
    CAPTURE(text);
    const Copy copy(text);
    const auto required = moe::Model::load(copy.dir.string());
    REQUIRE_FALSE(required.has_value());
    CHECK(required.error().message.find(copy.dir.string()) != std::string::npos);
    const auto optional = moe::Model::load(copy.dir.string(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_MESSAGE(optional.has_value(), optional.error().message);
    CHECK((*optional)->tokenizer() == nullptr);
    CHECK_FALSE((*optional)->tokenizer_error().empty());
    CHECK(required.error().message.find((*optional)->tokenizer_error()) != std::string::npos);
  }
}

TEST_CASE("a tokenizer by itself, from a model's directory or one without weights") {
  const auto of_model = moe::Model::load(kTiny.string());
  REQUIRE(of_model.has_value());
  const auto alone = moe::Tokenizer::load(kTiny.string());
  REQUIRE_MESSAGE(alone.has_value(), alone.error().message);
  const std::string text = "Hello, 3 worlds";
  const auto ids = (*alone)->encode(text);
  REQUIRE(ids.has_value());
  CHECK(*ids == *(*of_model)->tokenizer()->encode(text));
  CHECK(*(*alone)->decode(*ids) == text);
  CHECK(*(*alone)->decode(ids->front()) == *(*alone)->decode(std::span(*ids).first(1)));

  const Copy copy(moe_test::read_file(kTiny / "tokenizer.json"));
  fs::remove(copy.dir / "model.safetensors");
  const auto bare = moe::Tokenizer::load(copy.dir.string());
  REQUIRE_MESSAGE(bare.has_value(), bare.error().message);
  CHECK(*(*bare)->encode(text) == *ids);
  fs::remove(copy.dir / "tokenizer.json");
  CHECK(moe::Tokenizer::load(copy.dir.string()).error().code == moe::ErrorCode::not_found);
  CHECK(moe::Tokenizer::load("/nonexistent").error().code == moe::ErrorCode::not_found);
}

TEST_CASE("a tokenizer that is there is there by default, and not read where nobody wants it") {
  const auto plain = moe::Model::load(kTiny.string());
  REQUIRE_MESSAGE(plain.has_value(), plain.error().message);
  CHECK((*plain)->tokenizer() != nullptr);
  CHECK((*plain)->tokenizer_error().empty());
  const Copy broken("{");
  const auto without = moe::Model::load(broken.dir.string(), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_MESSAGE(without.has_value(), without.error().message);
  CHECK((*without)->tokenizer() == nullptr);
  CHECK((*without)->tokenizer_error().find("TokenizerUse::none") != std::string::npos);
  auto session = moe::Session::create(*without);
  REQUIRE(session.has_value());
  const std::vector<moe::TokenId> tokens = {1, 2};
  const auto out = (*session)->step(*(*session)->open(), tokens);
  REQUIRE(out.has_value());
  CHECK(out->row(0).size() == static_cast<std::size_t>((*without)->config().vocab_size));
}

TEST_CASE("resident_bytes is what the model holds: matrices as they are packed, and every vector") {
  const auto model = moe::Model::load(kTiny.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  const moe::Weights& weights = *impl_of(**model).weights;
  std::size_t floats = weights.final_norm.size();
  for (const moe::LayerWeights& l : weights.layers)
    for (const std::vector<float>* v :
         {&l.attention_norm, &l.ffn_norm, &l.post_attention_norm, &l.post_ffn_norm, &l.q_bias, &l.k_bias, &l.v_bias,
          &l.sinks, &l.q_norm, &l.k_norm, &l.q_a_norm, &l.kv_a_norm, &l.o_bias, &l.router_bias, &l.router_logit_bias})
      floats += v->size();
  CHECK(floats > 0);
  CHECK((*model)->resident_bytes() == static_cast<std::int64_t>(weights.memory.size_bytes() + 4 * floats));
  // Of the file's numbers none is missing: the router is a matrix of its own there.
  CHECK((*model)->resident_bytes() >= (*model)->info().weight_bytes);
}

}  // namespace load_test
