#pragma once
// moe-eval's command line, and the rows that it asks for: one per model and value of a sweep.

#include <optional>
#include <string>
#include <vector>

#include "bench/eval_chat.hpp"
#include "bench/eval_until_known.hpp"
#include "moe/error.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"
#include "support/number.hpp"

namespace eval_rows {

inline constexpr moe::Bounds<std::int64_t> kTopK{1, 4096};

struct Options {
  std::vector<std::string> models, tasks;
  std::string data, out, baseline, precision, kv, sweep, cache, system_instruction;
  std::optional<std::int64_t> num_fewshot;  // the task's own number
  std::int64_t top_k = 0, max_length = 0;
  double limit = 0;
  std::int32_t threads = 0;
  std::uint64_t seed = 1234;
  eval_chat::Flags chat;
  eval_until_known::Flags until_known;
  std::string a, b;  // of compare
};

// What one row of the tables runs with.
struct Setting {
  std::string name, path;
  std::int64_t top_k = 0;  // 0: the model's own
  std::string top_k_option = "--top-k";
  moe::Precision precision = moe::Precision::automatic;
  moe::KvType kv = moe::KvType::f16;
  std::optional<moe::eval::ChatSetting> chat;
};

// --sweep KEY=V1,V2.
struct Sweep {
  std::string key;
  std::vector<std::string> values;
  bool is_of_chat() const;
};
/// Errors: bad_argument.
moe::Result<Sweep> sweep_of(const Options& options);
/// One row per model and value of the sweep. Errors: bad_argument.
moe::Result<std::vector<Setting>> settings_of(const Options& options, const Sweep& sweep, const eval_chat::Rows& chat);

}  // namespace eval_rows
