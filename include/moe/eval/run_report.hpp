#pragma once
// A report for people, made from run.json files alone.

#include <functional>
#include <span>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// The text of a run.json; untrusted and checked.
struct RunText {
  std::string name = {};  ///< file name, for errors and the page
  std::string text = {};
};

struct RunReportOptions {
  /// The program that draws the pictures: a path, or a name looked up in PATH; it is run without a shell. Empty or not
  /// found: tables only, and the page says so.
  std::string gnuplot = "gnuplot";
  std::function<bool()> cancelled = {};  ///< called between pictures and while one is drawn
};

/// The same report in three forms. Text from files and command lines is escaped in each.
struct RunReportTexts {
  std::string html = {};         ///< one file that loads nothing and runs nothing, in UTF-8
  std::string markdown = {};     ///< without pictures
  std::string csv = {};          ///< one line per number with its error, in full precision
  std::string svg = {};          ///< the first picture as a file of its own; empty where there is none
  std::string verdict = {};      ///< the summary, in plain lines
  std::string no_pictures = {};  ///< why the page has no pictures; empty if it has
};

/// Several runs are shown side by side; only models of the same run are compared question by question.
/// Errors: bad_file naming the file, the member, what was found and what was expected; cancelled.
MOE_API Result<RunReportTexts> render_run_report(std::span<const RunText> runs, const RunReportOptions& options = {});

/// OUT/report.html, OUT/report.md and OUT/report.csv. Errors: io, cancelled.
MOE_API Result<void> write_report_files(const RunReportTexts& texts, const std::string& directory,
                                        const std::function<bool()>& cancelled = {});

}  // namespace moe::inline MOE_ABI::eval
