#pragma once
// Several statements of a store as one.

#include <utility>

#include "eval/store/sqlite.hpp"

namespace moe::inline MOE_ABI::eval {

template <class Body>
Result<void> between(const Database& database, const char* begin, Body& body) {
  if (auto begun = database.run(begin); !begun) return begun;
  Result<void> done = body();
  if (done) done = database.run("COMMIT");
  if (!done) sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

/// All of `body` or nothing of it.
template <class Body>
Result<void> in_transaction(const Database& database, Body&& body) {
  return between(database, "BEGIN IMMEDIATE", body);
}

/// All that `body` reads is of one moment.
template <class Body>
Result<void> in_snapshot(const Database& database, Body&& body) {
  auto done = between(database, "BEGIN", body);
  if (auto ok = database.check_rest(); !ok) return ok;
  return done;
}

}  // namespace moe::inline MOE_ABI::eval
