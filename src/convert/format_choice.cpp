#include "convert/format_choice.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "model/weight_rows.hpp"

namespace moe::inline MOE_ABI::convert {

namespace {

/// The same format, or the next that rows of this length fit into. Like llama.cpp's choice.
Format fitting(Format wanted, std::int64_t cols) {
  const auto fits = [cols](Format f) { return cols % format_info(f).block_values == 0; };
  if (fits(wanted)) return wanted;
  if (wanted == Format::q4_k && fits(Format::q5_0)) return Format::q5_0;
  if (wanted == Format::q6_k && fits(Format::q8_0)) return Format::q8_0;
  return Format::f16;
}

}  // namespace

Format FormatChoice::choose(const OutputTensor& t) {
  if (!t.is_matrix) return Format::f32;
  const std::optional<Format> named = named_format(t.role);
  if (!named && is_mxfp4(t)) return Format::mxfp4;
  const Format asked = named.value_or(kUsualFormat), chosen = fitting(asked, t.tensor.cols());
  if (chosen != asked) ++fallbacks_[{asked, chosen, t.tensor.cols()}];
  return chosen;
}

void FormatChoice::report(std::vector<std::string>& notes) const {
  for (const auto& [what, count] : fallbacks_) {
    const auto& [asked, chosen, cols] = what;
    notes.push_back(fmt::format("{} tensor{} with rows of {} values became {}: {} needs a multiple of {}", count,
                                count == 1 ? "" : "s", cols, name_of(chosen), name_of(asked),
                                format_info(asked).block_values));
  }
}

std::optional<Format> FormatChoice::named_format(arch::Role role) const {
  const bool as_head = role == arch::Role::head || (role == arch::Role::embedding && tied_);
  if (role == arch::Role::embedding && options_.embedding) return options_.embedding;
  return as_head && options_.head ? options_.head : options_.type;
}

std::uint32_t file_type(Format format) {
  switch (format) {
    case Format::f32: return 0;
    case Format::f16: return 1;
    case Format::q4_0: return 2;
    case Format::q4_1: return 3;
    case Format::q8_0: return 7;
    case Format::q5_0: return 8;
    case Format::q5_1: return 9;
    case Format::q4_k: return 14;
    case Format::q6_k: return 18;
    case Format::bf16: return 32;
    default: return 1024;  // "guessed"
  }
}

bool is_copy(const OutputTensor& t) {
  if (t.arrangement != Arrangement::straight || t.added != 0.0f || t.minus_exp || !t.column_order.empty()) return false;
  return std::all_of(t.sources.begin(), t.sources.end(), [&](const Source& s) {
    return s.tensor->format == t.tensor.format && s.step == 1 && (s.coded == nullptr || is_mxfp4(t));
  });
}

bool is_mxfp4(const OutputTensor& t) {
  if (t.sources.empty()) return false;
  const Source& s = t.sources.front();
  return s.coded != nullptr ? s.coded->encoding == Encoding::mxfp4 : s.tensor->format == Format::mxfp4;
}

Result<void> check_requantize(const std::vector<OutputTensor>& tensors, const QuantizeOptions& options) {
  if (options.requantize) return {};
  for (const OutputTensor& t : tensors) {
    if (format_info(t.tensor.format).block_values == 1 || is_copy(t)) continue;
    for (const Source& s : t.sources) {  // of experts, some may be float
      const bool integers = s.coded != nullptr && s.coded->encoding != Encoding::fp8;
      const Format from = integers ? read_format(*s.coded) : s.tensor->format;
      if (!integers && format_info(from).block_values == 1) continue;
      return fail(
          ErrorCode::unsupported,
          fmt::format(
              "tensor {} is {} already: quantising it again to {} adds the errors of both; requantize allows it",
              s.tensor->name, name_of(from), name_of(t.tensor.format)));
    }
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::convert
