#pragma once
// Models with an MTP layer: those of the golden data, and copies of models that have none, which get one.

#include <optional>

#include "golden/folder_writer.hpp"
#include "golden/golden.hpp"

namespace moe_test {

inline std::shared_ptr<const moe::Model> load_with_mtp(const std::filesystem::path& path) {
  auto model = moe::Model::load(path.string(), {.tokenizer = moe::TokenizerUse::optional, .mtp = true});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  REQUIRE((*model)->mtp() != nullptr);
  return *model;
}

/// The golden models whose data has logits of an MTP layer, and those of tests/data/mtp.
inline std::vector<GoldenCase> mtp_cases() {
  std::vector<GoldenCase> out;
  for (const GoldenCase& c : golden_cases())
    if (nlohmann::json::parse(read_file(c.expected)).contains("mtp")) out.push_back(c);
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/mtp"))
    if (entry.is_directory())
      out.push_back({entry.path().filename().string(), entry.path(), entry.path() / "expected.json"});
  return out;
}

/// What the tensors of an MTP layer are called in a directory.
struct MtpNames {
  std::string layer;  ///< what those begin with that other layers have, too
  std::string embedding_norm, state_norm, projection, norm;
  std::string embedding = {}, head = {};  ///< empty: the family's layer has none of its own
  bool norms_minus_one = false;
};

inline MtpNames mtp_names(const nlohmann::json& config) {
  const auto type = config["model_type"].get<std::string>();
  if (type.starts_with("qwen3_"))
    return {"mtp.layers.0.",
            "mtp.pre_fc_norm_embedding.weight",
            "mtp.pre_fc_norm_hidden.weight",
            "mtp.fc.weight",
            "mtp.norm.weight",
            {},
            {},
            true};
  const std::string layer = "model.layers." + std::to_string(config["num_hidden_layers"].get<std::int64_t>()) + ".";
  MtpNames names{layer, layer + "enorm.weight", layer + "hnorm.weight", layer + "eh_proj.weight", {}};
  if (type == "hy_v3") {
    names.norm = layer + "final_layernorm.weight";
    return names;
  }
  names.norm = layer + "shared_head.norm.weight";
  names.embedding = layer + "embed_tokens.weight", names.head = layer + "shared_head.head.weight";
  return names;
}

/// What the MTP layer that a copy gets is like.
struct MtpCopy {
  float states = 0.2f;    ///< what the projection takes of a state beside an embedding
  float branches = 0.3f;  ///< factor of the outputs of attention and feed-forward in all layers: the smaller, the more
                          ///< does the last token decide the next, and the more does the MTP layer guess
  bool own_ends = true;   ///< it has copies of embedding and head
};

inline std::vector<float> widened(const ReferenceTensor& t) {
  if (t.dtype == "F32") return t.values<float>();
  REQUIRE(t.dtype == "BF16");
  std::vector<float> out;
  for (const std::uint16_t half : t.values<std::uint16_t>()) out.push_back(moe::bf16_to_float(half));
  return out;
}

/// The tensors of a directory with an MTP layer like its last layer.
inline Tensors with_mtp_layer(const std::filesystem::path& model, const nlohmann::json& config, const MtpCopy& how) {
  Tensors tensors = read_safetensors(model / "model.safetensors");
  std::erase_if(tensors, [](const auto& t) { return t.first.starts_with("mtp."); });
  const auto layers = config["num_hidden_layers"].get<std::int64_t>(), D = config["hidden_size"].get<std::int64_t>();
  const std::string last = "model.layers." + std::to_string(layers - 1) + ".";
  const MtpNames names = mtp_names(config);
  for (auto& [name, t] : tensors) {
    if (!name.ends_with("o_proj.weight") && !name.ends_with("down_proj.weight") && !name.ends_with("out_proj.weight"))
      continue;
    std::vector<float> values = widened(t);
    for (float& v : values) v *= how.branches;
    t = float_tensor(t.dtype, t.shape, values);
  }
  Tensors added;
  for (const auto& [name, t] : tensors)
    if (name.starts_with(last)) added[names.layer + name.substr(last.size())] = t;
  std::vector<float> ones(static_cast<std::size_t>(D), names.norms_minus_one ? 0.0f : 1.0f);
  std::vector<float> projection(static_cast<std::size_t>(2 * D * D));
  for (std::int64_t i = 0; i < D; ++i) {
    projection[static_cast<std::size_t>(i * 2 * D + i)] = 1.0f;
    projection[static_cast<std::size_t>(i * 2 * D + D + i)] = how.states;
  }
  added[names.embedding_norm] = added[names.state_norm] = float_tensor("F32", {D}, ones);
  added[names.projection] = float_tensor("F32", {D, 2 * D}, projection);
  added[names.norm] = tensors.at("model.norm.weight");
  if (how.own_ends && !names.head.empty()) {
    added[names.embedding] = tensors.at("model.embed_tokens.weight");
    added[names.head] = tensors.at("lm_head.weight");
  }
  tensors.merge(added);
  return tensors;
}

inline std::filesystem::path write_mtp_copy(const std::filesystem::path& model, const std::filesystem::path& out,
                                            const MtpCopy& how = {}) {
  nlohmann::json config = nlohmann::json::parse(read_file(model / "config.json"));
  const Tensors tensors = with_mtp_layer(model, config, how);
  const auto type = config["model_type"].get<std::string>();
  if (type.starts_with("qwen3_5"))
    config["mtp_num_hidden_layers"] = 1;
  else if (type != "qwen3_next")  // whose configuration does not count it
    config["num_nextn_predict_layers"] = 1;
  write_folder(out, config, tensors);
  return out;
}

/// Directories whose families have MTP layers, without one of their own.
inline std::vector<GoldenCase> models_for_mtp_copies() {
  std::vector<GoldenCase> out = {
      {"deepseek_v3_yarn", std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden/deepseek_v3_yarn", {}}};
  for (const GoldenCase& c : golden_cases())
    for (const char* name : {"glm4_moe", "glm4_moe_lite", "deepseek_v32", "glm_moe_dsa", "hy_v3", "qwen3_next",
                             "qwen3_5_text", "qwen3_5_moe_text"})
      if (c.name == name) out.push_back(c);
  return out;
}

/// What an MTP layer gives behind a prompt: its logits for each token but the first, and the model's own states.
struct MtpRun {
  std::vector<float> logits, states;
};
/// `next`: one token more than the prompt has from its second on. In steps of `stride` tokens.
inline MtpRun run_mtp(const std::shared_ptr<const moe::Model>& model, moe::SessionOptions options,
                      std::span<const moe::TokenId> prompt, std::span<const moe::TokenId> next, std::size_t stride) {
  options.record_states = true;
  auto session = open_session(model, options), mtp = open_session(model->mtp(), options);
  const moe::Sequence sequence = *session->open(), follower = *mtp->open();
  const auto D = static_cast<std::size_t>(model->config().hidden_size);
  MtpRun out;
  for (std::size_t at = 0; at < prompt.size(); at += stride) {
    const std::size_t count = std::min(stride, prompt.size() - at);
    step(*session, sequence, prompt.subspan(at, count), moe::Logits::none);
    REQUIRE(session->states().size() == count * D);
    out.states.insert(out.states.end(), session->states().begin(), session->states().end());
    const moe::BatchItem item{follower, next.subspan(at, count), moe::Logits::all, 0, session->states()};
    const auto done = mtp->step({&item, 1});
    REQUIRE_MESSAGE(done.has_value(), done.error().message);
    out.logits.insert(out.logits.end(), done->logits.get(), done->logits.get() + done->row_count * done->vocab_size);
  }
  const auto tokens = static_cast<std::int64_t>(prompt.size());
  CHECK(mtp->executed() == moe::forward_work(model->mtp()->config(), 0, tokens, tokens, moe::MlaForm::absorbed));
  return out;
}

}  // namespace moe_test
