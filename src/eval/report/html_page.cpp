// The report as one self-contained HTML file without scripts.

#include <fmt/format.h>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Isolates a name, so that right-to-left text does not affect the rest of the line.
std::string foreign(const std::string& text) { return "<bdi>" + html_escaped(text) + "</bdi>"; }

std::string cell(const Cell& c, bool is_number, bool is_head) {
  std::string classes = is_number ? "n" : "";
  if (!c.mark.empty()) classes += (classes.empty() ? "" : " ") + c.mark;
  const std::string attribute = classes.empty() ? "" : fmt::format(" class=\"{}\"", html_escaped(classes));
  std::string inside = foreign(c.text);
  if (!c.at.empty())
    inside = fmt::format("<data value=\"{}\" data-at=\"{}\"{}>{}</data>", html_escaped(c.exact), html_escaped(c.at),
                         c.scale == 1 ? "" : fmt::format(" data-scale=\"{}\"", c.scale), html_escaped(c.text));
  else if (!c.exact.empty())
    inside = fmt::format("<data value=\"{}\">{}</data>", html_escaped(c.exact), html_escaped(c.text));
  return is_head ? fmt::format("<th scope=\"row\"{}>{}</th>", attribute, inside)
                 : fmt::format("<td{}>{}</td>", attribute, inside);
}

std::string table(const Table& t) {
  // A scrolling box, so that the page does not scroll sideways; focusable and labelled.
  std::string out = fmt::format(
      "<div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption>\n<thead><tr>",
      html_escaped(t.caption));
  for (const Column& c : t.columns)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", c.is_number ? " class=\"n\"" : "", foreign(c.title));
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : t.rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      out += cell(row[i], i < t.columns.size() && t.columns[i].is_number, i == 0);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string legend() {
  std::string out = "<p class=\"legend\" aria-hidden=\"true\">load \xC3\x97";
  for (int i = 0; i < kHeatCount; ++i) {
    const std::string text = i == 0                ? fmt::format("below {}", kHeatSteps[0])
                             : i + 1 == kHeatCount ? fmt::format("{} and more", kHeatSteps[i - 1])
                                                   : fmt::format("to {}", kHeatSteps[i]);
    out += fmt::format(" <span><i style=\"background:var(--c{})\"></i>{}</span>", kHeat + i, text);
  }
  return out + "</p>\n";
}

std::string block(const Block& b) {
  switch (b.kind) {
    case Block::Kind::heading:
      return fmt::format("<h{0}{1}>{2}</h{0}>\n", b.level,
                         b.anchor.empty() ? "" : fmt::format(" id=\"{}\"", html_escaped(b.anchor)), foreign(b.text));
    case Block::Kind::text: return "<p>" + foreign(b.text) + "</p>\n";
    case Block::Kind::small: return "<p class=\"small\">" + foreign(b.text) + "</p>\n";
    case Block::Kind::lead: return "<p class=\"lead\">" + foreign(b.text) + "</p>\n";
    case Block::Kind::code:
      return "<pre class=\"box\" tabindex=\"0\" aria-label=\"command line\"><code>" + html_escaped(b.text) +
             "</code></pre>\n";
    case Block::Kind::table: return table(b.table);
    case Block::Kind::picture:
      return fmt::format(
          "<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div><figcaption>{}</figcaption></figure>\n",
          b.picture.wide, b.picture.narrow, foreign(b.text));
    case Block::Kind::fold:
      return fmt::format("<details{}><summary>{}</summary>\n", b.level == 1 ? " open" : "", foreign(b.text));
    case Block::Kind::fold_end: return "</details>\n";
    case Block::Kind::legend: return legend();
    case Block::Kind::list: break;
  }
  std::string out = "<ul>\n";
  for (const std::string& item : b.items) out += "<li>" + foreign(item) + "</li>\n";
  return out + "</ul>\n";
}

bool is_of_verdict(const Block& b) {
  return b.kind == Block::Kind::lead || b.kind == Block::Kind::list || (b.kind == Block::Kind::heading && b.level == 3);
}

bool is_picture(const ReportDocument& document, std::size_t index) {
  return index < document.blocks.size() && document.blocks[index].kind == Block::Kind::picture;
}

}  // namespace

std::string html_page(const ReportDocument& document) {
  const std::string title = html_escaped(document.title);
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<title>{} \xE2\x80\x93 {}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<main>\n<header>\n"
      "<p class=\"eyebrow\">{}</p>\n<h1><bdi>{}</bdi></h1>\n<p>{}</p>\n</header>\n",
      title, document.program, kPageColours, kPageStyle, document.program, title, foreign(document.subtitle));
  std::size_t next = 0;
  out += "<section class=\"verdict\" aria-label=\"verdict\">\n";
  for (; next < document.blocks.size() && is_of_verdict(document.blocks[next]); ++next)
    out += block(document.blocks[next]);
  out += "</section>\n";
  std::string links;
  for (const Block& b : document.blocks)
    if (!b.anchor.empty())
      links += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", html_escaped(b.anchor), foreign(b.text));
  if (links.find("<li>", 1) != std::string::npos) out += "<nav aria-label=\"tasks\"><ul>\n" + links + "</ul></nav>\n";
  for (; next < document.blocks.size(); ++next) {
    // The first picture has the page's width; the next ones are placed next to each other if there is room.
    const bool is_second = is_picture(document, next) && next > 0 && is_picture(document, next - 1);
    const bool is_first_of_rest = is_second && !(next > 1 && is_picture(document, next - 2));
    if (is_first_of_rest) out += "<div class=\"pictures\">\n";
    out += block(document.blocks[next]);
    if (is_second && !is_picture(document, next + 1)) out += "</div>\n";
  }
  return out + fmt::format(
                   "<footer><p>Made from {} by {}. Numbers hold every digit in the page's source.</p></footer>\n"
                   "</main>\n</body>\n</html>\n",
                   document.origin, document.program);
}

}  // namespace moe::inline MOE_ABI::eval
