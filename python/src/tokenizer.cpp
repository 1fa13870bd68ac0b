// Text to token ids and back, and conversations to both.

#include <string>
#include <utility>
#include <vector>

#include "chat_request.hpp"
#include "errors.hpp"
#include "ids.hpp"
#include "model.hpp"
#include "moe/chat.hpp"
#include "watch.hpp"

namespace moe_python {
namespace {

/// Of a model, which it keeps alive.
struct ModelTokenizer {
  ModelHandle owner;
  const moe::Tokenizer& get() const { return *owner->model->tokenizer(); }
};

ModelTokenizer tokenizer_of(ModelHandle model) {
  if (!model->model->tokenizer())
    raise(moe::ErrorCode::unsupported, "the model has no usable tokenizer: " + model->model->tokenizer_error());
  return ModelTokenizer{std::move(model)};
}

std::vector<moe::TokenId> encode(const ModelTokenizer& self, nb::str given, bool add_special_tokens,
                                 bool parse_special) {
  const moe::EncodeOptions options{.ends = add_special_tokens ? moe::TextEnds::as_model : moe::TextEnds::none,
                                   .special = parse_special ? moe::SpecialText::parse : moe::SpecialText::plain};
  const std::string text = bytes_of(std::move(given));
  Watch watch;
  return unwrap(watch.run([&] { return self.get().encode(text, options); }));
}

std::string decode(const ModelTokenizer& self, nb::handle ids, bool skip_special_tokens) {
  return unwrap(
      self.get().decode(ids_of(ids), skip_special_tokens ? moe::SpecialTokens::hide : moe::SpecialTokens::show));
}

nb::bytes token_bytes(const ModelTokenizer& self, std::int64_t id) {
  if (id < 0 || id >= self.get().vocab_size())
    raise(moe::ErrorCode::bad_argument,
          "token id " + std::to_string(id) + ", expected 0 to " + std::to_string(self.get().vocab_size() - 1));
  const std::string_view bytes = self.get().bytes_of(static_cast<moe::TokenId>(id));
  return nb::bytes(bytes.data(), bytes.size());
}

std::pair<nb::str, std::vector<moe::TokenId>> render(const ModelTokenizer& self, const ChatRequest& request) {
  const moe::Chat chat = chat_of(request);
  Watch watch;
  const auto rendered = unwrap(watch.run([&] { return moe::encode_chat(*self.owner->model, chat); }));
  return {text_of(rendered.text), rendered.ids};
}

}  // namespace

void add_tokenizer(nb::module_& m) {
  nb::class_<ChatRequest>(m, "ChatRequest", "A conversation and how a template writes it; texts are JSON.")
      .def(nb::init<>())
      .def_rw("messages", &ChatRequest::messages)
      .def_rw("tools", &ChatRequest::tools)
      .def_rw("documents", &ChatRequest::documents)
      .def_rw("variables", &ChatRequest::variables)
      .def_rw("template_name", &ChatRequest::template_name)
      .def_rw("template_text", &ChatRequest::template_text)
      .def_rw("date", &ChatRequest::date)
      .def_rw("end", &ChatRequest::end);

  using Self = ModelTokenizer;
  nb::class_<Self>(m, "ModelTokenizer", "The compiled part of libmoe.Tokenizer.")
      .def(nb::new_(&tokenizer_of), "model"_a)
      .def("encode", encode, "text"_a, "add_special_tokens"_a, "parse_special"_a)
      .def(
          "decode", [](const Self& self, nb::handle ids, bool skip) { return text_of(decode(self, ids, skip)); },
          "ids"_a.none(), "skip_special_tokens"_a)
      .def(
          "decode_bytes",
          [](const Self& self, nb::handle ids, bool skip) {
            const std::string bytes = decode(self, ids, skip);
            return nb::bytes(bytes.data(), bytes.size());
          },
          "ids"_a.none(), "skip_special_tokens"_a)
      .def("token_bytes", token_bytes, "id"_a)
      .def(
          "find", [](const Self& self, const std::string& text) { return self.get().find(text); }, "text"_a)
      .def("render", render, "request"_a)
      .def(
          "is_control", [](const Self& self, std::int32_t id) { return self.get().is_control(id); }, "id"_a)
      .def_prop_ro("vocab_size", [](const Self& self) { return self.get().vocab_size(); })
      .def_prop_ro("bos", [](const Self& self) { return self.get().bos(); })
      .def_prop_ro("eos", [](const Self& self) { return self.get().eos(); })
      .def_prop_ro("stop_ids", [](const Self& self) { return self.get().stop_ids(); })
      .def_prop_ro("adds_bos", [](const Self& self) { return self.get().adds_bos(); })
      .def_prop_ro("fingerprint", [](const Self& self) { return self.get().fingerprint(); })
      .def_prop_ro("chat_templates", [](const Self& self) { return self.owner->model->chat_templates().texts; });
}

}  // namespace moe_python
