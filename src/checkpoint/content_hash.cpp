#include "checkpoint/content_hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace moe::inline MOE_ABI::checkpoint {
namespace {

constexpr std::uint64_t kStretch = std::uint64_t{4} << 20;

std::string hex_of(std::string_view text, ContentHash hash) {
  std::string out;
  for (const std::uint8_t byte : hash(std::as_bytes(std::span(text)))) out += fmt::format("{:02x}", byte);
  return out;
}

std::string join(std::uint64_t size, std::span<const ContentDigest> digests, ContentHash hash) {
  std::string all = fmt::format("{} ", size);
  for (const ContentDigest& digest : digests) all.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return hex_of(all, hash);
}

}  // namespace

std::string content_digest(std::string_view content, ContentHash hash) {
  std::vector<ContentDigest> digests;
  for (std::size_t at = 0; at < content.size(); at += kStretch)
    digests.push_back(hash(std::as_bytes(std::span(content.substr(at, kStretch)))));
  return join(content.size(), digests, hash);
}

ContentHasher::ContentHasher(std::vector<Source> sources, ContentHash hash)
    : sources_(std::move(sources)), hash_(hash) {
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const std::uint64_t size = sources_[s].file != nullptr ? sources_[s].file->size() : 0;
    for (std::uint64_t at = 0; at < size; at += kStretch) stretches_.push_back({s, at, std::min(kStretch, size - at)});
  }
  digests_.resize(stretches_.size());
}

Result<void> ContentHasher::add(std::size_t stretch) {
  const Stretch& part = stretches_[stretch];
  std::vector<std::byte> bytes(static_cast<std::size_t>(part.bytes));
  if (auto ok = sources_[part.source].file->read(part.offset, bytes); !ok) return ok;
  digests_[stretch] = hash_(bytes);
  return {};
}

std::string ContentHasher::value() const {
  std::vector<std::pair<std::string, std::string>> files;  // name, digest
  std::size_t next = 0;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const std::size_t first = next;
    while (next < stretches_.size() && stretches_[next].source == s) ++next;
    const Source& source = sources_[s];
    files.emplace_back(source.name,
                       source.file == nullptr
                           ? source.digest
                           : join(source.file->size(), std::span(digests_).subspan(first, next - first), hash_));
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const auto& [name, digest] : files) all += (files.size() > 1 ? name : std::string()) + '\0' + digest;
  return hex_of(all, hash_);
}

}  // namespace moe::inline MOE_ABI::checkpoint
