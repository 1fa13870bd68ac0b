// Checksums of the run store: whatever is changed by hand, in any table, is an error where it would be shown or used.

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "eval/store/rows.hpp"
#include "unit/store_support.hpp"

namespace eval_store_rows_test {

using namespace moe_test;

namespace {

// First column of the first row, as text.
std::vector<std::string> column(const std::string& path, const std::string& query) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_prepare_v2(db, query.c_str(), -1, &statement, nullptr) == SQLITE_OK);
  std::vector<std::string> out;
  while (sqlite3_step(statement) == SQLITE_ROW)
    out.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return out;
}

StoredRun run_of(const PreparedTask& task, const std::string& model) {
  StoredRun run;
  run.started = "2026-01-01T00:00:00", run.model = model, run.path = "m.gguf", run.setting = kSetting;
  run.setting.model_hash = "hash of " + model;
  run.task = "exam", run.task_hash = hash_task(task.spec), run.questions_hash = hash_questions(task);
  run.question_count = task.question_count();
  return run;
}

const std::vector<std::string> kStop = {"\n"};
const std::vector<GenerateRequest> kRequests = {{"one", kStop, 5, "q"}, {"two", kStop, 5, "q"}};

// Two finished runs and an unfinished one, with replies.
void fill(const std::string& path, const PreparedTask& task) {
  const auto store = open_store(path);
  for (const char* model : {"a", "b"}) {
    const StoredRun run = run_of(task, model);
    const auto id = store->begin_run(run);
    REQUIRE(id.has_value());
    CountingModel inner;
    StoredModel stored(inner, *store, run.setting);
    const auto outcome = evaluate(task, stored);
    REQUIRE(outcome.has_value());
    REQUIRE(store->finish_run(*id, "2026-01-01T00:01:00", task, *outcome).has_value());
    REQUIRE(stored.generate(kRequests, {}).has_value());
  }
  REQUIRE(store->begin_run(run_of(task, "c")).has_value());
  for (const char* run_file : {"{}", "{\"format\": 1}", "3"})
    REQUIRE(store->add_evaluation("2026-01-01T00:01:00", run_file).has_value());
}

// What history and compare do.
moe::Result<void> list(const std::string& path) {
  const auto store = RunStore::open_read_only(path);
  if (!store) return moe::forward(store);
  if (const auto ok = (*store)->verify(); !ok) return ok;
  const auto runs = (*store)->runs();
  if (!runs) return moe::forward(runs);
  const auto evaluations = (*store)->evaluations();
  if (!evaluations) return moe::forward(evaluations);
  for (const StoredRun& run : *runs)
    if (const auto answers = (*store)->answers(run.id); !answers) return moe::forward(answers);
  return {};
}

// What the same command does when it goes on; the number of requests that the model was asked.
moe::Result<std::size_t> go_on(const std::string& path, const PreparedTask& task) {
  const auto store = open_store(path);
  std::size_t asked = 0;
  for (const char* model : {"a", "b"}) {
    const StoredRun run = run_of(task, model);
    if (const auto id = store->begin_run(run); !id) return moe::forward(id);
    CountingModel inner;
    StoredModel stored(inner, *store, run.setting);
    if (const auto outcome = evaluate(task, stored); !outcome) return moe::forward(outcome);
    if (const auto replies = stored.generate(kRequests, {}); !replies) return moe::forward(replies);
    asked += inner.asked;
  }
  return asked;
}

// SQL for values that are not the column's, one of them of another type.
std::vector<std::string> other_values(const std::string& column) {
  const std::string type = "CASE typeof(" + column + ") ";
  std::vector<std::string> out = {type + "WHEN 'integer' THEN " + column + " + 16 WHEN 'real' THEN " + column +
                                  " - 0.5 WHEN 'null' THEN 0.25 ELSE " + column + " || 'x' END"};
  // Keys are never null.
  if (column != "id" && column != "run" && column != "position" && column != "key")
    out.push_back(type + "WHEN 'null' THEN 'x' ELSE NULL END");
  return out;
}

template <class T>
void check_damaged(const moe::Result<T>& result) {
  REQUIRE_FALSE(result.has_value());
  CHECK_MESSAGE(result.error().code == moe::ErrorCode::bad_file, result.error().message);
  CHECK_MESSAGE(result.error().message.find("changed.db is damaged") != std::string::npos, result.error().message);
}

}  // namespace

TEST_CASE("a changed value in any column of any table is an error") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 3);
  const std::string good = scratch / "good.db", path = scratch / "changed.db";
  fill(good, task);
  REQUIRE(list(good).has_value());
  CHECK(go_on(good, task) == 0u);
  const std::map<std::string, std::string> rows = {{"scores", "key = (SELECT max(key) FROM scores)"},
                                                   {"replies", "key = (SELECT max(key) FROM replies)"},
                                                   {"runs", "id = 2"},
                                                   {"answers", "run = 2 AND position = 2"},
                                                   {"evaluations", "id = 2"}};
  std::size_t tried = 0;
  for (const auto& row : rows) {
    const std::string& table = row.first;
    for (const std::string& name : column(good, "SELECT name FROM pragma_table_info('" + table + "')"))
      for (const std::string& now : other_values(name)) {
        CAPTURE(table);
        CAPTURE(name);
        CAPTURE(now);
        fs::copy_file(good, path, fs::copy_options::overwrite_existing);
        sql(path, "UPDATE " + table + " SET " + name + " = " + now + " WHERE " + row.second);
        ++tried;
        check_damaged(list(path));
        if (table == "runs" || table == "answers" || table == "evaluations") continue;
        if (name == "key")
          CHECK(go_on(path, task) == 1u);  // not there: asked anew
        else
          check_damaged(go_on(path, task));
      }
  }
  CHECK(tried > 80);
}

TEST_CASE("a row that is gone, or went elsewhere, is an error") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 3);
  const std::string good = scratch / "good.db", path = scratch / "changed.db", other = scratch / "other.db";
  fill(good, task);
  // Of the same runs, but the questions have other names.
  PreparedTask renamed = exam(scratch, 3);
  for (Document& document : renamed.subtasks[0].documents) document.question.id += "'";
  fill(other, renamed);
  const std::map<std::string, std::string> changes = {
      {"an answer is gone", "DELETE FROM answers WHERE run = 1 AND position = 1"},
      {"the last answer is gone", "DELETE FROM answers WHERE run = 1 AND position = 2"},
      {"all answers are gone", "DELETE FROM answers WHERE run = 1"},
      {"an answer more",
       "INSERT INTO answers SELECT run, 7, question, cluster, correct, checksum FROM answers LIMIT 1"},
      {"answers of an unfinished run",
       "INSERT INTO answers SELECT 3, position, question, cluster, correct, checksum FROM answers WHERE run = 1"},
      {"two answers changed places",
       "UPDATE answers SET position = 9 WHERE run = 1 AND position = 0;"
       "UPDATE answers SET position = 0 WHERE run = 1 AND position = 1;"
       "UPDATE answers SET position = 1 WHERE run = 1 AND position = 9"},
      {"two runs exchanged their results",
       "UPDATE runs SET accuracy = (SELECT accuracy FROM runs WHERE id = 2), standard_error = 0 WHERE id = 1"},
      {"an unfinished run with a finished one's end",
       "UPDATE runs SET (finished, accuracy) = (SELECT finished, accuracy FROM runs WHERE id = 1) WHERE id = 3"},
      {"a finished run is gone", "DELETE FROM runs WHERE id = 1"},
      {"a finished run is gone with its answers", "DELETE FROM runs WHERE id = 1; DELETE FROM answers WHERE run = 1"},
      {"the last runs are gone", "DELETE FROM runs WHERE id > 1"},
      {"an evaluation is gone", "DELETE FROM evaluations WHERE id = 2"},
      {"a table is gone", "DROP TABLE scores"},
      {"a table has another column", "ALTER TABLE replies ADD COLUMN more"},
      {"a score under another key",
       "UPDATE scores SET (log_likelihood, flags, context_tokens, continuation_tokens, pass_tokens, pass, checksum) = "
       "(SELECT log_likelihood, flags, context_tokens, continuation_tokens, pass_tokens, pass, checksum FROM scores "
       "ORDER BY key DESC LIMIT 1) WHERE key = (SELECT key FROM scores LIMIT 1)"},
      // They fit their own checksums, but not the run.
      {"answers of another store",
       "ATTACH '" + other + "' AS other; DELETE FROM answers; INSERT INTO answers SELECT * FROM other.answers"}};
  for (const auto& change : changes) {
    const std::string& how = change.first;
    CAPTURE(how);
    fs::copy_file(good, path, fs::copy_options::overwrite_existing);
    sql(path, change.second);
    check_damaged(list(path));
    if (how.starts_with("a table"))
      check_damaged(RunStore::open(path));
    else if (how == "a score under another key" || how.ends_with("run is gone") || how == "the last runs are gone")
      check_damaged(go_on(path, task));
  }
}

TEST_CASE("a run that is asked again after its row was changed is an error as well") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 2);
  const std::string path = scratch / "changed.db";
  fill(path, task);
  sql(path, "UPDATE runs SET task = 'another'");
  check_damaged(go_on(path, task));
  const auto store = open_store(path);
  CountingModel inner;
  const auto outcome = evaluate(task, inner);
  check_damaged(store->finish_run(3, "2026-01-01T00:02:00", task, *outcome));
}

TEST_CASE("a checksum tells tables, columns, types and the borders of texts apart") {
  const auto of = [](std::string_view table, const auto&... columns) {
    RowChecksum sum(table);
    (sum.add(columns), ...);
    return sum.value();
  };
  const std::int64_t one = 1, two = 2;
  const std::string_view a = "a", ab = "ab", b = "b", empty;
  RowChecksum null("runs");
  null.add_null();
  const std::set<std::int64_t> all = {of("runs"),       of("answers"),        of("runs", one),       of("answers", one),
                                      of("runs", 1.0),  of("runs", one, two), of("runs", two, one),  of("runs", ab),
                                      of("runs", a, b), of("runs", b, a),     of("runs", ab, empty), of("runs", empty),
                                      null.value()};
  CHECK(all.size() == 13);
}

TEST_CASE("numbers come back with the same bits") {
  const Scratch scratch;
  const auto store = open_store(scratch / "bits.db");
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> numbers = {0.0, -0.0, 1.0, -3.0, 0x1p60, -1e-320, 1.0 / 3, infinity, -infinity};
  std::vector<std::pair<std::string, Score>> scores;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    Score s;
    s.log_likelihood = numbers[i];
    scores.emplace_back("key of 16 bytes" + std::to_string(i), s);
  }
  REQUIRE(store->add(scores, {}).has_value());
  for (const auto& score : scores) {
    const double expected = score.second.log_likelihood;
    CAPTURE(expected);
    const auto found = store->find_score(score.first);
    REQUIRE_MESSAGE(found.has_value(), found.error().message);
    REQUIRE(found->has_value());
    CHECK(same_bits(std::vector{(*found)->log_likelihood}, std::vector{expected}));
  }
}

TEST_CASE("a store of another version is refused by name") {
  const Scratch scratch;
  const std::string path = scratch / "old.db";
  fill(path, exam(scratch, 1));
  sql(path, "PRAGMA user_version = 1");
  for (const auto& store : {RunStore::open(path), RunStore::open_read_only(path)}) {
    REQUIRE_FALSE(store.has_value());
    CHECK(store.error().code == moe::ErrorCode::bad_file);
    CHECK(store.error().message.find("old.db has version 1, this program knows version 4") != std::string::npos);
  }
}

TEST_CASE("without the model's hash nothing is looked up or stored") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 1);
  const auto store = open_store(scratch / "runs.db");
  StoreSetting setting = kSetting;
  setting.model_hash.clear();
  CountingModel inner;
  StoredModel stored(inner, *store, setting);
  const auto refused = evaluate(task, stored);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::bad_argument);
  CHECK(refused.error().message.find("model_hash is empty") != std::string::npos);
  CHECK(inner.asked == 0);
}

}  // namespace eval_store_rows_test
