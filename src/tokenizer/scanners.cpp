// Hand-written equivalents of the pre-tokenizer patterns of known models. tests/unit/tokenizer_scanners.cpp compares
// each with the pattern run by PCRE2.

#include <algorithm>
#include <cstring>

#include "tokenizer/finder.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

struct Char {
  std::uint32_t classes = 0;
  std::uint32_t bytes = 0;  // 0 at the end of the segment
};

// A segment with the class table.
class Reader {
 public:
  explicit Reader(std::string_view segment) : data_(segment.data()), size_(segment.size()), classes_(char_classes()) {}

  std::size_t size() const { return size_; }
  char byte(std::size_t i) const { return i < size_ ? data_[i] : '\0'; }
  Char at(std::size_t i) const {
    if (i >= size_) return {};
    const auto lead = static_cast<unsigned char>(data_[i]);
    if (lead < 0x80) return {classes_[lead], 1};
    const Decoded c = decode_utf8(data_ + i);
    return {classes_[c.value], c.bytes};
  }
  std::size_t skip_while(std::size_t i, unsigned set) const {
    for (Char c = at(i); c.bytes != 0 && (c.classes & set); c = at(i)) i += c.bytes;
    return i;
  }
  std::size_t skip_until(std::size_t i, unsigned set) const {
    for (Char c = at(i); c.bytes != 0 && !(c.classes & set); c = at(i)) i += c.bytes;
    return i;
  }

 private:
  const char* data_;
  std::size_t size_;
  const std::uint32_t* classes_;
};

constexpr unsigned kWordOrSpace = kLetter | kNumber | kSpace;

bool is_other(Char c) { return c.bytes != 0 && !(c.classes & kWordOrSpace); }

// 's|'t|'re|'ve|'m|'ll|'d; in bytes after the apostrophe, 0 when none follows.
std::size_t contraction(const Reader& text, std::size_t after, bool any_case, bool long_s) {
  const auto lower = [&](char c) { return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const char a = lower(text.byte(after));
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 1;
  const char b = lower(text.byte(after + 1));
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 2;
  // Case folding makes U+017F (C5 BF) an s.
  if (long_s && text.byte(after) == '\xc5' && text.byte(after + 1) == '\xbf') return 2;
  return 0;
}

// \s+(?!\S)|\s+ at white space: all of a run at the end of the text, else all but its last character (that one goes
// with the next word), at least one.
std::size_t spaces(const Reader& text, std::size_t i) {
  std::size_t end = i, last = i;
  for (Char c = text.at(i); c.bytes != 0 && (c.classes & kSpace); c = text.at(end)) {
    last = end;
    end += c.bytes;
  }
  return end == text.size() || last == i ? end : last;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at white space: up to the last line end of the run, where there is one.
std::size_t lines_or_spaces(const Reader& text, std::size_t i) {
  std::size_t line_end = 0;
  for (std::size_t k = i;;) {
    const Char c = text.at(k);
    if (c.bytes == 0 || !(c.classes & kSpace)) break;
    k += c.bytes;
    if (c.classes & kNewline) line_end = k;
  }
  return line_end != 0 ? line_end : spaces(text, i);
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
struct Gpt2 {
  static std::size_t end(const Reader& text, std::size_t i) {
    if (text.byte(i) == '\'')
      if (const std::size_t n = contraction(text, i + 1, false, false)) return i + 1 + n;
    const std::size_t start = i + (text.byte(i) == ' ' ? 1 : 0);
    const Char c = text.at(start);
    if (c.classes & kLetter) return text.skip_while(start + c.bytes, kLetter);
    if (c.classes & kNumber) return text.skip_while(start + c.bytes, kNumber);
    if (is_other(c)) return text.skip_until(start + c.bytes, kWordOrSpace);
    return spaces(text, i);
  }
};

// Numbers in groups of up to `most`.
std::size_t number_group(const Reader& text, std::size_t i, int most) {
  for (int n = 0; n < most; ++n) {
    const Char c = text.at(i);
    if (!(c.classes & kNumber)) break;
    i += c.bytes;
  }
  return i;
}

struct WordStyle {
  int digits;
  bool folded;  // contractions in any case, U+017F being an s
  bool marks;   // \p{M} is part of words
  bool lines;   // line ends go with the punctuation before them
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <WordStyle Style>
struct Words {
  static constexpr unsigned kWord = Style.marks ? kLetter | kMark : unsigned{kLetter};
  static constexpr unsigned kNotOther = kWord | kNumber | kSpace;

  static std::size_t end(const Reader& text, std::size_t i) {
    if (text.byte(i) == '\'')
      if (const std::size_t n = contraction(text, i + 1, true, Style.folded)) return i + 1 + n;
    const Char c = text.at(i);
    if (c.classes & kWord) return text.skip_while(i + c.bytes, kWord);
    const Char next = text.at(i + c.bytes);
    if (!(c.classes & (kNumber | kNewline)) && (next.classes & kWord))
      return text.skip_while(i + c.bytes + next.bytes, kWord);
    if (c.classes & kNumber) return number_group(text, i, Style.digits);
    const auto is_other = [](Char x) { return x.bytes != 0 && !(x.classes & kNotOther); };
    if (is_other(c) || (text.byte(i) == ' ' && is_other(next))) {
      const std::size_t end = text.skip_until(i + c.bytes, kNotOther);
      return Style.lines ? text.skip_while(end, kNewline) : end;
    }
    return lines_or_spaces(text, i);
  }
};

struct CasedStyle {
  int digits;
  bool contractions;  // after a word: (?i:'s|'t|'re|'ve|'m|'ll|'d)?
  bool slash;         // [\r\n/]* after punctuation, else [\r\n]*
  bool han;           // \p{Han}+ before all else, and no Han in other words
};

// [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L*|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
// with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L = [\p{Ll}\p{Lm}\p{Lo}\p{M}].
template <CasedStyle Style>
struct CasedWords {
  static std::size_t end(const Reader& text, std::size_t i) {
    const Char c = text.at(i);
    if (Style.han && (c.classes & kHan)) return text.skip_while(i + c.bytes, kHan);
    if (const std::size_t end = word(text, i, c); end != i) return end;
    if (c.classes & kNumber) return number_group(text, i, Style.digits);
    if (is_other(c) || (text.byte(i) == ' ' && is_other(text.at(i + c.bytes)))) {
      std::size_t end = text.skip_until(i + c.bytes, kWordOrSpace);
      while (text.byte(end) == '\r' || text.byte(end) == '\n' || (Style.slash && text.byte(end) == '/')) ++end;
      return end;
    }
    return lines_or_spaces(text, i);
  }

 private:
  static bool is_upper(Char c) {
    if (Style.han && (c.classes & kHan)) return false;
    return (c.classes & kMark) || ((c.classes & kLetter) && !(c.classes & kLower));
  }
  static bool is_lower(Char c) {
    if (Style.han && (c.classes & kHan)) return false;
    return (c.classes & kMark) || ((c.classes & kLetter) && !(c.classes & kUpper));
  }

  // i when there is no word. The character in front is optional and tried first; a mark may be either.
  static std::size_t word(const Reader& text, std::size_t i, Char c) {
    const bool front = c.bytes != 0 && !(c.classes & (kLetter | kNumber | kNewline));
    const bool bare = is_upper(c) || is_lower(c);
    std::size_t end = i;
    if (front) end = with_lower(text, i + c.bytes, i);
    if (end == i && bare) end = with_lower(text, i, i);
    if (end == i && front) end = with_upper(text, i + c.bytes, i);
    if (end == i && bare) end = with_upper(text, i, i);
    if (!Style.contractions || end == i || text.byte(end) != '\'') return end;
    const std::size_t n = contraction(text, end + 1, true, true);
    return n == 0 ? end : end + 1 + n;
  }

  // U*L+ from `from`, else `none`. Where U* leaves nothing for L+, it gives back up to the last character of both.
  static std::size_t with_lower(const Reader& text, std::size_t from, std::size_t none) {
    std::size_t i = from, after_both = none;
    Char c = text.at(i);
    for (; is_upper(c); c = text.at(i)) {
      i += c.bytes;
      if (is_lower(c)) after_both = i;
    }
    if (!is_lower(c)) return after_both;
    for (; is_lower(c); c = text.at(i)) i += c.bytes;
    return i;
  }

  // U+L* from `from`, else `none`.
  static std::size_t with_upper(const Reader& text, std::size_t from, std::size_t none) {
    std::size_t i = from;
    for (Char c = text.at(i); is_upper(c); c = text.at(i)) i += c.bytes;
    if (i == from) return none;
    for (Char c = text.at(i); is_lower(c); c = text.at(i)) i += c.bytes;
    return i;
  }
};

// A scanner that matches at every position.
template <class Pattern>
class TotalScanner final : public Finder {
 public:
  explicit TotalScanner(const char* name) : name_(name) {}
  Found find(std::string_view segment, std::size_t from, FinderState*, Match& match, Error&) const override {
    if (from >= segment.size()) return Found::no;
    match = {from, Pattern::end(Reader(segment), from)};
    return Found::yes;
  }
  std::string description() const override { return name_; }

 private:
  const char* name_;
};

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
// ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
class DeepseekV3 final : public Finder {
 public:
  Found find(std::string_view segment, std::size_t from, FinderState*, Match& match, Error&) const override {
    const Reader text(segment);
    for (std::size_t i = from; i < text.size(); i += text.at(i).bytes) {
      const std::size_t end = match_at(text, i);
      if (end == i) continue;
      match = {i, end};
      return Found::yes;
    }
    return Found::no;
  }
  std::string description() const override { return "deepseek-v3"; }

 private:
  static std::size_t match_at(const Reader& text, std::size_t i) {
    constexpr unsigned kWord = kLetter | kMark;
    constexpr unsigned kSign = kPunctuation | kSymbol;
    const Char c = text.at(i);
    const Char next = text.at(i + c.bytes);
    if ((c.classes & kAsciiPunctuation) && (next.classes & kAsciiLetter)) return text.skip_while(i + 1, kAsciiLetter);
    if (c.classes & kWord) return text.skip_while(i + c.bytes, kWord);
    if (!(c.classes & (kNewline | kSign)) && (next.classes & kWord)) return text.skip_while(i + c.bytes, kWord);
    if ((c.classes & kSign) || (text.byte(i) == ' ' && (next.classes & kSign)))
      return text.skip_while(text.skip_while(i + c.bytes, kSign), kNewline);
    if (c.classes & kSpace) return lines_or_spaces(text, i);
    return i;
  }
};

// \s+$ with "$" at the end and before every \n, as Oniguruma reads it.
class TrailingSpace final : public Finder {
 public:
  Found find(std::string_view segment, std::size_t from, FinderState*, Match& match, Error&) const override {
    const Reader text(segment);
    for (std::size_t i = text.skip_until(from, kSpace); i < text.size(); i = text.skip_until(i, kSpace)) {
      const std::size_t end = text.skip_while(i, kSpace);
      if (end == text.size()) {
        match = {i, end};
        return Found::yes;
      }
      const std::size_t line = segment.substr(i, end - i).rfind('\n');
      if (line != std::string_view::npos && line != 0) {
        match = {i, i + line};
        return Found::yes;
      }
      i = end;
    }
    return Found::no;
  }
  std::string description() const override { return "trailing space"; }
};

class SetRunFinder final : public Finder {
 public:
  explicit SetRunFinder(const SetRun& run) : run_(run) {}

  Found find(std::string_view segment, std::size_t from, FinderState*, Match& match, Error&) const override {
    const Reader text(segment);
    for (std::size_t i = from; i < text.size();) {
      const Char c = text.at(i);
      std::size_t end = 0;
      if (run_.leading_space && (c.classes & kSpace)) end = run_end(text, i + c.bytes);
      if (end == 0 && (c.classes & run_.set)) end = run_end(text, i);
      if (end != 0) {
        match = {i, end};
        return Found::yes;
      }
      i += c.bytes;
    }
    return Found::no;
  }
  std::string description() const override {
    return "run " + std::to_string(run_.set) + " " + std::to_string(run_.min) + " " + std::to_string(run_.max) + " " +
           std::to_string(run_.leading_space);
  }

 private:
  // 0 when fewer than `min` follow.
  std::size_t run_end(const Reader& text, std::size_t i) const {
    std::uint32_t count = 0;
    while (count < run_.max) {
      const Char c = text.at(i);
      if (!(c.classes & run_.set)) break;
      i += c.bytes;
      ++count;
    }
    return count >= run_.min ? i : 0;
  }

  SetRun run_;
};

class Literal final : public Finder {
 public:
  explicit Literal(std::string text) : text_(std::move(text)) {}

  Found find(std::string_view segment, std::size_t from, FinderState*, Match& match, Error&) const override {
    const std::size_t at = text_.empty() ? std::string_view::npos : segment.find(text_, from);
    if (at == std::string_view::npos) return Found::no;
    match = {at, at + text_.size()};
    return Found::yes;
  }
  std::string description() const override { return "literal " + text_; }

 private:
  std::string text_;
};

}  // namespace

std::unique_ptr<Finder> make_set_run(const SetRun& run) { return std::make_unique<SetRunFinder>(run); }

std::unique_ptr<Finder> make_scanner(Scanner scanner) {
  const auto words = [](auto pattern, const char* name) -> std::unique_ptr<Finder> {
    return std::make_unique<TotalScanner<decltype(pattern)>>(name);
  };
  switch (scanner) {
    case Scanner::gpt2: return words(Gpt2{}, "gpt2");
    case Scanner::llama3: return words(Words<WordStyle{3, false, false, true}>{}, "llama3");
    case Scanner::llama3_folded: return words(Words<WordStyle{3, true, false, true}>{}, "llama3 folded");
    case Scanner::qwen2: return words(Words<WordStyle{1, false, false, true}>{}, "qwen2");
    case Scanner::qwen2_folded: return words(Words<WordStyle{1, true, false, true}>{}, "qwen2 folded");
    case Scanner::qwen35: return words(Words<WordStyle{1, true, true, true}>{}, "qwen35");
    case Scanner::seed_coder: return words(Words<WordStyle{1, true, false, false}>{}, "seed-coder");
    case Scanner::gpt4o: return words(CasedWords<CasedStyle{3, true, true, false}>{}, "gpt-4o");
    case Scanner::tekken: return words(CasedWords<CasedStyle{1, false, true, false}>{}, "tekken");
    case Scanner::kimi_k2: return words(CasedWords<CasedStyle{3, true, false, true}>{}, "kimi-k2");
    case Scanner::deepseek_v3: return std::make_unique<DeepseekV3>();
    case Scanner::trailing_space: return std::make_unique<TrailingSpace>();
  }
  return nullptr;
}

std::unique_ptr<Finder> make_literal(std::string text) { return std::make_unique<Literal>(std::move(text)); }

}  // namespace moe::inline MOE_ABI::tokenizer
