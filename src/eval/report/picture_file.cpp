// One picture of a report as a file of its own, for a README or a slide.

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string described(const Section& section) {
  std::string out = section.headline;
  for (const ModelResult& r : section.results)
    if (r.of_task->accuracy)
      out += fmt::format(" {}: {} % at {} GFLOPs per question.", r.label, percent_form(*r.of_task->accuracy),
                         significant_form(r.of_task->flops_per_question / 1e9));
  return out;
}

}  // namespace

std::string picture_file(const ReportDocument& document, const std::vector<Section>& sections) {
  const auto picture = std::find_if(document.blocks.begin(), document.blocks.end(),
                                    [](const Block& b) { return b.kind == Block::Kind::picture; });
  if (picture == document.blocks.end() || sections.empty()) return {};
  // page_picture writes no '>' in an attribute.
  const std::size_t inside = picture->svg.find('>') + 1;
  const std::size_t name = std::string_view("<svg").size();
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\"{}<desc>{}</desc>\n<style>\n{}svg {{ color: var(--ink); fill: none; "
      "stroke: currentColor; stroke-width: 1; font-family: system-ui, sans-serif; }}\n</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"var(--page)\" stroke=\"none\"/>{}\n",
      picture->svg.substr(name, inside - name), html_escaped(described(sections[0])), kPageColours,
      picture->svg.substr(inside));
}

}  // namespace moe::inline MOE_ABI::eval
