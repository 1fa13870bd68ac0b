#include "eval/store/sqlite.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace moe::inline MOE_ABI::eval {

tl::unexpected<Error> Database::error(int code) const {
  const int primary = code & 0xFF;
  const std::string what = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorCode::io, fmt::format("store {} is locked by another program ({})", path_, what));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return damaged(what);
    case SQLITE_READONLY:
      return fail(ErrorCode::io, fmt::format("store {} is read-only: its runs can be listed and compared, but it takes "
                                             "no new answers",
                                             path_));
    case SQLITE_CANTOPEN:
      return fail(ErrorCode::io, fmt::format("store {} cannot be opened: {}{}", path_, what, system_reason()));
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return fail(ErrorCode::io, fmt::format("store {} cannot be written: {}{}; what it held before is kept", path_,
                                             what, system_reason()));
    case SQLITE_NOMEM: return fail(ErrorCode::out_of_memory, fmt::format("store {}: out of memory", path_));
    default: return fail(ErrorCode::io, fmt::format("store {}: {}", path_, what));
  }
}

std::string Database::system_reason() const {
  const int system = handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
  return system != 0 ? fmt::format(" ({})", std::strerror(system)) : std::string();
}

tl::unexpected<Error> Database::damaged(const std::string& how) const {
  return fail(ErrorCode::bad_file,
              fmt::format("store {} is damaged or no store ({}): nothing was changed; move it away, "
                          "or name another --cache",
                          path_, how));
}

Database::Rest Database::rest_of(const std::string& file) {
  Rest rest;
  rest.file = file;
  for (int i = 0; i < 2; ++i) {
    struct stat status {};
    if (::stat((i == 0 ? file : file + "-wal").c_str(), &status) != 0) continue;
    rest.size[i] = static_cast<std::int64_t>(status.st_size);
    rest.modified_ns[i] = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
    rest.number[i] = status.st_ino;
  }
  return rest;
}

void Database::expect_rest(const std::string& file) { rest_ = rest_of(file); }

Result<void> Database::check_rest() const {
  if (!rest_ || rest_of(rest_->file) == *rest_) return {};
  return fail(ErrorCode::io, fmt::format("store {} was written to while it was read: try again", path_));
}

Result<void> Database::run(const char* sql) const {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

Result<std::string> Database::ask(const char* sql) const {
  Statement statement(*this, sql);
  const auto row = statement.step();
  if (!row) return forward(row);
  return *row ? statement.text(0) : std::string();
}

Statement::Statement(const Database& database, const char* sql) : database_(database) {
  code_ = sqlite3_prepare_v2(database.handle(), sql, -1, &statement_, nullptr);
}

Statement& Statement::bind(int at, std::int64_t value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, at + 1, value);
  return *this;
}
Statement& Statement::bind(int at, double value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_double(statement_, at + 1, value);
  return *this;
}
Statement& Statement::bind(int at, const std::optional<double>& value) {
  if (value) return bind(at, *value);
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_null(statement_, at + 1);
  return *this;
}
Statement& Statement::bind(int at, std::string_view text) {
  if (code_ == SQLITE_OK)
    code_ = sqlite3_bind_text64(statement_, at + 1, text.empty() ? "" : text.data(), text.size(), SQLITE_TRANSIENT,
                                SQLITE_UTF8);
  return *this;
}
Statement& Statement::bind_bytes(int at, std::string_view bytes) {
  if (code_ == SQLITE_OK)
    code_ = sqlite3_bind_blob64(statement_, at + 1, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  return *this;
}
Statement& Statement::bind_column(int at, const Statement& row, int column) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_value(statement_, at + 1, sqlite3_column_value(row.statement_, column));
  return *this;
}

Result<bool> Statement::step() {
  if (code_ == SQLITE_OK) {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW || code == SQLITE_DONE) return code == SQLITE_ROW;
    return database_.error(code);
  }
  return database_.error(code_);
}

Result<void> Statement::finish() {
  const auto row = step();
  sqlite3_reset(statement_);
  if (!row) return forward(row);
  return {};
}

std::optional<double> Statement::maybe_number(int at) const {
  if (sqlite3_column_type(statement_, at) == SQLITE_NULL) return std::nullopt;
  return number(at);
}

std::string Statement::text(int at) const {
  const void* bytes = sqlite3_column_blob(statement_, at);
  const int size = sqlite3_column_bytes(statement_, at);
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

}  // namespace moe::inline MOE_ABI::eval
