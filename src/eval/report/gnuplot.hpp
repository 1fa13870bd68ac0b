#pragma once
// Runs gnuplot without a shell or the user's settings, with the script on standard input and the picture from standard
// output.

#include <functional>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// `program` is a path, or a name looked up in PATH. Its output is limited to 8 MiB and 20 s.
/// Errors: not_found (no such program), io (it failed, or wrote too much or too slowly), cancelled.
Result<std::string> run_gnuplot(const std::string& program, const std::string& script,
                                const std::function<bool()>& cancelled);

}  // namespace moe::inline MOE_ABI::eval
