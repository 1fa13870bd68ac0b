#include "tools/chat/line_reader.hpp"

#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "tools/common/interrupt.hpp"

namespace cli {
namespace {

constexpr int kHistoryLines = 1000;
constexpr int kPollMs = 100;  // maximum delay of Ctrl-C that arrives just before the wait

enum class Byte { read, end, interrupted, failed };

Byte read_byte(char& byte) {
  for (;;) {
    if (interrupted()) return Byte::interrupted;
    pollfd waits{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&waits, 1, kPollMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got == 1) return Byte::read;
    if (got == 0) return Byte::end;
    if (errno != EINTR && errno != EAGAIN) return Byte::failed;
  }
}

// The editor's next character: always UTF-8, in any locale.
int read_character(EditLine*, wchar_t* out) {
  std::mbstate_t state{};
  for (;;) {
    char byte = 0;
    switch (read_byte(byte)) {
      case Byte::end: return 0;
      case Byte::read: break;
      default: return -1;
    }
    const std::size_t used = std::mbrtowc(out, &byte, 1, &state);
    if (used <= 1) return 1;
    if (used == static_cast<std::size_t>(-1)) state = {};  // invalid bytes are skipped
  }
}

}  // namespace

struct LineReader::Impl {
  struct EndEditor {
    void operator()(EditLine* e) const { el_end(e); }
  };
  struct EndHistory {
    void operator()(History* h) const { history_end(h); }
  };
  LineReaderOptions options;
  std::string prompt;  // of the line being read
  std::unique_ptr<History, EndHistory> history;
  std::unique_ptr<EditLine, EndEditor> editor;
  std::string pending;  // bytes of a pipe after the last line
  bool ended = false;

  static char* prompt_of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<Impl*>(self)->prompt.data();
  }

  moe::Result<void> set_up() {
    if (!::isatty(STDIN_FILENO) || !::isatty(STDERR_FILENO)) return {};
    std::setlocale(LC_CTYPE, "C.UTF-8");
    // Prompt and echo go to stderr: standard output has only replies.
    editor.reset(el_init("moe-run", stdin, stderr, stderr));
    history.reset(history_init());
    if (!editor || !history) return moe::fail(moe::ErrorCode::internal, "the line editor cannot be set up");
    HistEvent event{};
    ::history(history.get(), &event, H_SETSIZE, kHistoryLines);
    ::history(history.get(), &event, H_SETUNIQUE, 1);
    if (!options.history_path.empty()) ::history(history.get(), &event, H_LOAD, options.history_path.c_str());
    el_set(editor.get(), EL_CLIENTDATA, this);
    el_set(editor.get(), EL_PROMPT, prompt_of);
    el_set(editor.get(), EL_EDITOR, "emacs");
    el_set(editor.get(), EL_HIST, ::history, history.get());
    el_set(editor.get(), EL_GETCFN, read_character);
    el_source(editor.get(), nullptr);  // ~/.editrc, the user's own keys
    return {};
  }

  moe::Result<std::optional<std::string>> edited() {
    int count = 0;
    const char* line = el_gets(editor.get(), &count);
    if (line == nullptr || count <= 0) {
      std::fputc('\n', stderr);
      if (!interrupted()) return std::nullopt;
      el_reset(editor.get());
      return moe::fail(moe::ErrorCode::cancelled, "interrupted");
    }
    std::string text(line, static_cast<std::size_t>(count));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
  }

  moe::Result<std::optional<std::string>> piped() {
    for (std::size_t searched = 0;;) {
      if (const std::size_t end = pending.find('\n', searched); end != std::string::npos) {
        std::string line = pending.substr(0, end);
        pending.erase(0, end + 1);
        if (!line.empty() && line.back() == '\r') line.pop_back();
        return line;
      }
      searched = pending.size();
      if (searched > options.most_bytes)
        return moe::fail(moe::ErrorCode::bad_file,
                         "standard input: a line of more than " + std::to_string(options.most_bytes) + " bytes");
      if (ended) {
        if (pending.empty()) return std::nullopt;
        return std::exchange(pending, {});
      }
      if (auto more = fill(); !more) return moe::forward(more);
    }
  }

  moe::Result<void> fill() {
    for (;;) {
      if (interrupted()) return moe::fail(moe::ErrorCode::cancelled, "interrupted");
      pollfd waits{STDIN_FILENO, POLLIN, 0};
      const int ready = ::poll(&waits, 1, kPollMs);
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
      std::array<char, 4096> bytes;
      const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got < 0)
        return moe::fail(moe::ErrorCode::io, std::string("standard input cannot be read: ") + std::strerror(errno));
      ended = got == 0;
      pending.append(bytes.data(), static_cast<std::size_t>(got));
      return {};
    }
  }

  moe::Result<std::optional<std::string>> line() { return editor ? edited() : piped(); }
};

LineReader::LineReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

moe::Result<LineReader> LineReader::create(const LineReaderOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (auto ok = impl->set_up(); !ok) return moe::forward(ok);
  return LineReader(std::move(impl));
}

bool LineReader::is_terminal() const { return impl_->editor != nullptr; }

moe::Result<std::optional<std::string>> LineReader::read() {
  std::string text;
  impl_->prompt = impl_->options.prompt;
  for (;;) {
    auto line = impl_->line();
    if (!line) return line;
    if (!*line) return text.empty() ? std::optional<std::string>() : std::optional(std::move(text));
    text += **line;
    if (text.size() > impl_->options.most_bytes)
      return moe::fail(moe::ErrorCode::bad_file,
                       "a message of more than " + std::to_string(impl_->options.most_bytes) + " bytes");
    if (text.empty() || text.back() != '\\') return text;
    text.back() = '\n';
    impl_->prompt = "... ";
  }
}

void LineReader::remember(const std::string& line) {
  // The editor's history cannot recall messages of several lines.
  if (!impl_->editor || line.empty() || line.find('\n') != std::string::npos) return;
  HistEvent event{};
  ::history(impl_->history.get(), &event, H_ENTER, line.c_str());
  if (impl_->options.history_path.empty()) return;
  const std::filesystem::path path = impl_->options.history_path;
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const mode_t before = ::umask(0077);
  ::history(impl_->history.get(), &event, H_SAVE, path.c_str());
  ::umask(before);
}

std::string history_path(const std::string& name) {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state == '/')
    folder = state;
  else if (home != nullptr && *home == '/')
    folder = std::filesystem::path(home) / ".local" / "state";
  else
    return {};
  return folder / "libmoe" / name;
}

}  // namespace cli
