// The metadata of a GGUF file: keys as other readers expect them, values from the validated configuration.

#include <fmt/format.h>

#include "arch/rope.hpp"
#include "checkpoint/tokenizer_metadata.hpp"
#include "convert/convert.hpp"
#include "convert/keys.hpp"
#include "support/json.hpp"
#include "tokenizer/gguf_arrays.hpp"

namespace moe::inline MOE_ABI::convert {
namespace {

using checkpoint::Checkpoint;
using checkpoint::GgufMetadata;

void write_common(const ModelConfig& c, Keys& keys) {
  keys.count("block_count", c.layer_count);
  keys.count("context_length", c.max_position);
  keys.count("embedding_length", c.hidden_size);
  if (c.kv_shared_intermediate_size > 0)
    keys.integers("feed_forward_length", per_layer(c, [&](std::int64_t l) { return c.dense_width(l); }));
  else
    keys.count("feed_forward_length", c.intermediate_size > 0 ? c.intermediate_size : c.moe_intermediate_size);
  keys.count("attention.head_count", c.head_count);
  keys.number("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  keys.count("vocab_size", c.vocab_size);
}

/// A number of the rope scaling in config.json, 0 if absent; ModelConfig has only derived values.
double in_rope_scaling(const Checkpoint& file, std::string_view key) {
  const auto json = arch::JsonConfig::parse(file.config_json());
  if (!json) return 0.0;
  return arch::rope_block(arch::text_config(*json)).number_or(key, 0.0);
}

void write_rope(const Checkpoint& file, const ModelConfig& c, Keys& keys) {
  keys.number("rope.freq_base", c.rope.theta);
  keys.count("rope.dimension_count", c.full_rotated_dim());
  if (c.full_head_dim > 0) keys.count("rope.dimension_count_swa", c.rotated_dim());
  if (c.sliding_rope) keys.number("rope.freq_base_swa", c.sliding_rope->theta);
  if (c.rope.query_growth != 0.0) {
    keys.number("attention.temperature_scale", c.rope.query_growth);
    if (c.rope.scaling == RopeScaling::none)
      keys.count("rope.scaling.original_context_length", c.rope.original_max_position);
  }
  switch (c.rope.scaling) {
    case RopeScaling::none:
    case RopeScaling::llama3:  // a tensor, no keys
    case RopeScaling::proportional:
    case RopeScaling::factors: return;
    case RopeScaling::linear:
      keys.text("rope.scaling.type", "linear");
      keys.number("rope.scaling.factor", c.rope.factor);
      return;
    case RopeScaling::yarn:
      keys.text("rope.scaling.type", "yarn");
      keys.number("rope.scaling.factor", c.rope.factor);
      keys.count("rope.scaling.original_context_length", c.rope.original_max_position);
      keys.number("rope.scaling.yarn_beta_fast", c.rope.beta_fast);
      keys.number("rope.scaling.yarn_beta_slow", c.rope.beta_slow);
      // GGUF has one number for DeepSeek's mscale and mscale_all_dim: a tenth of the latter.
      if (const double s = in_rope_scaling(file, "mscale_all_dim"); s != 0.0) {
        if (c.attention == AttentionKind::mla) keys.number("rope.scaling.yarn_log_multiplier", 0.1 * s);
        if (c.family == "ministral3") keys.number("rope.scaling.yarn_log_multiplier", s);  // its converter's habit
      }
      if (const double s = in_rope_scaling(file, "attention_factor"); s != 0.0)
        keys.number("rope.scaling.yarn_attn_factor", s);
      return;
    case RopeScaling::longrope:  // and two tensors
      keys.count("rope.scaling.original_context_length", c.rope.original_max_position);
      keys.number("rope.scaling.attn_factor", c.rope.attention_factor);
      return;
  }
}

/// A period if the sliding layers have one, else a list; nothing for families where all layers have a window.
void write_windows(const ModelConfig& c, Keys& keys) {
  if (c.sliding_layers.empty()) {
    if (c.family == "gemma2") keys.count("attention.sliding_window", 0);  // without the key readers take 4096
    return;
  }
  keys.count("attention.sliding_window", c.sliding_window);
  if (c.family == "phi3") return;
  const auto slides = [&](std::int64_t l) { return c.window(l) > 0; };
  std::int64_t period = 1;
  while (period < c.layer_count && slides(period - 1)) ++period;
  bool regular = true;
  std::vector<std::int32_t> list;
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    regular = regular && slides(l) == ((l + 1) % period != 0);
    list.push_back(slides(l));
  }
  if (regular && c.family != "gemma4_text")  // whose readers want a list
    keys.count("attention.sliding_window_pattern", period);
  else
    keys.integers("attention.sliding_window_pattern", list);
}

void write_soft_caps(const ModelConfig& c, Keys& keys) {
  const bool always = c.family == "gemma2";  // without the keys readers take 50 and 30
  if (always || c.attn_logit_softcapping != 0.0) keys.number("attn_logit_softcapping", c.attn_logit_softcapping);
  if (always || c.final_logit_softcapping != 0.0) keys.number("final_logit_softcapping", c.final_logit_softcapping);
}

void write_gqa(const ModelConfig& c, Keys& keys) {
  if (c.family == "lfm2" || c.family == "lfm2_moe")  // 0 says which layers are convolutions
    keys.integers("attention.head_count_kv",
                  per_layer(c, [&](std::int64_t l) { return c.is_recurrent(l) ? 0 : c.kv_head_count; }));
  else if (c.full_kv_head_count > 0)
    keys.integers("attention.head_count_kv", per_layer(c, [&](std::int64_t l) { return c.kv_heads_of(l); }));
  else
    keys.count("attention.head_count_kv", c.kv_head_count);
  const std::int64_t full = c.full_head_dim > 0 ? c.full_head_dim : c.head_dim;
  keys.count("attention.key_length", full);
  keys.count("attention.value_length", full);
  if (c.family != "gemma4_text") return;
  keys.count("attention.key_length_swa", c.head_dim);
  keys.count("attention.value_length_swa", c.head_dim);
  keys.count("attention.shared_kv_layers", c.kv_shared_layer_count);
  keys.count("embedding_length_per_layer_input", c.layer_input_size);
}

void write_mla(const ModelConfig& c, Keys& keys) {
  // The cache holds one head: the latent and the shared rotated key. The lengths per head are those with _mla.
  keys.count("attention.head_count_kv", 1);
  keys.count("attention.key_length", c.kv_lora_rank + c.qk_rope_head_dim);
  keys.count("attention.value_length", c.kv_lora_rank);
  keys.count("attention.key_length_mla", c.qk_nope_head_dim + c.qk_rope_head_dim);
  keys.count("attention.value_length_mla", c.v_head_dim);
  keys.count("attention.kv_lora_rank", c.kv_lora_rank);
  if (c.q_lora_rank > 0) keys.count("attention.q_lora_rank", c.q_lora_rank);
  if (c.indexer.head_count == 0) return;
  keys.count("attention.indexer.head_count", c.indexer.head_count);
  keys.count("attention.indexer.key_length", c.indexer.head_dim);
  keys.count("attention.indexer.top_k", c.indexer.top_k);
  if (c.family == "glm_moe_dsa")
    keys.integers("attention.indexer.types", per_layer(c, [&](std::int64_t l) { return c.has_indexer(l); }));
}

/// ERNIE: from some layer on, every step-th layer has experts.
void write_interleaved_experts(const ModelConfig& c, Keys& keys) {
  std::int64_t first = 0, second = 0;
  while (first < c.layer_count && !c.layer_is_moe(first)) ++first;
  for (second = first + 1; second < c.layer_count && !c.layer_is_moe(second);) ++second;
  const bool steps = second < c.layer_count && (first + 1) % (second - first) == 0;
  keys.count("interleave_moe_layer_step", steps ? second - first : 1);
  keys.count("leading_dense_block_count", first);
  keys.count("expert_shared_count", c.shared_expert_count);
}

void write_experts(const ModelConfig& c, Keys& keys) {
  const RouterConfig& r = c.router;
  if (r.expert_count == 0) return;
  keys.count("expert_count", r.expert_count);
  keys.count("expert_used_count", r.top_k);
  keys.count("expert_feed_forward_length", c.moe_intermediate_size);
  if (c.shared_expert_count > 0) keys.count("expert_shared_feed_forward_length", c.shared_width());
  if (r.score == RouterScore::softmax && r.selection_bias) write_interleaved_experts(c, keys);
  if (c.family == "hunyuan_v1_moe") keys.count("expert_shared_count", c.shared_expert_count);
  if (c.attention != AttentionKind::mla && r.score != RouterScore::sigmoid)
    return;  // the rest is for routers like DeepSeek's
  keys.count("leading_dense_block_count", std::min(c.first_k_dense_replace, c.layer_count));
  keys.count("expert_shared_count", c.shared_expert_count);
  keys.count("expert_gating_func", r.score == RouterScore::softmax ? 1 : 2);
  keys.boolean("expert_weights_norm", r.norm_topk_prob);
  keys.number("expert_weights_scale", r.routed_scaling_factor);
  if (c.family == "glm4_moe") keys.count("nextn_predict_layers", 0);  // they are left out
  keys.count("expert_group_count", r.group_count);
  keys.count("expert_group_used_count", r.topk_group);
}

/// BOS and EOS from config.json if the tokenizer does not have them: without ids, readers assume GPT-2's.
void complete_ids(const Checkpoint& file, GgufVocabulary& v) {
  const auto whole = arch::JsonConfig::parse(file.config_json());
  if (!whole) return;
  const arch::JsonConfig json = arch::text_config(*whole);
  const auto last = static_cast<std::int64_t>(v.tokens.size()) - 1;
  const auto id = [&](std::string_view key) -> std::optional<TokenId> {
    const std::int64_t found = json.integer_or(key, -1, -1, last);
    return json.status() && found >= 0 ? std::optional(static_cast<TokenId>(found)) : std::nullopt;
  };
  if (!v.bos) v.bos = id("bos_token_id");
  if (!v.eos) v.eos = id("eos_token_id");
}

/// Other end-of-reply ids (generation_config.json may list several): readers stop at EOT and EOM as at EOS.
void write_stop_ids(const Tokenizer& tokenizer, std::optional<TokenId> eos, GgufMetadata& out,
                    std::vector<std::string>& notes) {
  std::vector<TokenId> more;
  for (const TokenId id : tokenizer.stop_ids())
    if (id != eos) more.push_back(id);
  const std::string_view keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
  for (std::size_t i = 0; i < std::min(more.size(), std::size(keys)); ++i)
    out.u32(keys[i], static_cast<std::uint32_t>(more[i]));
  if (more.size() > std::size(keys))
    notes.push_back(fmt::format("the model has {} end tokens, and GGUF has keys for 3: {} and later ones are left out",
                                more.size() + 1, more[std::size(keys)]));
}

/// Added tokens may be beyond the model's rows (Gemma 3 1B has one of the larger models'): no reader could use them.
Result<void> drop_rowless(GgufVocabulary& v, std::int64_t vocab_size, std::vector<std::string>& notes) {
  const auto rows = static_cast<std::size_t>(vocab_size);
  if (v.tokens.size() <= rows) return {};
  for (std::size_t id = rows; id < v.tokens.size(); ++id)
    if (v.types[id] == tokenizer::kNormal)
      return fail(ErrorCode::unsupported, fmt::format("tokenizer.json has {} tokens, expected at most vocab_size ({})",
                                                      v.tokens.size(), vocab_size));
  notes.push_back(fmt::format("{} added tokens have no row in the model and are left out", v.tokens.size() - rows));
  v.tokens.resize(rows);
  v.types.resize(rows);
  if (!v.scores.empty()) v.scores.resize(rows);
  return {};
}

/// Named templates have keys of their own, and a list of the names.
void write_chat_templates(const ChatTemplates& chat, GgufMetadata& out, std::vector<std::string>& notes) {
  if (!chat.error.empty()) notes.push_back("a chat template is left out: " + chat.error);
  std::vector<std::string> names;
  for (const auto& [name, text] : chat.texts)
    if (name == "default")
      out.text("tokenizer.chat_template", text);
    else
      names.push_back(name);
  if (names.empty()) return;
  out.texts("tokenizer.chat_templates", names);
  for (const std::string& name : names) out.text("tokenizer.chat_template." + name, chat.texts.at(name));
}

Result<void> write_tokenizer(const Checkpoint& file, std::int64_t vocab_size, GgufMetadata& out,
                             std::vector<std::string>& notes) {
  const auto text = file.tokenizer_text();
  if (!text) return forward(text);
  if (text->json.empty()) {
    out.text("tokenizer.ggml.model", "no_vocab");
    notes.push_back("the input has no tokenizer.json: the output has no tokenizer");
    return {};
  }
  auto vocabulary = tokenizer::vocabulary_from_json(text->json, text->config);
  if (!vocabulary) return fail(vocabulary.error().code, "tokenizer.json: " + vocabulary.error().message);
  GgufVocabulary& v = *vocabulary;
  if (auto ok = drop_rowless(v, vocab_size, notes); !ok) return ok;
  // Readers use the number of tokens as the number of embedding rows.
  for (std::int64_t id = static_cast<std::int64_t>(v.tokens.size()); id < vocab_size; ++id) {
    v.tokens.push_back(fmt::format("[PAD{}]", id));
    v.types.push_back(tokenizer::kUnused);
    if (v.model == "llama") v.scores.push_back(0.0F);
  }
  complete_ids(file, v);
  const auto tokenizer = file.load_tokenizer(vocab_size);
  if (!tokenizer) return forward(tokenizer);
  if (!v.eos && !(*tokenizer)->stop_ids().empty()) v.eos = (*tokenizer)->stop_ids().front();

  out.text("tokenizer.ggml.model", v.model);
  if (v.model == "llama")
    notes.push_back(
        "llama.cpp reads this tokenizer from scores made of its merges: the same ids where those are SentencePiece's; "
        "libmoe reads the tokenizer.json that the file holds");
  else if (v.pre.empty())
    notes.push_back(
        "llama.cpp has no name for this tokenizer's splits: it loads the file and cuts text otherwise; libmoe "
        "reads the tokenizer.json that the file holds");
  else
    out.text("tokenizer.ggml.pre", v.pre);
  out.texts("tokenizer.ggml.tokens", v.tokens);
  out.integers("tokenizer.ggml.token_type", v.types);
  if (v.model == "llama") {
    out.numbers("tokenizer.ggml.scores", v.scores);
    out.boolean("tokenizer.ggml.add_space_prefix", v.add_space_prefix.value_or(true));
  } else {
    out.texts("tokenizer.ggml.merges", v.merges);
  }
  const std::pair<const char*, std::optional<TokenId>> ids[] = {{"tokenizer.ggml.bos_token_id", v.bos},
                                                                {"tokenizer.ggml.eos_token_id", v.eos},
                                                                {"tokenizer.ggml.unknown_token_id", v.unk}};
  for (const auto& [key, id] : ids)
    if (id) out.u32(key, static_cast<std::uint32_t>(*id));
  write_stop_ids(**tokenizer, v.eos, out, notes);
  out.boolean("tokenizer.ggml.add_bos_token", v.add_bos.value_or(false));
  out.boolean("tokenizer.ggml.add_eos_token", v.add_eos.value_or(false));
  out.text(checkpoint::kTokenizerJsonKey, text->json);

  write_chat_templates(file.chat_templates(), out, notes);
  return {};
}

}  // namespace

Result<GgufMetadata> metadata_of_directory(const Checkpoint& file, const arch::Recognised& model,
                                           const std::string& name, bool tokenizer, std::vector<std::string>& notes) {
  const ModelConfig& c = model.config;
  const std::string_view architecture = model.family->gguf_architecture;
  if (auto ok = check_recurrent_layers(c); !ok) return forward(ok);
  GgufMetadata out;
  out.text("general.architecture", architecture);
  out.text("general.type", "model");
  if (!name.empty()) out.text("general.name", name);
  Keys keys(out, architecture);
  write_common(c, keys);
  c.attention == AttentionKind::mla ? write_mla(c, keys) : write_gqa(c, keys);
  write_rope(file, c, keys);
  write_windows(c, keys);
  write_soft_caps(c, keys);
  write_experts(c, keys);
  write_recurrent(file, c, keys);
  if (c.attention == AttentionKind::mla && c.q_lora_rank == 0)
    notes.push_back(
        "the model has no q_lora_rank: llama.cpp (0.3.36) loads such files of DeepSeek-V2-Lite only, libmoe all");
  if (c.router.group_count > 1 && c.router.group_score == GroupScore::max)
    notes.push_back(
        "groups of experts are ranked by their best one (DeepSeek-V2): llama.cpp ranks them by the best two and "
        "chooses others");
  if (!tokenizer)
    out.text("tokenizer.ggml.model", "no_vocab");
  else if (auto ok = write_tokenizer(file, c.vocab_size, out, notes); !ok)
    return forward(ok);
  return out;
}

Result<GgufMetadata> metadata_of_gguf(const Checkpoint& file) {
  const auto entries = file.raw_metadata();
  if (!entries) return forward(entries);
  GgufMetadata out;
  for (const checkpoint::RawMetadata& entry : *entries) {
    bool of_the_file = entry.key == "general.file_type" || entry.key == "general.quantization_version" ||
                       entry.key == "general.alignment";
    for (const std::string_view prefix : {"split.", "quantize.imatrix."}) of_the_file |= entry.key.starts_with(prefix);
    if (!of_the_file) out.raw(entry.key, entry.value);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::convert
