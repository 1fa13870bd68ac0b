// libFuzzer entry: a Hugging Face directory: config.json, model.safetensors.index.json, and the headers of up to three
// files, each behind the number of its data's bytes. Without an index the first of them is model.safetensors.

#include <charconv>

#include "entry.hpp"
#include "exercise.hpp"
#include "exercise_model.hpp"
#include "memory_directory.hpp"
#include "support/json.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;

/// `4096{"a": ...}` as a file of that header and so many bytes.
std::string file_of(std::string_view part) {
  constexpr std::uint64_t kMostData = 1 << 15;
  std::uint64_t data_bytes = 0;
  const auto read = std::from_chars(part.data(), part.data() + part.size(), data_bytes);
  part.remove_prefix(static_cast<std::size_t>(read.ptr - part.data()));
  return safetensors_bytes(part, std::min(data_bytes, kMostData));
}

/// Every tensor that the index names is in the directory.
void check_index(std::string_view index, const moe::checkpoint::Checkpoint& directory) {
  const auto json = moe::JsonDocument::parse(index);
  if (!json) complain("an index was read that is no JSON");
  const auto map = json->root().find("weight_map");
  if (!map || !map->is_object()) complain("an index was read that names no tensors");
  for (const auto& [name, file] : map->items()) {
    const std::string tensor(name);
    const auto is_it = [&](const moe::checkpoint::UnsupportedTensor& other) { return other.name == tensor; };
    if (directory.find(tensor) == nullptr &&
        std::none_of(directory.unsupported().begin(), directory.unsupported().end(), is_it))
      complain("a tensor of the index is not in the directory: " + tensor);
  }
}

}  // namespace

void moe_test::try_input(std::string_view input) {
  static MemoryDirectory indexed(
      {"config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors", "c.safetensors"});
  static MemoryDirectory single({"config.json", "model.safetensors"});
  const auto parts = parts_of(input, 5);
  MemoryDirectory& directory = parts[1].empty() ? single : indexed;
  directory.assign(0, parts[0]);
  if (!parts[1].empty()) directory.assign(1, parts[1]);
  const std::size_t last = parts[1].empty() ? 2 : 4;
  for (std::size_t i = 2; i <= last; ++i) directory.assign(parts[1].empty() ? i - 1 : i, file_of(parts[i]));
  const Outcome outcome = exercise(directory.path());
  check(outcome.complaint);
  if (!outcome.accepted) return;
  if (!parts[1].empty())
    if (const auto opened = moe::checkpoint::open(directory.path())) check_index(parts[1], **opened);
  check(exercise_model(directory.path()));
}
