#pragma once
// Runs gnuplot: no shell, no settings of the user's, a script on its standard input and a picture on its standard output.

#include <functional>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// `program` is looked for on PATH where it is no path. What it writes is at most 8 MiB and comes within 20 s.
/// Errors: not_found (no such program), io (it failed, or wrote too much or too slowly), cancelled.
Result<std::string> run_gnuplot(const std::string& program, const std::string& script,
                                const std::function<bool()>& cancelled);

}  // namespace moe::inline MOE_ABI::eval
