#pragma once
// The tensors of a conversion, made in parallel and written in order.

#include <chrono>
#include <map>
#include <span>
#include <vector>

#include "checkpoint/gguf_writer.hpp"
#include "convert/units.hpp"
#include "moe/quantize.hpp"

namespace moe::inline MOE_ABI::convert {

class Conversion {
 public:
  Conversion(const checkpoint::Checkpoint& file, const std::vector<OutputTensor>& tensors,
             const QuantizeOptions& options)
      : file_(file), tensors_(tensors), options_(options) {}

  /// Groups of units of some of the tensors are made in parallel and written in order.
  Result<void> run(std::span<const OutputTensor> tensors, checkpoint::GgufWriter& out);
  std::vector<QuantizedFormat> formats() const;

 private:
  struct Sums {
    double error_squares = 0.0, squares = 0.0;
  };
  Result<void> make(std::span<const Unit> group, std::vector<Workspace>& work);
  bool stop(const checkpoint::GgufWriter& out);

  const checkpoint::Checkpoint& file_;
  const std::vector<OutputTensor>& tensors_;
  const QuantizeOptions& options_;
  std::map<Format, Sums> sums_;
  std::chrono::steady_clock::time_point last_report_{};
};

}  // namespace moe::inline MOE_ABI::convert
