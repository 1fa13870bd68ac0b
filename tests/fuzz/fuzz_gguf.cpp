// libFuzzer entry: any byte string as a GGUF file: its header, metadata, vocabulary, configuration and tensors.

#include "entry.hpp"
#include "exercise.hpp"
#include "exercise_model.hpp"
#include "memory_file.hpp"

void moe_test::try_input(std::string_view input) {
  const MemoryFile file(input);
  const Outcome outcome = exercise(file.path());
  check(outcome.complaint);
  if (outcome.accepted) check(exercise_model(file.path()));
}
