#include "bench/eval_until_known.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <utility>

#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"

namespace eval_until_known {
namespace {

namespace eval = moe::eval;

eval::UntilKnownOptions options_of(const Flags& flags, const eval::RunReport& report) {
  eval::UntilKnownOptions options;
  options.alpha = flags.alpha, options.margin = flags.margin_points / 100;
  options.seed = report.seed;
  for (std::size_t m = 0; m < report.models.size(); ++m)
    if (report.models[m].name == report.baseline) options.baseline = m;
  return options;
}

// MemAvailable of the system; none if unreadable.
std::optional<std::int64_t> available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  std::int64_t kibibytes = 0;
  while (file >> word)
    if (word == "MemAvailable:" && file >> kibibytes) return kibibytes * 1024;
  return std::nullopt;
}

// All models answer each block before the next, so all of them stay loaded.
moe::Result<void> check_memory(const std::vector<std::string>& paths) {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (i > 0 && paths[i] == paths[i - 1]) continue;
    const auto info = moe::Model::inspect(paths[i]);
    if (!info) return moe::forward(info);
    bytes += info->weight_bytes;
  }
  const auto available = available_bytes();
  if (!available || bytes <= *available) return {};
  return moe::fail(
      moe::ErrorCode::out_of_memory,
      fmt::format("--until-known holds all models at a time: their weights take {:.1f} GB, {:.1f} GB are free",
                  static_cast<double>(bytes) / 1e9, static_cast<double>(*available) / 1e9));
}

}  // namespace

void add_options(CLI::App& app, Flags& flags) {
  const moe::Bounds<double> alpha{0, 0.5, true}, points{0, 100, true};
  CLI::Option* wanted = app.add_flag("--until-known", flags.wanted,
                                     "two models or more answer in random order, until it is known which is better");
  cli::add_number(app, "--alpha", flags.alpha, alpha, "probability that any verdict of --until-known is wrong (0.05)")
      ->needs(wanted);
  cli::add_number(app, "--margin", flags.margin_points, points,
                  "points of accuracy: --until-known also stops when the gap is certainly smaller")
      ->needs(wanted);
}

moe::Result<void> check(const Flags& flags, const std::vector<std::string>& paths, const eval::RunReport& report) {
  if (!report.reference.empty())
    return moe::fail(moe::ErrorCode::bad_argument,
                     "--until-known: --reference compares models on all questions; leave one of the two out");
  if (!report.families.empty())
    return moe::fail(moe::ErrorCode::bad_argument,
                     "--until-known: --families compares models on all questions; leave one of the two out");
  eval::UntilKnownOptions options;
  options.alpha = flags.alpha, options.margin = flags.margin_points / 100;
  if (auto ok = eval::check_until_known(paths.size(), report.tasks, options); !ok)
    return moe::fail(ok.error().code, "--until-known: " + ok.error().message);
  return check_memory(paths);
}

moe::Result<void> ask(const Flags& flags, std::span<const Row> rows, const moe::ParallelFor& threads,
                      eval::RunStore* store, eval::RunReport& report) {
  eval::UntilKnownOptions options = options_of(flags, report);
  cli::ProgressLine line("until known");
  options.evaluate.threads = threads;
  options.evaluate.hooks.cancelled = cli::interrupted;
  options.on_block = [&](std::int64_t asked, std::int64_t of_all, std::size_t open) {
    line.update({asked, of_all},
                fmt::format("{} of {} questions asked, {} pair{} open", asked, of_all, open, open == 1 ? "" : "s"));
  };
  // Runs keep only their part of the questions; the whole tasks are kept here meanwhile.
  std::vector<eval::ModelRun>& runs = report.models;
  std::vector<std::unique_ptr<eval::StoredModel>> stored;
  std::vector<std::vector<eval::PreparedTask>> tasks(rows.size());
  std::vector<eval::Contestant> contestants;
  for (std::size_t m = 0; m < rows.size(); ++m) {
    eval::LanguageModel* model = rows[m].scorer.get();
    if (store != nullptr)
      model = stored.emplace_back(std::make_unique<eval::StoredModel>(*model, *store, rows[m].setting)).get();
    tasks[m] = std::move(runs[m].tasks);
    runs[m].tasks.clear();
    contestants.push_back({runs[m].name, model, tasks[m].empty() ? std::span(std::as_const(report.tasks)) : tasks[m]});
  }
  auto known = eval::ask_until_known(contestants, options);
  line.clear();
  if (!known && known.error().code == moe::ErrorCode::cancelled)
    return moe::fail(moe::ErrorCode::cancelled,
                     std::string("interrupted before it was known") +
                         (store != nullptr ? "; the same command continues from here"
                                           : " (with --cache FILE the same command would go on from here)"));
  if (!known) return moe::forward(known);
  std::size_t longest = 0;
  for (std::size_t m = 0; m < rows.size(); ++m) {
    if (known->summary.models[m].questions > known->summary.models[longest].questions) longest = m;
    runs[m].outcomes = std::move(known->outcomes[m]);
    runs[m].session_bytes = rows[m].scorer->session_bytes();
  }
  report.tasks = known->asked[longest];
  for (std::size_t m = 0; m < rows.size(); ++m) runs[m].tasks = std::move(known->asked[m]);
  report.until_known = std::move(known->summary);
  return {};
}

}  // namespace eval_until_known
