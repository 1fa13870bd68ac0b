#include "eval/report/svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "eval/report/forms.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using View = std::string_view;
using Attributes = std::vector<std::pair<View, View>>;

constexpr View kSpace = " \t\r\n";
constexpr View kShapes[] = {"path", "polygon", "polyline", "circle", "line", "use", "text"};
// Drops titles, descriptions, definitions and the background rectangle.
constexpr View kDropped[] = {"title", "desc", "defs", "rect"};
constexpr View kColours[] = {"fill", "stroke"};
constexpr View kNumbers[] = {
    "x",      "y",         "width",        "height",           "cx",          "cy", "x1", "y1", "x2", "y2", "r",
    "points", "font-size", "stroke-width", "stroke-dasharray", "fill-opacity"};
constexpr View kWords[] = {"text-anchor", "shape-rendering"};

template <std::size_t N>
bool is_one_of(View name, const View (&list)[N]) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

tl::unexpected<Error> refused(const std::string& what) {
  return fail(ErrorCode::bad_file, "the picture holds " + what);
}

// Only these characters; runs of white space become one space.
std::optional<std::string> plain(View text, View allowed) {
  std::string out;
  for (const char c : text) {
    if (kSpace.find(c) != View::npos) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (allowed.find(c) != View::npos) {
      out += c;
    } else {
      return std::nullopt;
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// "none", black and white, and greys that stand for the page's colours.
std::optional<std::string> page_colour(View text) {
  if (text == "none") return "none";
  if (text == "black" || text == "currentColor") return "currentColor";
  if (text == "white") return "var(--page)";
  const auto numbers = plain(text, "rgb(,)0123456789");
  if (!numbers || !numbers->starts_with("rgb(")) return std::nullopt;
  int values[3] = {}, count = 0;
  for (std::size_t at = 4; at < numbers->size() && count < 3;) {
    const char* const begin = numbers->data() + at;
    const auto read = std::from_chars(begin, numbers->data() + numbers->size(), values[count]);
    if (read.ec == std::errc{}) ++count;
    at += static_cast<std::size_t>(read.ec == std::errc{} ? read.ptr - begin : 1);
  }
  if (count == 3 && values[0] + values[1] + values[2] == 0) return "currentColor";
  if (count != 3 || values[0] != values[1] || values[1] != values[2] || values[0] > kMostColour) return std::nullopt;
  return fmt::format("var(--c{})", values[0]);
}

// gnuplot's point symbols that the pictures use, without the definitions that they refer to.
struct Symbol {
  View name, shape;
  bool is_filled;
};
constexpr Symbol kSymbols[] = {
    {"#gpPt4", "path d=\"M-1,-1 H1 V1 H-1 Z\"", true},
    {"#gpPt5", "circle r=\"1\" stroke-width=\"0.35\"", false},
    {"#gpPt6", "circle r=\"1\"", true},
    {"#gpPt7", "path d=\"M0,-1.2 L1.1,0.8 H-1.1 Z\" stroke-width=\"0.35\"", false},
    {"#gpPt8", "path d=\"M0,-1.2 L1.1,0.8 H-1.1 Z\"", true},
};
const Symbol* symbol(View reference) {
  const auto found =
      std::find_if(std::begin(kSymbols), std::end(kSymbols), [&](const Symbol& one) { return one.name == reference; });
  return found == std::end(kSymbols) ? nullptr : found;
}

class Rewriter {
 public:
  Rewriter(View svg, std::span<const std::string> labels) : rest_(svg), labels_(labels) {}

  Result<std::string> run(const std::string& title) {
    out_.clear();
    while (!rest_.empty()) {
      const std::size_t tag = std::min(rest_.find('<'), rest_.size());
      if (auto ok = text(rest_.substr(0, tag)); !ok) return forward(ok);
      rest_.remove_prefix(tag);
      if (rest_.empty()) break;
      const std::size_t end = rest_.find('>');
      if (end == View::npos) return refused("a tag without an end");
      const View inside = rest_.substr(1, end - 1);
      rest_.remove_prefix(end + 1);
      if (auto ok = element(inside); !ok) return forward(ok);
    }
    if (!is_done_ || !open_.empty()) return refused("no whole drawing");
    return fmt::format("<svg viewBox=\"{}\" role=\"img\" aria-label=\"{}\">{}</svg>", box_, html_escaped(title), out_);
  }

 private:
  struct Open {
    View name;
    std::size_t before, behind;  // where its start tag begins and ends in the output
  };

  // Between tags.
  Result<void> text(View content) {
    if (skipped_ > 0) return {};
    if (open_.empty() || open_.back().name != "text") {
      if (content.find_first_not_of(kSpace) != View::npos) return refused("text outside of text elements");
      return {};
    }
    while (!content.empty()) {
      const std::size_t mark = std::min(content.find('@'), content.size());
      for (const char c : content.substr(0, mark))
        if (c < ' ' || c > '~' || c == '&') return refused("an unexpected character in a text");
      out_ += content.substr(0, mark);
      content.remove_prefix(mark);
      if (content.empty()) break;
      std::size_t label = labels_.size();
      const auto read = std::from_chars(content.data() + 1, content.data() + content.size(), label);
      if (read.ec != std::errc{} || read.ptr == content.data() + content.size() || *read.ptr != '@' ||
          label >= labels_.size())
        return refused("an unknown label");
      out_ += html_escaped(labels_[label]);
      content.remove_prefix(static_cast<std::size_t>(read.ptr + 1 - content.data()));
    }
    return {};
  }

  Result<void> element(View tag) {
    if (tag.starts_with('?')) return {};
    if (tag.starts_with('/')) return close(tag.substr(1));
    const bool is_empty = tag.ends_with('/');
    if (is_empty) tag.remove_suffix(1);
    const View name = tag.substr(0, std::min(tag.find_first_of(kSpace), tag.size()));
    if (skipped_ > 0 || is_one_of(name, kDropped)) {
      if (!is_empty) ++skipped_;
      return {};
    }
    const auto attributes = attributes_of(tag.substr(name.size()));
    if (!attributes) return forward(attributes);
    if (name == "svg") return is_empty ? refused("no drawing") : root(*attributes);
    if (open_.empty() || (name != "g" && !is_one_of(name, kShapes))) return refused("an element " + in_quotes(name));
    return start(name, *attributes, is_empty);
  }

  Result<void> root(const Attributes& attributes) {
    if (!open_.empty() || is_done_) return refused("a drawing within a drawing");
    for (const auto& [key, value] : attributes)
      if (key == "viewBox") box_ = plain(value, "0123456789.").value_or("");
    if (box_.empty()) return refused("no viewBox");
    open_.push_back({"svg", 0, 0});
    return {};
  }

  Result<void> start(View name, const Attributes& attributes, bool is_empty) {
    const std::size_t before = out_.size();
    std::string shown(name), rest;
    for (const auto& [key, value] : attributes) {
      if (name == "use" && key == "xlink:href") {
        const Symbol* const known = symbol(value);
        if (known == nullptr) return refused("a symbol " + in_quotes(value));
        shown = known->shape;
        for (const auto& [other, colour] : attributes)
          if (other == "color") {
            const auto own = page_colour(colour);
            if (!own) return refused("a colour " + in_quotes(colour));
            rest += known->is_filled ? fmt::format(" fill=\"{}\" stroke=\"none\"", *own)
                                     : fmt::format(" fill=\"var(--page)\" stroke=\"{}\"", *own);
          }
        continue;
      }
      const auto kept = attribute(name, key, value);
      if (!kept) return forward(kept);
      rest += *kept;
    }
    out_ += fmt::format("<{}{}{}>", shown, rest, is_empty ? "/" : "");
    if (!is_empty) open_.push_back({name, before, out_.size()});
    return {};
  }

  // The rewritten attribute; empty if it is not needed.
  static Result<std::string> attribute(View name, View key, View value) {
    const bool is_default =
        name == "g" && ((key == "fill" && value == "none") || (key == "stroke-width" && value == "1.00") ||
                        (key == "stroke" && value == "currentColor"));
    if (is_default) return std::string();
    std::optional<std::string> kept = std::string();
    if (is_one_of(key, kColours))
      kept = page_colour(value);
    else if (is_one_of(key, kNumbers))
      kept = plain(value, "0123456789.,-");
    else if (key == "d")
      kept = plain(value, "0123456789.,-MmLlHhVvZz");
    else if (key == "transform")
      kept = plain(value, "0123456789.,-()translateroscale");
    else if (is_one_of(key, kWords))
      kept = plain(value, "abcdefghijklmnopqrstuvwxyzE");
    else if (key == "style" || key == "href" || key.starts_with("on") || key.find(':') != View::npos)
      kept.reset();
    else
      return std::string();
    if (!kept) return refused(fmt::format("{} = {}", in_quotes(key), in_quotes(value)));
    return fmt::format(" {}=\"{}\"", key, *kept);
  }

  Result<void> close(View name) {
    if (skipped_ > 0) {
      --skipped_;
      return {};
    }
    if (open_.empty() || open_.back().name != name) return refused("an end tag " + in_quotes(name) + " of nothing");
    const Open last = open_.back();
    open_.pop_back();
    if (name == "svg")
      is_done_ = true;
    else if (name == "g" && out_.size() == last.behind)
      out_.resize(last.before);  // gnuplot writes many empty groups
    else if (name == "use")
      return refused("a symbol with contents");
    else
      out_ += fmt::format("</{}>", name);
    return {};
  }

  static Result<Attributes> attributes_of(View text) {
    Attributes out;
    for (;;) {
      const std::size_t begin = text.find_first_not_of(kSpace);
      if (begin == View::npos) return out;
      text.remove_prefix(begin);
      const std::size_t equals = text.find('=');
      if (equals == View::npos) return refused("an attribute without a value");
      View key = text.substr(0, equals);
      key = key.substr(0, key.find_last_not_of(kSpace) + 1);
      text.remove_prefix(equals + 1);
      const std::size_t quote = text.find_first_not_of(kSpace);
      if (quote == View::npos || (text[quote] != '"' && text[quote] != '\'')) return refused("an unquoted attribute");
      const std::size_t end = text.find(text[quote], quote + 1);
      if (end == View::npos) return refused("an unfinished attribute");
      out.emplace_back(key, text.substr(quote + 1, end - quote - 1));
      text.remove_prefix(end + 1);
    }
  }

  View rest_;
  std::span<const std::string> labels_;
  std::string out_, box_;
  std::vector<Open> open_;
  int skipped_ = 0;
  bool is_done_ = false;
};

}  // namespace

std::string colour_of(int number) { return fmt::format("#{0:02x}{0:02x}{0:02x}", number); }

Result<std::string> page_picture(const std::string& svg, const std::string& title,
                                 std::span<const std::string> labels) {
  return Rewriter(svg, labels).run(title);
}

}  // namespace moe::inline MOE_ABI::eval
