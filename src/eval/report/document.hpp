#pragma once
// The content of a report, independent of HTML or Markdown: headings, sentences, tables and pictures in reading order.
// All texts are plain; the writers escape them.

#include <optional>
#include <string>
#include <vector>

#include "eval/report/findings.hpp"
#include "eval/report/pictures.hpp"
#include "eval/report/run_reader.hpp"
#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {

struct Cell {
  std::string text;        ///< as it is shown
  std::string exact = {};  ///< the number in full precision
  std::string at = {};     ///< source of the number: index of the run and JSON pointer; empty for derived numbers
  double scale = 1;        ///< factor of the shown number
  std::string mark = {};   ///< a class for the style sheet
};

struct Column {
  std::string title;
  bool is_number = true;
  bool is_extra = false;  ///< omitted on narrow terminals
};

struct Table {
  std::string caption;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  bool is_extra = false;  ///< on a terminal only with --verbose
};

struct Block {
  enum class Kind {
    heading,  ///< of `level`
    text,     ///< a paragraph
    small,    ///< a paragraph that explains
    lead,     ///< the verdict
    list,     ///< `items`
    code,     ///< a command line
    table,
    picture,  ///< `picture` with `text` as its caption; HTML only
    fold,     ///< `text` is the summary of what follows, `level` 1: open
    fold_end,
    legend,  ///< of a heat map's colours; HTML only
  };
  Kind kind = Kind::text;
  int level = 2;
  std::string text = {};
  std::vector<std::string> items = {};
  Table table = {};
  Picture picture = {};
  std::string anchor = {};  ///< of a heading
};

struct ReportDocument {
  std::string title, subtitle;
  std::vector<Block> blocks;
  std::string program = "moe-eval report";  ///< that made it
  std::string origin = "run.json";          ///< what it was made from

  void heading(int level, std::string text, std::string anchor = {});
  void add(Block::Kind kind, std::string text) { blocks.push_back({kind, 2, std::move(text)}); }
  void table(Table table);
  void picture(std::optional<Picture> picture, std::string caption);
};

Cell word(std::string text);
Cell nothing();  ///< where there is no number
Cell percent_cell(double share, std::string at);
Cell points_cell(double share, std::string at);
Cell count_cell(std::int64_t value, std::string at);
/// `scale` 1e-9 shows FLOPs as GFLOPs.
Cell significant_cell(double value, std::string at, double scale = 1);
Cell significant_cell(std::int64_t value, std::string at, double scale = 1);
Cell p_cell(double p, std::string at);
/// "86.5 to 89.3"; its ends are two numbers of one member.
Cell interval_cell(const read::Interval& interval, std::string at, bool is_signed);
/// Shares as percent, other metrics unchanged.
Cell metric_cell(const std::string& key, const std::optional<double>& value, std::string at);
/// With its unit; `what` stands between.
std::string metric_title(const std::string& key, const std::string& what = {});

/// A step of a JSON pointer, percent-encoded as in a URI fragment (RFC 6901, 6).
std::string pointer_step(const std::string& name);

// The parts of a section, each in a file of its own (document_<part>.cpp).
void add_results(ReportDocument& out, const Section& section);
void add_costs(ReportDocument& out, const Section& section, Painter& painter);
void add_gaps(ReportDocument& out, const Section& section, Painter& painter);
void add_subjects(ReportDocument& out, const Section& section, Painter& painter);
void add_sweeps(ReportDocument& out, const Section& section, Painter& painter);
void add_experts(ReportDocument& out, const Section& section, Painter& painter);
void add_checks(ReportDocument& out, const Section& section);
/// Of all runs.
void add_stopped(ReportDocument& out, const std::vector<read::Run>& runs);
void add_families(ReportDocument& out, const std::vector<read::Run>& runs);
void add_origin(ReportDocument& out, const std::vector<read::Run>& runs);

/// Verdicts, one each; then questions and FLOPs, and caveats. Empty for runs without early stopping.
std::vector<std::string> stopped_sentences(const read::Run& run);
std::vector<std::string> family_sentences(const read::Run& run);
/// Of a run with early stopping; `at`: the source of its numbers.
Table stopped_pairs_table(const UntilKnown& known, const std::vector<std::string>& names, const std::string& at);
Table stopped_use_table(const UntilKnown& known, const std::vector<std::string>& names, const std::string& at);

ReportDocument make_document(const std::vector<read::Run>& runs, const std::vector<Section>& sections,
                             Painter& painter);

std::string html_page(const ReportDocument& document);
std::string markdown_report(const ReportDocument& document);
std::string csv_report(const std::vector<read::Run>& runs);
/// For a terminal: neither pictures nor code.
std::string plain_table(const Table& table, const TableOptions& options);
std::string plain_report(const ReportDocument& document, const TableOptions& options);
/// The first picture as a separate file, in both themes; `description` is its alternative text. Empty without a
/// picture.
std::string picture_file(const ReportDocument& document, const std::string& description);
/// The numbers of the first section's picture.
std::string picture_description(const std::vector<Section>& sections);
/// The page's style sheet: its colours, which the pictures share, and the rest.
extern const char *const kPageColours, *const kPageStyle;

}  // namespace moe::inline MOE_ABI::eval
