#pragma once
// --chat-template of every program that has one: a file with a template, or the name of one of the model's.

#include <string>

#include "moe/chat.hpp"

namespace cli {

/// A text that ends in .jinja or contains a / is a file (or a pipe), anything else a name. Errors: as moe::read_text.
moe::Result<void> use_chat_template(const std::string& file_or_name, moe::ChatOptions& options);

}  // namespace cli
