#pragma once
// Converts a model: writes it as GGUF, its matrices in another weight format.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/formats.hpp"
#include "moe/model.hpp"
#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI {

struct QuantizeOptions {
  /// Of matrices; can_encode() says which formats are written. Default: q8_0, but weights that are MXFP4 stay so.
  std::optional<Format> type = {};
  std::optional<Format> head = {};                 ///< of the output head (of a tied embedding too); default: type
  std::optional<Format> embedding = {};            ///< of the token embedding; default: type
  bool requantize = false;                         ///< allow a source that is already quantised
  bool replace = false;                            ///< overwrite an existing output
  bool tokenizer = true;                           ///< false: without the tokenizer of a Hugging Face directory
  ParallelFor threads = {};                        ///< default: one thread; does not affect the bytes
  std::function<void(Progress)> on_progress = {};  ///< in bytes of the output, from the calling thread
  std::function<bool()> cancelled = {};            ///< true ends with ErrorCode::cancelled
};

/// The output's tensors of one format.
struct QuantizedFormat {
  Format format = Format::f32;
  std::int64_t tensor_count = 0;
  std::int64_t value_count = 0;
  std::int64_t bytes_before = 0, bytes_after = 0;
  /// sqrt(sum (w - w')^2 / sum w^2) over these tensors, with w from the input.
  double relative_rms_error = 0.0;
};

struct QuantizeReport {
  std::vector<QuantizedFormat> formats = {};  ///< most bytes first
  std::int64_t file_bytes_before = 0, file_bytes_after = 0;
  std::vector<std::string> notes = {};  ///< one line each: fallbacks, and what the output cannot represent
};

/// Reads `in` (a .gguf file or a Hugging Face directory) and writes `out`, completely or not at all, with no more than
/// a few megabytes of weights per thread in memory. Vectors and the router's matrix are float32. A matrix whose row
/// length is not a multiple of the format's block falls back: q4_k to q5_0, q6_k to q8_0, and to f16 where those do not
/// fit either.
///
/// Errors    as Model::load for `in`; unsupported (a family or setting that GGUF cannot express, a format that is not
///           written, a quantised source without `requantize`); bad_argument (`out` exists or is a file of `in`,
///           weights too large for the format); non_finite; io; cancelled
MOE_API Result<QuantizeReport> quantize(const std::string& in, const std::string& out,
                                        const QuantizeOptions& options = {});

}  // namespace moe::inline MOE_ABI
