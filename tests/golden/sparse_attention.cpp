// Attention to chosen keys (DeepSeek-V3.2, GLM-5): that it is plain latent attention as long as all keys are chosen, what
// happens to equal scores, and layers that use the choice of the layer before them.

#include <numeric>

#include "golden/folder_writer.hpp"
#include "golden/gguf_files.hpp"
#include "golden/golden.hpp"
#include "moe/flops.hpp"

namespace sparse_attention_test {

namespace {

using namespace moe_test;
using nlohmann::json;
using Positions = std::vector<std::vector<std::vector<std::int32_t>>>;

struct Directory {
  std::string name;
  json config;
  Tensors tensors;
};

/// Golden directories with an indexer, and one of them as GLM-5.2: its second layer shares the first one's choice.
std::vector<Directory> directories() {
  std::vector<Directory> out;
  for (const GoldenCase& c : golden_cases()) {
    if (!std::filesystem::is_directory(c.model)) continue;
    const std::string text = read_file(c.model / "config.json");
    const auto known = moe::arch::recognise_hf_config(text);
    if (known && known->config.indexer.top_k > 0)
      out.push_back({c.name, json::parse(text), read_safetensors(c.model / "model.safetensors")});
  }
  return out;
}

Directory sharing(Directory d) {
  d.name += ", shared";
  d.config["indexer_types"] = {"full", "shared", "full"};
  std::erase_if(d.tensors, [](const auto& t) { return t.first.starts_with("model.layers.1.self_attn.indexer."); });
  return d;
}

std::shared_ptr<const moe::Model> load(const std::filesystem::path& path) {
  auto model = moe::Model::load(path.string(), {.tokenizer = moe::TokenizerUse::none});
  if (!model) FAIL(model.error().message);
  return *model;
}

struct Scratch : ScratchDir {
  Scratch() : ScratchDir("moe_sparse") {}
  std::string file(const std::string& name) const { return *this / name; }
  std::shared_ptr<const moe::Model> model(const Directory& d) const {
    std::filesystem::remove_all(dir / "model");
    write_folder(dir / "model", d.config, d.tensors);
    return load(dir / "model");
  }
};

struct Run {
  std::vector<float> logits;
  Positions chosen;
};

Run run(const std::shared_ptr<const moe::Model>& model, moe::SessionOptions options,
        const std::vector<moe::TokenId>& ids) {
  options.record_chosen_keys = true;
  auto session = open_session(model, options);
  Run out{step(*session, *session->open(), ids), session->chosen_keys()};
  CHECK(session->executed() == moe::forward_work(model->config(), 0, static_cast<std::int64_t>(ids.size()),
                                                 static_cast<std::int64_t>(ids.size()), moe::MlaForm::absorbed));
  return out;
}

ReferenceTensor zeros(const ReferenceTensor& like) {
  ReferenceTensor out = like;
  std::fill(out.bytes.begin(), out.bytes.end(), '\0');
  return out;
}

/// Rising, as many as there may be, and none behind the token.
void check_positions(const Positions& chosen, const moe::ModelConfig& c, std::size_t tokens) {
  REQUIRE(chosen.size() == static_cast<std::size_t>(c.layer_count));
  for (const auto& layer : chosen) {
    REQUIRE(layer.size() == tokens);
    for (std::size_t t = 0; t < tokens; ++t) {
      CHECK(layer[t].size() == std::min(t + 1, static_cast<std::size_t>(c.indexer.top_k)));
      CHECK(std::adjacent_find(layer[t].begin(), layer[t].end(), std::greater_equal<>()) == layer[t].end());
      CHECK(layer[t].front() >= 0);
      CHECK(layer[t].back() <= static_cast<std::int32_t>(t));
    }
  }
}

}  // namespace

TEST_CASE("sparse attention: the bits of plain latent attention for as many tokens as keys are chosen") {
  const Scratch scratch;
  const auto all = directories();
  if (all.empty()) return report_skip("sparse attention", "no golden directory has an indexer");
  for (const Directory& d : all) {
    CAPTURE(d.name);
    Directory plain = d;
    plain.config["architectures"] = {"DeepseekV3ForCausalLM"}, plain.config["model_type"] = "deepseek_v3";
    for (const char* key : {"index_topk", "index_n_heads", "index_head_dim"}) plain.config.erase(key);
    std::erase_if(plain.tensors, [](const auto& t) { return t.first.find(".indexer.") != std::string::npos; });
    const auto sparse_model = scratch.model(d), plain_model = scratch.model(plain);
    const auto V = static_cast<std::size_t>(sparse_model->config().vocab_size);
    const auto top_k = static_cast<std::size_t>(sparse_model->config().indexer.top_k);
    const auto ids = prompt_for(sparse_model->config(), 0);
    REQUIRE(ids.size() > top_k);
    for (const Setting& setting : kSettings) {
      CAPTURE(setting.name);
      const auto options = options_for(setting, 1, 64);
      const std::vector<float> sparse = whole_logits(sparse_model, options, ids);
      const std::vector<float> expected = whole_logits(plain_model, options, ids);
      const auto rows = [&](const std::vector<float>& x, std::size_t n) { return std::span(x).first(n * V); };
      CHECK(same_bits(rows(sparse, top_k), rows(expected, top_k)));
      CHECK_FALSE(same_bits(rows(sparse, top_k + 2), rows(expected, top_k + 2)));
    }
  }
}

TEST_CASE("sparse attention: of equal scores the first keys are chosen") {
  const Scratch scratch;
  for (Directory& d : directories()) {
    CAPTURE(d.name);
    for (auto& [name, tensor] : d.tensors)
      if (name.ends_with(".weights_proj.weight")) tensor = zeros(tensor);
    const auto model = scratch.model(d);
    const auto ids = prompt_for(model->config(), 1);
    const auto top_k = static_cast<std::size_t>(model->config().indexer.top_k);
    for (const std::int64_t chunk : {1, 64}) {
      const Run found = run(model, options_for(kSettings[1], 2, chunk), ids);
      check_positions(found.chosen, model->config(), ids.size());
      std::vector<std::int32_t> first(top_k);
      std::iota(first.begin(), first.end(), 0);
      for (const auto& layer : found.chosen)
        for (std::size_t t = top_k; t < ids.size(); ++t) CHECK(layer[t] == first);
    }
  }
}

TEST_CASE("sparse attention: one head gives many scores of 0, and any chunks the same keys and bits") {
  const Scratch scratch;
  for (Directory& d : directories()) {
    CAPTURE(d.name);
    // The first head alone: wherever its product is negative, the score is 0.
    const auto dim = d.config["index_head_dim"].get<std::int64_t>();
    d.config["index_n_heads"] = 1;
    for (auto& [name, tensor] : d.tensors) {
      const bool queries = name.ends_with(".wq_b.weight");
      if (!queries && !name.ends_with(".weights_proj.weight")) continue;
      const auto rows = static_cast<std::size_t>(tensor.shape[0]);
      tensor.shape[0] = queries ? dim : 1;
      tensor.bytes.resize(tensor.bytes.size() / rows * static_cast<std::size_t>(tensor.shape[0]));
    }
    const auto model = scratch.model(d);
    const auto ids = prompt_for(model->config(), 2);
    const Run expected = run(model, options_for(kSettings[1], 1, 512), ids);
    check_positions(expected.chosen, model->config(), ids.size());
    for (const std::int64_t chunk : {1, 7, 64, 100}) {
      moe::SessionOptions options = options_for(kSettings[1], 2, chunk);
      options.share_from_ns = 0;
      const Run found = run(model, options, ids);
      CHECK(same_bits(found.logits, expected.logits));
      CHECK(found.chosen == expected.chosen);
    }
  }
}

TEST_CASE("sparse attention: shared layers use what the layer before them chose, from GGUF too") {
  const Scratch scratch;
  for (Directory& full : directories()) {
    if (full.config["model_type"] != "glm_moe_dsa") continue;
    CAPTURE(full.name);
    const Directory d = sharing(full);
    const auto model = scratch.model(d);
    const moe::ModelConfig& c = model->config();
    CHECK(c.indexer.shared_layers == std::vector<std::int64_t>{1});
    const auto ids = prompt_for(c, 0);
    const Run found = run(model, reference_options(), ids);
    CHECK(found.chosen[1] == found.chosen[0]);
    CHECK_FALSE(found.chosen[2] == found.chosen[0]);
    CHECK(moe::cache_values_per_token(c) == 3 * (c.kv_lora_rank + c.qk_rope_head_dim) + 2 * c.indexer.head_dim);

    const std::string gguf = scratch.file("shared.gguf"), older = scratch.file("older.gguf");
    moe::QuantizeOptions as_f32;
    as_f32.type = moe::Format::f32;
    const auto report = moe::quantize((scratch.dir / "model").string(), gguf, as_f32);
    REQUIRE_MESSAGE(report.has_value(), report.error().message);
    CHECK(same_bits(run(load(gguf), reference_options(), ids).logits, found.logits));
    // Files without the key show by their tensors which layers share.
    gguf_files::File file = gguf_files::read_gguf(gguf);
    const auto opened = moe::checkpoint::open(gguf);
    const auto entries = (*opened)->raw_metadata();
    file.metadata = {};
    for (const auto& entry : *entries)
      if (entry.key != "glm-dsa.attention.indexer.types") file.metadata.raw(entry.key, entry.value);
    gguf_files::write_gguf(file, older);
    CHECK(load(older)->config() == load(gguf)->config());
    CHECK(same_bits(run(load(older), reference_options(), ids).logits, found.logits));

    // A layer that shares has no indexer, and one that does not has one.
    Directory torn = full;
    torn.config["indexer_types"] = d.config["indexer_types"];
    write_folder(scratch.dir / "torn", torn.config, torn.tensors);
    const auto extra = moe::Model::load(scratch.file("torn"), {.tokenizer = moe::TokenizerUse::none});
    REQUIRE_FALSE(extra.has_value());
    CHECK(extra.error().message.find("model.layers.1.self_attn.indexer.") != std::string::npos);
    torn.config["indexer_types"] = {"full", "full", "full"}, torn.tensors = d.tensors;
    write_folder(scratch.dir / "torn", torn.config, torn.tensors);
    const auto missing = moe::Model::load(scratch.file("torn"), {.tokenizer = moe::TokenizerUse::none});
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().message.find("model.layers.1.self_attn.indexer.wq_b.weight is missing") != std::string::npos);
  }
}

TEST_CASE("sparse attention: a score that is not finite is an error, and the sequence as before") {
  const Scratch scratch;
  for (Directory& d : directories()) {
    CAPTURE(d.name);
    for (auto& [name, tensor] : d.tensors) {
      if (!name.ends_with("layers.1.self_attn.indexer.k_norm.bias")) continue;
      std::vector<float> huge(tensor.values<float>().size(), 3e38f);
      tensor = tensor_of("F32", tensor.shape, huge);
    }
    const auto model = scratch.model(d);
    auto session = open_session(model, reference_options());
    const moe::Sequence s = *session->open();
    const auto ids = prompt_for(model->config(), 0);
    const auto top_k = static_cast<std::size_t>(model->config().indexer.top_k);
    static_cast<void>(step(*session, s, std::span(ids).first(top_k)));
    const moe::BatchItem more = {s, std::span(ids).subspan(top_k, 1)};
    const auto out = session->step({&more, 1});
    REQUIRE_FALSE(out.has_value());
    CHECK(out.error().code == moe::ErrorCode::non_finite);
    CHECK(out.error().message.find("indexer") != std::string::npos);
    CHECK(*session->length(s) == static_cast<std::int64_t>(top_k));
  }
}

}  // namespace sparse_attention_test
