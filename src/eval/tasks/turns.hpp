#pragma once
// A prompt as in the reference harness: turns of two sides, which become one text or a conversation.

#include <string>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

/// The text of one side, and the delimiter after it in a plain prompt.
struct Turn {
  enum class Role { system, user, assistant };
  Role role = Role::user;
  std::string text, delimiter;
};

/// What goes around the text of a question.
struct TurnStyle {
  std::string prefix;             ///< begins the answer
  std::string target_delimiter;   ///< before an answer
  std::string fewshot_delimiter;  ///< after a worked example
};

/// A worked example: a question and its answer.
std::vector<Turn> example_turns(std::string question, const std::string& answer, const TurnStyle& style);
/// The question that is asked, and the answer's beginning where there is one.
std::vector<Turn> question_turns(std::string question, const TurnStyle& style);

std::string plain_text(const std::vector<Turn>& turns);
/// With Conversations::singleturn everything but the system's text and the answer's beginning is one turn.
Conversation conversation_of(const std::vector<Turn>& turns, Conversations form);

}  // namespace moe::inline MOE_ABI::eval
