#pragma once
// What any byte string must survive: to be opened, read through and tokenized with, or to be refused in one line.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/input_file.hpp"
#include "checkpoint/safetensors_header.hpp"
#include "exercise_tokenizer.hpp"
#include "readable_error.hpp"

namespace moe_test {

/// Empty, or what is wrong with the way the input was treated.
struct Outcome {
  bool accepted = false;
  std::string complaint;
};

/// Opens, reads at most 64 KiB of every tensor, builds the tokenizer and uses it.
inline Outcome exercise(const std::string& path) {
  const auto opened = moe::checkpoint::open(path);
  if (!opened) return {false, complain_about(opened.error())};
  Outcome out{true, {}};
  std::vector<std::byte> data(1 << 16);
  for (const auto& t : (*opened)->tensors()) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(t.bytes, data.size()));
    const auto done = (*opened)->read(t, t.bytes - n, std::span(data).first(n));
    if (!done) out.complaint = "a checked tensor cannot be read: " + done.error().message;
    if ((*opened)->find(t.name) != &t) out.complaint = "a tensor is not found by its name";
  }
  const auto tokenizer = (*opened)->load_tokenizer();
  if (!tokenizer) {
    if (const std::string c = complain_about(tokenizer.error()); !c.empty()) out.complaint = c;
    return out;
  }
  if (std::string c = exercise_tokenizer(**tokenizer, kAnyText); !c.empty()) out.complaint = std::move(c);
  return out;
}

/// The same for one safetensors file without its directory.
inline Outcome exercise_safetensors(const std::string& path) {
  const auto file = moe::checkpoint::InputFile::open(path);
  if (!file) return {false, complain_about(file.error())};
  const auto header = moe::checkpoint::read_safetensors_header(*file);
  if (!header) return {false, complain_about(header.error())};
  for (const auto& t : header->tensors)
    if (t.offset > file->size() || t.bytes > file->size() - t.offset) return {true, "a tensor outside the file"};
  return {true, {}};
}

}  // namespace moe_test
