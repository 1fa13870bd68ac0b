#include "moe/chat.hpp"

#include <fmt/format.h>

#include "c/buffers.hpp"
#include "c/handles.hpp"
#include "c/status.hpp"
#include "c/structs.hpp"

using moe::ErrorCode;
using moe::Result;

namespace {

Result<moe::Chat> read_chat(const char* messages, std::int64_t messages_length, const moe_chat_options* given) {
  const auto options = moe::c::read_struct(given, "moe_chat_options", moe_chat_options{});
  if (!options) return moe::forward(options);
  moe::Chat chat;
  const auto end = moe::c::read_choice(options->end, moe::ChatEnd::unfinished, "moe_chat_options.end");
  if (!end) return moe::forward(end);
  chat.options.end = *end;
  struct Field {
    std::string& to;
    const char* text;
    std::int64_t length;
    const char* name;
  };
  moe::ChatOptions& to = chat.options;
  for (const Field& field :
       {Field{to.template_name, options->template_name, options->template_name_length, "template_name"},
        Field{to.template_text, options->template_text, options->template_text_length, "template_text"},
        Field{to.tools, options->tools, options->tools_length, "tools"},
        Field{to.documents, options->documents, options->documents_length, "documents"},
        Field{to.variables, options->variables, options->variables_length, "variables"},
        Field{to.date, options->date, options->date_length, "date"}}) {
    const auto text = moe::c::read_text(field.text, field.length, field.name);
    if (!text) return moe::forward(text);
    field.to = *text;
  }
  const auto json = moe::c::read_text(messages, messages_length, "messages");
  if (!json) return moe::forward(json);
  auto parsed = moe::parse_chat_messages(*json);
  if (!parsed) return moe::forward(parsed);
  chat.messages = std::move(*parsed);
  return chat;
}

}  // namespace

void moe_chat_options_init(moe_chat_options* options, size_t struct_size) {
  moe::c::init_struct(options, struct_size, moe_chat_options{});
}

moe_status moe_chat_template(const moe_model* model, const char* name, int64_t name_length, char* text,
                             int64_t capacity, int64_t* length, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto out = moe::c::TextOut::create(text, capacity, length, "text");
    if (!out) return moe::forward(out);
    const auto given = moe::c::read_text(name, name_length, "name");
    if (!given) return moe::forward(given);
    const std::string key(given->empty() ? "default" : *given);
    const auto& texts = model->model->chat_templates().texts;
    const auto found = texts.find(key);
    if (found == texts.end())
      return moe::fail(ErrorCode::not_found,
                       fmt::format("the model has no chat template {}, but {} others", key, texts.size()));
    return out->write(found->second);
  });
}

moe_status moe_chat_render(const moe_model* model, const char* messages, int64_t messages_length,
                           const moe_chat_options* options, char* text, int64_t capacity, int64_t* length,
                           moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto out = moe::c::TextOut::create(text, capacity, length, "text");
    if (!out) return moe::forward(out);
    const auto chat = read_chat(messages, messages_length, options);
    if (!chat) return moe::forward(chat);
    const auto rendered = moe::render_chat(*model->model, *chat);
    if (!rendered) return moe::forward(rendered);
    return out->write(*rendered);
  });
}

moe_status moe_chat_encode(const moe_model* model, const char* messages, int64_t messages_length,
                           const moe_chat_options* options, int32_t* ids, int64_t capacity, int64_t* count,
                           moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto out = moe::c::IdsOut::create(ids, capacity, count, "ids");
    if (!out) return moe::forward(out);
    const auto chat = read_chat(messages, messages_length, options);
    if (!chat) return moe::forward(chat);
    const auto rendered = moe::encode_chat(*model->model, *chat);
    if (!rendered) return moe::forward(rendered);
    return out->write(rendered->ids);
  });
}
