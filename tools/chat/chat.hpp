#pragma once
// moe-run --chat: a conversation on the terminal, or with the lines of a pipe.

#include <string>

#include "moe/chat.hpp"
#include "moe/generate.hpp"

namespace cli {

struct ChatProgram {
  std::string model;         ///< the model's path, which /save must not overwrite
  std::string system;        ///< system message; may be empty
  bool show_prompt = false;  ///< each prompt on stderr before its reply
  moe::ChatOptions chat = {};
  moe::GenerateOptions generate = {};
};

/// Until /quit or the end of standard input. Ctrl-C ends a reply; where standard input is no terminal, the program.
/// Errors: those of standard output and input; cancelled; from a pipe also errors of answering a message.
moe::Result<void> run_chat(moe::Generator& generator, const ChatProgram& program);

}  // namespace cli
