#include "arch/quantization_config.hpp"

#include <fmt/format.h>

#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {

Quantization read_quantization(const JsonConfig& json) {
  Quantization q;
  if (!json.has("quantization_config")) return q;
  const JsonConfig config = json.object("quantization_config");
  const std::string method = config.string_or("quant_method", "");
  if (method == "mxfp4") {
    q.method = Quantization::Method::mxfp4;
  } else if (method == "fp8" && config.string_or("fmt", "e4m3") == "e4m3") {
    q.method = Quantization::Method::fp8;
    const std::vector<std::int64_t> block = config.integers_or_empty("weight_block_size");
    if (block.size() == 2 && block[0] > 0 && block[1] > 0 && block[0] <= kMaxWidth && block[1] <= kMaxWidth)
      q.block_rows = block[0], q.block_columns = block[1];
    else
      json.refuse(ErrorCode::unsupported,
                  "config.json: quantization_config.weight_block_size is not two positive integers, "
                  "which libmoe expects of quant_method 'fp8'");
  } else {
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: quantization_config.quant_method is '{}', fmt '{}', expected "
                            "'fp8' with fmt 'e4m3', or 'mxfp4'",
                            method.substr(0, 60), config.string_or("fmt", "").substr(0, 60)));
  }
  return q;
}

}  // namespace moe::inline MOE_ABI::arch
