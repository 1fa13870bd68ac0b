// The run store: one SQLite file. A transaction per step of the model, in write-ahead mode: whenever the program is
// killed, the file holds every step that was finished.

#include "moe/eval/store.hpp"

#include <fmt/format.h>

#include <bit>
#include <filesystem>

#include "eval/store/sqlite.hpp"
#include "moe/eval/report.hpp"
#include "support/sha256.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr const char* kApplication = "1836016979";  // "moeS"
constexpr const char* kVersion = "1";
constexpr int kPatienceMs = 3000;

// Scores and replies: `guard` is a checksum of the row, since a wrong score looks like any other number.
constexpr const char* kSchema = R"(
CREATE TABLE scores(key BLOB PRIMARY KEY, log_likelihood REAL, flags INTEGER, context_tokens INTEGER,
  continuation_tokens INTEGER, pass_tokens INTEGER, pass INTEGER, guard INTEGER) WITHOUT ROWID;
CREATE TABLE replies(key BLOB PRIMARY KEY, text BLOB, flags INTEGER, context_tokens INTEGER, pass_tokens INTEGER,
  generated_tokens INTEGER, guard INTEGER) WITHOUT ROWID;
CREATE TABLE runs(id INTEGER PRIMARY KEY, key TEXT UNIQUE, started TEXT, finished TEXT, model TEXT, path TEXT,
  model_hash TEXT, formats TEXT, precision INTEGER, kv INTEGER, top_k INTEGER, max_length INTEGER, tokenizer INTEGER,
  numerics_version INTEGER, task TEXT, task_hash TEXT, questions_hash TEXT, num_fewshot INTEGER, question_count INTEGER,
  question_limit REAL, seed INTEGER, accuracy REAL, standard_error REAL, model_flops INTEGER, seconds REAL);
CREATE TABLE answers(run INTEGER, position INTEGER, question TEXT, cluster TEXT, correct REAL,
  PRIMARY KEY(run, position)) WITHOUT ROWID;
)";

std::uint64_t mix(std::uint64_t h, std::uint64_t value) {
  h = (h ^ value) * 0xD6E8FEB86659FD93u;
  return h ^ (h >> 32);
}
std::uint64_t mix(std::uint64_t h, std::string_view bytes) {
  h = mix(h, bytes.size());
  for (char c : bytes) h = mix(h, static_cast<unsigned char>(c));
  return h;
}

std::int64_t flags_of(const Score& s) { return (s.is_greedy ? 1 : 0) | (s.truncated ? 2 : 0) | (s.reencoded ? 4 : 0); }
std::int64_t flags_of(const Generation& g) { return (g.finished ? 1 : 0) | (g.truncated ? 2 : 0); }

std::int64_t guard_of(const std::string& key, const Score& s) {
  std::uint64_t h = mix(1, key);
  h = mix(h, std::bit_cast<std::uint64_t>(s.log_likelihood));
  for (std::int64_t x : {flags_of(s), std::int64_t{s.context_tokens}, std::int64_t{s.continuation_tokens},
                         std::int64_t{s.pass_tokens}, s.pass})
    h = mix(h, static_cast<std::uint64_t>(x));
  return std::bit_cast<std::int64_t>(h);
}
std::int64_t guard_of(const std::string& key, const Generation& g) {
  std::uint64_t h = mix(mix(2, key), g.text);
  for (std::int64_t x :
       {flags_of(g), std::int64_t{g.context_tokens}, std::int64_t{g.pass_tokens}, std::int64_t{g.generated_tokens}})
    h = mix(h, static_cast<std::uint64_t>(x));
  return std::bit_cast<std::int64_t>(h);
}

std::string key_of(const StoredRun& run) {
  const StoreSetting& s = run.setting;
  return sha256_hex(fmt::format("{}\n{}\n{} {} {} {} {} {}\n{}\n{}\n{}\n{} {} {}", s.model_hash, s.formats,
                                s.numerics_version, static_cast<int>(s.precision), static_cast<int>(s.kv), s.top_k,
                                s.max_length, s.tokenizer, run.task, run.task_hash, run.questions_hash, run.num_fewshot,
                                run.limit, run.seed));
}

}  // namespace

struct RunStore::Impl {
  Database database;
  Statement find_score, find_reply, add_score, add_reply;

  Impl(sqlite3* handle, const std::string& path)
      : database(handle, path),
        find_score(database,
                   "SELECT log_likelihood, flags, context_tokens, continuation_tokens, pass_tokens, pass, guard "
                   "FROM scores WHERE key = ?"),
        find_reply(
            database,
            "SELECT text, flags, context_tokens, pass_tokens, generated_tokens, guard FROM replies WHERE key = ?"),
        add_score(database, "INSERT OR REPLACE INTO scores VALUES(?, ?, ?, ?, ?, ?, ?, ?)"),
        add_reply(database, "INSERT OR REPLACE INTO replies VALUES(?, ?, ?, ?, ?, ?, ?)") {}

  // All of `body` or nothing of it.
  template <class Body>
  Result<void> transaction(Body&& body) {
    if (auto begun = database.run("BEGIN IMMEDIATE"); !begun) return begun;
    Result<void> done = body();
    if (done) done = database.run("COMMIT");
    if (!done) sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    return done;
  }

  tl::unexpected<Error> damaged() const { return database.error(SQLITE_CORRUPT); }
};

namespace {

// Makes the tables of a new file, and refuses what is no store of this version.
Result<void> check_or_create(const Database& database, const std::string& path) {
  const auto application = database.ask("PRAGMA application_id");
  if (!application) return forward(application);
  if (*application == "0") {
    const auto tables = database.ask("SELECT count(*) FROM sqlite_master");
    if (!tables) return forward(tables);
    if (*tables != "0")
      return fail(ErrorCode::bad_file, fmt::format("{} is a database of another program, no store of moe-eval", path));
    const std::string make = fmt::format("BEGIN IMMEDIATE;{}PRAGMA application_id = {};PRAGMA user_version = {};COMMIT",
                                         kSchema, kApplication, kVersion);
    auto made = database.run(make.c_str());
    if (made) return made;
    sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    // Another program may have made it at the same time.
    const auto again = database.ask("PRAGMA application_id");
    if (!again || *again != kApplication) return made;
  } else if (*application != kApplication) {
    return fail(ErrorCode::bad_file, fmt::format("{} is a database of another program, no store of moe-eval", path));
  }
  const auto version = database.ask("PRAGMA user_version");
  if (!version) return forward(version);
  if (*version != kVersion)
    return fail(ErrorCode::bad_file,
                fmt::format("store {} has version {}, this program knows version {}", path, *version, kVersion));
  const auto sound = database.ask("PRAGMA quick_check(1)");
  if (!sound) return forward(sound);
  if (*sound != "ok")
    return fail(ErrorCode::bad_file,
                fmt::format("store {} is damaged ({}): nothing was changed; move it away, or name another --cache",
                            path, *sound));
  return {};
}

}  // namespace

RunStore::RunStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunStore::~RunStore() = default;

Result<std::unique_ptr<RunStore>> RunStore::open(const std::string& path, bool must_exist) {
  std::error_code failed;
  if (must_exist && !std::filesystem::exists(path, failed))
    return fail(ErrorCode::not_found, fmt::format("there is no store {}", path));
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (must_exist ? 0 : SQLITE_OPEN_CREATE);
  const int opened = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  {
    // The tables must be there before the statements of Impl are prepared.
    Database database(handle, path);
    if (opened != SQLITE_OK) return database.error(opened);
    sqlite3_busy_timeout(handle, kPatienceMs);
    // In this mode a finished transaction survives the end of the program without waiting for the disk.
    if (auto ok = database.run("PRAGMA journal_mode = WAL"); !ok) return forward(ok);
    if (auto ok = check_or_create(database, path); !ok) return forward(ok);
  }
  if (const int again = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr); again != SQLITE_OK)
    return Database(handle, path).error(again);
  sqlite3_busy_timeout(handle, kPatienceMs);
  auto impl = std::make_unique<Impl>(handle, path);
  if (auto ok = impl->database.run("PRAGMA synchronous = NORMAL"); !ok) return forward(ok);
  return std::unique_ptr<RunStore>(new RunStore(std::move(impl)));
}

Result<std::optional<Score>> RunStore::find_score(const std::string& key) const {
  Statement& q = impl_->find_score;
  q.reset();
  const auto row = q.bind_bytes(0, key).step();
  if (!row) return forward(row);
  if (!*row) return std::optional<Score>();
  Score s;
  s.log_likelihood = q.number(0);
  s.is_greedy = (q.integer(1) & 1) != 0, s.truncated = (q.integer(1) & 2) != 0, s.reencoded = (q.integer(1) & 4) != 0;
  s.context_tokens = static_cast<std::int32_t>(q.integer(2));
  s.continuation_tokens = static_cast<std::int32_t>(q.integer(3));
  s.pass_tokens = static_cast<std::int32_t>(q.integer(4));
  s.pass = q.integer(5);
  const bool sound = q.integer(6) == guard_of(key, s);
  q.reset();
  if (!sound) return impl_->damaged();
  return std::optional<Score>(s);
}

Result<std::optional<Generation>> RunStore::find_reply(const std::string& key) const {
  Statement& q = impl_->find_reply;
  q.reset();
  const auto row = q.bind_bytes(0, key).step();
  if (!row) return forward(row);
  if (!*row) return std::optional<Generation>();
  Generation g;
  g.text = q.text(0);
  g.finished = (q.integer(1) & 1) != 0, g.truncated = (q.integer(1) & 2) != 0;
  g.context_tokens = static_cast<std::int32_t>(q.integer(2));
  g.pass_tokens = static_cast<std::int32_t>(q.integer(3));
  g.generated_tokens = static_cast<std::int32_t>(q.integer(4));
  const bool sound = q.integer(5) == guard_of(key, g);
  q.reset();
  if (!sound) return impl_->damaged();
  return std::optional<Generation>(std::move(g));
}

Result<void> RunStore::add(const std::vector<std::pair<std::string, Score>>& scores,
                           const std::vector<std::pair<std::string, Generation>>& replies) {
  return impl_->transaction([&]() -> Result<void> {
    for (const auto& [key, s] : scores) {
      Statement& q = impl_->add_score;
      q.bind_bytes(0, key).bind(1, s.log_likelihood).bind(2, flags_of(s)).bind(3, std::int64_t{s.context_tokens});
      q.bind(4, std::int64_t{s.continuation_tokens}).bind(5, std::int64_t{s.pass_tokens}).bind(6, s.pass);
      if (auto ok = q.bind(7, guard_of(key, s)).finish(); !ok) return ok;
    }
    for (const auto& [key, g] : replies) {
      Statement& q = impl_->add_reply;
      q.bind_bytes(0, key).bind_bytes(1, g.text).bind(2, flags_of(g)).bind(3, std::int64_t{g.context_tokens});
      q.bind(4, std::int64_t{g.pass_tokens}).bind(5, std::int64_t{g.generated_tokens});
      if (auto ok = q.bind(6, guard_of(key, g)).finish(); !ok) return ok;
    }
    return {};
  });
}

Result<std::int64_t> RunStore::begin_run(const StoredRun& run) {
  const std::string key = key_of(run);
  std::int64_t id = 0;
  auto done = impl_->transaction([&]() -> Result<void> {
    Statement find(impl_->database, "SELECT id FROM runs WHERE key = ?");
    const auto known = find.bind(0, std::string_view(key)).step();
    if (!known) return forward(known);
    if (*known) {
      id = find.integer(0);
      return {};
    }
    const StoreSetting& s = run.setting;
    Statement add(impl_->database,
                  "INSERT INTO runs VALUES(NULL, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, "
                  "NULL, NULL, NULL)");
    add.bind(0, std::string_view(key)).bind(1, std::string_view(run.started)).bind(2, std::string_view(run.model));
    add.bind(3, std::string_view(run.path)).bind(4, std::string_view(s.model_hash));
    add.bind(5, std::string_view(s.formats)).bind(6, static_cast<std::int64_t>(s.precision));
    add.bind(7, static_cast<std::int64_t>(s.kv)).bind(8, s.top_k).bind(9, s.max_length);
    add.bind(10, std::bit_cast<std::int64_t>(s.tokenizer)).bind(11, std::int64_t{s.numerics_version});
    add.bind(12, std::string_view(run.task)).bind(13, std::string_view(run.task_hash));
    add.bind(14, std::string_view(run.questions_hash)).bind(15, run.num_fewshot).bind(16, run.question_count);
    add.bind(17, run.limit).bind(18, std::bit_cast<std::int64_t>(run.seed));
    if (auto ok = add.finish(); !ok) return ok;
    id = sqlite3_last_insert_rowid(impl_->database.handle());
    return {};
  });
  if (!done) return forward(done);
  return id;
}

Result<void> RunStore::finish_run(std::int64_t id, const std::string& finished, const PreparedTask& task,
                                  const TaskOutcome& outcome) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  const std::size_t column = headline_column(task.spec.metrics);
  return impl_->transaction([&]() -> Result<void> {
    Statement update(impl_->database,
                     "UPDATE runs SET finished = ?, accuracy = ?, standard_error = ?, model_flops = ?, seconds = ? "
                     "WHERE id = ?");
    update.bind(0, std::string_view(finished)).bind(2, accuracy.standard_error);
    update.bind(1, column < task.spec.metrics.size() ? std::optional(accuracy.value) : std::nullopt);
    update.bind(3, outcome.model_flops).bind(4, outcome.seconds).bind(5, id);
    if (auto ok = update.finish(); !ok) return ok;
    Statement add(impl_->database, "INSERT OR REPLACE INTO answers VALUES(?, ?, ?, ?, ?)");
    std::int64_t position = 0;
    for (std::size_t s = 0; s < task.subtasks.size() && column < task.spec.metrics.size(); ++s)
      for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d) {
        const Document& document = task.subtasks[s].documents[d];
        add.bind(0, id).bind(1, position++).bind(2, std::string_view(document.question.id));
        add.bind(3, std::string_view(document.cluster)).bind(4, outcome.documents[s][d].metrics[column]);
        if (auto ok = add.finish(); !ok) return ok;
      }
    return {};
  });
}

Result<std::vector<StoredRun>> RunStore::runs() const {
  Statement q(impl_->database,
              "SELECT id, started, finished, model, path, model_hash, formats, precision, kv, top_k, max_length, "
              "tokenizer, numerics_version, task, task_hash, questions_hash, num_fewshot, question_count, "
              "question_limit, seed, accuracy, standard_error, model_flops, seconds FROM runs ORDER BY id");
  std::vector<StoredRun> out;
  for (;;) {
    const auto row = q.step();
    if (!row) return forward(row);
    if (!*row) return out;
    StoredRun r;
    r.id = q.integer(0), r.started = q.text(1), r.finished = q.text(2), r.model = q.text(3), r.path = q.text(4);
    r.setting.model_hash = q.text(5), r.setting.formats = q.text(6);
    r.setting.precision = static_cast<Precision>(q.integer(7)), r.setting.kv = static_cast<KvType>(q.integer(8));
    r.setting.top_k = q.integer(9), r.setting.max_length = q.integer(10);
    r.setting.tokenizer = std::bit_cast<std::uint64_t>(q.integer(11));
    r.setting.numerics_version = static_cast<int>(q.integer(12));
    r.task = q.text(13), r.task_hash = q.text(14), r.questions_hash = q.text(15);
    r.num_fewshot = q.integer(16), r.question_count = q.integer(17), r.limit = q.number(18);
    r.seed = std::bit_cast<std::uint64_t>(q.integer(19)), r.accuracy = q.maybe_number(20);
    r.standard_error = q.maybe_number(21), r.model_flops = q.integer(22), r.seconds = q.number(23);
    out.push_back(std::move(r));
  }
}

Result<std::vector<StoredAnswer>> RunStore::answers(std::int64_t run) const {
  Statement q(impl_->database, "SELECT question, cluster, correct FROM answers WHERE run = ? ORDER BY position");
  q.bind(0, run);
  std::vector<StoredAnswer> out;
  for (;;) {
    const auto row = q.step();
    if (!row) return forward(row);
    if (!*row) return out;
    out.push_back({q.text(0), q.text(1), q.number(2)});
  }
}

}  // namespace moe::inline MOE_ABI::eval
