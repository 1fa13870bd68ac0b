#include "tools/chat/conversation.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "tools/common/interrupt.hpp"

namespace cli {

void Conversation::begin(std::string system) {
  system_ = std::move(system);
  messages_.clear();
  if (!system_.empty()) messages_.push_back({.role = "system", .content = system_});
}

bool Conversation::take_back_answer() {
  if (!messages_.empty() && messages_.back().role == "assistant") messages_.pop_back();
  return !messages_.empty() && messages_.back().role == "user";
}

moe::Result<void> Conversation::save(const std::string& path) const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const moe::ChatMessage& message : messages_)
    list.push_back({{"role", message.role}, {"content", message.content}});
  auto file = moe::OutputFile::create(path, {.cancelled = interrupted});
  if (!file) return moe::forward(file);
  const std::string text = file->is_stream() ? moe::ascii_json_text(list, 2) : moe::json_text(list, 2);
  if (auto written = file->write(text + "\n"); !written) return written;
  return file->finish();
}

}  // namespace cli
