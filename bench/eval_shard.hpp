#pragma once
// moe-eval --shard: a part of the questions, answered into a store. Launchers of processes name the part as well.

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "bench/eval_chat.hpp"
#include "bench/eval_rows.hpp"
#include "moe/error.hpp"
#include "moe/eval/shard.hpp"

namespace eval_shard {

void add_options(CLI::App& app, std::string& shard);

struct Wanted {
  moe::eval::Shard shard;
  std::string note;  // of a shard that nobody asked for by name
};

/// --shard, or what Open MPI (OMPI_COMM_WORLD_RANK and _SIZE), PMI (PMI_RANK and _SIZE) or Slurm's srun (SLURM_PROCID and
/// SLURM_STEP_NUM_TASKS or SLURM_NTASKS of a step) say of this process. None for a process that is alone.
/// Errors: bad_argument for numbers that name no shard.
moe::Result<std::optional<Wanted>> wanted(const std::string& shard,
                                          const std::function<const char*(const char*)>& environment);

/// What belongs to a whole evaluation has no meaning here, and a store must be named. Errors: bad_argument, with what
/// made this process a shard.
moe::Result<void> check(const eval_rows::Options& options, const Wanted& wanted);

moe::Result<void> run(const eval_rows::Options& options, const std::vector<eval_rows::Setting>& rows,
                      const eval_chat::Rows& chat, const std::string& started, const Wanted& wanted);

}  // namespace eval_shard
