#pragma once
// Rows with a checksum in their last column, over the table's name and all other columns: changed numbers, and rows
// moved to another key or table, are detected.

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

#include "eval/store/sqlite.hpp"

namespace moe::inline MOE_ABI::eval {

/// 64 bits, against damage and manual changes; not cryptographic.
class RowChecksum {
 public:
  explicit RowChecksum(std::string_view table) { add(table); }

  void add_null() { mix(0); }
  void add(std::int64_t value) { mix(1), mix(std::bit_cast<std::uint64_t>(value)); }
  void add(double value) { mix(2), mix(std::bit_cast<std::uint64_t>(value)); }
  void add(std::string_view bytes);
  std::int64_t value() const { return std::bit_cast<std::int64_t>(state_); }

 private:
  // Each step is a bijection of the state and of the value: one changed column always shows.
  void mix(std::uint64_t value) {
    state_ = (state_ ^ value) * 0xD6E8FEB86659FD93u;
    state_ ^= state_ >> 32;
  }
  std::uint64_t state_ = 0;
};

/// Writes whole rows of a table, over those that have their key.
class RowWriter {
 public:
  /// `column_count`: with the checksum.
  RowWriter(const Database& database, std::string_view table, int column_count);

  /// The columns in their order.
  RowWriter& add_null();
  RowWriter& add(std::int64_t value);
  RowWriter& add(double value);  // SQLite holds no NaN: it is stored as null
  RowWriter& add(const std::optional<double>& value) { return value ? add(*value) : add_null(); }
  RowWriter& add(std::string_view text);
  RowWriter& add_bytes(std::string_view bytes);
  /// Gives the row's checksum; ready for the next row.
  Result<std::int64_t> write();

 private:
  std::string_view table_;
  Statement statement_;
  RowChecksum checksum_;
  int next_ = 0;
};

/// All columns of some rows. The column after the last is the checksum.
class RowReader : public Statement {
 public:
  /// `which` follows SELECT * FROM the table: WHERE, ORDER BY.
  RowReader(const Database& database, std::string_view table, std::string_view which);

  /// True when there is a row. Errors: bad_file when it does not fit its checksum.
  Result<bool> next();
  std::int64_t checksum() const { return integer(sqlite3_column_count(handle()) - 1); }

 private:
  const Database& database_;
  std::string_view table_;
};

}  // namespace moe::inline MOE_ABI::eval
