#include "eval/store/store_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr const char* kApplication = "1836016979";  // "moeS"
constexpr const char* kVersion = "4";
constexpr int kPatienceMs = 3000;

// Every table's last column is the checksum of its row (rows.hpp). Columns of floating-point numbers have no type:
// SQLite keeps no sign of -0.0 in a REAL one. `answers` of a run is a checksum over its rows of that table.
constexpr const char* kSchema = R"(
CREATE TABLE scores(key BLOB PRIMARY KEY, log_likelihood, flags INTEGER, context_tokens INTEGER,
  continuation_tokens INTEGER, pass_tokens INTEGER, pass INTEGER, pass_experts INTEGER, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE replies(key BLOB PRIMARY KEY, text BLOB, flags INTEGER, context_tokens INTEGER, pass_tokens INTEGER,
  generated_tokens INTEGER, pass_experts INTEGER, checksum INTEGER) WITHOUT ROWID;
CREATE TABLE runs(id INTEGER PRIMARY KEY, key TEXT UNIQUE, started TEXT, finished TEXT, model TEXT, path TEXT,
  model_hash TEXT, formats TEXT, precision INTEGER, kv INTEGER, top_k INTEGER, max_length INTEGER, tokenizer INTEGER,
  numerics_version INTEGER, task TEXT, task_hash TEXT, questions_hash TEXT, num_fewshot INTEGER, question_count INTEGER,
  question_limit, seed INTEGER, accuracy, standard_error, model_flops INTEGER, seconds, answers INTEGER,
  experts TEXT, checksum INTEGER);
CREATE TABLE answers(run INTEGER, position INTEGER, question TEXT, cluster TEXT, correct, checksum INTEGER,
  PRIMARY KEY(run, position)) WITHOUT ROWID;
CREATE TABLE evaluations(id INTEGER PRIMARY KEY, started TEXT, run_file TEXT, checksum INTEGER);
)";

// Every table as it was made: SQLite keeps the statement.
Result<void> check_tables(const Database& database) {
  Statement find(database, "SELECT count(*) FROM sqlite_master WHERE sql = ?");
  for (std::string_view rest = kSchema; rest.find(';') != std::string_view::npos;) {
    const std::size_t begin = rest.find("CREATE"), end = rest.find(';');
    const std::string_view table = rest.substr(begin, end - begin);
    rest.remove_prefix(end + 1);
    find.bind(0, table);
    const auto row = find.step();
    if (!row) return forward(row);
    if (find.integer(0) != 1) {
      constexpr std::size_t kName = std::string_view("CREATE TABLE ").size();
      return database.damaged(
          fmt::format("its table {} is not as it was made", table.substr(kName, table.find('(') - kName)));
    }
    find.reset();
  }
  return {};
}

// Without tables, and nobody's.
Result<bool> is_empty(const Database& database) {
  const auto application = database.ask("PRAGMA application_id");
  if (!application) return forward(application);
  const auto tables = database.ask("SELECT count(*) FROM sqlite_master");
  if (!tables) return forward(tables);
  return *application == "0" && *tables == "0";
}

// Refuses files that are not a valid store of this version.
Result<void> check(const Database& database, const std::string& path) {
  const auto application = database.ask("PRAGMA application_id");
  if (!application) return forward(application);
  if (*application != kApplication) {
    const auto empty = is_empty(database);
    if (!empty) return forward(empty);
    return fail(ErrorCode::bad_file, fmt::format("{} is {}, no store of moe-eval", path,
                                                 *empty ? "empty" : "a database of another program"));
  }
  const auto version = database.ask("PRAGMA user_version");
  if (!version) return forward(version);
  if (*version != kVersion)
    return fail(ErrorCode::bad_file, fmt::format("store {} has version {}, this program knows version {}: name another "
                                                 "--cache",
                                                 path, *version, kVersion));
  const auto sound = database.ask("PRAGMA quick_check(1)");
  if (!sound) return forward(sound);
  if (*sound != "ok") return database.damaged(*sound);
  return check_tables(database);
}

// Makes the tables of a new file.
Result<void> create_tables(const Database& database) {
  const auto empty = is_empty(database);
  if (!empty) return forward(empty);
  if (!*empty) return {};
  const std::string make = fmt::format("BEGIN IMMEDIATE;{}PRAGMA application_id = {};PRAGMA user_version = {};COMMIT",
                                       kSchema, kApplication, kVersion);
  auto made = database.run(make.c_str());
  if (made) return made;
  sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  // Another program may have made them at the same time.
  const auto again = database.ask("PRAGMA application_id");
  return again && *again == kApplication ? Result<void>() : made;
}

// What follows "file:" for a path of any characters.
std::string as_uri(const std::string& path, std::string_view parameters) {
  std::string out = path.starts_with('/') ? "file://" : "file:";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                       c == '.' || c == '-' || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return out.append(parameters);
}

tl::unexpected<Error> no_file(const std::string& path) {
  return fail(ErrorCode::bad_file, fmt::format("store {} is no regular file", path));
}

Result<std::unique_ptr<Database>> open_database(const std::string& path, const std::string& name, int flags) {
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(name.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  auto database = std::make_unique<Database>(handle, path);
  if (opened != SQLITE_OK) return database->error(opened);
  sqlite3_busy_timeout(handle, kPatienceMs);
  return database;
}

// In this mode a finished transaction survives the end of the program without waiting for the disk.
//
// Changing it reads first and writes then, in one transaction, for which SQLite does not wait: two programs that do so at
// the same time would wait for each other. One of them is told at once that the file is locked, and tries again.
Result<void> use_write_ahead_log(const Database& database) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  for (;;) {
    const int code = sqlite3_exec(database.handle(), "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return {};
    if ((code & 0xFF) != SQLITE_BUSY || std::chrono::steady_clock::now() > end) return database.error(code);
    sqlite3_sleep(10);
  }
}

}  // namespace

Result<std::unique_ptr<Database>> open_store(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return no_file(path);
  std::error_code failed;
  const std::string file = std::filesystem::absolute(path, failed).string();
  if (failed || path.empty()) return fail(ErrorCode::io, fmt::format("store {}: is no path", in_quotes(path)));
  // With a folder before it, no name is special, neither ":memory:" nor a URI.
  auto database =
      open_database(path, as_uri(file, "?mode=rwc"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI);
  if (!database) return database;
  // SQLite also opens files without write permission, and fails only at the first write.
  if (sqlite3_db_readonly((*database)->handle(), "main") == 1) return (*database)->error(SQLITE_READONLY);
  // The mode is part of the file, which stays as it is if it belongs to another program.
  const auto empty = is_empty(**database);
  if (!empty) return forward(empty);
  if (!*empty)
    if (auto ok = check(**database, path); !ok) return forward(ok);
  if (auto ok = use_write_ahead_log(**database); !ok) return forward(ok);
  if (auto ok = (*database)->run("PRAGMA synchronous = NORMAL"); !ok) return forward(ok);
  if (!*empty) return database;
  if (auto ok = create_tables(**database); !ok) return forward(ok);
  if (auto ok = check(**database, path); !ok) return forward(ok);
  return database;
}

Result<std::unique_ptr<Database>> open_store_read_only(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      return fail(ErrorCode::not_found, fmt::format("there is no store {}", path));
    return fail(ErrorCode::io, fmt::format("store {}: {}", path, std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) return no_file(path);
  // The log is next to the file itself.
  std::error_code failed;
  const std::string file = std::filesystem::canonical(path, failed).string();
  if (failed) return fail(ErrorCode::io, fmt::format("store {}: {}", path, failed.message()));
  const bool has_log = ::stat((file + "-wal").c_str(), &status) == 0;
  const bool has_index = ::stat((file + "-shm").c_str(), &status) == 0;
  // With a log and its index (the store is in use, or its program was killed) there are locks. Without a log, SQLite
  // would create files for locking: read without locks, and Database checks that the file does not change. A log
  // without an index (copied, or no shared memory on that file system) is read with an index in memory.
  const bool locks = has_log && has_index;
  const char* parameters = locks ? "?mode=ro" : has_log ? "?mode=ro&vfs=unix-none" : "?mode=ro&immutable=1";
  auto database = open_database(path, as_uri(file, parameters), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  if (!database) return database;
  if (!locks) (*database)->expect_rest(file);
  if (has_log && !has_index)
    if (auto ok = (*database)->run("PRAGMA locking_mode = EXCLUSIVE"); !ok) return forward(ok);
  auto sound = check(**database, path);
  if (auto ok = (*database)->check_rest(); !ok) return forward(ok);
  if (!sound) return forward(sound);
  return database;
}

}  // namespace moe::inline MOE_ABI::eval
