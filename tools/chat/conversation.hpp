#pragma once
// The messages of a conversation, and saving them to a file.

#include <string>
#include <vector>

#include "moe/chat.hpp"

namespace cli {

class Conversation {
 public:
  explicit Conversation(std::string system = {}) { begin(std::move(system)); }

  /// Restarts with this system message; without one if it is empty.
  void begin(std::string system);
  /// Restarts with the current system message.
  void clear() { begin(system_); }

  void ask(std::string text) { messages_.push_back({.role = "user", .content = std::move(text)}); }
  void answer(std::string text) { messages_.push_back({.role = "assistant", .content = std::move(text)}); }
  /// Removes everything after the last question. False if there is none.
  bool take_back_answer();
  const std::vector<moe::ChatMessage>& messages() const { return messages_; }
  /// Saves the format that moe-run --messages reads.
  moe::Result<void> save(const std::string& path) const;

 private:
  std::string system_;
  std::vector<moe::ChatMessage> messages_;
};

}  // namespace cli
