#pragma once
// moe-eval over the stages of a pipeline: process 0 asks and prints, the others serve its sessions with their layers.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moe/stages.hpp"

namespace eval_rows {
struct Options;
struct Setting;
}  // namespace eval_rows

namespace eval_stages {

/// What moe-eval-stages brings along: its processes' transport, and what lets its destructor end all of them.
struct Started {
  std::shared_ptr<moe::StageTransport> transport;
  std::function<void(int status)> fail;
};
using Start = moe::Result<Started> (*)();

/// The sessions of stage 0, told to the other stages before they begin.
class Pipeline {
 public:
  Pipeline(std::shared_ptr<moe::StageTransport> transport, std::shared_ptr<moe::Stages> stages)
      : transport_(std::move(transport)), stages_(std::move(stages)) {}
  const std::shared_ptr<moe::Stages>& stages() const { return stages_; }
  /// This process's part of a model.
  moe::Result<moe::LayerRange> layers_of(const moe::ModelInfo& info) const;

  moe::Result<void> tell_load(const std::string& row);
  moe::Result<void> tell_session(const std::string& row, const moe::SessionOptions& options);
  moe::Result<void> tell_end();

  /// What stage 0 told.
  struct Order {
    enum class Kind { load, session, end } kind = Kind::end;
    std::string row;
    std::int64_t max_tokens = 0, chunk_tokens = 0;
  };
  /// Errors: io, bad_file.
  moe::Result<Order> next();

 private:
  moe::Result<void> tell_all(const std::string& text);
  std::shared_ptr<moe::StageTransport> transport_;
  std::shared_ptr<moe::Stages> stages_;
};

/// Stage 0 prints the canary (moe/stages.hpp) of a row's model on stderr. Errors: bad_config, of a canary that
/// Options::canaries does not name; those of Session::create and Session::step.
moe::Result<void> check_canary(const eval_rows::Options& options, const eval_rows::Setting& row,
                               const std::shared_ptr<const moe::Model>& model, const moe::ParallelFor& threads);

/// Stage 0 runs `evaluate` with Options::pipeline, the others serve it. An error of any of them ends all processes.
moe::Result<void> run(eval_rows::Options& options, const std::vector<eval_rows::Setting>& rows, Start start,
                      const std::function<moe::Result<void>()>& evaluate);

}  // namespace eval_stages
