#include "chat/markup.hpp"

#include "chat/characters.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

std::string_view entity(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '\'': return "&#39;";
    case '"': return "&#34;";
    default: return {};
  }
}

// The text without tags and comments; an unclosed one stays.
Value without_tags(Run& run, const Text& text) {
  const std::string_view bytes = text.bytes();
  TextBuilder out(run);
  std::size_t at = 0;
  for (std::size_t open = bytes.find('<'); open != std::string_view::npos; open = bytes.find('<', at)) {
    const bool comment = bytes.substr(open, 4) == "<!--";
    const std::size_t close = comment ? bytes.find("-->", open + 4) : bytes.find('>', open);
    if (close == std::string_view::npos) break;
    out.add(text, at, open);
    at = close + (comment ? 3 : 1);
  }
  out.add(text, at, bytes.size());
  return out.finish();
}

// Words with one space between them.
Value collapsed(Run& run, const Text& text) {
  TextBuilder out(run);
  std::size_t word = std::string_view::npos;
  const auto finish_word = [&](std::size_t end) {
    if (word == std::string_view::npos) return;
    if (out.size() > 0) out.add(" ");
    out.add(text, word, end);
    word = std::string_view::npos;
  };
  each_character(text.bytes(), [&](char32_t c, std::size_t at, std::size_t) {
    if (is_space(c))
      finish_word(at);
    else if (word == std::string_view::npos)
      word = at;
  });
  finish_word(text.bytes().size());
  return out.finish();
}

// A character reference that begins with `&`: its length and its text; length 0 if it is invalid.
struct Reference {
  std::size_t length = 0;
  std::string meaning;
  bool unknown = false;
};

Reference read_reference(std::string_view bytes) {
  struct Named {
    std::string_view name, meaning;
  };
  static constexpr Named kNamed[] = {{"&amp;", "&"},   {"&lt;", "<"},   {"&gt;", ">"},
                                     {"&quot;", "\""}, {"&apos;", "'"}, {"&nbsp;", "\xc2\xa0"}};
  for (const Named& named : kNamed)
    if (bytes.substr(0, named.name.size()) == named.name) return {named.name.size(), std::string(named.meaning), false};
  if (bytes.substr(0, 2) != "&#") return {0, {}, bytes.size() > 1 && is_alpha(static_cast<unsigned char>(bytes[1]))};
  const bool hex = bytes.size() > 2 && (bytes[2] | 0x20) == 'x';
  std::size_t at = hex ? 3 : 2;
  const std::size_t first = at;
  char32_t code = 0;
  for (; at < bytes.size() && at < first + 8; ++at) {
    const char c = bytes[at];
    const bool digit = c >= '0' && c <= '9', letter = hex && (c | 0x20) >= 'a' && (c | 0x20) <= 'f';
    if (!digit && !letter) break;
    code = code * (hex ? 16 : 10) + static_cast<char32_t>(digit ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  if (at == first) return {};
  // Code points that HTML remaps (the C1 block) or forbids are not handled.
  if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
    return {0, {}, true};
  if (at < bytes.size() && bytes[at] == ';') ++at;
  Reference out{at, {}, false};
  append_utf8(out.meaning, code);
  return out;
}

}  // namespace

void add_escaped(TextBuilder& out, const Text& text) {
  const std::string_view bytes = text.bytes();
  MarkReader from_content(text);
  std::size_t plain = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const std::string_view replacement = entity(bytes[at]);
    if (replacement.empty()) continue;
    out.add(text, plain, at);
    out.add(replacement, from_content(at));
    plain = at + 1;
  }
  out.add(text, plain, bytes.size());
}

Value escape(Run& run, const Value& value) {
  if (value.is_text() && value.text().markup()) return value;
  TextBuilder out(run);
  add_escaped(out, *to_text(run, value));
  return out.finish(true);
}

Value mark_safe(Run& run, const Text& text) {
  TextBuilder out(run);
  out.add(text);
  return out.finish(true);
}

Value strip_tags(Run& run, const Text& text) {
  const Value bare = without_tags(run, text);
  if (!run.ok()) return {};
  const Value words = collapsed(run, bare.text());
  if (!run.ok()) return {};
  const Text& source = words.text();
  const std::string_view bytes = source.bytes();
  TextBuilder out(run);
  MarkReader from_content(source);
  std::size_t plain = 0;
  for (std::size_t at = bytes.find('&'); at != std::string_view::npos; at = bytes.find('&', at)) {
    const Reference reference = read_reference(bytes.substr(at));
    if (reference.unknown)
      return run.unsupported("striptags meets an entity other than amp, lt, gt, quot, apos, nbsp and numbers");
    if (reference.length > 0) {
      out.add(source, plain, at);
      out.add(reference.meaning, from_content(at));
      plain = at + reference.length;
    }
    at += std::max<std::size_t>(reference.length, 1);
  }
  out.add(source, plain, bytes.size());
  return out.finish();
}

}  // namespace moe::inline MOE_ABI::chat
