// The closed forms against published sizes (flops_ref.json), and against each other.

#include "moe/flops.hpp"

#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "moe/formats.hpp"
#include "published.hpp"
#include "support.hpp"

namespace flops_test {

namespace {

using json = nlohmann::json;
using moe::MlaForm;
using moe::ModelConfig;
using moe::WeightPart;
using moe::WeightShape;
using moe_test::published;

/// The value in units of 1e9 with as many digits as the reference prints.
std::string rounded(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value / 1e9);
  return text;
}

}  // namespace

TEST_CASE("parameters and FLOPs agree with flops_ref.json to its digits") {
  const auto dir = moe_test::reference_dir("MOE_REFERENCE_DIR", "../shared/reference");
  if (dir.empty()) {
    moe_test::report_skip("flops_ref.json", "no ../shared/reference and MOE_REFERENCE_DIR is not set");
    return;
  }
  const json all = json::parse(moe_test::read_file(dir / "flops_ref.json"));
  const auto configs = published();
  std::size_t compared = 0;
  for (const auto& item : all.items()) {
    const std::string name = item.key();
    const json& row = item.value();
    const auto found = configs.find(name);
    if (found == configs.end()) {
      moe_test::report_skip(name, "no closed form or no config in tests/data/published");
      continue;
    }
    ModelConfig c = found->second;
    CAPTURE(name);
    c.sliding_layers.clear();  // the file counts all keys, whatever windows hide
    const moe::ParameterCount n = moe::count_parameters(c);
    const auto check = [&](const char* column, std::int64_t value, int digits) {
      CAPTURE(column);
      CHECK(rounded(static_cast<double>(value), digits) == rounded(row[column].get<double>() * 1e9, digits));
    };
    // The file counts matrices: norms and biases (at most 0.03 %) are left out. Qwen2.5-72B shows it: 72.70 there,
    // 72.706e9 in the published weights.
    check("total_B", n.matrices, 2);
    check("active_matmul_B", n.active_matmul, 3);
    check("active_incl_embed_B", n.active_with_embedding, 2);
    check("gflops_tok", moe::weight_flops_per_token(c), 2);
    check("gflops_tok_nohead", moe::weight_flops_per_token(c, moe::HeadFlops::exclude), 2);
    check("attn_decode_gflops_2k", moe::attention_flops(c, 2048, MlaForm::expanded), 2);
    // "Mean" is half of the full context; the exact causal mean of 2048 tokens is 1024.5 keys, 0.05 % more.
    check("attn_prefill_mean_gflops_2k", moe::attention_flops(c, 1024, MlaForm::expanded), 2);
    ++compared;
  }
  MESSAGE(compared << " models compared");
  CHECK(compared >= 32);
}

TEST_CASE("total parameters are those of the published weights, to the last one") {
  const auto configs = published();
  // From the sizes that the model pages and index files print.
  CHECK(moe::count_parameters(configs.at("Llama-3.1-8B")).total == 8030261248);
  CHECK(moe::count_parameters(configs.at("Llama-3.1-70B")).total == 70553706496);
  CHECK(moe::count_parameters(configs.at("Llama-3.2-1B")).total == 1235814400);
  CHECK(moe::count_parameters(configs.at("Llama-2-7B")).total == 6738415616);
  CHECK(moe::count_parameters(configs.at("Qwen2.5-0.5B")).total == 494032768);
  CHECK(moe::count_parameters(configs.at("Qwen2.5-7B")).total == 7615616512);
  CHECK(moe::count_parameters(configs.at("Qwen2.5-72B")).total == 72706203648);
  CHECK(moe::count_parameters(configs.at("Qwen3-30B-A3B")).total == 30532122624);
  CHECK(moe::count_parameters(configs.at("Mixtral-8x7B")).total == 46702792704);
  CHECK(moe::count_parameters(configs.at("DeepSeek-V2-Lite")).total == 15706484224);
  CHECK(moe::count_parameters(configs.at("Gemma-2-2B")).total == 2614341888);
  CHECK(moe::count_parameters(configs.at("Gemma-2-9B")).total == 9241705984);
  CHECK(moe::count_parameters(configs.at("Gemma-2-27B")).total == 27227128320);
  CHECK(moe::count_parameters(configs.at("Gemma-3-1B")).total == 999885952);
  CHECK(moe::count_parameters(configs.at("Phi-3-mini")).total == 3821079552);
  CHECK(moe::count_parameters(configs.at("Phi-4")).total == 14659507200);
  CHECK(moe::count_parameters(configs.at("OLMo-2-7B")).total == 7298617344);
  CHECK(moe::count_parameters(configs.at("Seed-OSS-36B")).total == 36151104512);
  // 671 B, and 11.5 B of MTP without its copies of embedding and head, says DeepSeek; with the copies (and 0.04 B of
  // FP8 scales, not parameters) the repository holds 684.5 B.
  const auto v3 = configs.at("DeepSeek-V3");
  const std::int64_t main = moe::count_parameters(v3).total, mtp = moe::count_mtp_parameters(v3);
  CHECK(rounded(static_cast<double>(main), 2) == "671.03");
  CHECK(rounded(static_cast<double>(main + mtp), 1) == "684.5");
  CHECK(moe::count_mtp_parameters(configs.at("Qwen3-30B-A3B")) == 0);
}

TEST_CASE("sizes that flops_ref.json lacks are those their makers print") {
  const auto configs = published();
  // "57B-A14B" is 57.41 and 13.70; "355B total, 32B active" and "106B, 12B" count the MTP layer.
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("Qwen2-57B-A14B")).matrices), 2) == "57.41");
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("Qwen2-57B-A14B")).active_matmul), 2) == "13.70");
  const moe::ModelConfig glm = configs.at("GLM-4.5");
  CHECK(rounded(static_cast<double>(moe::count_parameters(glm).total), 1) == "352.8");
  CHECK(rounded(static_cast<double>(moe::count_parameters(glm).active_without_head), 0) == "32");
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("GLM-4.5-Air")).active_without_head), 0) == "12");
  // "3.08B parameters" (Hugging Face's announcement of SmolLM3, aibase.com/news/19552).
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("SmolLM3-3B")).total), 2) == "3.08");
  // "229B", 10 B of them active (apxml.com/models/minimax-m2).
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("MiniMax-M2")).total), 0) == "229");
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("MiniMax-M2")).active_matmul), 0) == "10");
  // "30B-A3B", tensors of 31 B with the MTP layer (docs.nvidia.com/nemo/megatron-bridge, sddts.cn/index.php/archives/2873).
  const moe::ModelConfig flash = configs.at("GLM-4.7-Flash");
  CHECK(rounded(static_cast<double>(moe::count_parameters(flash).total), 0) == "30");
  CHECK(rounded(static_cast<double>(moe::count_parameters(flash).total + moe::count_mtp_parameters(flash)), 0) == "31");
  CHECK(rounded(static_cast<double>(moe::count_parameters(flash).active_without_head), 0) == "3");
  // Model cards: 7 B and 1 B; 32 B and 9 B ("32.2B": en.immers.cloud/ai/ibm-granite/granite-4.0-h-small).
  const auto total = [&](const char* model) {
    return static_cast<double>(moe::count_parameters(configs.at(model)).total);
  };
  const auto active = [&](const char* model) {
    return static_cast<double>(moe::count_parameters(configs.at(model)).active_without_head);
  };
  CHECK(rounded(total("Granite-4.0-H-Tiny"), 0) == "7");
  CHECK(rounded(active("Granite-4.0-H-Tiny"), 0) == "1");
  CHECK(rounded(total("Granite-4.0-H-Small"), 1) == "32.2");
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("Granite-4.0-H-Small")).active_matmul), 0) == "9");
  // "31.6B total, 3.2B active (3.6B including embeddings)" (NVIDIA's report on Nemotron 3 Nano); "8.89B"
  // (the safetensors of Nemotron-Nano-9B-v2); Nemotron-H-8B by its name.
  CHECK(rounded(total("Nemotron-3-Nano-30B-A3B"), 1) == "31.6");
  const moe::ParameterCount nano = moe::count_parameters(configs.at("Nemotron-3-Nano-30B-A3B"));
  CHECK(rounded(static_cast<double>(nano.active_matmul), 1) == "3.2");
  CHECK(rounded(static_cast<double>(nano.active_with_embedding), 1) == "3.6");
  CHECK(rounded(total("Nemotron-Nano-9B-v2"), 2) == "8.89");
  CHECK(rounded(total("Nemotron-H-8B"), 0) == "8");
  // "80 billion parameters, 3 billion activated" (Qwen3-Next's release, without embeddings); "8.3B total parameters and
  // 1.5B active" (LFM2-MoE in transformers' documentation); 685 B with the MTP layer (the files of DeepSeek-V3.2).
  CHECK(rounded(total("Qwen3-Next-80B-A3B"), 2) == "79.67");
  CHECK(rounded(active("Qwen3-Next-80B-A3B"), 0) == "3");
  CHECK(rounded(total("LFM2-8B-A1B"), 1) == "8.3");
  CHECK(rounded(static_cast<double>(moe::count_parameters(configs.at("LFM2-8B-A1B")).active_matmul), 2) == "1.56");
  const auto mtp = static_cast<double>(moe::count_mtp_parameters(configs.at("DeepSeek-V3.2")));
  CHECK(rounded(total("DeepSeek-V3.2") + mtp, 0) == "685");
  // By their names or model cards: dots.llm1 142 B, 14 B active; 80 and 13; 21 (rounded down) and 3; 300 and 47.
  const auto sizes = [&](const char* model) {
    const auto count = moe::count_parameters(configs.at(model));
    return rounded(static_cast<double>(count.total), 1) + " " + rounded(static_cast<double>(count.active_matmul), 1);
  };
  CHECK(sizes("dots.llm1") == "142.8 13.4");
  CHECK(sizes("Hunyuan-A13B") == "80.4 12.7");
  CHECK(sizes("ERNIE-4.5-21B-A3B") == "21.8 3.4");
  CHECK(sizes("ERNIE-4.5-300B-A47B") == "299.5 47.1");
}

// Sources of configurations and sizes.
// Hy3: its model card (cnb.cool/ai-models/tencent/Hy3-preview), config.json as repeated in the tests of
// EricLBuehler/mistral.rs, 298.8 B of tensors (haimaker.ai/models/tencent/hy3-preview).
// Gemma 3: transformers' convert_gemma3_weights.py, OpenPipe/gemma-3-12b-it-text-only; the safetensors of
// google/gemma-3-4b-it, -12b-it and -27b-it.
// Ministral 3: transformers' Ministral3Config (8B), the folder pe of rootlocalghost/ERNIE-Image (3B),
// apxml.com/models/ministral-3-14b; sizes there and in docs.nvidia.com/nemo/megatron-bridge (models/vlm/ministral3).
// Mistral Small 3.1: mistralai/Mistral-Small-3.1-24B-Instruct-2503, the text model alone in
// mrfakename/mistral-small-3.1-24b-instruct-2503-hf.
// ERNIE 4.5: apxml.com/models/ernie-45-03b-base.
// OLMo 3: the card of allenai/Olmo-3-1025-7B, ollama.com/library/olmo-3, apxml.com/models/olmo-31-32b-think.
// Kimi K2.5: glennklockwood.com/garden/kimi-k2.5, arXiv:2507.20534.
TEST_CASE("the models of 2025 and 2026 have the sizes that their makers print") {
  const auto configs = published();
  const auto count = [&](const char* model) { return moe::count_parameters(configs.at(model)); };
  const auto billions = [](std::int64_t n, int digits) { return rounded(static_cast<double>(n), digits); };
  // "295B total, 21B active, 3.8B MTP layer", which has no embedding and no head of its own.
  const std::int64_t mtp = moe::count_mtp_parameters(configs.at("Hy3-preview")), total = count("Hy3-preview").total;
  CHECK(billions(total, 0) == "295");
  CHECK(billions(count("Hy3-preview").active_with_embedding, 0) == "21");
  CHECK(billions(mtp, 1) == "3.8");
  CHECK(billions(total + mtp, 1) == "298.8");
  // The published totals, to the last one: with SigLIP, 27 layers of 1152 and 4304 for 4096 patches of 14 x 14 x 3, and a
  // norm and a projection of its values.
  constexpr std::int64_t kLayer = 4 * 1152 * 1153 + (1152 + 1) * 4304 + (4304 + 1) * 1152 + 4 * 1152;
  constexpr std::int64_t kSiglip = 27 * kLayer + (3 * 14 * 14 + 1) * 1152 + 4096 * 1152 + 2 * 1152;
  for (const auto& [model, published_total] : {std::pair{"Gemma-3-4B", std::int64_t{4300079472}},
                                               {"Gemma-3-12B", std::int64_t{12187325040}},
                                               {"Gemma-3-27B", std::int64_t{27432406640}}})
    CHECK(count(model).total + kSiglip + 1152 * (configs.at(model).hidden_size + 1) == published_total);
  // Without vision encoders: 3.4 B, 8.4 B (rounded down), 13.5 B; 23.6 B.
  CHECK(count("Ministral-3-3B").total == 3429006336);
  CHECK(billions(count("Ministral-3-8B").total, 2) == "8.49");
  CHECK(billions(count("Ministral-3-14B").total, 1) == "13.5");
  CHECK(count("Mistral-Small-3.1-24B").total == 23572403200);
  CHECK(count("ERNIE-4.5-0.3B").total == 360748032);
  CHECK(count("OLMo-3-7B").total == 7298011136);
  CHECK(count("OLMo-3-32B").total == 32233522176);
  // Kimi K2's text model: "1T total, 32B active". The files of both have as many parameters of text.
  CHECK(count("Kimi-K2.5").total == count("Kimi-K2").total);
  CHECK(count("Kimi-K2.5").total == 1026408232448);
  CHECK(billions(count("Kimi-K2.5").active_matmul, 0) == "32");
}

TEST_CASE("a window bounds the keys that its layers count") {
  ModelConfig c;
  c.layer_count = 2;
  c.hidden_size = 8, c.vocab_size = 10, c.head_count = 4, c.kv_head_count = 2;
  c.head_dim = c.v_head_dim = 3;
  c.intermediate_size = 5;
  c.sliding_window = 4;
  c.sliding_layers = {1};
  // Tokens at positions 2 .. 6: the full layer sees 3 + 4 + 5 + 6 + 7 keys, the other 3 + 4 + 4 + 4 + 4.
  CHECK(moe::forward_work(c, 2, 5, 1, MlaForm::expanded).attention_score == (25 + 19) * 4 * 3 * 2);
  CHECK(moe::forward_work(c, 9, 2, 1, MlaForm::expanded).attention_score == (21 + 8) * 4 * 3 * 2);
  for (std::int64_t cached : {0, 3, 4, 5, 100}) {
    moe::Work sum;
    for (std::int64_t t = 0; t < 9; ++t) sum += moe::forward_work(c, cached + t, 1, 0, MlaForm::expanded);
    CHECK(sum == moe::forward_work(c, cached, 9, 0, MlaForm::expanded));
  }
}

TEST_CASE("the walk over the weights and the work of one token agree to the integer") {
  for (const auto& model : published()) {
    const ModelConfig& c = model.second;
    CAPTURE(model.first);
    std::map<WeightPart, std::int64_t> flops;
    moe::for_each_weight(c, [&](const WeightShape& w) { flops[w.part] += 2 * w.touched_parameters(); });
    for (MlaForm form : {MlaForm::expanded, MlaForm::absorbed}) {
      const moe::Work w = moe::forward_work(c, 100, 1, 1, form);
      CHECK(w.attention_projection == flops[WeightPart::attention]);
      CHECK(w.router == flops[WeightPart::router]);
      CHECK(w.routed_experts == flops[WeightPart::routed_experts]);
      CHECK(w.shared_experts == flops[WeightPart::shared_experts]);
      CHECK(w.dense_ffn == flops[WeightPart::dense_ffn]);
      CHECK(w.head == flops[WeightPart::head]);
    }
  }
}

TEST_CASE("work of a stretch is the sum of its tokens, prefix in the cache or not") {
  for (const auto& model : published()) {
    const ModelConfig& c = model.second;
    CAPTURE(model.first);
    for (MlaForm form : {MlaForm::expanded, MlaForm::absorbed}) {
      moe::Work one_by_one;
      for (std::int64_t t = 0; t < 17; ++t) one_by_one += moe::forward_work(c, t, 1, 1, form);
      CHECK(one_by_one == moe::forward_work(c, 0, 17, 17, form));
      moe::Work halves = moe::forward_work(c, 0, 9, 0, form);
      halves += moe::forward_work(c, 9, 8, 1, form);
      CHECK(halves == moe::forward_work(c, 0, 17, 1, form));
    }
  }
}

TEST_CASE("attention counts the visible keys of a hand-made model") {
  ModelConfig c;
  c.layer_count = 2;
  c.hidden_size = 8;
  c.vocab_size = 10;
  c.head_count = 4;
  c.kv_head_count = 2;
  c.head_dim = c.v_head_dim = 3;
  c.intermediate_size = 5;
  const moe::Work w = moe::forward_work(c, 5, 2, 1, MlaForm::expanded);
  // Tokens at positions 5 and 6 see 6 and 7 keys: 13 keys * 4 heads * 3 values * 2 FLOPs * 2 layers.
  CHECK(w.attention_score == 13 * 4 * 3 * 2 * 2);
  CHECK(w.attention_value == w.attention_score);
  CHECK(w.attention_projection == 2 * 2 * 2 * (8 * 12 + 2 * 8 * 6 + 12 * 8));
  CHECK(w.dense_ffn == 2 * 2 * 2 * 3 * 8 * 5);
  CHECK(w.head == 2 * 8 * 10);
  CHECK(w.router + w.routed_experts + w.shared_experts == 0);
  CHECK(moe::cache_values_per_token(c) == 2 * 2 * 2 * 3);
  CHECK(moe::count_parameters(c).total == 2 * 80 + 2 * (96 + 96 + 96 + 120 + 16) + 8);
}

TEST_CASE("bytes follow the format of each weight and the experts a token meets") {
  const auto configs = published();
  const ModelConfig& c = configs.at("Qwen3-30B-A3B");
  const auto as = [](moe::Format experts) {
    return [experts](const WeightShape& w, std::int64_t rows) {
      const bool expert = w.part == WeightPart::routed_experts;
      return rows * moe::row_bytes(expert ? experts : moe::Format::f16, w.cols);
    };
  };
  const std::int64_t plain = moe::weight_bytes_touched(c, as(moe::Format::f16));
  const auto n = moe::count_parameters(c);
  const std::int64_t vectors = n.total - n.matrices;
  CHECK(plain == 2 * (n.active_matmul + vectors + c.hidden_size));
  const std::int64_t routed = 48LL * 8 * 3 * 2048 * 768;
  CHECK(plain - moe::weight_bytes_touched(c, as(moe::Format::q4_0)) == 2 * routed - routed / 32 * 18);
  CHECK(moe::weight_bytes_stored(c, as(moe::Format::f16)) == 2 * n.total);
  // Tied: the head is read whole though it is stored once, as the embedding.
  const ModelConfig& tied = configs.at("Qwen2.5-0.5B");
  const auto m = moe::count_parameters(tied);
  CHECK(moe::weight_bytes_stored(tied, as(moe::Format::f16)) == 2 * m.total);
  CHECK(moe::weight_bytes_touched(tied, as(moe::Format::f16)) == 2 * (m.total + tied.hidden_size));
}

TEST_CASE("the cache of latent attention is small") {
  const auto configs = published();
  CHECK(moe::cache_values_per_token(configs.at("DeepSeek-V3")) == 61 * 576);
  CHECK(moe::cache_values_per_token(configs.at("Llama-3.1-8B")) == 2 * 32 * 8 * 128);
}

}  // namespace flops_test
