#pragma once
// Packed files (*.moepack): a model's weights as they lie in memory, so that loading is reading. docs/PACKS.md.

#include <cstdint>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

struct PackReport {
  std::int64_t file_bytes = 0;
  std::int64_t matrix_count = 0;
  std::int64_t expert_count = 0;         ///< routed experts of all layers
  std::int64_t expert_matrix_count = 0;  ///< of matrix_count, theirs: two of each, or three with gates
  std::vector<std::string> notes = {};   ///< warnings about the model: ModelInfo::notes
};

/// Where the packed file of the model at `model` is with LoadOptions::pack = `named`: that file, or one in that folder,
/// which is created if it is missing. Whether there is one is not looked at.
///
/// Errors    bad_argument (no folder, or a file of the model), io
MOE_API Result<std::string> packed_path(const std::string& named, const std::string& model);

/// Writes the packed file of the model at `model` to `out`, completely or not at all, readable by this user alone, with
/// no more than about 64 MB of weights in memory. An older packed file is replaced, another file is not. Waits while
/// another process makes one in that folder.
/// Of `options`, threads, on_progress, cancelled and content_hash are used; with a content_hash, later loads from this
/// file have their Model::content_hash() without hashing.
///
/// Errors    as Model::load for `model`; bad_argument (`out` does not end in .moepack, or is of the model); io
MOE_API Result<PackReport> write_pack(const std::string& model, const std::string& out,
                                      const LoadOptions& options = {});

}  // namespace moe::inline MOE_ABI
