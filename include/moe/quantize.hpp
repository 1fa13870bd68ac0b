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
  Format type = Format::q8_0;            ///< of matrices; can_encode() says which formats are written
  std::optional<Format> head = {};       ///< of the output head (of the embedding, where both are one); default: type
  std::optional<Format> embedding = {};  ///< of the token embedding; default: type
  bool requantize = false;               ///< a source that is quantised already may be quantised again
  bool replace = false;                  ///< the output may exist
  bool tokenizer = true;                 ///< false: leave the tokenizer of a Hugging Face directory out
  ParallelFor threads = {};              ///< default: one thread; the bytes never depend on it
  std::function<void(Progress)> on_progress = {};  ///< in bytes of the output, from the calling thread
  std::function<bool()> cancelled = {};            ///< true ends with ErrorCode::cancelled
};

/// Tensors that the output holds in one format.
struct QuantizedFormat {
  Format format = Format::f32;
  std::int64_t tensor_count = 0;
  std::int64_t value_count = 0;
  std::int64_t bytes_before = 0, bytes_after = 0;
  /// sqrt(sum (w - w')^2 / sum w^2) over these tensors, w as the input has it.
  double relative_rms_error = 0.0;
};

struct QuantizeReport {
  std::vector<QuantizedFormat> formats = {};  ///< most bytes first
  std::int64_t file_bytes_before = 0, file_bytes_after = 0;
  std::vector<std::string> notes = {};  ///< one line each: fallbacks, and what the file cannot say
};

/// Reads `in` (a .gguf file or a Hugging Face directory) and writes `out`, whole or not at all; never holds more than a
/// few megabytes of weights. Vectors and the router's matrix are float32. A matrix whose rows are no multiple of the
/// format's block falls back: q4_k to q5_0, q6_k to q8_0, and what does not fit those either to f16.
///
/// Errors    as Model::load for `in`; unsupported (a family or setting that GGUF cannot express, a format that is not
///           written, a quantised source without `requantize`); bad_argument (`out` exists or is a file of `in`,
///           weights too large for the format); non_finite; io; cancelled
MOE_API Result<QuantizeReport> quantize(const std::string& in, const std::string& out,
                                        const QuantizeOptions& options = {});

}  // namespace moe::inline MOE_ABI
