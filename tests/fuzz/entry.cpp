// libFuzzer's function, around an entry's own: one input may take 8 times its size of memory, a fixed amount, and what its
// entry allows besides (allow_memory; SECURITY.md names the entries that do).

#include "entry.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "allocation_meter.hpp"

namespace moe_test {
namespace {

constexpr std::size_t kTimesInput = 8;
/// A tokenizer's cache of words (1 MiB), read buffers, compiled patterns, tables of a small vocabulary: nearly twice the
/// most that was seen.
constexpr std::size_t kFixedBytes = std::size_t{2} << 20;

std::size_t allowed = 0;

/// How much it took, in bytes above what it may take.
std::size_t excess_of(std::string_view input) {
  allowed = kTimesInput * input.size() + kFixedBytes;
  start_allocation_meter();
  try_input(input);
  const std::size_t peak = allocation_peak();
  return peak > allowed ? peak - allowed : 0;
}

}  // namespace

void complain(std::string_view what) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

void allow_memory(std::size_t bytes) { allowed += bytes; }

}  // namespace moe_test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // Tables that a process builds once (Unicode's) are no input's memory. So the second time counts.
  if (moe_test::excess_of(input) > 0)
    if (const std::size_t excess = moe_test::excess_of(input); excess > 0)
      moe_test::complain("an input of " + std::to_string(size) + " bytes takes " + std::to_string(excess) +
                         " bytes of memory more than it may");
  return 0;
}
