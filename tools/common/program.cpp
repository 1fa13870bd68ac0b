#include "tools/common/program.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "support/show.hpp"
#include "tools/common/help.hpp"
#include "tools/common/terminal.hpp"

namespace cli {

namespace {

// If a program is started with a closed descriptor (`>&-`), the first file that it opens gets that number, and its
// output would go into that file. So closed ones are opened in the wrong mode: using them is an error.
void occupy_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      // The lowest free number is this one: those below are taken.
      [[maybe_unused]] const int opened = ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

// The option of this name that takes a value, of the program or of one of its subcommands; nullptr if there is none.
const CLI::Option* valued_option(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option_no_throw(name);
  if (option != nullptr && option->get_items_expected_max() > 0) return option;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (const CLI::Option* found = valued_option(*command, name); found != nullptr) return found;
  return nullptr;
}

// The command line as CLI11 wants it, last word first. `--name=` (an empty shell variable) becomes two words, the
// second one empty: CLI11 would take the next word for the value.
std::vector<std::string> words_of(const CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> words;
  bool is_value = false;  // of the option before, whatever it looks like
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!is_value && word == "--") {  // no options behind it
      words.insert(words.end(), argv + i, argv + argc);
      break;
    }
    const std::string name = word.substr(0, word.find('='));
    const CLI::Option* option = !is_value && word.starts_with("--") ? valued_option(app, name) : nullptr;
    const bool is_empty = option != nullptr && word == name + "=";
    words.push_back(is_empty ? name : word);
    if (is_empty) words.emplace_back();
    is_value = option != nullptr && word == name && option->get_items_expected_min() > 0;
  }
  std::reverse(words.begin(), words.end());
  return words;
}

// Prints the error; the result is what main() returns.
int fail_with(const std::string& program, const moe::Error& error) {
  if (is_broken_pipe(error)) return interrupted() ? kInterrupted : kBadInput;
  complain(program, error.message);
  return interrupted() ? kInterrupted : exit_status(error.code);
}

int finish(const std::string& program, const moe::Result<void>& done) {
  if (!done) return fail_with(program, done.error());
  if (const auto closed = finish_output(); !closed) return fail_with(program, closed.error());
  if (!interrupted()) return kDone;
  complain(program, "interrupted");
  return kInterrupted;
}

// For the handler of an exception: prints what it was; the result is what main() returns.
int fail_with_exception(const std::string& program) {
  try {
    throw;
  } catch (const CLI::ParseError& wrong) {  // what the body finds wrong with an option's value
    complain(program, std::string(wrong.what()) + " (see --help)");
    return kUsage;
  } catch (const std::bad_alloc&) {
    complain(program, "out of memory");
  } catch (const std::exception& bug) {
    complain(program, std::string("internal error: ") + bug.what());
  }
  return kInternal;
}

}  // namespace

int exit_status(moe::ErrorCode code) {
  switch (code) {
    case moe::ErrorCode::cancelled: return kInterrupted;
    case moe::ErrorCode::internal:
    case moe::ErrorCode::out_of_memory: return kInternal;
    default: return kBadInput;
  }
}

void complain(std::string_view program, std::string_view message) {
  constexpr std::size_t kMostColumns = 8000;  // two paths
  std::fprintf(stderr, "%s: %s\n", moe::printable(program).c_str(), moe::shortened(message, kMostColumns).c_str());
}

moe::Result<void> run_part(const std::string& part, const std::function<moe::Result<void>()>& body,
                           const std::function<void(int status)>& fail) {
  // In a destructor, since there may be no memory for a message either.
  struct Ending {
    const std::function<void(int status)>& fail;
    int status = kInternal;
    ~Ending() {
      if (status == kDone) return;
      std::fflush(nullptr);
      fail(status);
    }
  } ending{fail};
  try {
    auto done = body();
    ending.status = done ? kDone : fail_with(part, done.error());
    return done;
  } catch (const std::exception&) {
    ending.status = fail_with_exception(part);
    throw;
  }
}

int run(CLI::App& app, int argc, char** argv, const std::function<moe::Result<void>()>& body) {
  const std::string program = app.get_name();
  app.set_version_flag("--version", program + " " MOE_VERSION, "print the version and exit");
  set_help(app, standard_output().columns);
  occupy_standard_descriptors();
  catch_interrupts();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe becomes an error of write()
  std::signal(SIGXFSZ, SIG_IGN);  // and so does a file at its size limit
  try {
    app.parse(words_of(app, argc, argv));
  } catch (const CLI::Success& asked) {
    std::ostringstream help;
    app.exit(asked, help, help);
    return finish(program, print(help.str()));
  } catch (const CLI::ParseError&) {
    return fail_with_exception(program);
  }
  try {
    return finish(program, body());
  } catch (const std::exception&) {
    return fail_with_exception(program);
  }
}

}  // namespace cli
