#include "arch/quantization_config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "arch/limits.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

using Method = Quantization::Method;

void refuse(const JsonConfig& config, std::string_view key, std::string_view found, std::string_view expected) {
  config.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is {}, expected {}", config.path(key),
                                                    in_quotes(shortened(found, 60)), expected));
}

void read_block(const JsonConfig& config, std::string_view key, Quantization& q) {
  const std::vector<std::int64_t> block = config.integers_or_empty(key);
  if (block.empty()) return;
  if (block.size() == 2 && block[0] > 0 && block[1] > 0 && block[0] <= kMaxWidth && block[1] <= kMaxWidth)
    q.block_rows = block[0], q.block_columns = block[1];
  else
    config.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} is not two positive integers", config.path(key)));
}

/// -1 and null: a whole row.
void read_group_size(const JsonConfig& config, std::string_view key, Quantization& q) {
  const std::int64_t size = config.integer_or(key, -1, -1, kMaxWidth);
  if (size > 0)
    q.group_sizes.push_back(size);
  else
    q.whole_rows = true;
}

/// "group", also named "dynamic": the columns of a weight are in groups in no order.
bool has_group_order(const JsonConfig& weights) {
  if (!weights.has("actorder") || weights.is_false("actorder")) return false;
  const std::string order = weights.string_or("actorder", "");
  constexpr std::string_view kOrders[] = {"group", "dynamic", "weight", "static"};
  if (std::find(std::begin(kOrders), std::end(kOrders), order) == std::end(kOrders))
    refuse(weights, "actorder", order, "'group', 'dynamic', 'weight' or 'static'");
  return order == "group" || order == "dynamic";
}

/// The weights of one group of modules of compressed-tensors.
void read_scheme(const JsonConfig& weights, Quantization& q, bool is_first) {
  const std::string type = weights.string_or("type", "int"), strategy = weights.string_or("strategy", "tensor");
  const std::int64_t bits = weights.integer_or("num_bits", 8, 1, 64);
  q.one_width = is_first || (q.one_width && bits == q.bits);
  q.bits = bits;
  const bool zeros = type == "int" && !weights.boolean_or("symmetric", true), order = has_group_order(weights);
  q.has_zeros = zeros && (is_first || q.has_zeros);
  q.has_order = order && (is_first || q.has_order);
  if (type != "int" && type != "float") refuse(weights, "type", type, "'int' or 'float'");
  if (q.bits != 8 && (q.bits != 4 || type != "int"))
    refuse(weights, "num_bits", fmt::format("{}", q.bits), "8, or 4 of type 'int'");
  constexpr std::string_view kStrategies[] = {"tensor", "channel", "group", "block"};
  if (std::find(std::begin(kStrategies), std::end(kStrategies), strategy) == std::end(kStrategies))
    refuse(weights, "strategy", strategy, "'tensor', 'channel', 'group' or 'block'");
  if (strategy == "block" && type != "float") refuse(weights, "strategy", strategy, "'block' of type 'float' only");
  if (strategy == "block")
    read_block(weights, "block_structure", q);
  else
    read_group_size(weights, "group_size", q);
}

void read_compressed_tensors(const JsonConfig& config, Quantization& q) {
  constexpr std::string_view kFormats[] = {"pack-quantized",  "int-quantized",   "naive-quantized",
                                           "float-quantized", "mixed-precision", "dense"};
  const auto check_format = [&](const JsonConfig& of) {
    const std::string format = of.string_or("format", "");
    if (!format.empty() && std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats))
      refuse(of, "format", format, "'pack-quantized', 'int-quantized', 'naive-quantized' or 'float-quantized'");
  };
  check_format(config);
  const std::string sparsity = config.object("sparsity_config").string_or("format", "dense");
  if (sparsity != "dense") refuse(config, "sparsity_config.format", sparsity, "'dense'");
  if (config.has("transform_config") && !config.object("transform_config").empty())
    refuse(config, "transform_config", "a rotation of weights", "none");
  const JsonConfig groups = config.object("config_groups");
  bool is_first = true;
  for (const auto& [name, value] : groups.value().items()) {
    const JsonConfig group = groups.object(name);
    check_format(group);
    if (!group.has("weights")) continue;  // of attention: queries, keys and values only
    read_scheme(group.object("weights"), q, is_first);
    is_first = false;
  }
}

/// GPTQModel: by patterns of modules' names, what differs there; "-:" are modules that are not quantised.
void read_dynamic(const JsonConfig& config, Quantization& q) {
  const JsonConfig rules = config.object("dynamic");
  for (const auto& [pattern, value] : rules.value().items()) {
    if (pattern.starts_with("-:")) continue;
    const JsonConfig rule = rules.object(pattern);
    const std::int64_t bits = rule.integer_or("bits", q.bits, 1, 64);
    if (bits != 4 && bits != 8) refuse(rule, "bits", fmt::format("{}", bits), "4 or 8");
    q.one_width = q.one_width && bits == q.bits;
    q.has_order = q.has_order && rule.boolean_or("desc_act", true);
    if (rule.has("group_size")) read_group_size(rule, "group_size", q);
  }
}

void read_gptq(const JsonConfig& config, Quantization& q) {
  const char* key = config.has("checkpoint_format") ? "checkpoint_format" : "format";
  const std::string format = config.string_or(key, "gptq");
  const std::string words = config.string_or("pack_dtype", "int32");
  q.bits = config.integer_or("bits", 0, 0, 64);
  if (q.bits != 4 && q.bits != 8) refuse(config, "bits", fmt::format("{}", q.bits), "4 or 8");
  // The first version of the format stores zero points minus one.
  q.zero_offset = format == "gptq" ? 1 : 0;
  if (format != "gptq" && format != "gptq_v2") refuse(config, key, format, "'gptq' or 'gptq_v2'");
  if (words != "int32") refuse(config, "pack_dtype", words, "'int32'");
  q.has_order = config.boolean_or("desc_act", false);
  read_group_size(config, "group_size", q);
  read_dynamic(config, q);
}

void read_awq(const JsonConfig& config, Quantization& q) {
  std::string version = config.string_or("version", "gemm");
  std::transform(version.begin(), version.end(), version.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (version != "gemm") refuse(config, "version", version, "'gemm'");
  const char* bits = config.has("bits") ? "bits" : "w_bit";
  q.bits = config.integer_or(bits, 0, 0, 64);
  if (q.bits != 4) refuse(config, bits, fmt::format("{}", q.bits), "4");
  read_group_size(config, config.has("group_size") ? "group_size" : "q_group_size", q);
}

/// The name of the type, or what frameworks call it (MiniMax-M2's files).
bool is_e4m3(std::string_view fmt) { return fmt == "e4m3" || fmt == "float8_e4m3fn" || fmt == "float8_e4m3"; }

}  // namespace

Quantization read_quantization(const JsonConfig& json) {
  Quantization q;
  if (!json.has("quantization_config")) return q;
  const JsonConfig config = json.object("quantization_config");
  const std::string method = config.string_or("quant_method", "");
  if (method == "mxfp4") {
    q.method = Method::mxfp4;
  } else if (method == "fp8" && is_e4m3(config.string_or("fmt", "e4m3"))) {
    q.method = Method::fp8;
    read_block(config, "weight_block_size", q);
  } else if (method == "compressed-tensors") {
    q.method = Method::compressed_tensors;
    read_compressed_tensors(config, q);
  } else if (method == "gptq") {
    q.method = Method::gptq;
    read_gptq(config, q);
  } else if (method == "awq") {
    q.method = Method::awq;
    read_awq(config, q);
  } else {
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: quantization_config.quant_method is {}, fmt {}, expected 'fp8' with fmt "
                            "'e4m3', 'mxfp4', 'compressed-tensors', 'gptq' or 'awq'",
                            in_quotes(shortened(method, 60)), in_quotes(shortened(config.string_or("fmt", ""), 60))));
  }
  return q;
}

bool belongs_to_weight(std::string_view name) {
  for (const std::string_view end :
       {"_scale_inv", ".weight_scale", ".scales", ".weight_zero_point", ".qzeros", ".g_idx", "_g_idx", ".weight_shape"})
    if (name.ends_with(end)) return true;
  return false;
}

bool holds_codes(std::string_view name) { return name.ends_with(".qweight") || name.ends_with("_packed"); }

}  // namespace moe::inline MOE_ABI::arch
