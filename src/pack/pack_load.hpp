#pragma once
// Loads weights through a packed file, which is made first if there is none.

#include <memory>
#include <string>

#include "checkpoint/checkpoint.hpp"
#include "model/expert_reader.hpp"
#include "model/plan.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI::pack {

struct PackLoad {
  bool experts = true;  ///< false: routed experts stay in the file (their Matrix::data null)
};

struct PackedModel {
  std::string content_hash;                     ///< empty without LoadOptions::content_hash
  std::shared_ptr<const ExpertReader> experts;  ///< of this model, which may be dense
  std::string note;                             ///< where a packed file of something else was replaced
};

/// load_weights() through the packed file LoadOptions::pack of the model at `model`. `file` was opened with
/// LoadOptions::content_hash, its texts were read.
/// Errors: as load_weights(); those of PackFile::open() and build().
Result<PackedModel> load_packed(const std::string& model, checkpoint::Checkpoint& file, const LoadPlan& plan,
                                const LoadOptions& options, const PackLoad& what, Weights& weights);

}  // namespace moe::inline MOE_ABI::pack
