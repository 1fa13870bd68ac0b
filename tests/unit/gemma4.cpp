// Gemma 4: both forms of its config.json, contradictions in them, sizes of published models, and what a layer's shape means
// for cache and FLOPs.

#include <algorithm>
#include <cmath>

#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"
#include "text_config.hpp"

namespace gemma4_test {

namespace {

using moe::ModelConfig;
using moe::arch::recognise_hf_config;
using moe_test::config_of;
using moe_test::refusal_of;
using nlohmann::json;

/// Layer types: `period` - 1 sliding ones, then a full one.
json kinds(int layers, int period) {
  json out = json::array();
  for (int l = 1; l <= layers; ++l) out.push_back(l % period == 0 ? "full_attention" : "sliding_attention");
  return out;
}

json small() {
  return {{"model_type", "gemma4_text"},
          {"architectures", {"Gemma4ForCausalLM"}},
          {"vocab_size", 320},
          {"hidden_size", 48},
          {"intermediate_size", 80},
          {"num_hidden_layers", 6},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"global_head_dim", 24},
          {"num_global_key_value_heads", 1},
          {"attention_k_eq_v", true},
          {"hidden_size_per_layer_input", 0},
          {"sliding_window", 8},
          {"layer_types", kinds(6, 3)},
          {"max_position_embeddings", 512}};
}

/// transformers 5's form of full layers.
json in_layers(json text, const json& full) {
  text.erase("global_head_dim");
  text.erase("num_global_key_value_heads");
  for (std::size_t l = 0; l < text["layer_types"].size(); ++l)
    if (text["layer_types"][l] == "full_attention") text["per_layer_config"][std::to_string(l)] = full;
  return text;
}

double billions(std::int64_t n) { return std::round(static_cast<double>(n) / 1e8) / 10.0; }

}  // namespace

TEST_CASE("global keys and per_layer_config say the same") {
  const ModelConfig a = config_of(small());
  CHECK(a == config_of(in_layers(small(), {{"head_dim", 24}, {"num_key_value_heads", 1}})));
  CHECK(a.head_dim_of(0) == 16);
  CHECK(a.head_dim_of(2) == 24);
  CHECK(a.kv_heads_of(0) == 2);
  CHECK(a.kv_heads_of(5) == 1);
  CHECK(a.rope.scaling == moe::RopeScaling::proportional);
  CHECK(a.rope.rotated_pairs == 3);  // a quarter of 24 values: 6, in pairs
  REQUIRE(a.sliding_rope.has_value());
  CHECK(a.sliding_rope->theta == 1e4);
  // Both, if they agree.
  json both = in_layers(small(), {{"head_dim", 24}, {"num_key_value_heads", 1}});
  both["global_head_dim"] = 24;
  CHECK(a == config_of(both));
  // Without attention_k_eq_v the number of full layers' key heads is that of all layers.
  json plain = small();
  plain["attention_k_eq_v"] = false;
  CHECK(config_of(plain).kv_heads_of(5) == 2);
  // One size for all layers is no size of full layers.
  json same = small();
  same["global_head_dim"] = 16, same["num_global_key_value_heads"] = 2;
  CHECK(config_of(same).full_head_dim == 0);
  CHECK(config_of(same).full_kv_head_count == 0);
}

TEST_CASE("contradictions name the key, what was found and what was expected") {
  const auto names = [](const std::string& message, std::initializer_list<const char*> parts) {
    CAPTURE(message);
    for (const char* part : parts) CHECK(message.find(part) != std::string::npos);
  };
  json text = in_layers(small(), {{"head_dim", 24}, {"num_key_value_heads", 1}});
  text["global_head_dim"] = 32;
  names(refusal_of(text), {"global_head_dim", "32", "24", "per_layer_config"});
  text = in_layers(small(), {{"head_dim", 24}});
  text["per_layer_config"]["5"]["head_dim"] = 40;
  names(refusal_of(text), {"per_layer_config.5", "40", "24"});
  text = in_layers(small(), {{"head_dim", 24}});
  text["per_layer_config"]["0"] = {{"head_dim", 32}};
  names(refusal_of(text), {"per_layer_config.0", "32", "16"});
  text["per_layer_config"] = {{"6", {{"head_dim", 24}}}};
  names(refusal_of(text), {"per_layer_config.6", "0 to 5"});
  text["per_layer_config"] = {{"5", {{"intermediate_size", 24}}}};
  names(refusal_of(text), {"per_layer_config.5.intermediate_size"});
  text = small();
  text["num_kv_shared_layers"] = 4;  // no full layer is left
  names(refusal_of(text), {"kv_shared_layer_count is 4", "layer 2"});
  text = small();
  text["hidden_size_per_layer_input"] = 8, text["vocab_size_per_layer_input"] = 319;
  names(refusal_of(text), {"layer_input_vocab_size is 319", "320"});
  text = small();
  text["use_bidirectional_attention"] = "all";
  names(refusal_of(text), {"use_bidirectional_attention", "'all'", "vision"});
  text = small();
  text["enable_moe_block"] = true;
  names(refusal_of(text), {"num_experts"});
  text = small();
  text["num_global_key_value_heads"] = 3;
  names(refusal_of(text), {"full_kv_head_count is 3", "4"});
  text = small();
  text["rope_parameters"] = {{"full_attention", {{"rope_type", "proportional"}, {"rope_theta", 1e6}}}};
  names(refusal_of(text), {"rope_parameters.sliding_attention"});
  text["rope_parameters"]["sliding_attention"] = {{"rope_theta", 1e4}};
  text["rope_parameters"]["full_attention"]["partial_rotary_factor"] = 1.5;
  names(refusal_of(text), {"partial_rotary_factor", "1.5"});
}

TEST_CASE("the last layer sees all keys, whatever the list says") {
  json text = small();
  text["layer_types"] = json::array();
  for (int l = 0; l < 6; ++l) text["layer_types"].push_back("sliding_attention");
  const auto read = recognise_hf_config(text.dump());
  REQUIRE(read.has_value());
  CHECK(read->config.window(5) == 0);
  CHECK(read->config.window(4) == 8);
  CHECK(std::any_of(read->notes.begin(), read->notes.end(),
                    [](const std::string& note) { return note.find("layer_types") != std::string::npos; }));
}

TEST_CASE("layers that share keys and values have no cache of their own, and other widths") {
  json text = small();
  text["num_kv_shared_layers"] = 3, text["use_double_wide_mlp"] = true, text["attention_k_eq_v"] = false;
  const ModelConfig c = config_of(text);
  for (std::int64_t l = 0; l < 3; ++l) CHECK(c.key_layer(l) == l);
  CHECK(c.key_layer(3) == 1);
  CHECK(c.key_layer(4) == 1);
  CHECK(c.key_layer(5) == 2);
  CHECK(c.dense_width(2) == 80);
  CHECK(c.dense_width(3) == 160);
  CHECK(moe::cache_values_per_token(c) == 2 * (2 * 2 * 16 + 2 * 24));
  moe::ModelInfo info;
  info.config = c;
  CHECK(moe::Session::estimate_memory(info, {.kv = moe::KvType::f16, .max_tokens = 65}).cache_bytes ==
        128 * 2 * moe::cache_values_per_token(c));
  // Every matrix a token is multiplied with, twice; by hand.
  const std::int64_t D = 48, H = 4;
  const std::int64_t q_o = 4 * 2 * D * H * 16 + 2 * 2 * D * H * 24, kv = 2 * (2 * D * 2 * 16) + 2 * D * 2 * 24;
  const std::int64_t ffn = 3 * 3 * D * 80 + 3 * 3 * D * 160;
  CHECK(moe::weight_flops_per_token(c) == 2 * (q_o + kv + ffn + D * 320));
  const moe::Work work = moe::forward_work(c, 0, 10, 0, moe::MlaForm::absorbed);
  CHECK(work.attention_score == 2 * H * (4 * 16 * (36 + 2 * 8) + 2 * 24 * 55));
}

// Sizes from config.json of google/gemma-4-26B-A4B, -31B and -E2B; numbers of parameters from the same model cards: 25.2B
// with 3.8B active, 30.7B, 2.3B "effective" (without the table of the layers' inputs).
TEST_CASE("published sizes give the published numbers of parameters") {
  json text = {{"model_type", "gemma4_text"},
               {"architectures", {"Gemma4ForCausalLM"}},
               {"vocab_size", 262144},
               {"hidden_size", 2816},
               {"intermediate_size", 2112},
               {"moe_intermediate_size", 704},
               {"num_hidden_layers", 30},
               {"num_attention_heads", 16},
               {"num_key_value_heads", 8},
               {"num_global_key_value_heads", 2},
               {"head_dim", 256},
               {"global_head_dim", 512},
               {"attention_k_eq_v", true},
               {"hidden_size_per_layer_input", 0},
               {"sliding_window", 1024},
               {"layer_types", kinds(30, 6)},
               {"enable_moe_block", true},
               {"num_experts", 128},
               {"top_k_experts", 8},
               {"final_logit_softcapping", 30.0},
               {"max_position_embeddings", 262144}};
  const moe::ParameterCount moe26 = moe::count_parameters(config_of(text));
  CHECK(billions(moe26.total) == 25.2);
  CHECK(billions(moe26.active_with_embedding) == 3.8);
  CHECK(moe::cache_bytes_per_token(config_of(text), moe::KvType::f16) == 220 * 1024);

  text.update({{"hidden_size", 5376},
               {"intermediate_size", 21504},
               {"num_hidden_layers", 60},
               {"num_attention_heads", 32},
               {"num_key_value_heads", 16},
               {"num_global_key_value_heads", 4},
               {"layer_types", kinds(60, 6)},
               {"enable_moe_block", false},
               {"num_experts", nullptr},
               {"top_k_experts", nullptr},
               {"moe_intermediate_size", nullptr}});
  CHECK(billions(moe::count_parameters(config_of(text)).total) == 30.7);

  text.update({{"hidden_size", 1536},
               {"intermediate_size", 6144},
               {"num_hidden_layers", 35},
               {"num_attention_heads", 8},
               {"num_key_value_heads", 1},
               {"num_global_key_value_heads", nullptr},
               {"layer_types", kinds(35, 5)},
               {"attention_k_eq_v", false},
               {"hidden_size_per_layer_input", 256},
               {"vocab_size_per_layer_input", 262144},
               {"num_kv_shared_layers", 20},
               {"use_double_wide_mlp", true},
               {"sliding_window", 512}});
  const ModelConfig e2b = config_of(text);
  const std::int64_t table = std::int64_t{262144} * 35 * 256, total = moe::count_parameters(e2b).total;
  CHECK(billions(total - table) == 2.3);
  CHECK(moe::count_parameters(e2b).active_with_embedding < total - table);
  CHECK(moe::cache_values_per_token(e2b) == 12 * 2 * 256 + 3 * 2 * 512);
}

}  // namespace gemma4_test
