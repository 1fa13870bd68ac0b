#include "bench/index_command.hpp"

#include <algorithm>
#include <filesystem>

#include "bench/report_command.hpp"
#include "moe/eval/ai_index.hpp"
#include "support/output_file.hpp"
#include "support/same_file.hpp"
#include "support/text_file.hpp"
#include "tools/common/terminal.hpp"

extern const char kAiIndexCsv[];  // bench/ai_index.csv

namespace index_command {
namespace {

namespace eval = moe::eval;
namespace fs = std::filesystem;

constexpr std::uint64_t kMostTableBytes = std::uint64_t{1} << 20;

moe::Result<void> check_outputs(const Options& options, const std::vector<std::string>& inputs) {
  std::vector<std::string> outputs;
  if (!options.svg.empty()) outputs.push_back(options.svg);
  if (!options.out.empty())
    for (const char* name : {"index.html", "index.md"}) outputs.push_back((fs::path(options.out) / name).string());
  for (const std::string& output : outputs)
    for (const std::string& input : inputs)
      if (moe::same_file(output, input))
        return moe::fail(moe::ErrorCode::bad_argument, output + " is read as well: name another file or folder");
  if (outputs.size() == 3)
    for (std::size_t i : {1, 2})
      if (moe::same_file(outputs[0], outputs[i]))
        return moe::fail(moe::ErrorCode::bad_argument, "--svg " + options.svg + " is a file of --out: name another");
  return {};
}

moe::Result<eval::RunText> published(const std::string& csv) {
  if (csv.empty()) return eval::RunText{"ai_index.csv, built in", kAiIndexCsv};
  auto text = moe::read_text(csv, kMostTableBytes);
  if (!text) return moe::forward(text);
  return eval::RunText{csv, std::move(*text)};
}

}  // namespace

CLI::App* add(CLI::App& app, Options& options) {
  CLI::App* command = app.add_subcommand(
      "index", "published MMLU scores against compute, the US-China gap with its noise, and your own runs beside them");
  cli::add_path(*command, "RUN", options.runs, "a run.json that asked an MMLU task, or the folder that holds one");
  cli::add_path(*command, "--csv", options.csv, "published rows instead of the built-in ones (docs/EVALUATION.md)");
  cli::add_path(*command, "--out", options.out, "folder for index.html and index.md");
  cli::add_path(*command, "--svg", options.svg, "file for the picture");
  command->add_flag("--verbose", options.verbose, "also protocol, source and status of each published row");
  command->footer(
      R"(Examples:
  moe-eval index
  moe-eval index --out index --svg index.svg
  moe-eval --model mine=one.gguf --tasks mmlu --data DATA --out runs/mine
  moe-eval index runs/mine --out index
)"
      "Published rows are the figures of others, each with its source; rows that were not read there are "
      "marked. A page is one file that opens offline and needs no JavaScript; its picture is drawn by gnuplot "
      "where that is installed (Debian: gnuplot-nox).");
  return command;
}

moe::Result<void> run(const Options& options) {
  std::vector<std::string> inputs;
  for (const std::string& name : options.runs) inputs.push_back(report_command::file_of(name));
  const std::vector<std::string> runs = inputs;
  if (!options.csv.empty()) inputs.push_back(options.csv);
  if (auto ok = check_outputs(options, inputs); !ok) return ok;
  const auto table = published(options.csv);
  if (!table) return moe::forward(table);
  std::vector<eval::RunText> texts;
  for (const std::string& file : runs) {
    auto text = moe::read_text(file, report_command::kMostBytes);
    if (!text) return moe::forward(text);
    texts.push_back({file, std::move(*text)});
  }
  const bool wants_picture = !options.out.empty() || !options.svg.empty();
  const cli::Terminal terminal = cli::standard_output();
  const auto index = eval::render_ai_index(*table, texts,
                                           {.gnuplot = wants_picture ? "gnuplot" : "",
                                            .cancelled = cli::interrupted,
                                            .terminal = {.columns = std::min<std::size_t>(terminal.columns, 100),
                                                         .verbose = options.verbose,
                                                         .is_terminal = terminal.is_terminal,
                                                         .colour = terminal.colour}});
  if (!index) return moe::forward(index);
  // Tables first, so that results are visible even if a file cannot be written.
  moe::Result<void> result = cli::print(index->text);
  const auto note = [&](const moe::Result<void>& written) {
    if (!written && (result || cli::is_broken_pipe(result.error()))) result = written;
  };
  if (wants_picture && !index->no_pictures.empty())
    cli::complain("moe-eval", "note: no picture: " + index->no_pictures);
  if (!options.out.empty()) note(eval::write_ai_index_files(*index, options.out, cli::interrupted));
  if (!options.svg.empty())
    note(index->svg.empty() ? moe::fail(moe::ErrorCode::bad_argument,
                                        "--svg " + options.svg + ": there is no picture: " + index->no_pictures)
                            : moe::write_file(options.svg, index->svg, {.cancelled = cli::interrupted}));
  return result;
}

}  // namespace index_command
