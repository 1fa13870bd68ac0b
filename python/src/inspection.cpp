// Facts about a model's files, without loading its weights.

#include <string>
#include <variant>
#include <vector>

#include "errors.hpp"
#include "ids.hpp"
#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "watch.hpp"

namespace moe_python {
namespace {

using Formats = nb::typed<nb::list, nb::typed<nb::tuple, nb::str, nb::int_, nb::int_>>;

// Texts of files need not be UTF-8.
nb::object object_of(const std::string& text) { return text_of(text); }
nb::object object_of(const std::vector<std::string>& texts) {
  nb::list out;
  for (const std::string& text : texts) out.append(text_of(text));
  return out;
}
template <class Value>
nb::object object_of(const Value& value) {
  return nb::cast(value);
}

Keywords metadata(const moe::ModelInfo& info) {
  Keywords out;
  for (const auto& [key, value] : info.metadata)
    out[text_of(key)] = std::visit([](const auto& v) { return object_of(v); }, value);
  return out;
}

Formats formats(const moe::ModelInfo& info) {
  Formats out;
  for (const moe::FormatUse& use : info.formats) out.append(nb::make_tuple(use.name, use.tensor_count, use.bytes));
  return out;
}

// Numbers of other kinds of models are 0 and left out.
Keywords configuration(const moe::ModelInfo& info) {
  const moe::ModelConfig& c = info.config;
  Keywords out;
  const auto put = [&](const char* key, std::int64_t value) {
    if (value != 0) out[key] = value;
  };
  out["family"] = c.family;
  put("layer_count", c.layer_count), put("hidden_size", c.hidden_size), put("vocab_size", c.vocab_size);
  put("max_position", c.max_position), put("head_count", c.head_count), put("kv_head_count", c.kv_head_count);
  put("head_dim", c.head_dim), put("q_lora_rank", c.q_lora_rank), put("kv_lora_rank", c.kv_lora_rank);
  put("qk_nope_head_dim", c.qk_nope_head_dim), put("qk_rope_head_dim", c.qk_rope_head_dim);
  put("v_head_dim", c.v_head_dim), put("sliding_window", c.sliding_window);
  put("intermediate_size", c.intermediate_size), put("moe_intermediate_size", c.moe_intermediate_size);
  put("shared_width", c.shared_width()), put("first_k_dense_replace", c.first_k_dense_replace);
  put("moe_layer_count", c.moe_layer_count()), put("expert_count", c.router.expert_count);
  put("top_k", c.router.top_k), put("mtp_layer_count", c.mtp_layer_count);
  out["tie_word_embeddings"] = c.tie_word_embeddings;
  out["rms_norm_eps"] = c.rms_norm_eps;
  out["rope_theta"] = c.rope.theta;
  return out;
}

std::string repr(const moe::ModelInfo& info) {
  const moe::ModelConfig& c = info.config;
  std::string out = "ModelInfo(family='" + c.family + "', layers=" + std::to_string(c.layer_count) +
                    ", parameters=" + std::to_string(info.total_parameters);
  if (c.router.expert_count > 0)
    out += ", experts=" + std::to_string(c.router.expert_count) + ", top_k=" + std::to_string(c.router.top_k);
  return out + ", formats='" + info.format_summary + "')";
}

}  // namespace

void add_inspection(nb::module_& m) {
  using Info = moe::ModelInfo;
  nb::class_<Info>(m, "ModelInfo", "Facts about a model that need no weights in memory.")
      .def_prop_ro(
          "family", [](const Info& i) { return i.config.family; }, "'llama', 'qwen3_moe', 'deepseek_v3', ...")
      .def_prop_ro("config", configuration, "the hyper-parameters that this kind of model has, by name")
      .def_prop_ro(
          "context", [](const Info& i) { return i.config.max_position; }, "tokens that the model sees at most")
      .def_prop_ro(
          "vocab_size", [](const Info& i) { return i.config.vocab_size; }, "rows of the head, padding included")
      .def_prop_ro(
          "expert_count", [](const Info& i) { return i.config.router.expert_count; }, "0: the model is dense")
      .def_prop_ro(
          "top_k", [](const Info& i) { return i.config.router.top_k; }, "experts per token, at most")
      .def_ro("total_parameters", &Info::total_parameters, "without multi-token-prediction layers")
      .def_prop_ro(
          "active_parameters", [](const Info& i) { return moe::count_parameters(i.config).active_matmul; },
          "matrices that one token is multiplied with, head included")
      .def_ro("weight_bytes", &Info::weight_bytes, "as stored in the file; 0 where only a config.json was there")
      .def_ro("touched_bytes", &Info::touched_bytes, "of those, what decoding one token reads")
      .def_prop_ro("formats", formats, "(name, tensors, bytes) of each weight format, most bytes first")
      .def_ro("format_summary", &Info::format_summary, "the same as text")
      .def_ro("notes", &Info::notes, "what the user should know of the file")
      .def_prop_ro(
          "unread_keys",
          [](const Info& i) {
            std::vector<nb::str> keys;
            for (const std::string& key : i.unread_keys) keys.push_back(text_of(key));
            return keys;
          },
          "keys of the configuration that nothing asked for")
      .def_prop_ro("metadata", metadata, "what the files say beside the weights, by key")
      .def_prop_ro(
          "chat_templates", [](const Info& i) { return i.chat_templates.texts; },
          "Jinja texts by name; 'default' is the usual one")
      .def("__repr__", repr);

  m.def(
      "inspect",
      [](const std::string& path) {
        Watch watch;
        return unwrap(watch.run([&] { return moe::Model::inspect(path); }));
      },
      "path"_a);
}

}  // namespace moe_python
