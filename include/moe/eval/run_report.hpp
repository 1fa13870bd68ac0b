#pragma once
// A report for people, made from run.json files alone.

#include <functional>
#include <span>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// A run.json that was read; its text may come from anywhere and is checked.
struct RunText {
  std::string name = {};  ///< of the file, for errors and the page
  std::string text = {};
};

struct RunReportOptions {
  /// The program that draws the pictures, looked for on PATH where it is no path; it is run without a shell. Empty, or
  /// not found: tables alone, and the page says so.
  std::string gnuplot = "gnuplot";
  std::function<bool()> cancelled = {};  ///< asked between pictures and while one is drawn
};

/// The same report in three forms. What files and command lines said is escaped in each.
struct RunReportTexts {
  std::string html = {};         ///< one file that loads nothing and runs nothing, in UTF-8
  std::string markdown = {};     ///< without pictures
  std::string csv = {};          ///< a line for each number with its error, every digit of it
  std::string svg = {};          ///< the first picture as a file of its own; empty where there is none
  std::string verdict = {};      ///< what a reader wants first, in plain lines
  std::string no_pictures = {};  ///< why the page has none; empty where it has
};

/// Several runs stand side by side; only models of one run are compared question by question.
/// Errors: bad_file naming the file, the member, what was found and what was expected; cancelled.
MOE_API Result<RunReportTexts> render_run_report(std::span<const RunText> runs, const RunReportOptions& options = {});

/// OUT/report.html, OUT/report.md and OUT/report.csv. Errors: io, cancelled.
MOE_API Result<void> write_report_files(const RunReportTexts& texts, const std::string& directory,
                                        const std::function<bool()>& cancelled = {});

}  // namespace moe::inline MOE_ABI::eval
