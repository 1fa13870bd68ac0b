#include "tools/common/chat_template.hpp"

#include "support/text_file.hpp"
#include "tools/common/interrupt.hpp"

namespace cli {

moe::Result<void> use_chat_template(const std::string& file_or_name, moe::ChatOptions& options) {
  const bool is_file = file_or_name.ends_with(".jinja") || file_or_name.find('/') != std::string::npos;
  if (!is_file) {
    options.template_name = file_or_name;
    return {};
  }
  auto text =
      moe::read_text(file_or_name, {.bytes = 1 << 20, .streams = moe::Streams::allowed, .cancelled = interrupted});
  if (!text) return moe::fail(text.error().code, "--chat-template " + text.error().message);
  if (text->empty())
    return moe::fail(moe::ErrorCode::bad_file, "--chat-template " + file_or_name + ": is empty, expected a template");
  options.template_text = std::move(*text);
  return {};
}

}  // namespace cli
