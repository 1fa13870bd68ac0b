#include "eval/tasks/turns.hpp"

#include <utility>

#include "eval/score/text.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

const char* role_name(Turn::Role role) {
  return role == Turn::Role::system ? "system" : role == Turn::Role::user ? "user" : "assistant";
}

ChatMessage message_of(Turn::Role role, std::string text) { return {role_name(role), std::move(text), {}}; }

}  // namespace

std::vector<Turn> example_turns(std::string question, const std::string& answer, const TurnStyle& style) {
  const bool is_delimited = style.prefix.empty() || wants_delimiter(question, style.prefix);
  return {{Turn::Role::user, std::move(question), is_delimited ? style.target_delimiter : std::string()},
          {Turn::Role::assistant, delimited(style.prefix, answer, " "), style.fewshot_delimiter}};
}

std::vector<Turn> question_turns(std::string question, const TurnStyle& style) {
  if (style.prefix.empty()) return {{Turn::Role::user, std::move(question), {}}};
  const bool is_delimited = wants_delimiter(question, style.prefix);
  return {{Turn::Role::user, std::move(question), is_delimited ? style.target_delimiter : std::string()},
          {Turn::Role::assistant, style.prefix, {}}};
}

std::string plain_text(const std::vector<Turn>& turns) {
  std::string text;
  for (const Turn& turn : turns) text += turn.text + turn.delimiter;
  return text;
}

Conversation conversation_of(const std::vector<Turn>& turns, Conversations form) {
  Conversation out;
  out.unfinished = !turns.empty() && turns.back().role == Turn::Role::assistant;
  if (form == Conversations::multiturn) {
    for (const Turn& turn : turns) out.messages.push_back(message_of(turn.role, turn.text));
    return out;
  }
  const std::size_t end = turns.size() - (out.unfinished ? 1 : 0);
  std::size_t i = 0;
  if (i < end && turns[i].role == Turn::Role::system)
    out.messages.push_back(message_of(turns[i].role, turns[i].text)), ++i;
  std::string all;
  for (; i < end; ++i) all += turns[i].text + (i + 1 < end ? turns[i].delimiter : std::string());
  out.messages.push_back(message_of(Turn::Role::user, std::move(all)));
  if (out.unfinished) out.messages.push_back(message_of(Turn::Role::assistant, turns.back().text));
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
