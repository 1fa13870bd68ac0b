#pragma once
// The AI-Index view: published MMLU scores against compute, the gap between the US and China by year with its sampling
// noise, and your own measured models beside them.

#include <functional>
#include <span>
#include <string>

#include "moe/error.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/run_report.hpp"

namespace moe::inline MOE_ABI::eval {

struct AiIndexOptions {
  /// The program that draws the picture, as in RunReportOptions. Empty: no picture is wanted.
  std::string gnuplot = "gnuplot";
  std::function<bool()> cancelled = {};  ///< called between files and while the picture is drawn
  TableOptions terminal = {};            ///< of `text`; with `verbose` also protocol and source of each published row
};

/// The same view in three forms. Text from files is escaped in each.
struct AiIndexTexts {
  std::string text = {};         ///< for a terminal
  std::string html = {};         ///< one file that loads nothing and runs nothing, in UTF-8
  std::string markdown = {};     ///< without the picture
  std::string svg = {};          ///< the picture as a file of its own; empty where there is none
  std::string no_pictures = {};  ///< why there is none; empty where there is one
};

/// `published` is a table like bench/ai_index.csv, `runs` are run.json files with an MMLU task. Both are untrusted and
/// checked.
/// Errors: bad_file naming the file, the row or the task, what was found and what was expected; cancelled.
MOE_API Result<AiIndexTexts> render_ai_index(const RunText& published, std::span<const RunText> runs,
                                             const AiIndexOptions& options = {});

/// OUT/index.html and OUT/index.md. Errors: io, cancelled.
MOE_API Result<void> write_ai_index_files(const AiIndexTexts& texts, const std::string& directory,
                                          const std::function<bool()>& cancelled = {});

}  // namespace moe::inline MOE_ABI::eval
