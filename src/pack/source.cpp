#include "pack/source.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "pack/format.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

template <class T>
T take(std::span<const std::byte> from, std::size_t at) {
  T out;
  std::memcpy(&out, from.data() + at, sizeof out);
  return out;
}

constexpr std::size_t place_of_file(std::size_t i) { return sizeof(PackSource) + i * sizeof(PackSourceFile); }

ContentDigest hash_of_magic(ContentHash hash) { return hash(std::as_bytes(std::span(kMagic))); }

/// 64 hexadecimal digits to bytes.
void put_digest(const std::string& text, std::uint8_t (&out)[32]) {
  for (std::size_t i = 0; i < std::size(out) && 2 * i + 2 <= text.size(); ++i)
    std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, out[i], 16);
}

}  // namespace

std::vector<std::byte> source_record(const checkpoint::Checkpoint& file, ContentHash hash,
                                     const std::vector<std::string>& digests) {
  const auto states = file.file_states();
  PackSource head = {file.header_hash(), static_cast<std::uint32_t>(states.size()), 0, {}};
  if (hash != nullptr && digests.size() == states.size()) {
    head.has_digests = 1;
    const ContentDigest known = hash_of_magic(hash);
    std::memcpy(head.hash_of_magic, known.data(), known.size());
  }
  std::vector<std::byte> out(place_of_file(states.size()));
  std::memcpy(out.data(), &head, sizeof head);
  for (std::size_t i = 0; i < states.size(); ++i) {
    PackSourceFile one = {states[i].bytes, states[i].modified_ns, {}};
    if (head.has_digests != 0) put_digest(digests[i], one.digest);
    std::memcpy(out.data() + place_of_file(i), &one, sizeof one);
  }
  return out;
}

bool same_source(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() != b.size() || a.size() < sizeof(PackSource)) return false;
  const auto first = take<PackSource>(a, 0), second = take<PackSource>(b, 0);
  if (first.header_hash != second.header_hash || first.file_count != second.file_count) return false;
  for (std::size_t i = 0; place_of_file(i) < a.size(); ++i) {
    const auto one = take<PackSourceFile>(a, place_of_file(i)), other = take<PackSourceFile>(b, place_of_file(i));
    if (one.bytes != other.bytes || one.modified_ns != other.modified_ns) return false;
  }
  return true;
}

std::optional<std::vector<std::string>> digests_in(std::span<const std::byte> record, ContentHash hash) {
  const auto head = take<PackSource>(record, 0);
  const ContentDigest known = hash_of_magic(hash);
  if (head.has_digests != 1 || std::memcmp(head.hash_of_magic, known.data(), known.size()) != 0) return std::nullopt;
  std::vector<std::string> out;
  for (std::size_t i = 0; place_of_file(i) < record.size(); ++i) {
    std::string text;
    for (const std::uint8_t byte : take<PackSourceFile>(record, place_of_file(i)).digest)
      text += fmt::format("{:02x}", byte);
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::pack
