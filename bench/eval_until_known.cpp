#include "bench/eval_until_known.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "support/bytes_in_words.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/memory_options.hpp"
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

// Rows with all of their experts in memory.
struct Needs {
  std::vector<moe::ModelInfo> infos;
  std::vector<std::int64_t> bytes;  // of each row
  std::int64_t together = 0;        // with the weights that rows share, and one program
};

moe::Result<Needs> needs_of(const std::vector<Load>& rows) {
  Needs needs;
  needs.together = moe::kProgramBytes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto whole = cli::plan_whole(rows[i].path, rows[i].request);
    if (!whole) return moe::forward(whole);
    const moe::MemoryPlan& plan = whole->plan;
    const bool is_shared =
        i > 0 && rows[i - 1].path == rows[i].path && rows[i - 1].request.session.kv == rows[i].request.session.kv;
    needs.infos.push_back(std::move(whole->info));
    needs.bytes.push_back(plan.total_bytes());
    needs.together += plan.bytes_beside_another() - (is_shared ? plan.weight_bytes : 0);
  }
  return needs;
}

// A row that needs less than an equal share gets what it needs, the others share the rest.
std::vector<std::int64_t> divided(std::int64_t limit, const std::vector<std::int64_t>& needs) {
  const auto count = static_cast<std::int64_t>(needs.size());
  std::vector<std::int64_t> sorted = needs;
  std::sort(sorted.begin(), sorted.end());
  std::int64_t left = limit + (count - 1) * moe::kProgramBytes, share = 0;  // each plan counts the program
  for (std::int64_t i = 0; i < count; ++i) {
    share = left / (count - i);
    if (sorted[static_cast<std::size_t>(i)] > share) break;
    left -= sorted[static_cast<std::size_t>(i)];
  }
  std::vector<std::int64_t> shares = needs;
  for (std::int64_t& bytes : shares) bytes = std::min(bytes, share);
  return shares;
}

bool fits(const std::vector<Load>& rows, const Needs& needs, const std::vector<std::int64_t>& shares) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    moe::MemoryRequest request = rows[i].request;
    request.limit = std::max<std::int64_t>(1, shares[i]);
    if (!moe::plan_memory(needs.infos[i], request)) return false;
  }
  return true;
}

// Of the process, with experts in packed files.
std::int64_t least_limit(const std::vector<Load>& rows, const Needs& needs) {
  std::int64_t low = 0, high = needs.together;
  while (low + 1 < high) {
    const std::int64_t middle = low + (high - low) / 2;
    const bool enough = fits(rows, needs, divided(middle, needs.bytes));
    (enough ? high : low) = middle;
  }
  return high;
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

moe::Result<void> check(const Flags& flags, std::size_t rows, const eval::RunReport& report) {
  if (!report.reference.empty())
    return moe::fail(moe::ErrorCode::bad_argument,
                     "--until-known: --reference compares models on all questions; leave one of the two out");
  if (!report.families.empty())
    return moe::fail(moe::ErrorCode::bad_argument,
                     "--until-known: --families compares models on all questions; leave one of the two out");
  eval::UntilKnownOptions options;
  options.alpha = flags.alpha, options.margin = flags.margin_points / 100;
  if (auto ok = eval::check_until_known(rows, report.tasks, options); !ok)
    return moe::fail(ok.error().code, "--until-known: " + ok.error().message);
  return {};
}

moe::Result<std::vector<std::int64_t>> limits(const std::vector<Load>& rows, bool reads_experts) {
  std::int64_t limit = rows.front().request.limit;
  const bool is_asked = limit > 0;
  const auto usual = is_asked ? std::nullopt : cli::default_limit();
  if (usual) limit = usual->bytes;
  if (limit == 0) return std::vector<std::int64_t>();  // the system decides
  const auto needs = needs_of(rows);
  if (!needs) return moe::forward(needs);
  if (needs->together <= limit) return is_asked ? needs->bytes : std::vector<std::int64_t>();
  const std::vector<std::int64_t> shares = divided(limit, needs->bytes);
  if (reads_experts && fits(rows, *needs, shares)) return shares;
  const std::int64_t streamed = least_limit(rows, *needs), least = reads_experts ? streamed : needs->together;
  std::string otherwise;
  if (streamed < least)
    otherwise = fmt::format(", or {} ({}) if experts stay in packed files (--pack-cache DIR)", streamed,
                            moe::bytes_in_words(streamed));
  return moe::fail(moe::ErrorCode::out_of_memory,
                   fmt::format("--until-known holds all models at a time: {} bytes ({}) of memory are allowed{}, "
                               "expected at least {} ({}){}",
                               limit, moe::bytes_in_words(limit), usual ? " (" + usual->in_words() + ")" : "", least,
                               moe::bytes_in_words(least), otherwise));
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
