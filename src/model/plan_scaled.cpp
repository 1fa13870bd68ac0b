// Weights whose scales are tensors of their own: FP8, compressed-tensors, GPTQ, AWQ.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kernels/packing.hpp"
#include "model/planner.hpp"

namespace moe::inline MOE_ABI {
namespace {

using Method = arch::Quantization::Method;

std::int64_t blocks(std::int64_t n, std::int64_t block) { return (n + block - 1) / block; }

bool is_packed(Method method) { return method == Method::gptq || method == Method::awq; }

// The part of names that a layer's tensors share in GPTQ and AWQ files.
std::string stem_of(const std::string& name) {
  return name.ends_with(".weight") ? name.substr(0, name.size() - 6) : name + ".";
}

}  // namespace

// Whether the weight `name` is stored as codes in a form that some quantization_config describes.
bool Planner::has_codes(const std::string& name) const {
  return find_raw(name, "F8_E4M3") != nullptr || find_raw(name, "I8") != nullptr ||
         find_raw(name + "_packed", "I32") != nullptr || find_raw(stem_of(name) + "qweight", "I32") != nullptr;
}

// The codes of the weight that other files hold as the matrix `name`; null when there are none. Their other tensors are
// found and checked here, once.
const checkpoint::TensorInfo* Planner::find_codes(const std::string& name, const Shape& shape) {
  const bool packed = is_packed(quantization_.method), fp8 = !packed && find_raw(name, "F8_E4M3") != nullptr;
  const std::string stem = stem_of(name);
  Codes found;
  ScaledSource& s = found.source;
  s.columns = shape.back();
  s.rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) s.rows *= shape[i];
  const TensorInfo* codes = nullptr;
  if (fp8) {
    codes = require_raw(name, "F8_E4M3", shape);
  } else if (quantization_.method == Method::compressed_tensors && find_raw(name, "I8") != nullptr) {
    codes = require_raw(name, "I8", shape);
    found.encoding = Encoding::rows;
  } else if (packed || quantization_.method == Method::compressed_tensors) {
    codes = words_of(packed ? stem + "qweight" : name + "_packed", shape, s);
    found.encoding = !packed ? Encoding::rows : quantization_.method == Method::gptq ? Encoding::gptq : Encoding::awq;
  }
  if (codes == nullptr || codes_.count(codes) != 0) return codes;
  if (!fp8 && s.columns % 32 != 0)
    refuse(ErrorCode::unsupported,
           fmt::format("tensor {}: {} columns, expected a multiple of 32", codes->name, s.columns));
  if (error_ || !(packed ? packed_scales(stem, s) : unpacked_scales(name, fp8, s))) return nullptr;
  if (!fp8)
    if (std::vector<std::int32_t> order = order_of(packed ? stem + "g_idx" : name + "_g_idx", s); !order.empty()) {
      plan_.column_groups.push_back(std::move(order));
      found.column_groups = &plan_.column_groups.back();
    }
  if (error_) return nullptr;
  codes_[codes] = found;
  CodedWeight& coded = plan_.coded.emplace_back();
  coded.shown = *codes;
  coded.shown.name = name;
  coded.shown.format = Format::f32;
  coded.shown.shape = shape;
  coded.job.tensor = codes;
  describe(found, coded.job);
  return codes;
}

// Of a code, where `in_row` words of 32 bits hold `columns` of them.
int Planner::code_bits(std::int64_t in_row, std::int64_t columns) const {
  return quantization_.one_width ? static_cast<int>(quantization_.bits) : in_row * 4 == columns ? 8 : 4;
}

// The same of a weight that is not planned: its expected shape is not known, but other tensors of the file show it.
int Planner::unplanned_bits(const checkpoint::UnsupportedTensor& words) {
  constexpr std::string_view kGptq = "qweight", kPacked = "packed";
  const int usual = static_cast<int>(quantization_.bits);
  if (quantization_.one_width) return usual;
  const std::string& name = words.name;
  const std::int64_t in_row = words.where.cols();
  if (name.ends_with(kGptq)) {  // zero points are as wide as codes, and there is one for each row of the weight
    const auto* zeros = find_raw(name.substr(0, name.size() - kGptq.size()) + "qzeros", "I32");
    return zeros != nullptr ? code_bits(zeros->where.cols(), in_row) : usual;
  }
  const auto found = unsupported_.find(name.substr(0, name.size() - kPacked.size()) + "shape");
  const Shape shape = found != unsupported_.end() ? stored_shape(*found->second) : Shape();
  return shape.empty() ? usual : code_bits(in_row, shape.back());
}

// Codes in words of 32 bits.
const checkpoint::TensorInfo* Planner::words_of(const std::string& name, const Shape& shape, ScaledSource& s) {
  const checkpoint::UnsupportedTensor* words = find_raw(name, "I32");
  if (words == nullptr) return nullptr;
  const bool packed = is_packed(quantization_.method);
  s.in_words = true;
  const std::int64_t in_row = quantization_.method == Method::gptq ? words->where.rows() : words->where.cols();
  s.bits = code_bits(in_row, s.columns);
  const std::int64_t per = 32 / s.bits;
  if (s.columns % 32 != 0 || (packed && s.rows % per != 0)) {
    refuse(ErrorCode::unsupported,
           fmt::format("tensor {}: a weight of [{}], expected a multiple of 32 columns{}", name, fmt::join(shape, ", "),
                       packed ? fmt::format(" and of {} rows", per) : ""));
    return nullptr;
  }
  if (!packed) return require_raw(name, "I32", {s.rows, s.columns / per});
  if (quantization_.method == Method::gptq) return require_raw(name, "I32", {s.columns / per, s.rows});
  return require_raw(name, "I32", {s.columns, s.rows / per});
}

const checkpoint::TensorInfo* Planner::scale_tensor(const std::string& name, const Shape& shape) {
  const TensorInfo* scales = file_.find(name);
  if (scales == nullptr) {
    if (const auto other = unsupported_.find(name); other != unsupported_.end())
      refuse(ErrorCode::unsupported, fmt::format("tensor {} is of type {}, expected scales of type F32, F16 or BF16",
                                                 name, other->second->type));
    refuse(ErrorCode::not_found,
           fmt::format("tensor {} is missing, expected shape [{}]", name, fmt::join(shape, ", ")));
    return nullptr;
  }
  if (scales->shape != shape || format_info(scales->format).block_values != 1) {
    refuse(ErrorCode::bad_shape,
           fmt::format("tensor {} has shape [{}] of {}, expected [{}] of a float type", name,
                       fmt::join(scales->shape, ", "), name_of(scales->format), fmt::join(shape, ", ")));
    return nullptr;
  }
  scales_.insert(scales);
  return scales;
}

// A tensor of integers that are no weights.
const checkpoint::TensorInfo* Planner::numbers(const std::string& name, std::string_view type, const Shape& shape) {
  const TensorInfo* tensor = require_raw(name, type, shape);
  if (tensor != nullptr) scales_.insert(tensor);
  return tensor;
}

// Whether some weights have one scale for a row or for all.
bool Planner::has_whole_rows() const { return quantization_.whole_rows || quantization_.group_sizes.empty(); }

// How many columns share a scale, from the number of groups and the sizes of the configuration.
bool Planner::group_size(const std::string& weight, std::int64_t groups, ScaledSource& s) {
  s.block_columns = s.columns;
  if (groups == 1 && has_whole_rows()) return true;
  for (const std::int64_t size : quantization_.group_sizes)
    if (blocks(s.columns, size) == groups) {
      s.block_columns = std::min(size, s.columns);
      return true;
    }
  refuse(ErrorCode::bad_shape,
         fmt::format("tensor {}: {} groups for {} columns, expected {}", weight, groups, s.columns,
                     quantization_.group_sizes.empty() ? "one, because quantization_config has no group_size"
                                                       : fmt::format("groups of quantization_config's size ({})",
                                                                     fmt::join(quantization_.group_sizes, ", "))));
  return false;
}

// Scales of FP8 and compressed-tensors: one for all, [rows, 1], [rows, groups] or one per block of FP8.
bool Planner::unpacked_scales(const std::string& name, bool fp8, ScaledSource& s) {
  // FP8 files of vLLM and AutoFP8 name it as compressed-tensors does.
  const bool inverse = file_.find(name + "_scale_inv") != nullptr ||
                       (quantization_.method == Method::fp8 && file_.find(name + "_scale") == nullptr);
  const std::string scale_name = name + (inverse ? "_scale_inv" : "_scale");
  const TensorInfo* scales = file_.find(scale_name);
  Shape shape = scales != nullptr ? scales->shape : Shape{}, grid;
  if (fp8 && quantization_.block_rows > 0)
    grid = {blocks(s.rows, quantization_.block_rows), blocks(s.columns, quantization_.block_columns)};
  // Other weights of the file may have a scale per row, group or tensor.
  const bool only_blocks = !quantization_.whole_rows && quantization_.group_sizes.empty();
  if (!grid.empty() && (only_blocks || shape == grid)) {
    s.block_rows = quantization_.block_rows;
    s.block_columns = quantization_.block_columns;
    shape = grid;
  } else if (scales != nullptr && scales->rows() * scales->cols() == 1 && has_whole_rows()) {
    s.block_rows = s.rows;
    s.block_columns = s.columns;
  } else {
    const std::int64_t groups = shape.size() == 2 ? shape[1] : 1;
    if (scales != nullptr && !group_size(scale_name, groups, s)) return false;
    if (shape != Shape{s.rows}) shape = {s.rows, groups};
  }
  s.scales = scale_tensor(scale_name, shape);
  if (s.scales == nullptr) return false;
  check_shape(name + "_shape", s);
  return (fp8 || unpacked_zeros(name + "_zero_point", shape, s)) && !error_;
}

// `shape`: of the scales.
bool Planner::unpacked_zeros(const std::string& name, const Shape& shape, ScaledSource& s) {
  if (find_raw(name, "I8") != nullptr) {
    s.zeros = numbers(name, "I8", shape);
  } else if (find_raw(name, "I32") != nullptr && shape.size() == 2) {
    s.zeros = numbers(name, "I32", {blocks(s.rows, 32 / s.bits), shape[1]});
    s.zeros_in_words = true;
  } else if (quantization_.has_zeros) {
    refuse(ErrorCode::not_found,
           fmt::format("tensor {} is missing, expected zero points: quantization_config says symmetric false", name));
  }
  return !error_;
}

// The two numbers of this tensor, empty if it holds something else.
Planner::Shape Planner::stored_shape(const checkpoint::UnsupportedTensor& tensor) {
  const bool wide = tensor.type == "I64";
  if ((!wide && tensor.type != "I32") || tensor.where.shape != Shape{2}) return {};
  Shape found(2);
  std::int32_t small[2] = {};
  const auto bytes = wide ? std::as_writable_bytes(std::span(found)) : std::as_writable_bytes(std::span(small));
  if (auto ok = file_.read(tensor.where, 0, bytes); !ok) {
    refuse(ok.error().code, ok.error().message);
    return {};
  }
  return wide ? found : Shape{small[0], small[1]};
}

// The weight's shape as numbers, in files that pack several codes in a word.
void Planner::check_shape(const std::string& name, const ScaledSource& s) {
  const auto other = unsupported_.find(name);
  if (other == unsupported_.end() || (other->second->type != "I64" && other->second->type != "I32")) return;
  if (numbers(name, other->second->type, {2}) == nullptr) return;
  const Shape found = stored_shape(*other->second);
  if (!error_ && found != Shape{s.rows, s.columns})
    refuse(ErrorCode::bad_shape,
           fmt::format("tensor {} says [{}, {}], expected [{}, {}]", name, found[0], found[1], s.rows, s.columns));
}

// GPTQ and AWQ: scales [groups, rows], zero points in words.
bool Planner::packed_scales(const std::string& stem, ScaledSource& s) {
  const TensorInfo* scales = file_.find(stem + "scales");
  const std::int64_t groups = scales != nullptr && scales->shape.size() == 2 ? scales->shape[0] : 1;
  if (scales != nullptr && !group_size(stem + "scales", groups, s)) return false;
  s.scales = scale_tensor(stem + "scales", {groups, s.rows});
  s.zeros = error_ ? nullptr : numbers(stem + "qzeros", "I32", {groups, s.rows * s.bits / 32});
  s.zeros_in_words = true;
  s.zero_offset = quantization_.zero_offset;
  return !error_;
}

// The group of every column, from the tensor `name` if the file has it. Empty: in order, whole blocks of 32.
std::vector<std::int32_t> Planner::order_of(const std::string& name, const ScaledSource& s) {
  const std::int64_t groups = blocks(s.columns, s.block_columns);
  std::vector<std::int32_t> in_order, order(static_cast<std::size_t>(s.columns));
  for (std::int64_t c = 0; c < s.columns; ++c) in_order.push_back(static_cast<std::int32_t>(c / s.block_columns));
  const bool whole = s.block_columns % 32 == 0 || groups == 1;
  if (find_raw(name, "I32") == nullptr) {
    if (quantization_.has_order)
      refuse(ErrorCode::not_found, fmt::format("tensor {} is missing, expected the group of every column: "
                                               "quantization_config says {}",
                                               name, is_packed(quantization_.method) ? "desc_act true" : "actorder"));
    return whole ? std::vector<std::int32_t>() : in_order;
  }
  const TensorInfo* tensor = numbers(name, "I32", {s.columns});
  if (tensor == nullptr) return {};
  if (auto ok = file_.read(*tensor, 0, std::as_writable_bytes(std::span(order))); !ok) {
    refuse(ok.error().code, ok.error().message);
    return {};
  }
  // compressed-tensors writes -1 everywhere for "in order".
  if (std::all_of(order.begin(), order.end(), [](std::int32_t g) { return g == -1; })) order = in_order;
  for (std::size_t c = 0; c < order.size(); ++c)
    if (order[c] < 0 || order[c] >= groups) {
      refuse(ErrorCode::bad_file,
             fmt::format("tensor {}: column {} is in group {}, expected 0 to {}", name, c, order[c], groups - 1));
      return {};
    }
  return whole && order == in_order ? std::vector<std::int32_t>() : order;
}

void Planner::describe(const Codes& codes, MatrixJob& job) {
  const ScaledSource& s = codes.source;
  job.scaled = s;
  job.encoding = codes.encoding;
  job.groups.columns = s.block_columns;
  job.groups.count = blocks(s.columns, s.block_columns);
  job.groups.scale = job.encoding == Encoding::fp8 ? Format::f32 : s.scales->format;
  job.groups.zeros = s.zeros != nullptr;
  if (codes.column_groups != nullptr) job.groups.of_column = codes.column_groups->data();
}

void Planner::attach_scales(MatrixJob& job) {
  const Codes& codes = codes_.at(job.tensor);
  const ScaledSource& s = codes.source;
  describe(codes, job);
  const bool fp8 = job.encoding == Encoding::fp8;
  Matrix& out = *job.out;
  out.format = fp8 ? Format::e4m3 : s.bits == 4 ? Format::int4 : Format::int8;
  out.groups = job.groups;
  out.groups.of_column = nullptr;
  if (codes.column_groups != nullptr && !job.transposed) out.column_groups = *codes.column_groups;
  if (job.transposed && fp8) {
    out.groups.columns = s.block_rows;
    out.groups.phase = job.first_row % s.block_rows;
    out.groups.count = blocks(out.groups.phase + out.k, s.block_rows);
  } else if (job.transposed) {
    out.format = Format::f32;
    out.groups = {};
  }
  out.panel_bytes = kernels::panel_bytes(out.format, out.k, out.groups);
}

}  // namespace moe::inline MOE_ABI
