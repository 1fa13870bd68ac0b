// libFuzzer entry: any byte string as a safetensors file.

#include <cstdio>
#include <cstdlib>

#include "exercise.hpp"
#include "memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const moe_test::MemoryFile file({reinterpret_cast<const char*>(data), size});
  const auto outcome = moe_test::exercise_safetensors(file.path());
  if (!outcome.complaint.empty()) {
    std::fprintf(stderr, "%s\n", outcome.complaint.c_str());
    std::abort();
  }
  return 0;
}
