#pragma once
// What the feed-forward half of a layer computes with: the tokens of one FFN, be it dense, shared or routed.

#include <algorithm>
#include <cstdint>

#include "model/forward.hpp"

namespace moe::inline MOE_ABI {

struct Forward::ExpertRun {
  const FfnWeights* w = nullptr;
  Matrix gate, up, down;  // of w (gate may be empty); of an expert that is read when needed, with its panels
  const std::int32_t* token_index = nullptr;  // null: tokens 0 .. count - 1
  std::int64_t count = 0;
  std::int64_t first_pair = 0;  // routed: its pairs in the order of pair_token
  std::int64_t first_row = 0;   // of its rows in `act`
  AlignedBuffer<float>* act = nullptr;
  Q8Buffer* q8 = nullptr;
  std::int64_t Work::*counter = nullptr;

  ExpertRun(const FfnWeights& ffn, std::int64_t Work::*work)
      : w(&ffn), gate(ffn.gate), up(ffn.up), down(ffn.down), counter(work) {}

  const Matrix& first_matrix() const { return gate.empty() ? up : gate; }
};

/// Some pairs of a run times some panels of its gate and up projections.
struct Forward::GateUpTask {
  const ExpertRun* run;
  std::int64_t row, rows;  // of the run's pairs
  std::int64_t panel, panels;

  std::int64_t first() const { return panel * kernels::kPanelRows; }  // column
  std::int64_t width() const { return std::min(run->up.rows - first(), panels * kernels::kPanelRows); }
};

}  // namespace moe::inline MOE_ABI
