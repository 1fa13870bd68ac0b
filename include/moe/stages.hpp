#pragma once
// One model over several processes: each holds some layers (a stage), and the residual stream travels from one to the
// next. docs/CLUSTER.md.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

/// Messages between the stages of one pipeline, which are numbered from 0. One thread at a time uses it.
class MOE_API StageTransport {
 public:
  virtual ~StageTransport() = default;
  virtual std::int32_t rank() const = 0;
  virtual std::int32_t size() const = 0;
  /// Sends a whole message; it may arrive later. Never waits for the receiver: as many messages as a pipeline has under
  /// way fit in between. Errors: io.
  virtual Result<void> send(std::int32_t to, std::span<const std::byte> message) = 0;
  /// The next message from `from`, in the order in which it sent them. Errors: io, also when none comes within `seconds`
  /// (0: as long as it takes).
  virtual Result<std::vector<std::byte>> receive(std::int32_t from, double seconds) = 0;
};

/// Stages that are threads of one process, for tests and for trying out. Errors: bad_argument (1 to 4096).
MOE_API Result<std::vector<std::shared_ptr<StageTransport>>> local_stages(std::int32_t count);

struct StageOptions {
  /// Time limit of a message: this plus three times the expected time of the step, which is the longest step so far or,
  /// if that is more, the most time per token so far (of steps of 16 or more tokens) times this step's tokens.
  double wait_seconds = 30.0;
  /// The time limit in a session's first step, and in its first one of 16 or more tokens.
  double first_wait_seconds = 600.0;
  /// The time limit of what is compared before the first step; the others may still be reading their whole model then.
  /// 0: as long as it takes.
  double agree_wait_seconds = 0.0;
};

class StageLink;
namespace detail {
struct StagesAccess;  // the library's own way to a pipeline's messages
}

/// What one process knows of its pipeline: give it to its Session by SessionOptions::stages.
class MOE_API Stages {
 public:
  /// Errors: bad_argument.
  static Result<std::shared_ptr<Stages>> join(std::shared_ptr<StageTransport> transport,
                                              const StageOptions& options = {});
  ~Stages();
  std::int32_t rank() const;
  std::int32_t size() const;

 private:
  friend struct detail::StagesAccess;
  explicit Stages(std::unique_ptr<StageLink> link);
  std::unique_ptr<StageLink> link_;
};

/// The layers of each stage, in about equal bytes of weights. Errors: bad_argument (1 to layer_count stages).
MOE_API Result<std::vector<LayerRange>> divide_layers(const ModelInfo& info, std::int32_t stages);

/// Runs a stage other than the first, of a model that was loaded with its LoadOptions::layers. Stage 0 has an ordinary
/// Session with SessionOptions::stages, which works as with the whole model, to the bit; this returns when that session
/// ends. Both begin by comparing what must be equal: version, numerics, all bytes of the model (so it must have been
/// loaded with a LoadOptions::content_hash, which reads the whole file), options, layers. Of a folder the files that were
/// read are compared, so all stages need the same LoadOptions::tokenizer.
/// Errors    bad_config, naming what differs, of which stages; io (a stage is gone or too slow); those of Session::create
MOE_API Result<void> serve_stage(std::shared_ptr<const Model> model, const SessionOptions& options);

/// A checksum of the logits of 16 fixed tokens: equal for every pipeline, machine and number of threads that computes
/// correctly. Errors: those of Session::step.
MOE_API Result<std::uint64_t> canary(Session& session);

}  // namespace moe::inline MOE_ABI
