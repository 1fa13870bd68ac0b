// The filter wordwrap: Python's textwrap without its changes to tabs and white space.

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/filters.hpp"
#include "chat/strings.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

bool is_blank(char32_t c) { return (c >= 0x9 && c <= 0xd) || c == ' '; }
bool is_letter(char32_t c) { return is_word(c) && !is_decimal(c); }
bool before_dash(char32_t c) {
  return is_word(c) || std::u32string_view(U"!\"'&.,?").find(c) != std::u32string_view::npos;
}

/// A line cut into the pieces between which it may be broken.
class Chunks {
 public:
  Chunks(std::string_view line, bool at_hyphens) : at_hyphens_(at_hyphens) {
    each_character(line, [&](char32_t c, std::size_t at, std::size_t) {
      chars_.push_back(c);
      bytes_.push_back(at);
    });
    bytes_.push_back(line.size());
    for (std::size_t at = 0; at < chars_.size();) {
      starts.push_back(at);
      at = end_of(at);
    }
    starts.push_back(chars_.size());
  }
  std::vector<std::size_t> starts;  ///< in characters; the last one is the end
  std::size_t byte(std::size_t character) const { return bytes_[character]; }
  bool blank(std::size_t character) const { return is_space(chars_[character]); }
  bool hyphen(std::size_t character) const { return chars_[character] == '-'; }

 private:
  char32_t at(std::size_t i) const { return i < chars_.size() ? chars_[i] : 0; }
  std::size_t dashes(std::size_t i) const {
    std::size_t count = 0;
    while (at(i + count) == '-') ++count;
    return count;
  }
  // Two letters, or letter-hyphen-letter, stand before the hyphen at i, and letters follow it.
  bool breaks_at_hyphen(std::size_t i) const {
    if (at(i) != '-') return false;
    const bool pair = i >= 2 && is_letter(at(i - 1)) && is_letter(at(i - 2));
    const bool chain = i >= 3 && is_letter(at(i - 1)) && at(i - 2) == '-' && is_letter(at(i - 3));
    if (!pair && !chain) return false;
    const std::size_t next = at(i + 2) == '-' ? i + 3 : i + 2;
    return is_letter(at(i + 1)) && is_letter(at(next));
  }
  bool dash_between_words(std::size_t i, std::size_t count) const {
    return count >= 2 && i > 0 && before_dash(at(i - 1)) && is_word(at(i + count));
  }
  std::size_t end_of(std::size_t begin) const {
    std::size_t i = begin;
    if (is_blank(at(i))) {
      while (i < chars_.size() && is_blank(at(i))) ++i;
      return i;
    }
    if (at_hyphens_ && dash_between_words(i, dashes(i))) return i + dashes(i);
    for (++i; i < chars_.size() && !is_blank(at(i)); ++i) {
      if (!at_hyphens_) continue;
      if (dash_between_words(i, dashes(i))) return i;
      if (breaks_at_hyphen(i)) return i + 1;
    }
    return i;
  }
  std::vector<char32_t> chars_;
  std::vector<std::size_t> bytes_;
  bool at_hyphens_;
};

struct Wrapping {
  std::int64_t width;
  bool break_words, at_hyphens;
};

/// Fills lines with the chunks of one paragraph.
class Wrapper {
 public:
  Wrapper(Run& run, const Text& paragraph, const Wrapping& how)
      : run_(run), text_(paragraph), how_(how), chunks_(paragraph.bytes(), how.at_hyphens) {}

  std::vector<Value> lines() {
    run_.look(text_.bytes().size() * 16);
    begin_ = 0;
    while (next_ + 1 < chunks_.starts.size() && run_.step()) line();
    return std::move(lines_);
  }

 private:
  std::int64_t left_of_chunk() const { return static_cast<std::int64_t>(chunks_.starts[next_ + 1] - begin_); }
  bool more() const { return next_ + 1 < chunks_.starts.size(); }
  void take_chunk() {
    last_ = begin_;
    end_ = begin_ = chunks_.starts[++next_];
  }
  bool blank(std::size_t from, std::size_t to) const {
    for (; from < to; ++from)
      if (!chunks_.blank(from)) return false;
    return true;
  }

  void line() {
    // White space goes at the start of a line, but not at the start of the text.
    if (!lines_.empty() && blank(begin_, chunks_.starts[next_ + 1])) begin_ = chunks_.starts[++next_];
    const std::size_t first = last_ = end_ = begin_;
    bool some = false;
    while (more() && static_cast<std::int64_t>(end_ - first) + left_of_chunk() <= how_.width) {
      take_chunk();
      some = true;
    }
    if (more() && left_of_chunk() > how_.width)
      some = long_word(how_.width - static_cast<std::int64_t>(end_ - first), some);
    if (!some) return;
    if (blank(last_, end_)) {
      // The last piece goes; it may be empty, and then white space before it stays.
      if (last_ == first) return;
      end_ = last_;
    }
    lines_.push_back(part_of(run_, text_, chunks_.byte(first), chunks_.byte(end_)));
  }

  // A chunk longer than a line: cut, after a hyphen if there is one, or put on its own line.
  bool long_word(std::int64_t space, bool some) {
    if (!how_.break_words) {
      if (!some) take_chunk();
      return true;
    }
    std::size_t cut = begin_ + static_cast<std::size_t>(space);
    if (how_.at_hyphens) {
      std::size_t hyphen = cut;
      while (hyphen > begin_ && !chunks_.hyphen(hyphen - 1)) --hyphen;
      bool other = false;
      for (std::size_t i = begin_; i + 1 < hyphen; ++i) other = other || !chunks_.hyphen(i);
      if (hyphen > begin_ + 1 && other) cut = hyphen;
    }
    last_ = begin_;
    end_ = begin_ = cut;
    return true;
  }

  Run& run_;
  const Text& text_;
  const Wrapping& how_;
  Chunks chunks_;
  std::vector<Value> lines_;
  std::size_t next_ = 0;            // the chunk to take
  std::size_t begin_ = 0;           // where the rest of it begins, in characters
  std::size_t last_ = 0, end_ = 0;  // the last piece of the line
};

}  // namespace

Value wordwrap_filter(Run& run, const Value& value, const Args& args) {
  const Bound<4> a(run, args, "do_wordwrap", {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  if (!a) return {};
  if (value.is_undefined()) return run.use_of(value);
  if (!value.is_text())
    return run.fail(FaultKind::python, "AttributeError",
                    fmt::format("'{}' object has no attribute 'splitlines'", type_name(value)));
  const Wrapping how{a.index(0, 79), a.truth(1, true), a.truth(3, true)};
  const TextPtr between = a.value_or(2, Value()).is_none() ? Text::make("\n") : a.text(2);
  if (!run.ok()) return {};
  const std::vector<Value> paragraphs = split_lines(run, value.text(), false);
  TextBuilder out(run);
  for (std::size_t i = 0; i < paragraphs.size() && run.ok(); ++i) {
    if (how.width <= 0) return run.value_error("invalid width {} (must be > 0)", how.width);
    if (i > 0) out.add(*between);
    const std::vector<Value> lines = Wrapper(run, paragraphs[i].text(), how).lines();
    for (std::size_t k = 0; k < lines.size() && run.ok(); ++k) {
      if (k > 0) out.add(*between);
      out.add(lines[k].text());
    }
  }
  return out.finish(between->markup());
}

}  // namespace moe::inline MOE_ABI::chat
