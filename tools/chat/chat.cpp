#include "tools/chat/chat.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "support/same_file.hpp"
#include "support/show.hpp"
#include "tools/chat/command.hpp"
#include "tools/chat/conversation.hpp"
#include "tools/chat/line_reader.hpp"
#include "tools/common/interrupt.hpp"
#include "tools/common/program.hpp"
#include "tools/common/standard_output.hpp"

namespace cli {
namespace {

using moe::Result;

void note(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

// "[42 tokens, 35.1 tokens/s; prompt 120, 96 reused; 3.2 GFLOPs]", and the reason if a reply was cut off.
std::string status_of(const moe::Generation& reply) {
  const auto count = static_cast<double>(reply.tokens.size());
  std::string text = fmt::format("[{} token{}", reply.tokens.size(), reply.tokens.size() == 1 ? "" : "s");
  if (reply.reply_seconds > 0 && count > 1) text += fmt::format(", {:.1f} tokens/s", (count - 1) / reply.reply_seconds);
  text += fmt::format("; prompt {}, {} reused, {:.2f} s; {:.4g} GFLOPs", reply.prompt_tokens, reply.reused_tokens,
                      reply.prompt_seconds, static_cast<double>(reply.flops) / 1e9);
  if (reply.draft.drafted > 0) text += fmt::format("; {} of {} drafted", reply.draft.accepted, reply.draft.drafted);
  if (reply.end == moe::EndReason::max_tokens) text += "; cut: no room for more tokens (-n, or the model's context)";
  if (reply.end == moe::EndReason::cancelled) text += "; stopped";
  return text + "]";
}

class Chat {
 public:
  Chat(moe::Generator& generator, const ChatProgram& program, LineReader reader)
      : generator_(generator),
        program_(program),
        reader_(std::move(reader)),
        conversation_(program.system),
        seed_(program.generate.sampling.seed),
        escapes_(::isatty(STDOUT_FILENO) != 0) {}

  Result<void> run() {
    if (reader_.is_terminal()) note("A message, /help for commands, Ctrl-D to leave.");
    for (;;) {
      const auto line = reader_.read();
      if (!line) {
        if (stays(line.error())) continue;
        return moe::forward(line);
      }
      if (!*line) return {};
      reader_.remember(**line);
      const Command command = parse_command(**line);
      if (command.kind == CommandKind::quit) return {};
      const auto done = act(command);
      if (!done && !stays(done.error())) return done;
    }
  }

 private:
  // On a terminal the user can try again; a script gets the exit status.
  bool stays(const moe::Error& error) {
    if (!reader_.is_terminal() || !output_) return false;
    if (interrupted()) return forget_ctrl_c();
    complain("moe-run", error.message);
    return true;
  }

  Result<void> act(const Command& command) {
    switch (command.kind) {
      case CommandKind::help:
        for (const CommandHelp& help : command_help()) note(fmt::format("  {:<14} {}", help.usage, help.meaning));
        return {};
      case CommandKind::system: conversation_.begin(command.text); return {};
      case CommandKind::clear: conversation_.clear(); return {};
      case CommandKind::retry: return retry();
      case CommandKind::save: return save(command.text);
      case CommandKind::unknown:
        return moe::fail(moe::ErrorCode::bad_argument, "/" + moe::printable(command.text) +
                                                           " is no command (see /help; a message may begin with //)");
      default: break;
    }
    if (command.text.empty()) return {};
    Conversation before = conversation_;
    conversation_.ask(command.text);
    return answer_or(std::move(before));
  }

  Result<void> retry() {
    Conversation before = conversation_;
    if (!conversation_.take_back_answer()) return moe::fail(moe::ErrorCode::bad_argument, "/retry: nothing was asked");
    ++seed_;
    if (program_.generate.sampling.temperature == 0) note("(--temp is 0: the reply will be the same)");
    return answer_or(std::move(before));
  }

  // Without an answer the conversation is unchanged.
  Result<void> answer_or(Conversation before) {
    auto answered = answer();
    if (!answered && conversation_.messages().back().role != "assistant") conversation_ = std::move(before);
    return answered;
  }

  Result<void> save(const std::string& path) {
    if (path.empty()) return moe::fail(moe::ErrorCode::bad_argument, "/save needs the name of a file");
    if (auto ok = moe::check_not_of_model(path, program_.model); !ok) return ok;
    return conversation_.save(path);
  }

  Result<void> answer() {
    const moe::Model& model = generator_.session().model();
    auto prompt = moe::encode_chat(model, {conversation_.messages(), program_.chat});
    if (!prompt) return moe::forward(prompt);
    if (program_.show_prompt) note(moe::printable_lines(prompt->text));
    moe::GenerateOptions options = program_.generate;
    options.sampling.seed = seed_;
    options.on_piece = [&](const moe::Piece& piece) { show(piece.text); };
    options.cancelled = [&] { return interrupted() || !output_; };
    auto reply = generator_.generate(std::move(prompt->ids), options);
    if (!reply) return moe::forward(reply);
    show("\n");
    if (!output_) return output_;
    note(status_of(*reply));
    if (!reply->text.empty() || !interrupted()) conversation_.answer(std::move(reply->text));
    if (interrupted()) return moe::fail(moe::ErrorCode::cancelled, "interrupted");
    return {};
  }

  void show(std::string_view text) {
    if (!output_ || text.empty()) return;
    // A model's text is untrusted: escape sequences must not reach a terminal.
    const auto shown = escapes_ ? print(moe::printable_lines(text)) : print(text);
    // Ctrl-C while a terminal is stopped (Ctrl-S) ends the reply, as it does elsewhere, and not the chat.
    if (shown || shown.error().code != moe::ErrorCode::cancelled) output_ = shown;
  }

  moe::Generator& generator_;
  const ChatProgram& program_;
  LineReader reader_;
  Conversation conversation_;
  std::uint64_t seed_;
  bool escapes_;
  Result<void> output_;  // if standard output has failed, the chat ends
};

}  // namespace

Result<void> run_chat(moe::Generator& generator, const ChatProgram& program) {
  auto reader = LineReader::create({.history_path = history_path("chat_history")});
  if (!reader) return moe::forward(reader);
  return Chat(generator, program, std::move(*reader)).run();
}

}  // namespace cli
