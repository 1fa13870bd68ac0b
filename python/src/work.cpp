// FLOPs of a forward pass, and of a session so far.

#include <string>

#include "errors.hpp"
#include "model.hpp"
#include "moe/flops.hpp"

namespace moe_python {
namespace {

moe::Work forward_work(const moe::ModelInfo& info, std::int64_t new_tokens, std::int64_t cached_tokens,
                       std::int64_t logit_rows, const std::string& mla) {
  const auto form = enum_of("mla", mla, {moe::MlaForm::expanded, moe::MlaForm::absorbed});
  const std::int64_t limit = info.config.max_position;
  if (new_tokens < 0 || cached_tokens < 0 || new_tokens > limit || cached_tokens > limit - new_tokens)
    raise(moe::ErrorCode::bad_argument, "flops: " + std::to_string(cached_tokens) + " cached and " +
                                            std::to_string(new_tokens) + " new tokens, expected 0 to " +
                                            std::to_string(limit) + " together, the model's context");
  if (logit_rows < 0 || logit_rows > new_tokens)
    raise(moe::ErrorCode::bad_argument, "flops: " + std::to_string(logit_rows) + " rows of logits, expected 0 to " +
                                            std::to_string(new_tokens) + ", the new tokens");
  return moe::forward_work(info.config, cached_tokens, new_tokens, logit_rows, form);
}

}  // namespace

void add_work(nb::module_& m) {
  nb::class_<moe::Work>(m, "Work",
                        "FLOPs by kind, 2 per multiply-add, exact. Norms, softmax and activations are not in it.")
      .def_ro("attention_projection", &moe::Work::attention_projection)
      .def_ro("attention_score", &moe::Work::attention_score)
      .def_ro("attention_value", &moe::Work::attention_value)
      .def_ro("index_score", &moe::Work::index_score, "scores of the indexer, where attention is to chosen keys")
      .def_ro("recurrent", &moe::Work::recurrent, "convolutions and states of recurrent layers")
      .def_ro("router", &moe::Work::router)
      .def_ro("routed_experts", &moe::Work::routed_experts)
      .def_ro("shared_experts", &moe::Work::shared_experts)
      .def_ro("dense_ffn", &moe::Work::dense_ffn)
      .def_ro("head", &moe::Work::head)
      .def_ro("mtp_projection", &moe::Work::mtp_projection, "inputs of a multi-token-prediction layer")
      .def_ro("tokens", &moe::Work::tokens, "tokens that were run through the layers")
      .def_ro("head_tokens", &moe::Work::head_tokens, "positions with logits")
      .def_prop_ro("total", &moe::Work::total, "all FLOPs together")
      .def(
          "__eq__", [](const moe::Work& a, const moe::Work& b) { return a == b; }, nb::is_operator(),
          nb::sig("def __eq__(self, arg: object, /) -> bool"))
      .def("__repr__", [](const moe::Work& w) {
        return "Work(total=" + std::to_string(w.total()) + ", tokens=" + std::to_string(w.tokens) +
               ", head_tokens=" + std::to_string(w.head_tokens) + ")";
      });
  m.def("forward_work", forward_work, "info"_a, "new_tokens"_a, "cached_tokens"_a, "logit_rows"_a, "mla"_a);
}

}  // namespace moe_python
