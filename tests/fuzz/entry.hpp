#pragma once
// What the entries of libFuzzer share. Each fuzz_*.cpp defines try_input(); entry.cpp calls it, with a limit on memory.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "readable_error.hpp"

namespace moe_test {

/// Does to one input what a user would do with it, and complains where something about the outcome is wrong.
void try_input(std::string_view input);

/// Ends the program, which libFuzzer notes as a crash of the input.
[[noreturn]] void complain(std::string_view what);
/// Complains where the text is not empty.
inline void check(std::string_view complaint) {
  if (!complaint.empty()) complain(complaint);
}
/// An error must be one that a user can read.
inline void check(const moe::Error& error) { check(complain_about(error)); }

/// Memory that this input may take because its output is so large: beyond what its own size allows.
void allow_memory(std::size_t bytes);

/// The texts of an input that holds several, one zero byte between two; the last has all that is left, and those that are
/// not there are empty.
inline std::vector<std::string_view> parts_of(std::string_view input, std::size_t count) {
  std::vector<std::string_view> parts(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end = i + 1 < count ? std::min(input.find('\0'), input.size()) : input.size();
    parts[i] = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return parts;
}

}  // namespace moe_test
