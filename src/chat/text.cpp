#include "chat/text.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::chat {
namespace {

bool starts_code_point(char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }

}  // namespace

Text::Text(std::string bytes, std::vector<Span> content, bool markup)
    : bytes_(std::move(bytes)), content_(std::move(content)), markup_(markup) {
  length_ = std::count_if(bytes_.begin(), bytes_.end(), starts_code_point);
}

std::shared_ptr<const Text> Text::make(std::string bytes, Origin origin) {
  std::vector<Span> content;
  if (origin == Origin::from_content && !bytes.empty()) content = {{0, static_cast<std::uint32_t>(bytes.size())}};
  return std::make_shared<const Text>(std::move(bytes), std::move(content), false);
}

std::size_t Text::byte_at(std::int64_t index) const {
  if (ascii()) return static_cast<std::size_t>(index);
  std::size_t at = 0;
  // From the nearer end: templates often look at the last few characters of a long text.
  if (index * 2 <= length_) {
    for (; index > 0; --index) do
        ++at;
      while (at < bytes_.size() && !starts_code_point(bytes_[at]));
    return at;
  }
  at = bytes_.size();
  for (; index < length_; ++index) do
      --at;
    while (!starts_code_point(bytes_[at]));
  return at;
}

std::int64_t Text::index_of(std::size_t at) const {
  if (ascii()) return static_cast<std::int64_t>(at);
  return std::count_if(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(at), starts_code_point);
}

}  // namespace moe::inline MOE_ABI::chat
