#include "checkpoint/content_hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace moe::inline MOE_ABI::checkpoint {
namespace {

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
  for (std::size_t at = 0; at < content.size(); at += kFileBlockBytes)
    digests.push_back(hash(std::as_bytes(std::span(content.substr(at, kFileBlockBytes)))));
  return join(content.size(), digests, hash);
}

ContentHasher::ContentHasher(std::vector<Source> sources, ContentHash hash)
    : sources_(std::move(sources)), hash_(hash) {
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const std::uint64_t size = sources_[s].file != nullptr ? sources_[s].file->size() : 0;
    for (std::uint64_t at = 0; at < size; at += kFileBlockBytes)
      blocks_.push_back({s, at, std::min(kFileBlockBytes, size - at)});
  }
}

Result<void> ContentHasher::add(std::size_t block) const {
  const Block& part = blocks_[block];
  return sources_[part.source].file->hash_block(static_cast<std::size_t>(part.offset / kFileBlockBytes));
}

Result<std::vector<std::string>> ContentHasher::file_digests() const {
  std::vector<std::vector<ContentDigest>> digests(sources_.size());
  for (const Block& part : blocks_) {
    const InputFile& file = *sources_[part.source].file;
    const auto digest = file.digest(static_cast<std::size_t>(part.offset / kFileBlockBytes));
    if (!digest)
      return fail(ErrorCode::bad_argument, fmt::format("{}: byte {} was not hashed", file.path(), part.offset));
    digests[part.source].push_back(*digest);
  }
  std::vector<std::string> out;
  for (std::size_t s = 0; s < sources_.size(); ++s)
    if (const InputFile* file = sources_[s].file) out.push_back(join(file->size(), digests[s], hash_));
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> ContentHasher::named_digests() const {
  const auto of_files = file_digests();
  if (!of_files) return forward(of_files);
  std::vector<std::pair<std::string, std::string>> out;
  auto next = of_files->begin();
  for (const Source& source : sources_) out.emplace_back(source.name, source.file == nullptr ? source.digest : *next++);
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::string> ContentHasher::value() const {
  const auto sources = named_digests();
  if (!sources) return forward(sources);
  std::string all;
  for (const auto& [name, digest] : *sources) all += (sources->size() > 1 ? name : std::string()) + '\0' + digest;
  return hex_of(all, hash_);
}

}  // namespace moe::inline MOE_ABI::checkpoint
