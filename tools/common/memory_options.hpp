#pragma once
// --memory: how much memory a program may take, and sizes in words.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "moe/error.hpp"

namespace cli {

/// "8G", "512M", "8GiB", "8589934592": units are powers of 1024. Errors: bad_argument.
moe::Result<std::int64_t> parse_bytes(std::string_view text);

/// "3 h 20 min", "4 min 5 s", "12 s", "0.5 s", "2 d 4 h".
std::string time_in_words(double seconds);

/// --memory SIZE; 0 where it is not given.
CLI::Option* add_memory(CLI::App& app, std::int64_t& bytes);

}  // namespace cli
