#pragma once
// Shared by all programs: exit status, one-line errors, and handling of standard output, Ctrl-C and broken pipes.

#include <CLI/CLI.hpp>
#include <functional>
#include <string_view>

#include "moe/error.hpp"
#include "tools/common/interrupt.hpp"
#include "tools/common/progress.hpp"
#include "tools/common/standard_output.hpp"

namespace cli {

// Fixed: scripts depend on them.
inline constexpr int kDone = 0, kBadInput = 1, kUsage = 2, kInternal = 3, kInterrupted = 130;

int exit_status(moe::ErrorCode code);

/// "program: message" on stderr, always on one line.
void complain(std::string_view program, std::string_view message);

/// An option or argument that names a file or folder. An empty name (an unset shell variable) is a usage error; it must
/// not be treated as absent.
template <class T>
CLI::Option* add_path(CLI::App& app, const std::string& name, T& path, const std::string& help) {
  return app.add_option(name, path, help)->check([](const std::string& value) {
    return value.empty() ? "is empty, expected a path" : std::string();
  });
}

/// Runs the part of a process that others wait for. If that does not end well, an exception included, it says on stderr
/// what was wrong, "part: message", and then calls `fail` with the exit status that run() would return.
moe::Result<void> run_part(const std::string& part, const std::function<moe::Result<void>()>& body,
                           const std::function<void(int status)>& fail);

/// Parses the command line (`--name=` is `--name ""`) and runs `body` (ErrorCode::cancelled after Ctrl-C). Returns one
/// of the statuses above; CLI11's help goes to stdout, a usage error is one line on stderr.
int run(CLI::App& app, int argc, char** argv, const std::function<moe::Result<void>()>& body);

}  // namespace cli
