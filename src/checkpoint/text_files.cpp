#include "checkpoint/text_files.hpp"

#include <fmt/format.h>

#include "support/fnv1a.hpp"
#include "support/text_file.hpp"

namespace moe::inline MOE_ABI::checkpoint {

std::string TextFiles::digest_of(std::string_view text) const {
  if (hash_ != nullptr) return content_digest(text, hash_);
  return std::to_string(fnv1a(text));  // enough to see a change
}

Result<std::string> TextFiles::read(const std::string& name, std::uint64_t limit) const {
  auto text = read_text(path_of(name), limit);
  if (!text && text.error().code != ErrorCode::not_found) return text;
  const auto digest = text ? std::optional(digest_of(*text)) : std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto [first, is_new] = seen_.emplace(name, digest);
  if (!is_new && first->second != digest)
    return fail(ErrorCode::io, fmt::format("{}: was changed while the model was read", path_of(name)));
  return text;
}

Result<std::optional<std::string>> TextFiles::read_optional(const std::string& name, std::uint64_t limit) const {
  auto text = read(name, limit);
  if (text) return std::optional(std::move(*text));
  if (text.error().code == ErrorCode::not_found) return std::optional<std::string>();
  return forward(text);
}

std::vector<Source> TextFiles::sources() const {
  const std::lock_guard lock(mutex_);
  std::vector<Source> out;
  for (const auto& [name, digest] : seen_)
    if (digest) out.push_back({.name = name, .digest = *digest});
  return out;
}

}  // namespace moe::inline MOE_ABI::checkpoint
