// libFuzzer entry: any byte string as a safetensors file.

#include "entry.hpp"
#include "exercise.hpp"
#include "memory_file.hpp"

void moe_test::try_input(std::string_view input) {
  const MemoryFile file(input);
  check(exercise_safetensors(file.path()).complaint);
}
