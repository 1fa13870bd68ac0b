#pragma once
// moe-eval's command line, and its rows: one per model and value of a sweep.

#include <optional>
#include <string>
#include <vector>

#include "bench/eval_chat.hpp"
#include "bench/eval_experts.hpp"
#include "bench/eval_families.hpp"
#include "bench/eval_stages.hpp"
#include "bench/eval_until_known.hpp"
#include "moe/error.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"
#include "support/number.hpp"
#include "tools/common/pack_cache.hpp"

namespace eval_rows {

struct Options {
  std::vector<std::string> command;  // as it was given
  std::vector<std::string> models, tasks;
  std::vector<std::string> sweeps;
  std::string data, out, baseline, precision, kv, cache, system_instruction;
  std::optional<std::int64_t> num_fewshot;  // the task's own number
  std::int64_t max_length = 0;
  double limit = 0;
  std::int32_t threads = 0;
  cli::PackCache pack;
  std::uint64_t seed = 1234;
  bool verbose = false;
  eval_chat::Flags chat;
  eval_experts::Flags experts;
  eval_until_known::Flags until_known;
  eval_families::Flags families;
  bool peaks = false;
  bool plan = false;
  std::int64_t memory = 0;  // --memory; 0: default_memory_limit()
  std::string shard;
  std::string a, b;                                 // of compare
  std::shared_ptr<eval_stages::Pipeline> pipeline;  // null: all layers are in this process
  std::vector<std::string> canaries;                // that a pipeline may have; empty: any
  double wait_seconds = 30.0;                       // StageOptions::wait_seconds
};

// The settings of one row of the tables.
struct Setting {
  std::string name, path;
  eval_experts::Setting experts;
  moe::Precision precision = moe::Precision::automatic;
  moe::KvType kv = moe::KvType::f16;
  std::optional<moe::eval::ChatSetting> chat;
};

// --sweep KEY=V1,V2, as often as there are keys.
struct Sweep {
  std::string text, key;
  std::vector<std::string> values;
};
struct Sweeps {
  std::vector<Sweep> all;
  const Sweep* find(std::string_view key) const;
  const Sweep* of_chat() const;
};
/// Errors: bad_argument.
moe::Result<Sweeps> sweeps_of(const Options& options);
/// One row per model and combination of the sweeps' values, those of the last sweep side by side; a dense model is one
/// row for all values of the expert settings, "name[dense]", beside models that have experts. Errors: bad_argument.
moe::Result<std::vector<Setting>> settings_of(const Options& options, const Sweeps& sweeps,
                                              const eval_chat::Rows& chat);

}  // namespace eval_rows
