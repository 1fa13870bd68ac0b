#pragma once
// SQLite with our errors: prepared statements that reset automatically, and messages that name the file.

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

class Database {
 public:
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  ~Database() { sqlite3_close_v2(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  sqlite3* handle() const { return handle_; }
  /// What the last call found wrong, for people.
  tl::unexpected<Error> error(int code) const;
  tl::unexpected<Error> damaged(const std::string& how) const;
  Result<void> run(const char* sql) const;
  /// The first column of the first row.
  Result<std::string> ask(const char* sql) const;

  /// For a file that is read without locks: it must not change.
  void expect_rest(const std::string& file);
  /// Errors: io, when another program wrote to it since; what was read may then be anything.
  Result<void> check_rest() const;

 private:
  /// State of a file and its log.
  struct Rest {
    std::string file;
    std::int64_t size[2] = {}, modified_ns[2] = {};
    std::uint64_t number[2] = {};
    bool operator==(const Rest&) const = default;
  };
  static Rest rest_of(const std::string& file);
  std::string system_reason() const;

  sqlite3* handle_;
  std::string path_;
  std::optional<Rest> rest_;
};

/// One use of a statement. Parameters and columns are counted from 0.
class Statement {
 public:
  Statement(const Database& database, const char* sql);
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int at, std::int64_t value);
  Statement& bind(int at, double value);
  Statement& bind(int at, const std::optional<double>& value);
  Statement& bind(int at, std::string_view text);
  Statement& bind_bytes(int at, std::string_view bytes);
  /// The value of a column of another statement's row, with its type.
  Statement& bind_column(int at, const Statement& row, int column);

  /// True when there is a row.
  Result<bool> step();
  /// For statements without rows; ready for the next values.
  Result<void> finish();
  void reset() { sqlite3_reset(statement_); }

  std::int64_t integer(int at) const { return sqlite3_column_int64(statement_, at); }
  double number(int at) const { return sqlite3_column_double(statement_, at); }
  std::optional<double> maybe_number(int at) const;
  std::string text(int at) const;
  int column_count() const { return sqlite3_column_count(statement_); }

 protected:
  sqlite3_stmt* handle() const { return statement_; }

 private:
  const Database& database_;
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
};

}  // namespace moe::inline MOE_ABI::eval
