// From the published table and run.json files to the texts.

#include <algorithm>
#include <filesystem>

#include "eval/report/ai_index_document.hpp"
#include "eval/report/names.hpp"
#include "moe/eval/ai_index.hpp"
#include "support/output_file.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Why there is no picture; empty where there is one.
std::string picture_problem(const Painter& painter, const ReportDocument& document) {
  if (painter.failure()) return painter.failure()->message;
  const bool is_drawn = std::any_of(document.blocks.begin(), document.blocks.end(),
                                    [](const Block& b) { return b.kind == Block::Kind::picture; });
  return is_drawn ? "" : "it takes 2 to 200 points whose compute is known";
}

// After the verdict, before the first heading.
void note_problem(ReportDocument& document, const std::string& problem) {
  const auto heading = std::find_if(document.blocks.begin(), document.blocks.end(),
                                    [](const Block& b) { return b.kind == Block::Kind::heading; });
  document.blocks.insert(heading, {Block::Kind::small, 2, "This page has no picture: " + problem + "."});
}

}  // namespace

Result<AiIndexTexts> render_ai_index(const RunText& published, std::span<const RunText> texts,
                                     const AiIndexOptions& options) {
  auto rows = ai_index::read_rows(published);
  if (!rows) return forward(rows);
  std::vector<read::Run> runs;
  for (const RunText& text : texts) {
    if (options.cancelled && options.cancelled())
      return fail(ErrorCode::cancelled, "interrupted before " + printable(text.name) + " was read");
    auto run = read::read_run(text);
    if (!run) return forward(run);
    runs.push_back(std::move(*run));
  }
  auto measured = ai_index::measured_models(runs);
  if (!measured) return forward(measured);
  const ai_index::View view = ai_index::view_of(published.name, std::move(*rows), std::move(*measured));
  Painter painter(options.gnuplot, options.cancelled);
  ReportDocument document = ai_index::index_document(view, painter);
  if (painter.failure() && painter.failure()->code == ErrorCode::cancelled) return tl::unexpected(*painter.failure());
  TableOptions terminal = options.terminal;
  terminal.columns = std::max<std::size_t>(terminal.columns, 40);
  AiIndexTexts out;
  out.text = plain_report(document, terminal);
  out.no_pictures = picture_problem(painter, document);
  if (!out.no_pictures.empty()) note_problem(document, out.no_pictures);
  out.html = html_page(document);
  out.markdown = markdown_report(document);
  out.svg = picture_file(document, ai_index::picture_words(view));
  return out;
}

Result<void> write_ai_index_files(const AiIndexTexts& texts, const std::string& directory,
                                  const std::function<bool()>& cancelled) {
  if (auto made = make_folder(directory); !made) return made;
  Result<void> result;
  const std::string* contents[] = {&texts.html, &texts.markdown};
  for (std::size_t i = 0; i < std::size(kIndexFiles); ++i) {
    const std::string path = (std::filesystem::path(directory) / kIndexFiles[i]).string();
    // If one cannot be written, the other still is.
    if (auto written = write_file(path, *contents[i], {.cancelled = cancelled}); !written && result) result = written;
  }
  return result;
}

}  // namespace moe::inline MOE_ABI::eval
