#include "bench/report_command.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "bench/store_commands.hpp"
#include "moe/eval/run_report.hpp"
#include "support/number.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "support/show.hpp"
#include "support/text_file.hpp"
#include "support/text_table.hpp"
#include "tools/common/terminal.hpp"

namespace report_command {
namespace {

namespace eval = moe::eval;
namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"report.html", "report.md", "report.csv"};

moe::Result<void> check_outputs(const std::string& folder, const std::string& svg,
                                const std::vector<std::string>& inputs) {
  for (const char* name : kFiles) {
    const std::string output = (fs::path(folder) / name).string();
    for (const std::string& input : inputs)
      if (moe::same_file(output, input))
        return moe::fail(moe::ErrorCode::bad_argument, output + " is read as well: name another --out");
    if (!svg.empty() && moe::same_file(svg, output))
      return moe::fail(moe::ErrorCode::bad_argument, "--svg " + svg + " is a file of the report: name another");
  }
  for (const std::string& input : inputs)
    if (!svg.empty() && moe::same_file(svg, input))
      return moe::fail(moe::ErrorCode::bad_argument, "--svg " + svg + " is read as well: name another");
  return {};
}

moe::Result<std::vector<eval::RunText>> from_files(const Options& options) {
  std::vector<eval::RunText> texts;
  for (const std::string& name : options.runs) {
    const std::string file = file_of(name);
    auto text = moe::read_text(file, kMostBytes);
    if (!text) return moe::forward(text);
    texts.push_back({file, std::move(*text)});
  }
  return texts;
}

moe::Result<std::vector<eval::RunText>> from_store(const Options& options) {
  const auto store = store_commands::open_whole(options.cache);
  if (!store) return moe::forward(store);
  const auto known = (*store)->evaluations();
  if (!known) return moe::forward(known);
  if (known->empty())
    return moe::fail(moe::ErrorCode::not_found,
                     options.cache + " holds no finished evaluation: the command that asks keeps one when it ends");
  std::vector<std::string> numbers = options.runs;
  if (numbers.empty()) numbers.push_back(std::to_string(known->back().id));
  std::vector<eval::RunText> texts;
  for (const std::string& number : numbers) {
    const auto id = moe::parse_number<std::int64_t>("RUN", number, {1, known->back().id});
    if (!id) {
      std::string there;
      for (const eval::StoredEvaluation& e : *known)
        there +=
            (there.empty() ? "" : ", ") + std::to_string(e.id) + " (" + moe::printable(e.started.substr(0, 19)) + ")";
      return moe::fail(id.error().code, id.error().message + "; " + options.cache + " has " + there);
    }
    auto found = (*store)->evaluation(*id);
    if (!found) return moe::forward(found);
    texts.push_back({options.cache + "#" + number, std::move(found->run_file)});
  }
  return texts;
}

// Wraps to the terminal's width, keeping indentation.
std::string fitted(const std::string& text, std::size_t columns) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    std::istringstream wrapped(moe::wrapped(line, columns - indent));
    for (std::string part; std::getline(wrapped, part);) out += std::string(indent, ' ') + part + "\n";
  }
  return out;
}

}  // namespace

std::string file_of(const std::string& run) {
  std::error_code ignored;
  return fs::is_directory(run, ignored) ? (fs::path(run) / "run.json").string() : run;
}

CLI::App* add(CLI::App& app, Options& options) {
  CLI::App* command = app.add_subcommand(
      "report", "report.html, report.md and report.csv of run.json files, or of evaluations in a --cache file");
  cli::add_path(
      *command, "RUN", options.runs,
      "a run.json, or the folder that holds one; with --cache the number of an evaluation (default: the last)");
  cli::add_path(*command, "--cache", options.cache, "the store of an evaluation");
  cli::add_path(*command, "--out", options.out,
                "folder for the report (default: that of the first RUN, or of the store)");
  cli::add_path(*command, "--svg", options.svg,
                "file for accuracy against compute of the first task, a picture for a README");
  command->footer(
      "The page is one file that opens offline and needs no JavaScript. Its pictures are drawn by gnuplot where that "
      "is installed (Debian: gnuplot-nox); without it there are the tables alone.");
  return command;
}

moe::Result<void> run(const Options& options) {
  if (options.runs.empty() && options.cache.empty()) throw CLI::RequiredError("RUN, or --cache");
  std::vector<std::string> files;
  if (options.cache.empty())
    for (const std::string& name : options.runs) files.push_back(file_of(name));
  else
    files.push_back(options.cache);
  std::string folder = options.out.empty() ? fs::path(files[0]).parent_path().string() : options.out;
  if (folder.empty()) folder = ".";
  if (auto ok = check_outputs(folder, options.svg, files); !ok) return ok;
  const auto texts = options.cache.empty() ? from_files(options) : from_store(options);
  if (!texts) return moe::forward(texts);
  const auto report = eval::render_run_report(*texts, {.cancelled = cli::interrupted});
  if (!report) return moe::forward(report);
  if (!report->no_pictures.empty()) cli::complain("moe-eval", "note: no pictures: " + report->no_pictures);
  if (auto ok = eval::write_report_files(*report, folder, cli::interrupted); !ok) return ok;
  if (!options.svg.empty()) {
    if (report->svg.empty())
      return moe::fail(moe::ErrorCode::bad_argument,
                       "--svg " + options.svg + ": there is no picture" +
                           (report->no_pictures.empty() ? ", it takes two results" : ": " + report->no_pictures));
    if (auto ok = moe::write_file(options.svg, report->svg, {.cancelled = cli::interrupted}); !ok) return ok;
  }
  std::string said = fitted(report->verdict, cli::standard_output().columns) + "\n";
  for (const char* name : kFiles) said += moe::printable((fs::path(folder) / name).string()) + "\n";
  return cli::print(said);
}

moe::Result<void> write_beside(const eval::RunReport& report, const std::string& folder) {
  const eval::RunText text{"run.json", eval::run_file_text(report)};
  const auto texts = eval::render_run_report({&text, 1}, {.cancelled = cli::interrupted});
  if (!texts) return moe::forward(texts);
  return eval::write_report_files(*texts, folder, cli::interrupted);
}

}  // namespace report_command
