#include "eval/store/run_rows.hpp"

#include <fmt/format.h>

#include <bit>

#include "support/sha256.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr int kRunColumns = 28, kAnswerColumns = 6;

// Takes the checksums of a run's answers one by one: the run knows when one is missing or came from elsewhere.
class AnswersChecksum {
 public:
  void add(std::int64_t row) { sum_.add(row); }
  std::int64_t value() const { return sum_.value(); }

 private:
  RowChecksum sum_{"answers of a run"};
};

}  // namespace

std::string run_key(const StoredRun& run) {
  const StoreSetting& s = run.setting;
  std::string text =
      fmt::format("{}\n{}\n{} {} {} {} {} {}\n{}\n{}\n{}\n{} {} {}", s.model_hash, s.formats, s.numerics_version,
                  static_cast<int>(s.precision), static_cast<int>(s.kv), s.top_k, s.max_length, s.tokenizer, run.task,
                  run.task_hash, run.questions_hash, run.num_fewshot, run.limit, run.seed);
  if (!s.chat.empty()) text += "\nchat " + s.chat;
  if (!s.experts.empty()) text += "\nexperts " + s.experts;
  return sha256_hex(text + "\nmodel " + run.model);
}

// The columns of `runs`, in order.
Result<void> write_run(const Database& database, const std::string& key, const StoredRun& run, std::int64_t answers) {
  const StoreSetting& s = run.setting;
  RowWriter row(database, "runs", kRunColumns);
  row.add(run.id).add(key).add(run.started).add(run.finished).add(run.model).add(run.path);
  row.add(s.model_hash).add(s.formats).add(static_cast<std::int64_t>(s.precision));
  row.add(static_cast<std::int64_t>(s.kv)).add(s.top_k).add(s.max_length).add(std::bit_cast<std::int64_t>(s.tokenizer));
  row.add(std::int64_t{s.numerics_version}).add(run.task).add(run.task_hash).add(run.questions_hash);
  row.add(run.num_fewshot).add(run.question_count).add(run.limit).add(std::bit_cast<std::int64_t>(run.seed));
  row.add(run.accuracy).add(run.standard_error).add(run.model_flops).add(run.seconds).add(answers).add(s.experts);
  const auto written = row.write();
  return written ? Result<void>() : forward(written);
}

StoredRun read_run(const RowReader& q) {
  StoredRun r;
  r.id = q.integer(0), r.started = q.text(2), r.finished = q.text(3), r.model = q.text(4), r.path = q.text(5);
  r.setting.model_hash = q.text(6), r.setting.formats = q.text(7);
  r.setting.precision = static_cast<Precision>(q.integer(8)), r.setting.kv = static_cast<KvType>(q.integer(9));
  r.setting.top_k = q.integer(10), r.setting.max_length = q.integer(11);
  r.setting.tokenizer = std::bit_cast<std::uint64_t>(q.integer(12));
  r.setting.numerics_version = static_cast<int>(q.integer(13));
  r.task = q.text(14), r.task_hash = q.text(15), r.questions_hash = q.text(16);
  r.num_fewshot = q.integer(17), r.question_count = q.integer(18), r.limit = q.number(19);
  r.seed = std::bit_cast<std::uint64_t>(q.integer(20)), r.accuracy = q.maybe_number(21);
  r.standard_error = q.maybe_number(22), r.model_flops = q.integer(23), r.seconds = q.number(24);
  r.setting.experts = q.text(26);
  return r;
}
std::string key_column(const RowReader& run) { return run.text(1); }
std::int64_t answers_column(const RowReader& run) { return run.integer(25); }

std::int64_t no_answers() { return AnswersChecksum().value(); }

Result<std::int64_t> replace_answers(const Database& database, std::int64_t run,
                                     std::span<const StoredAnswer> answers) {
  Statement all(database, "DELETE FROM answers WHERE run = ?");
  if (auto ok = all.bind(0, run).finish(); !ok) return forward(ok);
  RowWriter row(database, "answers", kAnswerColumns);
  AnswersChecksum sum;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    row.add(run).add(static_cast<std::int64_t>(i)).add(answers[i].question).add(answers[i].cluster);
    const auto written = row.add(answers[i].correct).write();
    if (!written) return forward(written);
    sum.add(*written);
  }
  return sum.value();
}

Result<void> check_numbers(const Database& database) {
  for (const char* table : {"runs", "evaluations"}) {
    Statement gap(database, fmt::format("SELECT ifnull(max(id), 0), count(*) FROM {}", table).c_str());
    if (const auto row = gap.step(); !row) return forward(row);
    if (gap.integer(0) != gap.integer(1))
      return database.damaged(
          fmt::format("it has {} {}, the last of which is number {}", gap.integer(1), table, gap.integer(0)));
  }
  Statement orphan(database, "SELECT run FROM answers WHERE run NOT IN (SELECT id FROM runs) LIMIT 1");
  const auto row = orphan.step();
  if (!row) return forward(row);
  if (*row) return database.damaged(fmt::format("run {} is gone, but for its answers", orphan.integer(0)));
  return {};
}

Result<std::vector<StoredAnswer>> answers_of(const Database& database, std::int64_t run, std::int64_t expected) {
  RowReader q(database, "answers", "WHERE run = ? ORDER BY position");
  q.bind(0, run);
  std::vector<StoredAnswer> out;
  AnswersChecksum sum;
  for (;;) {
    const auto row = q.next();
    if (!row) return forward(row);
    if (!*row) break;
    sum.add(q.checksum());
    out.push_back({q.text(2), q.text(3), q.number(4)});
  }
  if (sum.value() != expected) return database.damaged(fmt::format("the answers of run {} are not all there", run));
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
