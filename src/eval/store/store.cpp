// The run store: one SQLite file. A transaction per step of the model, in write-ahead mode: whenever the program is
// killed, the file holds every step that was finished.

#include "moe/eval/store.hpp"

#include <fmt/format.h>

#include "eval/store/rows.hpp"
#include "eval/store/run_rows.hpp"
#include "eval/store/store_file.hpp"
#include "eval/store/transaction.hpp"
#include "moe/eval/report.hpp"
#include "support/sha256.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr int kScoreColumns = 9, kReplyColumns = 8, kEvaluationColumns = 4;

std::int64_t flags_of(const Score& s) { return (s.is_greedy ? 1 : 0) | (s.truncated ? 2 : 0) | (s.reencoded ? 4 : 0); }
std::int64_t flags_of(const Generation& g) { return (g.finished ? 1 : 0) | (g.truncated ? 2 : 0); }

}  // namespace

struct RunStore::Impl {
  std::unique_ptr<Database> file;
  const Database& database;
  RowReader find_score, find_reply;
  RowWriter add_score, add_reply;

  explicit Impl(std::unique_ptr<Database> opened)
      : file(std::move(opened)),
        database(*file),
        find_score(database, "scores", "WHERE key = ?"),
        find_reply(database, "replies", "WHERE key = ?"),
        add_score(database, "scores", kScoreColumns),
        add_reply(database, "replies", kReplyColumns) {}

  template <class Body>
  Result<void> transaction(Body&& body) {
    return in_transaction(database, body);
  }
  template <class Body>
  Result<void> snapshot(Body&& body) const {
    return in_snapshot(database, body);
  }
};

RunStore::RunStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunStore::~RunStore() = default;

Result<std::unique_ptr<RunStore>> RunStore::open(const std::string& path) {
  auto database = open_store(path);
  if (!database) return forward(database);
  return std::unique_ptr<RunStore>(new RunStore(std::make_unique<Impl>(std::move(*database))));
}

Result<std::unique_ptr<RunStore>> RunStore::open_read_only(const std::string& path) {
  auto database = open_store_read_only(path);
  if (!database) return forward(database);
  return std::unique_ptr<RunStore>(new RunStore(std::make_unique<Impl>(std::move(*database))));
}

Result<std::optional<Score>> RunStore::find_score(const std::string& key) const {
  RowReader& q = impl_->find_score;
  q.reset();
  q.bind_bytes(0, key);
  const auto row = q.next();
  if (!row) return forward(row);
  if (!*row) return std::optional<Score>();
  Score s;
  s.log_likelihood = q.number(1);
  s.is_greedy = (q.integer(2) & 1) != 0, s.truncated = (q.integer(2) & 2) != 0, s.reencoded = (q.integer(2) & 4) != 0;
  s.context_tokens = static_cast<std::int32_t>(q.integer(3));
  s.continuation_tokens = static_cast<std::int32_t>(q.integer(4));
  s.pass_tokens = static_cast<std::int32_t>(q.integer(5));
  s.pass = q.integer(6), s.pass_experts = q.integer(7);
  q.reset();
  return std::optional<Score>(s);
}

Result<std::optional<Generation>> RunStore::find_reply(const std::string& key) const {
  RowReader& q = impl_->find_reply;
  q.reset();
  q.bind_bytes(0, key);
  const auto row = q.next();
  if (!row) return forward(row);
  if (!*row) return std::optional<Generation>();
  Generation g;
  g.text = q.text(1);
  g.finished = (q.integer(2) & 1) != 0, g.truncated = (q.integer(2) & 2) != 0;
  g.context_tokens = static_cast<std::int32_t>(q.integer(3));
  g.pass_tokens = static_cast<std::int32_t>(q.integer(4));
  g.generated_tokens = static_cast<std::int32_t>(q.integer(5));
  g.pass_experts = q.integer(6);
  q.reset();
  return std::optional<Generation>(std::move(g));
}

Result<void> RunStore::add(const std::vector<std::pair<std::string, Score>>& scores,
                           const std::vector<std::pair<std::string, Generation>>& replies) {
  return impl_->transaction([&]() -> Result<void> {
    for (const auto& [key, s] : scores) {
      RowWriter& row = impl_->add_score.add_bytes(key).add(s.log_likelihood).add(flags_of(s));
      row.add(std::int64_t{s.context_tokens}).add(std::int64_t{s.continuation_tokens});
      if (auto ok = row.add(std::int64_t{s.pass_tokens}).add(s.pass).add(s.pass_experts).write(); !ok)
        return forward(ok);
    }
    for (const auto& [key, g] : replies) {
      RowWriter& row = impl_->add_reply.add_bytes(key).add_bytes(g.text).add(flags_of(g));
      row.add(std::int64_t{g.context_tokens}).add(std::int64_t{g.pass_tokens});
      if (auto ok = row.add(std::int64_t{g.generated_tokens}).add(g.pass_experts).write(); !ok) return forward(ok);
    }
    return {};
  });
}

Result<std::int64_t> RunStore::begin_run(const StoredRun& run) {
  StoredRun begun = run;
  auto done = impl_->transaction([&]() -> Result<void> {
    const std::string key = run_key(run);
    RowReader find(impl_->database, "runs", "WHERE key = ?");
    find.bind(0, std::string_view(key));
    const auto known = find.next();
    if (!known) return forward(known);
    begun.id = *known ? find.integer(0) : 0;
    if (*known) return {};
    Statement last(impl_->database, "SELECT max(id) FROM runs");
    if (const auto row = last.step(); !row) return forward(row);
    begun.id = last.integer(0) + 1;
    begun.finished.clear(), begun.accuracy.reset(), begun.standard_error.reset();
    begun.model_flops = 0, begun.seconds = 0;
    if (auto ok = check_numbers(impl_->database); !ok) return ok;
    return write_run(impl_->database, key, begun, no_answers());
  });
  if (!done) return forward(done);
  return begun.id;
}

Result<void> RunStore::finish_run(std::int64_t id, const std::string& finished, const PreparedTask& task,
                                  const TaskOutcome& outcome) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  const std::size_t column = headline_column(task.spec.metrics);
  return impl_->transaction([&]() -> Result<void> {
    RowReader find(impl_->database, "runs", "WHERE id = ?");
    find.bind(0, id);
    const auto known = find.next();
    if (!known) return forward(known);
    if (!*known) return impl_->database.damaged(fmt::format("run {} is gone", id));
    StoredRun run = read_run(find);
    const std::string key = key_column(find);  // not all of it is in the row
    find.reset();
    run.finished = finished, run.standard_error = accuracy.standard_error;
    run.accuracy = column < task.spec.metrics.size() ? std::optional(accuracy.value) : std::nullopt;
    run.model_flops = outcome.model_flops, run.seconds = outcome.seconds;
    std::vector<StoredAnswer> answers;
    for (std::size_t s = 0; s < task.subtasks.size() && column < task.spec.metrics.size(); ++s)
      for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d) {
        const Document& document = task.subtasks[s].documents[d];
        // Two files may have the same ids: the question is part of its name.
        answers.push_back({document.question.id + " " + sha256_hex(std::string(document.question.json)).substr(0, 16),
                           document.cluster, outcome.documents[s][d].metrics[column]});
      }
    const auto sum = replace_answers(impl_->database, id, answers);
    if (!sum) return forward(sum);
    return write_run(impl_->database, key, run, *sum);
  });
}

Result<std::int64_t> RunStore::add_evaluation(const std::string& started, const std::string& run_file) {
  std::int64_t id = 0;
  auto done = impl_->transaction([&]() -> Result<void> {
    Statement last(impl_->database, "SELECT ifnull(max(id), 0) FROM evaluations");
    if (const auto row = last.step(); !row) return forward(row);
    id = last.integer(0) + 1;
    RowWriter row(impl_->database, "evaluations", kEvaluationColumns);
    const auto written = row.add(id).add(started).add(run_file).write();
    return written ? Result<void>() : forward(written);
  });
  if (!done) return forward(done);
  return id;
}

Result<std::vector<StoredEvaluation>> RunStore::evaluations() const {
  std::vector<StoredEvaluation> out;
  auto done = impl_->snapshot([&]() -> Result<void> {
    RowReader q(impl_->database, "evaluations", "ORDER BY id");
    for (;;) {
      const auto row = q.next();
      if (!row) return forward(row);
      if (!*row) return {};
      out.push_back({q.integer(0), q.text(1), {}});
    }
  });
  if (!done) return forward(done);
  return out;
}

Result<StoredEvaluation> RunStore::evaluation(std::int64_t id) const {
  StoredEvaluation out;
  auto done = impl_->snapshot([&]() -> Result<void> {
    RowReader q(impl_->database, "evaluations", "WHERE id = ?");
    q.bind(0, id);
    const auto row = q.next();
    if (!row) return forward(row);
    if (!*row) return fail(ErrorCode::not_found, fmt::format("the store has no evaluation {}", id));
    out = {q.integer(0), q.text(1), q.text(2)};
    return {};
  });
  if (!done) return forward(done);
  return out;
}

Result<std::vector<StoredRun>> RunStore::runs() const {
  std::vector<StoredRun> out;
  auto done = impl_->snapshot([&]() -> Result<void> {
    RowReader q(impl_->database, "runs", "ORDER BY id");
    for (;;) {
      const auto row = q.next();
      if (!row) return forward(row);
      if (!*row) return {};
      out.push_back(read_run(q));
      if (const auto ok = answers_of(impl_->database, out.back().id, answers_column(q)); !ok) return forward(ok);
    }
  });
  if (!done) return forward(done);
  return out;
}

Result<void> RunStore::verify() const {
  auto sound = impl_->snapshot([&]() -> Result<void> {
    for (const char* table : {"scores", "replies", "evaluations"}) {
      RowReader q(impl_->database, table, "");
      for (;;) {
        const auto row = q.next();
        if (!row) return forward(row);
        if (!*row) break;
      }
    }
    return check_numbers(impl_->database);
  });
  if (!sound) return sound;
  const auto listed = runs();
  return listed ? Result<void>() : forward(listed);
}

Result<std::vector<StoredAnswer>> RunStore::answers(std::int64_t run) const {
  std::vector<StoredAnswer> out;
  auto done = impl_->snapshot([&]() -> Result<void> {
    RowReader q(impl_->database, "runs", "WHERE id = ?");
    q.bind(0, run);
    const auto known = q.next();
    if (!known) return forward(known);
    if (!*known) return fail(ErrorCode::not_found, fmt::format("the store has no run {}", run));
    auto found = answers_of(impl_->database, run, answers_column(q));
    if (!found) return forward(found);
    out = std::move(*found);
    return {};
  });
  if (!done) return forward(done);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
