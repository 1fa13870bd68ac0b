#include "checkpoint/content_hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace moe::inline MOE_ABI::checkpoint {
namespace {

constexpr std::uint64_t kStretch = std::uint64_t{4} << 20;
constexpr std::uint64_t kRead = std::uint64_t{128} << 10;  // at a time: still in L2 when it is hashed

std::string join(std::uint64_t size, std::span<const Sha256Digest> digests) {
  std::string all = fmt::format("{} ", size);
  for (const Sha256Digest& digest : digests) all.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return sha256_hex(all);
}

}  // namespace

std::string content_digest(std::string_view content) {
  std::vector<Sha256Digest> digests;
  for (std::size_t at = 0; at < content.size(); at += kStretch) digests.push_back(sha256(content.substr(at, kStretch)));
  return join(content.size(), digests);
}

ContentHash::ContentHash(std::vector<Source> sources) : sources_(std::move(sources)) {
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const std::uint64_t size = sources_[s].file != nullptr ? sources_[s].file->size() : 0;
    for (std::uint64_t at = 0; at < size; at += kStretch) stretches_.push_back({s, at, std::min(kStretch, size - at)});
  }
  digests_.resize(stretches_.size());
}

Result<void> ContentHash::add(std::size_t stretch) {
  const Stretch& part = stretches_[stretch];
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(kRead, part.bytes)));
  Sha256 hash;
  for (std::uint64_t at = 0; at < part.bytes; at += kRead) {
    const auto bytes = std::span(buffer).first(static_cast<std::size_t>(std::min(kRead, part.bytes - at)));
    if (auto ok = sources_[part.source].file->read(part.offset + at, bytes); !ok) return ok;
    hash.update(bytes);
  }
  digests_[stretch] = hash.finish();
  return {};
}

std::string ContentHash::value() const {
  std::vector<std::pair<std::string, std::string>> files;  // name, digest
  std::size_t next = 0;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const std::size_t first = next;
    while (next < stretches_.size() && stretches_[next].source == s) ++next;
    const Source& source = sources_[s];
    files.emplace_back(source.name, source.file == nullptr
                                        ? source.digest
                                        : join(source.file->size(), std::span(digests_).subspan(first, next - first)));
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const auto& [name, digest] : files) all += (files.size() > 1 ? name : std::string()) + '\0' + digest;
  return sha256_hex(all);
}

}  // namespace moe::inline MOE_ABI::checkpoint
