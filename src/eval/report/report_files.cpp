// From texts of run.json to the three files.

#include <fmt/format.h>

#include <filesystem>

#include "eval/report/document.hpp"
#include "eval/report/names.hpp"
#include "moe/eval/run_report.hpp"
#include "support/output_file.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string plain_verdict(const std::vector<read::Run>& runs, const std::vector<Section>& sections) {
  std::string out;
  for (const read::Run& run : runs)
    for (const auto& sentences : {stopped_sentences(run), family_sentences(run)})
      for (const std::string& sentence : sentences) out += printable(sentence) + "\n";
  for (const Section& section : sections) {
    out += printable(section.title + ": " + section.headline) + "\n";
    for (const std::string& detail : section.details) out += "  " + printable(detail) + "\n";
  }
  return out;
}

}  // namespace

Result<RunReportTexts> render_run_report(std::span<const RunText> texts, const RunReportOptions& options) {
  std::vector<read::Run> runs;
  for (const RunText& text : texts) {
    auto run = read::read_run(text);
    if (!run) return forward(run);
    runs.push_back(std::move(*run));
  }
  const std::vector<Section> sections = find_sections(runs);
  Painter painter(options.gnuplot, options.cancelled);
  const ReportDocument document = make_document(runs, sections, painter);
  if (painter.failure() && painter.failure()->code == ErrorCode::cancelled) return tl::unexpected(*painter.failure());
  RunReportTexts out;
  out.html = html_page(document);
  out.markdown = markdown_report(document);
  out.csv = csv_report(runs);
  out.svg = picture_file(document, picture_description(sections));
  out.verdict = plain_verdict(runs, sections);
  if (painter.failure()) out.no_pictures = painter.failure()->message;
  return out;
}

Result<void> write_report_files(const RunReportTexts& texts, const std::string& directory,
                                const std::function<bool()>& cancelled) {
  if (auto made = make_folder(directory); !made) return made;
  Result<void> result;
  const std::string* contents[] = {&texts.html, &texts.markdown, &texts.csv};
  for (std::size_t i = 0; i < std::size(kReportFiles); ++i) {
    const std::string path = (std::filesystem::path(directory) / kReportFiles[i]).string();
    // If one cannot be written, the others still are.
    if (auto written = write_file(path, *contents[i], {.cancelled = cancelled}); !written && result) result = written;
  }
  return result;
}

}  // namespace moe::inline MOE_ABI::eval
