#pragma once
// The format that each tensor of the output gets.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "convert/convert.hpp"
#include "moe/quantize.hpp"

namespace moe::inline MOE_ABI::convert {

/// Of matrices for which none is named.
inline constexpr Format kUsualFormat = Format::q8_0;

class FormatChoice {
 public:
  FormatChoice(const QuantizeOptions& options, bool tied) : options_(options), tied_(tied) {}

  Format choose(const OutputTensor& tensor);
  /// A note for each format that rows of some length did not fit into.
  void report(std::vector<std::string>& notes) const;

 private:
  /// What the options say about matrices of this role.
  std::optional<Format> named_format(arch::Role role) const;

  const QuantizeOptions& options_;
  bool tied_;
  std::map<std::tuple<Format, Format, std::int64_t>, std::int64_t> fallbacks_;
};

/// Value of general.file_type that stands for "mostly this format" with GGUF's readers.
std::uint32_t file_type(Format format);

/// Rows whose bytes go over as they are.
bool is_copy(const OutputTensor& tensor);

/// Its values are those of MXFP4, in a file or a directory. Any other format would be larger or change them, so they
/// stay unless a format is named.
bool is_mxfp4(const OutputTensor& tensor);

/// Errors: unsupported, when quantised values would be quantised again and `options` do not allow it.
Result<void> check_requantize(const std::vector<OutputTensor>& tensors, const QuantizeOptions& options);

}  // namespace moe::inline MOE_ABI::convert
