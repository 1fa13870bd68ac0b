#pragma once
// A string of a template: immutable UTF-8 bytes, and the ranges of them that came from a message.
//
// The marks say which text a user may have chosen. They follow the bytes through every operation, so that a control
// token spelled by a message can be told from one that the template writes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/heap.hpp"

namespace moe::inline MOE_ABI::chat {

/// Bytes [begin, end) of a text.
struct Span {
  std::uint32_t begin = 0, end = 0;
  bool operator==(const Span&) const = default;
};

/// Where a string came from.
enum class Origin { from_template, from_content };

class Text : public Object {
 public:
  Text(std::string bytes, std::vector<Span> content, bool markup);
  static std::shared_ptr<const Text> make(std::string bytes, Origin origin = Origin::from_template);

  std::string_view bytes() const { return bytes_; }
  /// Stretches from messages: in rising order, apart from each other, none empty.
  const std::vector<Span>& content() const { return content_; }
  /// Markup of markupsafe, the result of the filters safe and escape: some operations escape their other operand.
  bool markup() const { return markup_; }
  /// Code points: what Python's len() and indices count.
  std::int64_t length() const { return length_; }
  bool ascii() const { return static_cast<std::size_t>(length_) == bytes_.size(); }
  /// The byte where code point `index` (0 .. length) starts.
  std::size_t byte_at(std::int64_t index) const;
  /// Code points before byte `at`.
  std::int64_t index_of(std::size_t at) const;
  std::size_t footprint() const { return sizeof(Text) + bytes_.capacity() + content_.capacity() * sizeof(Span); }

 private:
  std::string bytes_;
  std::vector<Span> content_;
  std::int64_t length_ = 0;
  bool markup_ = false;
};

using TextPtr = std::shared_ptr<const Text>;

}  // namespace moe::inline MOE_ABI::chat
