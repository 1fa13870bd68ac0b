#pragma once
// The chat templates of a model file. One that cannot be read is an error of chats, never of the model.

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/text_files.hpp"
#include "moe/chat_templates.hpp"

namespace moe::inline MOE_ABI::checkpoint {

ChatTemplates read_hf_chat_templates(const TextFiles& files);
ChatTemplates read_gguf_chat_templates(const Checkpoint& file);

}  // namespace moe::inline MOE_ABI::checkpoint
