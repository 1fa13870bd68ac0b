// One picture of a report as a file of its own, for a README or a slide.

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval {

std::string picture_description(const std::vector<Section>& sections) {
  if (sections.empty()) return {};
  const Section& section = sections[0];
  std::string out = section.headline;
  for (const ModelResult& r : section.results)
    if (r.of_task->accuracy)
      out += fmt::format(" {}: {} % at {} GFLOPs per question.", r.label, percent_form(*r.of_task->accuracy),
                         significant_form(r.of_task->flops_per_question / 1e9));
  return out;
}

std::string picture_file(const ReportDocument& document, const std::string& description) {
  const auto found = std::find_if(document.blocks.begin(), document.blocks.end(),
                                  [](const Block& b) { return b.kind == Block::Kind::picture; });
  if (found == document.blocks.end()) return {};
  const std::string& picture = found->picture.wide;
  // page_picture writes no '>' in an attribute.
  const std::size_t inside = picture.find('>') + 1;
  const std::size_t name = std::string_view("<svg").size();
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\"{}<desc>{}</desc>\n<style>\n{}svg {{ color: var(--ink); fill: none; "
      "stroke: currentColor; stroke-width: 1; font-family: system-ui, sans-serif; }}\n</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"var(--page)\" stroke=\"none\"/>{}\n",
      picture.substr(name, inside - name), html_escaped(description), kPageColours, picture.substr(inside));
}

}  // namespace moe::inline MOE_ABI::eval
