// Matrix products: every format and runnable table at the shapes of real layers, in operations and bytes per second.
//   moe-bench-gemm --benchmark_filter='q4_0/avx512vnni/.*'
//   moe-bench-gemm --benchmark_filter='^q8/(q4_1|int4.128z)/avx512vnni/1408x2048/64$'  # groups of 128, zero points
//   moe-bench-gemm --help        # Google Benchmark's options
// The `peak` benchmark is the dot-product or fma loop that the others are compared with: run both together.

#include <cstring>
#include <vector>

#include "kernels/packing.hpp"
#include "kernels/table.hpp"
#include "micro.hpp"
#include "moe/decode.hpp"
#include "moe/detail/reference/weight_block.hpp"

namespace {

using micro::buffer;
using moe::Format;
using namespace moe::kernels;

constexpr std::int64_t kQ8BlockBytes = 32 + 4 + 2 * 2;  // codes, scale and two sums of 32 values

struct Shape {
  std::int64_t rows, k;
};
/// A format, and of scaled ones what their scales cover.
struct Kind {
  std::string name;
  Format format;
  std::int64_t columns = 0;  ///< 0: the whole row
  Format scale = Format::f32;
  bool zeros = false;

  Groups groups(std::int64_t k) const {
    const std::int64_t of_group = columns == 0 ? k : columns;
    return {of_group, 0, (k + of_group - 1) / of_group, nullptr, scale, zeros};
  }
};

/// The same 16 random rows in every panel: the speed does not depend on the values, unless they are so small that sums
/// become subnormal.
struct Matrix {
  moe::AlignedBuffer<std::byte> packed;
  Panels panels;
};
Matrix random_matrix(const Kind& kind, Shape shape) {
  std::mt19937 rng(1);
  std::vector<std::vector<std::byte>> rows;
  const Format format = kind.format;
  const Groups groups = moe::is_scaled_format(format) ? kind.groups(shape.k) : Groups{};
  const std::int64_t row_size = moe::is_scaled_format(format)
                                    ? moe::reference::scaled_row_bytes(format, shape.k, groups)
                                    : moe::row_bytes(format, shape.k);
  for (int r = 0; r < kPanelRows; ++r) {
    std::vector<std::byte> row(static_cast<std::size_t>(row_size));
    for (std::byte& b : row) b = static_cast<std::byte>(rng() & 0x3fu);  // small exponents in every f16 field
    for (std::int64_t b = 0; format == Format::mxfp4 && b < shape.k / kBlock; ++b)
      row[static_cast<std::size_t>(b) * 17] = static_cast<std::byte>(120 + b % 4);
    const float scale = 0.01f * static_cast<float>(r + 1);
    for (std::int64_t g = 0; format == Format::e4m3 && g < groups.count; ++g)
      std::memcpy(row.data() + shape.k + sizeof scale * static_cast<std::size_t>(g), &scale, sizeof scale);
    rows.push_back(std::move(row));
  }
  const std::byte* pointers[kPanelRows];
  for (int r = 0; r < kPanelRows; ++r) pointers[r] = rows[static_cast<std::size_t>(r)].data();
  const std::int64_t bytes = panel_bytes(format, shape.k, groups), count = (shape.rows + kPanelRows - 1) / kPanelRows;
  Matrix m{buffer<std::byte>(bytes * count), {}};
  for (std::int64_t p = 0; p < count; ++p) pack_panel(format, shape.k, pointers, m.packed.data() + p * bytes, groups);
  m.panels = {m.packed.data(), bytes, shape.rows, shape.k, groups};
  return m;
}

void set_counters(benchmark::State& state, const Matrix& m, std::int64_t tokens) {
  micro::count_work(state, 2.0 * static_cast<double>(m.panels.rows * m.panels.k * tokens),
                    static_cast<std::int64_t>(m.packed.size()));
}

/// Tokens as q8g32, and their tiles for one format.
struct Activations {
  Activations(const KernelTable& table, Format format, std::int64_t tokens, std::int64_t k)
      : codes(buffer<std::int8_t>(tokens * k)),
        scales(buffer<float>(tokens * k / kBlock)),
        sums(buffer<std::int16_t>(tokens * k / 16)),
        fill(table.fill_q8[static_cast<std::size_t>(format)]) {
    const auto x = micro::random_floats(tokens * k);
    table.quantize_q8(x.data(), tokens * k, codes.data(), scales.data(), sums.data());
    const int most = table.q8_tile_tokens[static_cast<std::size_t>(format)];
    tiles = buffer<std::byte>(tiles_bytes(tokens, most, k));
    job = {{codes.data(), scales.data(), sums.data(), k},
           nullptr,
           tokens,
           most,
           0,
           split_tiles(tokens, most).count,
           tiles.data()};
    fill(job);
  }

  moe::AlignedBuffer<std::int8_t> codes;
  moe::AlignedBuffer<float> scales;
  moe::AlignedBuffer<std::int16_t> sums;
  moe::AlignedBuffer<std::byte> tiles;
  FillQ8Fn fill;
  FillQ8 job;
};

void run_q8(benchmark::State& state, const KernelTable* table, const Kind& kind, Shape shape, std::int64_t tokens) {
  const Format format = kind.format;
  const Matrix m = random_matrix(kind, shape);
  const Activations x(*table, format, tokens, shape.k);
  auto y = buffer<float>(tokens * shape.rows);
  const GemmQ8 g{m.panels, x.tiles.data(), tokens, y.data(), shape.rows, 0, shape.rows / kPanelRows};
  for (auto _ : state) table->gemm_q8[static_cast<std::size_t>(format)](g);
  set_counters(state, m, tokens);
}

/// Moves data without computing: bytes read and written, and values per second.
void run_fill(benchmark::State& state, const KernelTable* table, const Kind& kind, std::int64_t k,
              std::int64_t tokens) {
  const Activations x(*table, kind.format, tokens, k);
  for (auto _ : state) x.fill(x.job);
  const std::int64_t read = tokens * k / kBlock * kQ8BlockBytes, written = static_cast<std::int64_t>(x.tiles.size());
  state.SetBytesProcessed((read + written) * state.iterations());
  state.SetItemsProcessed(tokens * k * state.iterations());
}

void run_f32(benchmark::State& state, const KernelTable* table, const Kind& kind, Shape shape, std::int64_t tokens) {
  const Format format = kind.format;
  const Matrix m = random_matrix(kind, shape);
  const auto x = micro::random_floats(tokens * shape.k);
  auto y = buffer<float>(tokens * shape.rows);
  auto scratch = buffer<float>(gemm_f32_scratch(format, shape.k) + 1);
  const GemmF32 g{m.panels,      x.data(), shape.k, nullptr, tokens, y.data(), shape.rows, 0, shape.rows / kPanelRows,
                  scratch.data()};
  for (auto _ : state) table->gemm_f32[static_cast<std::size_t>(format)](g);
  set_counters(state, m, tokens);
}

/// Six operations per value: largest magnitude, scaling, rounding, two bounds, sum.
void run_quantize(benchmark::State& state, const KernelTable* table, std::int64_t k) {
  const auto x = micro::random_floats(k);
  auto codes = buffer<std::int8_t>(k);
  auto scales = buffer<float>(k / kBlock);
  auto sums = buffer<std::int16_t>(k / 16);
  for (auto _ : state) table->quantize_q8(x.data(), k, codes.data(), scales.data(), sums.data());
  micro::count_work(state, 6.0 * static_cast<double>(k), 4 * k + k / kBlock * kQ8BlockBytes);
  state.SetItemsProcessed(k * state.iterations());
}

#if defined(__x86_64__) && defined(__GNUC__)
// 12 independent chains: more than the latency of the instruction times the number of units, on every core so far.
__attribute__((target("avx512f,avx512vnni"))) void dot_loop(std::int64_t steps) {
  for (std::int64_t i = 0; i < steps; ++i)
    __asm__ volatile(
        "vpdpbusd %%zmm30, %%zmm31, %%zmm0\n vpdpbusd %%zmm30, %%zmm31, %%zmm1\n vpdpbusd %%zmm30, %%zmm31, %%zmm2\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm3\n vpdpbusd %%zmm30, %%zmm31, %%zmm4\n vpdpbusd %%zmm30, %%zmm31, %%zmm5\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm6\n vpdpbusd %%zmm30, %%zmm31, %%zmm7\n vpdpbusd %%zmm30, %%zmm31, %%zmm8\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm9\n vpdpbusd %%zmm30, %%zmm31, %%zmm10\n vpdpbusd %%zmm30, %%zmm31, "
        "%%zmm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}
__attribute__((target("avx512f"))) void fma_loop(std::int64_t steps) {
  // zmm30 and zmm31 may hold anything: zero them, or denormals would be timed.
  __asm__ volatile("vpxord %%zmm30, %%zmm30, %%zmm30\n vpxord %%zmm31, %%zmm31, %%zmm31\n" :::);
  for (std::int64_t i = 0; i < steps; ++i)
    __asm__ volatile(
        "vfmadd231ps %%zmm30, %%zmm31, %%zmm0\n vfmadd231ps %%zmm30, %%zmm31, %%zmm1\n vfmadd231ps %%zmm30, %%zmm31, "
        "%%zmm2\n"
        "vfmadd231ps %%zmm30, %%zmm31, %%zmm3\n vfmadd231ps %%zmm30, %%zmm31, %%zmm4\n vfmadd231ps %%zmm30, %%zmm31, "
        "%%zmm5\n"
        "vfmadd231ps %%zmm30, %%zmm31, %%zmm6\n vfmadd231ps %%zmm30, %%zmm31, %%zmm7\n vfmadd231ps %%zmm30, %%zmm31, "
        "%%zmm8\n"
        "vfmadd231ps %%zmm30, %%zmm31, %%zmm9\n vfmadd231ps %%zmm30, %%zmm31, %%zmm10\n vfmadd231ps %%zmm30, %%zmm31, "
        "%%zmm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}

void run_peak(benchmark::State& state, void (*loop)(std::int64_t), double operations) {
  constexpr std::int64_t steps = 1 << 16;
  for (auto _ : state) loop(steps);
  state.counters["op/s"] = benchmark::Counter(operations * 12 * steps, benchmark::Counter::kIsIterationInvariantRate);
}
__attribute__((target("avx512f"))) void read_loop(const std::byte* p, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 256)
    __asm__ volatile(
        "vmovups (%0), %%zmm0\n vmovups 64(%0), %%zmm1\n vmovups 128(%0), %%zmm2\n vmovups 192(%0), %%zmm3\n" ::"r"(p +
                                                                                                                    i)
        : "xmm0", "xmm1", "xmm2", "xmm3");
}
void run_read(benchmark::State& state) {
  const auto memory = buffer<std::byte>(std::int64_t{96} << 20);
  for (auto _ : state) read_loop(memory.data(), static_cast<std::int64_t>(memory.size()));
  state.SetBytesProcessed(static_cast<std::int64_t>(memory.size()) * state.iterations());
}
void add_peaks() {
  if (find_table("avx512vnni") == nullptr) return;
  benchmark::RegisterBenchmark("peak/read", run_read);
  benchmark::RegisterBenchmark("peak/vpdpbusd", run_peak, &dot_loop, 128.0);
  benchmark::RegisterBenchmark("peak/fma", run_peak, &fma_loop, 32.0);
}
#else
void add_peaks() {}
#endif

void add_format(const KernelTable* table, const Kind& kind) {
  // Half of L2, so that prefill is measured; and more than L3 of most machines, so that decode is.
  constexpr Shape small{1408, 2048}, large{32768, 2048};
  const bool integer = table->gemm_q8[static_cast<std::size_t>(kind.format)] != nullptr;
  const auto add = [&](const char* kernel, auto* run, auto shape, const std::string& shape_name, std::int64_t tokens) {
    const std::string name = micro::name(kernel, kind.name, table->isa, shape_name, tokens);
    benchmark::RegisterBenchmark(name.c_str(), run, table, kind, shape, tokens);
  };
  for (const std::int64_t tokens : {1, 2, 4, 6, 8, 12, 16, 24, 36, 64, 512}) {
    if (integer) add("q8", run_q8, small, "1408x2048", tokens);
    if (integer) add("fill_q8", run_fill, small.k, "2048", tokens);
    add("f32", run_f32, small, "1408x2048", tokens);
  }
  for (const std::int64_t tokens : {1, 4, 16})
    if (integer) add("q8", run_q8, large, "32768x2048", tokens);
  if (!integer || moe::is_scaled_format(kind.format)) add("f32", run_f32, large, "32768x2048", 1);
}

/// Every format once; scaled ones by group size ("row": one scale for a row), with "z" for zero points.
void add_formats(const KernelTable* table) {
  for (const moe::FormatInfo& info : moe::kFormats) add_format(table, {std::string(info.name), info.format});
  for (const moe::FormatInfo& info : moe::kScaledFormats)
    for (const std::int64_t columns : {32, 64, 128, 0})
      for (const bool zeros : {false, true}) {
        const bool e4m3 = info.format == Format::e4m3;
        if (e4m3 && (zeros || (columns != 128 && columns != 0))) continue;
        const std::string size = columns == 0 ? "row" : std::to_string(columns);
        add_format(table, {std::string(info.name) + "." + size + (zeros ? "z" : ""), info.format, columns,
                           e4m3 ? Format::f32 : Format::f16, zeros});
      }
}

}  // namespace

int main(int argc, char** argv) {
  add_peaks();
  micro::for_each_table([](const KernelTable* table) {
    for (const std::int64_t k : {576, 2048, 7168})
      benchmark::RegisterBenchmark(micro::name("quantize_q8", table->isa, k).c_str(), run_quantize, table, k);
    add_formats(table);
  });
  return micro::run(argc, argv);
}
