// Models whose files are well-formed but whose hyper-parameters, tensors or numbers make no sense.

#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "bad_input.hpp"
#include "moe/model.hpp"
#include "support.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;
using moe::ErrorCode;
namespace fs = std::filesystem;

fs::path golden() { return reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden"); }

/// Reference directories that the library can read at all.
std::vector<fs::path> known_directories() {
  std::vector<fs::path> found;
  if (!golden().empty())
    for (const auto& entry : fs::directory_iterator(golden()))
      if (fs::exists(entry.path() / "model.safetensors") && moe::Model::inspect(entry.path()).has_value())
        found.push_back(entry.path());
  return found;
}
std::vector<fs::path> known_gguf_files() {
  std::vector<fs::path> found;
  const fs::path dir = golden().empty() ? fs::path{} : golden() / "gguf";
  if (!dir.empty() && fs::exists(dir))
    for (const auto& entry : fs::directory_iterator(dir))
      if (entry.path().extension() == ".gguf" && moe::Model::inspect(entry.path()).has_value())
        found.push_back(entry.path());
  return found;
}

/// Refused with one of the codes that say "this model is wrong", in a message with one of the words.
void check_model_refused(const moe::Result<moe::ModelInfo>& result, const std::vector<std::string>& words) {
  if (result.has_value()) {
    FAIL_CHECK("was accepted");
    return;
  }
  CAPTURE(result.error().message);
  const ErrorCode code = result.error().code;
  CHECK((code == ErrorCode::bad_config || code == ErrorCode::bad_shape || code == ErrorCode::not_found ||
         code == ErrorCode::unsupported || code == ErrorCode::bad_file));
  CHECK(is_one_printable_line(result.error().message));
  const bool named = words.empty() || std::any_of(words.begin(), words.end(), [&](const std::string& word) {
                       return result.error().message.find(word) != std::string::npos;
                     });
  CHECK_MESSAGE(named, "the message names none of the expected items");
}

/// A directory of links to a model, with one file of its own.
void inspect_with(const fs::path& model, const std::string& name, const std::string& text,
                  const std::function<void(const moe::Result<moe::ModelInfo>&)>& check) {
  TemporaryDirectory dir;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.path().filename() != name)
      fs::create_symlink(fs::absolute(entry.path()), dir.path() / entry.path().filename());
  dir.write(name, text);
  check(moe::Model::inspect(dir.path()));
}

struct ConfigCase {
  std::string key;
  std::string value;                    ///< JSON
  std::vector<std::string> words = {};  ///< what may be named instead of the key
};

const std::vector<ConfigCase>& config_cases() {
  static const std::vector<ConfigCase> cases = {
      {"hidden_size", "0"},
      {"hidden_size", "-64"},
      {"hidden_size", "64.5"},
      {"hidden_size", "\"64\""},
      {"hidden_size", "null"},
      {"hidden_size", "true"},
      {"hidden_size", "[64]"},
      {"hidden_size", "18446744073709551616"},
      {"hidden_size", "18446744073709551615"},
      {"hidden_size", "1099511627776"},
      {"hidden_size", "65", {"tensor"}},
      {"num_hidden_layers", "0"},
      {"num_hidden_layers", "1", {"layers.", "mlp_only_layers"}},
      {"num_hidden_layers", "4", {"layers."}},
      {"num_hidden_layers", "1000", {"layers."}},
      {"num_hidden_layers", "4294967296"},
      {"vocab_size", "0"},
      {"vocab_size", "319", {"embed_tokens"}},
      {"vocab_size", "9223372036854775807"},
      {"num_attention_heads", "0"},
      {"num_attention_heads", "3", {"head_count", "proj"}},
      {"num_attention_heads", "4096", {"head", "proj"}},
      {"max_position_embeddings", "0"},
      {"max_position_embeddings", "-1"},
      {"rms_norm_eps", "0", {"eps"}},
      {"rms_norm_eps", "-1e-6", {"eps"}},
      {"rms_norm_eps", "1e-300", {"eps"}},
      {"rms_norm_eps", "1e300", {"eps"}},
      {"rms_norm_eps", "\"small\""},
      {"rope_theta", "0", {"theta"}},
      {"rope_theta", "-10000", {"theta"}},
      {"rope_theta", "1e300", {"theta"}},
      {"rope_scaling", "7"},
      {"rope_scaling", R"({"type": "nonsense", "factor": 2.0})", {"nonsense"}},
      {"rope_scaling", R"({"rope_type": "nonsense", "factor": 2.0})", {"nonsense"}},
      {"rope_scaling", R"({"rope_type": "yarn"})", {"factor"}},
      {"rope_scaling", R"({"rope_type": "linear", "factor": "2"})", {"factor"}},
      {"rope_scaling", R"({"type": "yarn"})", {"factor"}},
      {"rope_scaling", R"({"type": "yarn", "factor": 0})", {"factor"}},
      {"rope_scaling", R"({"type": "yarn", "factor": -4.0})", {"factor"}},
      {"rope_scaling", R"({"type": "linear", "factor": "2"})", {"factor"}},
      {"hidden_act", "\"gelu\""},
      {"tie_word_embeddings", "\"no\""},
      {"architectures", R"(["NoSuchForCausalLM"])", {"NoSuchForCausalLM"}},
      {"architectures", "[]", {"architecture"}},
      {"architectures", "\"LlamaForCausalLM\"", {"architecture"}},
  };
  return cases;
}

/// Keys of some families only; a case is tried where the key is in the file.
const std::vector<ConfigCase>& family_cases() {
  static const std::vector<ConfigCase> cases = {
      {"num_key_value_heads", "0", {"kv_head_count"}},
      {"num_key_value_heads", "5", {"kv_head_count"}},
      {"num_key_value_heads", "8", {"kv_head_count"}},
      {"head_dim", "0"},
      {"head_dim", "31", {"proj", "a head of 31"}},
      {"head_dim", "1048577"},
      {"intermediate_size", "161", {"proj"}},
      {"num_experts", "0"},
      {"num_experts", "9", {"gate", "experts"}},
      {"num_experts", "16384", {"gate", "experts", "parameters"}},
      {"num_experts_per_tok", "0", {"top_k"}},
      {"num_experts_per_tok", "-1", {"top_k"}},
      {"num_experts_per_tok", "17", {"top_k"}},
      {"moe_intermediate_size", "0"},
      {"moe_intermediate_size", "33", {"experts"}},
      {"decoder_sparse_step", "0"},
      {"decoder_sparse_step", "2", {"mlp"}},
      {"mlp_only_layers", "[0]", {"mlp", "experts"}},
      {"mlp_only_layers", "[-1]"},
      {"mlp_only_layers", "[1000]"},
      {"mlp_only_layers", "\"0\""},
      {"n_routed_experts", "0", {"expert_count"}},
      {"n_routed_experts", "15", {"group_count", "gate"}},
      {"n_group", "0", {"group_count"}},
      {"n_group", "5", {"group_count"}},
      {"n_group", "32", {"group_count"}},
      {"topk_group", "0"},
      {"topk_group", "5"},
      {"routed_scaling_factor", "0"},
      {"routed_scaling_factor", "-2.5"},
      {"routed_scaling_factor", "1e300"},
      {"scoring_func", "\"tanh\""},
      {"topk_method", "\"first\""},
      {"first_k_dense_replace", "-1"},
      {"first_k_dense_replace", "100", {"mlp"}},  // as many as there are layers
      {"n_shared_experts", "-1"},
      {"n_shared_experts", "2", {"shared_experts"}},
      {"kv_lora_rank", "0"},
      {"kv_lora_rank", "31", {"kv_"}},
      {"q_lora_rank", "-1"},
      {"q_lora_rank", "0", {"q_proj"}},
      {"qk_rope_head_dim", "0"},
      {"qk_rope_head_dim", "15", {"proj"}},
      {"qk_nope_head_dim", "0"},
      {"v_head_dim", "0"},
      {"v_head_dim", "25", {"kv_b_proj"}},
      {"num_nextn_predict_layers", "-1", {"nextn", "mtp"}},
  };
  return cases;
}

}  // namespace

TEST_CASE("hyper-parameters outside their limits or against each other: config.json") {
  const auto models = known_directories();
  if (models.empty()) return report_skip("config.json cases", "no reference directory of a known family");
  std::map<std::string, int> tried;
  for (const fs::path& model : models) {
    const auto config = nlohmann::json::parse(read_file(model / "config.json"));
    for (const auto* list : {&config_cases(), &family_cases()})
      for (const ConfigCase& c : *list) {
        if (list == &family_cases() && (!config.contains(c.key) || config.at(c.key).is_null())) continue;
        auto changed = config;
        changed[c.key] = nlohmann::json::parse(c.value);
        if (changed[c.key] == config.value(c.key, nlohmann::json())) continue;
        CAPTURE(model.filename().string());
        CAPTURE(c.key);
        CAPTURE(c.value);
        std::vector<std::string> words = c.words;
        words.push_back(c.key);
        inspect_with(model, "config.json", changed.dump(), [&](const auto& result) {
          // Latent attention has no key heads, a model of experts only no dense layer, and Gemma 3's class looks at
          // rope_type alone (a note says so).
          const bool unused = (c.key == "num_key_value_heads" && config.contains("kv_lora_rank")) ||
                              (c.key == "intermediate_size" && config.contains("num_experts")) ||
                              (c.key == "rope_scaling" && c.value.find("\"type\"") != std::string::npos &&
                               config.at("model_type") == "gemma3_text");
          if (unused) return;
          check_model_refused(result, words);
        });
        ++tried[c.key];
      }
  }
  std::cout << models.size() << " models, " << tried.size() << " keys" << std::endl;
}

namespace {

/// The place of a key's 4-byte value in a GGUF file.
std::size_t value_at(const std::string& bytes, const std::string& key, std::uint32_t type) {
  std::string pattern;
  put_string(pattern, key);
  put(pattern, type);
  const std::size_t at = bytes.find(pattern);
  return at == std::string::npos ? at : at + pattern.size();
}

void check_gguf_refused(const std::string& bytes, const std::vector<std::string>& words) {
  const MemoryFile file(bytes);
  check_model_refused(moe::Model::inspect(file.path()), words);
}

}  // namespace

TEST_CASE("hyper-parameters outside their limits or against each other: GGUF metadata") {
  const auto models = known_gguf_files();
  if (models.empty()) return report_skip("GGUF metadata cases", "no reference GGUF file of a known family");
  struct Case {
    std::string key;
    std::uint32_t value;
    std::vector<std::string> words = {};
  };
  const std::vector<Case> integers = {
      {"block_count", 0},
      {"block_count", 100, {"blk."}},
      {"block_count", 0xffffffffu},
      {"embedding_length", 0},
      {"embedding_length", 65, {"token_embd"}},
      {"attention.head_count", 0},
      {"attention.head_count", 3, {"head", "attn"}},
      {"attention.head_count", 0xffffffffu},
      {"expert_count", 0},
      {"expert_count", 7, {"expert", "group", "ffn_gate_inp"}},
      {"expert_used_count", 0},
      {"expert_used_count", 1000, {"top_k"}},
      {"expert_group_count", 0},
      {"expert_group_count", 3, {"group_count"}},
      {"expert_group_used_count", 0},
      {"expert_group_used_count", 100, {"topk_group"}},
      {"expert_feed_forward_length", 0},
      {"expert_feed_forward_length", 33, {"ffn_"}},
      {"expert_gating_func", 9},
      {"attention.kv_lora_rank", 0},
      {"rope.dimension_count", 0},
      {"leading_dense_block_count", 5000},
      {"context_length", 0},
  };
  int tried = 0;
  for (const fs::path& path : models) {
    const std::string whole = read_file(path);
    for (const std::string prefix : {"llama", "qwen2", "qwen3", "qwen3moe", "deepseek2"})
      for (const Case& c : integers) {
        const std::string key = prefix + "." + c.key;
        const std::size_t at = value_at(whole, key, kU32);
        if (at == std::string::npos) continue;
        std::string bytes = whole;
        std::memcpy(bytes.data() + at, &c.value, 4);
        CAPTURE(path.filename().string());
        CAPTURE(key);
        CAPTURE(c.value);
        std::vector<std::string> words = c.words;
        words.push_back(c.key);
        check_gguf_refused(bytes, words);
        ++tried;
      }
    for (const std::string key : {"attention.layer_norm_rms_epsilon", "rope.freq_base", "expert_weights_scale"})
      for (const float value : {0.0f, -1.0f, INFINITY, std::nanf("")})
        for (const std::string prefix : {"llama", "qwen2", "qwen3", "qwen3moe", "deepseek2"}) {
          const std::size_t at = value_at(whole, prefix + "." + key, kF32);
          if (at == std::string::npos) continue;
          std::string bytes = whole;
          std::memcpy(bytes.data() + at, &value, 4);
          CAPTURE(path.filename().string());
          CAPTURE(key);
          CAPTURE(value);
          check_gguf_refused(bytes, {"eps", "theta", "scaling", key});
          ++tried;
        }
  }
  CHECK(tried > 0);
}

TEST_CASE("every tensor of a model is needed, in its shape") {
  int tried = 0;
  for (const fs::path& path : known_gguf_files()) {
    const std::string whole = read_file(path);
    const auto file = moe::checkpoint::open(path);
    REQUIRE(file.has_value());
    for (const auto& t : (*file)->tensors()) {
      CAPTURE(path.filename().string());
      CAPTURE(t.name);
      std::string header;
      put_string(header, t.name);
      put<std::uint32_t>(header, static_cast<std::uint32_t>(t.shape.size()));
      const std::size_t at = whole.find(header);
      REQUIRE(at != std::string::npos);
      std::string renamed = whole;
      renamed[at + 8] = 'X';
      // Without attn_k_b the file counts as one from before the split: then kv_b is missing.
      check_gguf_refused(renamed, {t.name, "X" + t.name.substr(1), "attn_kv_b"});
      ++tried;
      if (t.shape.size() < 2 || t.shape[0] == t.shape[1]) continue;
      // The same number of values the other way round.
      std::string turned = whole;
      for (const std::size_t i : {0, 1}) {
        const std::int64_t n = t.shape[t.shape.size() - 2 + i];  // innermost first in the file: swapped
        std::memcpy(turned.data() + at + header.size() + 8 * i, &n, 8);
      }
      if (t.shape[t.shape.size() - 1] != t.shape[t.shape.size() - 2]) check_gguf_refused(turned, {t.name});
    }
  }
  for (const fs::path& model : known_directories()) {
    const std::string whole = read_file(model / "model.safetensors");
    const auto file = moe::checkpoint::open(model);
    REQUIRE(file.has_value());
    // One of many experts stands for all: a few hundred rewritten files are enough.
    for (std::size_t i = 0; i < (*file)->tensors().size(); i += 1 + (*file)->tensors().size() / 40) {
      const std::string name = (*file)->tensors()[i].name;
      CAPTURE(model.filename().string());
      CAPTURE(name);
      const std::size_t at = whole.find('"' + name + '"');
      REQUIRE(at != std::string::npos);
      std::string renamed = whole;
      renamed[at + 1] = 'X';
      inspect_with(model, "model.safetensors", renamed, [&](const auto& result) {
        check_model_refused(result, {name, "X" + name.substr(1)});
      });
      ++tried;
    }
  }
  if (tried == 0) return report_skip("missing tensors", "no reference model of a known family");
  std::cout << tried << " tensors renamed" << std::endl;
}

TEST_CASE("tensors of a type that no kernel reads are named with it") {
  int tried = 0;
  for (const fs::path& path : known_gguf_files()) {
    std::string bytes = read_file(path), pattern;
    put_string(pattern, "output_norm.weight");
    put<std::uint32_t>(pattern, 1);
    const std::size_t at = bytes.find(pattern);
    REQUIRE(at != std::string::npos);
    const std::uint32_t i32 = 26;  // as long as float32
    std::memcpy(bytes.data() + at + pattern.size() + 8, &i32, 4);
    CAPTURE(path.filename().string());
    check_refused(moe::Model::inspect(MemoryFile(bytes).path()), ErrorCode::unsupported, {"output_norm.weight", "i32"});
    ++tried;
  }
  for (const fs::path& model : known_directories()) {
    std::string bytes = read_file(model / "model.safetensors");
    const std::size_t at = bytes.find("\"dtype\":\"BF16\"", bytes.find("\"model.norm.weight\""));
    if (at == std::string::npos) continue;
    bytes.replace(at, 14, "\"dtype\": \"I16\"");
    CAPTURE(model.filename().string());
    inspect_with(model, "model.safetensors", bytes, [](const auto& result) {
      check_refused(result, ErrorCode::unsupported, {"model.norm.weight", "I16"});
    });
    ++tried;
  }
  if (tried == 0) report_skip("types that no kernel reads", "no reference model of a known family");
}

TEST_CASE("numbers that are not finite are refused when a model is loaded") {
  int tried = 0;
  for (const fs::path& path : known_gguf_files()) {
    const auto file = moe::checkpoint::open(path);
    REQUIRE(file.has_value());
    for (const char* name : {"output_norm.weight", "token_embd.weight"}) {
      const auto* t = (*file)->find(name);
      REQUIRE(t != nullptr);
      std::string bytes = read_file(path);
      const std::uint32_t float_nan = 0x7fc00000u;
      const std::uint16_t half_nan = 0x7e00u;
      if (t->format == moe::Format::f32)
        std::memcpy(bytes.data() + t->offset, &float_nan, 4);
      else
        std::memcpy(bytes.data() + t->offset, &half_nan, 2);
      CAPTURE(path.filename().string());
      CAPTURE(name);
      const MemoryFile damaged(bytes);
      const auto loaded = moe::Model::load(damaged.path(), {.tokenizer = moe::TokenizerUse::optional});
      if (loaded.has_value()) {
        FAIL_CHECK("was accepted");
        continue;
      }
      CAPTURE(loaded.error().message);
      CHECK((loaded.error().code == ErrorCode::non_finite || loaded.error().code == ErrorCode::bad_file));
      CHECK(loaded.error().message.find(name) != std::string::npos);
      ++tried;
    }
  }
  if (tried == 0) report_skip("numbers that are not finite", "no reference GGUF file of a known family");
}
