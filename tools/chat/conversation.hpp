#pragma once
// The messages of a conversation, and how they are kept in a file.

#include <string>
#include <vector>

#include "moe/chat.hpp"

namespace cli {

class Conversation {
 public:
  explicit Conversation(std::string system = {}) { begin(std::move(system)); }

  /// Without any message but this one; without one where it is empty.
  void begin(std::string system);
  /// The same, with the system message that it has.
  void clear() { begin(system_); }

  void ask(std::string text) { messages_.push_back({.role = "user", .content = std::move(text)}); }
  void answer(std::string text) { messages_.push_back({.role = "assistant", .content = std::move(text)}); }
  /// The last question is the end again. False where there is none.
  bool take_back_answer();
  const std::vector<moe::ChatMessage>& messages() const { return messages_; }
  /// What moe-run --messages reads.
  moe::Result<void> save(const std::string& path) const;

 private:
  std::string system_;
  std::vector<moe::ChatMessage> messages_;
};

}  // namespace cli
