// One store into another.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "eval/store/run_rows.hpp"
#include "eval/store/store_file.hpp"
#include "eval/store/transaction.hpp"
#include "moe/eval/store.hpp"
#include "support/same_file.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string hexadecimal(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// Copies rows from `from` to `into`, which are one transaction of each.
class Merge {
 public:
  Merge(const Database& into, const Database& from, const std::string& into_path, const std::string& from_path,
        const ReadHooks& hooks)
      : into_(into), from_(from), into_path_(into_path), from_path_(from_path), hooks_(hooks) {}

  Result<MergedCounts> run() {
    Statement count(from_, "SELECT (SELECT count(*) FROM scores) + (SELECT count(*) FROM replies)");
    if (const auto row = count.step(); !row) return forward(row);
    total_ = count.integer(0);
    if (auto ok = check_numbers(from_); !ok) return forward(ok);
    if (auto ok = check_numbers(into_); !ok) return forward(ok);
    if (auto ok = add_answers("scores"); !ok) return forward(ok);
    if (auto ok = add_answers("replies"); !ok) return forward(ok);
    if (auto ok = add_runs(); !ok) return forward(ok);
    if (auto ok = add_evaluations(); !ok) return forward(ok);
    return counts_;
  }

 private:
  // scores and replies: the key is column 0, what was answered column 1.
  Result<void> add_answers(const char* table) {
    RowReader row(from_, table, "ORDER BY key"), known(into_, table, "WHERE key = ?");
    std::string values = "?";
    for (int c = 1; c < row.column_count(); ++c) values += ", ?";
    Statement insert(into_, fmt::format("INSERT INTO {} VALUES ({})", table, values).c_str());
    for (;;) {
      if (auto ok = tell_progress(); !ok) return ok;
      const auto more = row.next();
      if (!more) return forward(more);
      if (!*more) return {};
      known.reset();
      known.bind_column(0, row, 0);
      const auto both = known.next();
      if (!both) return forward(both);
      if (*both && known.checksum() != row.checksum()) return contradiction(table, known, row);
      ++(*both ? counts_.known : counts_.added);
      known.reset();
      if (*both) continue;
      for (int c = 0; c < row.column_count(); ++c) insert.bind_column(c, row, c);
      if (auto ok = insert.finish(); !ok) return ok;
    }
  }

  tl::unexpected<Error> contradiction(const char* table, const RowReader& known, const RowReader& row) const {
    const bool score = std::string_view(table) == "scores";
    const auto shown = [&](const RowReader& answer) {
      return score ? fmt::format("log-likelihood {} (flags {}, tokens {} + {}, experts {})", answer.number(1),
                                 answer.integer(2), answer.integer(3), answer.integer(4), answer.integer(7))
                   : fmt::format("reply {} (flags {}, tokens {}, experts {})", in_quotes(answer.text(1)),
                                 answer.integer(2), answer.integer(5), answer.integer(6));
    };
    return fail(ErrorCode::bad_file,
                fmt::format("stores {} and {} answer the question of key {} in two ways: {}; {}. One of them was made "
                            "on a machine that computes wrongly, or was changed",
                            into_path_, from_path_, hexadecimal(row.text(0)), shown(known), shown(row)));
  }

  Result<void> add_runs() {
    RowReader row(from_, "runs", "ORDER BY id");
    for (;;) {
      const auto more = row.next();
      if (!more) return forward(more);
      if (!*more) return {};
      const StoredRun run = read_run(row);
      const auto answers = answers_of(from_, run.id, answers_column(row));
      if (!answers) return forward(answers);
      if (auto ok = add_run(key_column(row), run, *answers); !ok) return ok;
    }
  }

  // If both stores have the run, a finished one replaces an unfinished one, and two finished ones must be equal.
  Result<void> add_run(const std::string& key, StoredRun run, const std::vector<StoredAnswer>& answers) {
    RowReader find(into_, "runs", "WHERE key = ?");
    find.bind(0, std::string_view(key));
    const auto known = find.next();
    if (!known) return forward(known);
    if (*known) {
      const StoredRun other = read_run(find);
      if (run.finished.empty()) return {};
      if (!other.finished.empty()) {
        const auto others = answers_of(into_, other.id, answers_column(find));
        return others ? check_same(other, *others, run, answers) : forward(others);
      }
      run.id = other.id;
      find.reset();
    } else {
      Statement last(into_, "SELECT ifnull(max(id), 0) FROM runs");
      if (const auto row = last.step(); !row) return forward(row);
      run.id = last.integer(0) + 1;
      ++counts_.runs;
    }
    const auto sum = replace_answers(into_, run.id, answers);
    if (!sum) return forward(sum);
    return write_run(into_, key, run, *sum);
  }

  // The standard error follows from the answers, but not to the bit: Eigen adds in another order on other processors.
  Result<void> check_same(const StoredRun& a, const std::vector<StoredAnswer>& answers_a, const StoredRun& b,
                          const std::vector<StoredAnswer>& answers_b) const {
    const auto [one, other] =
        std::mismatch(answers_a.begin(), answers_a.end(), answers_b.begin(), answers_b.end(),
                      [](const StoredAnswer& x, const StoredAnswer& y) {
                        return x.question == y.question && x.cluster == y.cluster && x.correct == y.correct;
                      });
    const bool same_answers = one == answers_a.end() && other == answers_b.end();
    if (a.accuracy == b.accuracy && a.model_flops == b.model_flops && same_answers) return {};
    const StoredAnswer* first = one != answers_a.end() ? &*one : other != answers_b.end() ? &*other : nullptr;
    const auto shown = [](const StoredRun& run) {
      return fmt::format("accuracy {}, {} FLOPs", run.accuracy.value_or(0), run.model_flops);
    };
    return fail(ErrorCode::bad_file,
                fmt::format("run {} of store {} and run {} of store {} are one run with two results: {}; {}{}", a.id,
                            into_path_, b.id, from_path_, shown(a), shown(b),
                            first == nullptr ? ""
                                             : "; their answers to the questions differ, first to " +
                                                   in_quotes(shortened(first->question, 60))));
  }

  Result<void> add_evaluations() {
    RowReader row(from_, "evaluations", "ORDER BY id");
    RowReader known(into_, "evaluations", "WHERE started = ? AND run_file = ?");
    Statement last(into_, "SELECT ifnull(max(id), 0) FROM evaluations");
    if (const auto any = last.step(); !any) return forward(any);
    std::int64_t id = last.integer(0);
    last.reset();
    for (;;) {
      const auto more = row.next();
      if (!more) return forward(more);
      if (!*more) return {};
      known.reset();
      known.bind_column(0, row, 1).bind_column(1, row, 2);
      const auto both = known.next();
      if (!both) return forward(both);
      if (*both) continue;
      known.reset();
      RowWriter writer(into_, "evaluations", row.column_count());
      const std::string started = row.text(1), run_file = row.text(2);
      if (const auto written = writer.add(++id).add(started).add(run_file).write(); !written) return forward(written);
      ++counts_.evaluations;
    }
  }

  Result<void> tell_progress() {
    constexpr std::int64_t kStride = 1024;
    const std::int64_t done = counts_.added + counts_.known;
    if (done % kStride != 0) return {};
    if (hooks_.cancelled && hooks_.cancelled())
      return fail(ErrorCode::cancelled, fmt::format("interrupted: store {} is as it was", into_path_));
    if (hooks_.on_progress) hooks_.on_progress(from_path_, done, total_);
    return {};
  }

  const Database &into_, &from_;
  const std::string &into_path_, &from_path_;
  const ReadHooks& hooks_;
  std::int64_t total_ = 0;
  MergedCounts counts_;
};

}  // namespace

Result<MergedCounts> merge_store(const std::string& into, const std::string& from, const ReadHooks& hooks) {
  if (same_file(into, from))
    return fail(ErrorCode::bad_argument, fmt::format("store {} cannot be merged with itself", from));
  const auto source = open_store_read_only(from);
  if (!source) return forward(source);
  const auto target = open_store(into);
  if (!target) return forward(target);
  MergedCounts counts;
  auto done = in_snapshot(**source, [&] {
    return in_transaction(**target, [&]() -> Result<void> {
      auto merged = Merge(**target, **source, into, from, hooks).run();
      if (!merged) return forward(merged);
      counts = *merged;
      return {};
    });
  });
  if (!done) return forward(done);
  return counts;
}

}  // namespace moe::inline MOE_ABI::eval
