#include "eval/store/rows.hpp"

#include <fmt/format.h>

#include <cmath>

namespace moe::inline MOE_ABI::eval {
namespace {

std::string insert_into(std::string_view table, int column_count) {
  std::string sql = fmt::format("INSERT OR REPLACE INTO {} VALUES(?", table);
  for (int c = 1; c < column_count; ++c) sql += ", ?";
  return sql + ")";
}

std::string_view bytes_of(sqlite3_stmt* row, int column) {
  const void* bytes = sqlite3_column_blob(row, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(row, column));
  return bytes == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(bytes), size);
}

}  // namespace

void RowChecksum::add(std::string_view bytes) {
  mix(3), mix(bytes.size());
  for (char c : bytes) mix(static_cast<unsigned char>(c));
}

RowWriter::RowWriter(const Database& database, std::string_view table, int column_count)
    : table_(table), statement_(database, insert_into(table, column_count).c_str()), checksum_(table) {}

RowWriter& RowWriter::add_null() {
  statement_.bind(next_++, std::optional<double>());
  checksum_.add_null();
  return *this;
}
RowWriter& RowWriter::add(std::int64_t value) {
  statement_.bind(next_++, value);
  checksum_.add(value);
  return *this;
}
RowWriter& RowWriter::add(double value) {
  if (std::isnan(value)) return add_null();
  statement_.bind(next_++, value);
  checksum_.add(value);
  return *this;
}
RowWriter& RowWriter::add(std::string_view text) {
  statement_.bind(next_++, text);
  checksum_.add(text);
  return *this;
}
RowWriter& RowWriter::add_bytes(std::string_view bytes) {
  statement_.bind_bytes(next_++, bytes);
  checksum_.add(bytes);
  return *this;
}

Result<std::int64_t> RowWriter::write() {
  const std::int64_t checksum = checksum_.value();
  statement_.bind(next_, checksum);
  next_ = 0;
  checksum_ = RowChecksum(table_);
  if (auto ok = statement_.finish(); !ok) return forward(ok);
  return checksum;
}

RowReader::RowReader(const Database& database, std::string_view table, std::string_view which)
    : Statement(database, fmt::format("SELECT * FROM {} {}", table, which).c_str()),
      database_(database),
      table_(table) {}

Result<bool> RowReader::next() {
  const auto row = step();
  if (!row || !*row) return row;
  RowChecksum sum(table_);
  const int last = sqlite3_column_count(handle()) - 1;
  for (int c = 0; c < last; ++c) switch (sqlite3_column_type(handle(), c)) {
      case SQLITE_NULL: sum.add_null(); break;
      case SQLITE_INTEGER: sum.add(integer(c)); break;
      case SQLITE_FLOAT: sum.add(number(c)); break;
      default: sum.add(bytes_of(handle(), c));
    }
  if (sqlite3_column_type(handle(), last) == SQLITE_INTEGER && sum.value() == checksum()) return true;
  return database_.damaged(fmt::format("a row of its table {} does not fit its checksum", table_));
}

}  // namespace moe::inline MOE_ABI::eval
