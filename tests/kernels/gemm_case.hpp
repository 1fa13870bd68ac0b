#pragma once
// Random weights, activations and packed matrices for the tests of the matrix products.

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/packing.hpp"
#include "kernels/panel_layout.hpp"
#include "moe/decode.hpp"
#include "moe/detail/reference/gemm.hpp"
#include "moe/detail/reference/quantize_activations.hpp"
#include "support.hpp"

namespace moe::inline MOE_ABI::kernels {
const KernelTable* make_emulated_amx() noexcept;  // other_cpus.cpp
const KernelTable* make_plain_vnni() noexcept;
}

namespace moe_test {

using moe::Format;
using namespace moe::kernels;

/// Tables of other CPUs that have this instruction set, as far as this one can run them: `amx` with emulated tile
/// instructions, `avx512vnni` without VBMI.
inline std::vector<const KernelTable*> tables_of_other_cpus([[maybe_unused]] const std::string& isa) {
#ifdef MOE_OTHER_CPUS
  if (find_table("avx512vnni") == nullptr) return {};
  if (isa == "amx") return {make_emulated_amx()};
  if (isa == "avx512vnni") return {make_plain_vnni()};
#endif
  return {};
}

/// The tables a test runs: all that can run here, or the one MOE_ISA names and those of other CPUs (none, with a note,
/// when that cannot run).
inline std::vector<const KernelTable*> tables_under_test() {
  int count = 0;
  const KernelTable* const* all = runnable_tables(count);
  const char* forced = std::getenv("MOE_ISA");
  if (forced == nullptr || *forced == '\0') return {all, all + count};
  std::vector<const KernelTable*> tables = tables_of_other_cpus(forced);
  if (active_table() != nullptr)
    tables.push_back(active_table());
  else
    report_skip(forced, tables.empty()
                            ? "this CPU or operating system cannot run it"
                            : "this CPU or operating system cannot run it: with emulated instructions instead");
  return tables;
}

/// Random blocks whose values are finite and below 1e4 in magnitude; every code and sign turns up.
inline std::vector<std::byte> random_row(Format format, std::int64_t k, std::mt19937& rng) {
  const moe::FormatInfo info = moe::format_info(format);
  std::vector<std::byte> row(static_cast<std::size_t>(moe::row_bytes(format, k)));
  std::vector<float> values(static_cast<std::size_t>(info.block_values));
  for (std::size_t at = 0; at < row.size(); at += static_cast<std::size_t>(info.block_bytes)) {
    bool usable = false;
    while (!usable) {
      for (int i = 0; i < info.block_bytes; ++i)
        row[at + static_cast<std::size_t>(i)] = static_cast<std::byte>(rng() & 255u);
      moe::decode_row(format, &row[at], info.block_values, values.data());
      usable = row_is_valid(format, info.block_values, &row[at]);
      for (float v : values) usable = usable && std::fabs(v) < 1e4f;
    }
  }
  return row;
}

struct Weights {
  Format format;
  std::int64_t row_count, k;
  std::vector<std::vector<std::byte>> rows;
  std::vector<std::byte> packed;

  Panels panels() const { return {packed.data(), panel_bytes(format, k), row_count, k}; }
  std::int64_t panel_count() const { return (row_count + kPanelRows - 1) / kPanelRows; }
  void pack() {
    packed.resize(static_cast<std::size_t>(panel_bytes(format, k) * panel_count()));
    for (std::int64_t p = 0; p < panel_count(); ++p) {
      const std::byte* of_panel[kPanelRows] = {};
      for (std::int64_t r = p * kPanelRows; r < row_count && r < (p + 1) * kPanelRows; ++r)
        of_panel[r - p * kPanelRows] = rows[static_cast<std::size_t>(r)].data();
      pack_panel(format, k, of_panel, packed.data() + p * panel_bytes(format, k));
    }
  }
};

inline Weights random_weights(Format format, std::int64_t row_count, std::int64_t k, std::mt19937& rng) {
  Weights w{format, row_count, k, {}, {}};
  for (std::int64_t r = 0; r < row_count; ++r) w.rows.push_back(random_row(format, k, rng));
  w.pack();
  return w;
}

struct Activations {
  std::int64_t count, k;
  std::vector<float> x;
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
  std::vector<std::int16_t> sums;

  Q8Rows q8() const { return {codes.data(), scales.data(), sums.data(), k}; }
  void quantize() {
    codes.resize(x.size());
    scales.resize(x.size() / 32);
    sums.resize(x.size() / 16);
    moe::reference::quantize_q8(x.data(), static_cast<std::int64_t>(x.size()), codes.data(), scales.data(),
                                sums.data());
  }
};

inline Activations random_activations(std::int64_t count, std::int64_t k, std::mt19937& rng) {
  Activations a{count, k, {}, {}, {}, {}};
  std::normal_distribution<float> normal;
  a.x.resize(static_cast<std::size_t>(count * k));
  for (float& v : a.x) v = normal(rng);
  for (std::size_t i = 0; i < a.x.size(); i += 97) a.x[i] *= 40.0f;  // outliers, as real activations have them
  if (a.x.size() > 64)
    for (std::size_t i = 32; i < 64; ++i) a.x[i] = 0.0f;  // a block without any magnitude
  if (k % 32 == 0) a.quantize();
  return a;
}

}  // namespace moe_test
