// Kernels over a row (norms, activations, sums, rotation, the cache's rounding): every runnable table at the row
// lengths of published models, in operations and bytes per second.
//   moe-bench-blocks --benchmark_filter='rms_norm/.*/2048'
//   moe-bench-blocks --help        # Google Benchmark's options
// Rows stay in the L1 cache. An operation is one + - * / min max exp or rounding; an fma is two.

#include "kernels/table.hpp"
#include "micro.hpp"

namespace {

using namespace moe::kernels;
using moe::KvType;

struct Row {
  const float *a, *b, *c;
  float* y;
  std::int64_t n;
};

struct RowKernel {
  const char* name;
  double operations;   // per value, as reference/ writes the formula
  std::int64_t bytes;  // per value, read and written
  void (*call)(const KernelTable&, const Row&);
};

// Rotation has one cosine and one sine for two values.
constexpr RowKernel kRowKernels[] = {
    {"rms_norm", 4, 12, [](const KernelTable& k, const Row& r) { k.rms_norm(r.a, r.b, 1e-6f, r.n, r.y); }},
    {"silu_mul", 4, 12, [](const KernelTable& k, const Row& r) { k.silu_mul(r.a, r.b, r.n, r.y); }},
    {"gelu_mul", 8, 12, [](const KernelTable& k, const Row& r) { k.gelu_mul(r.a, r.b, r.n, r.y); }},
    {"swiglu_clamped", 9, 12,
     [](const KernelTable& k, const Row& r) { k.swiglu_clamped(r.a, r.b, 1.702f, 7.0f, r.n, r.y); }},
    {"sigmoid", 3, 8, [](const KernelTable& k, const Row& r) { k.sigmoid(r.a, r.n, r.y); }},
    {"softmax", 5, 8, [](const KernelTable& k, const Row& r) { k.softmax(r.a, r.n, r.y); }},
    {"add", 1, 12, [](const KernelTable& k, const Row& r) { k.add(r.a, r.n, r.y); }},
    {"axpy", 2, 12, [](const KernelTable& k, const Row& r) { k.axpy(0.25f, r.a, r.n, r.y); }},
};
constexpr RowKernel kRotations[] = {
    {"rope_half", 3, 12, [](const KernelTable& k, const Row& r) { k.rope_half(r.b, r.c, r.n / 2, r.y); }},
    {"rope_interleaved", 3, 12, [](const KernelTable& k, const Row& r) { k.rope_interleaved(r.b, r.c, r.n / 2, r.y); }},
};

void run_row(benchmark::State& state, const KernelTable* table, const RowKernel* kernel, std::int64_t n) {
  const auto a = micro::random_floats(n), b = micro::random_floats(n);
  auto cosines = micro::buffer<float>(n), sines = micro::buffer<float>(n);
  for (float& x : cosines.span()) x = 0.6f;
  for (float& x : sines.span()) x = 0.8f;  // a rotation, which preserves the norm of the row
  const bool rotates = kernel >= std::begin(kRotations) && kernel < std::end(kRotations);
  auto y = micro::random_floats(n);
  const Row row{a.data(), rotates ? cosines.data() : b.data(), sines.data(), y.data(), n};
  for (auto _ : state) kernel->call(*table, row);
  micro::count_work(state, kernel->operations * static_cast<double>(n), kernel->bytes * n);
}

void run_store(benchmark::State& state, const KernelTable* table, KvType type, std::int64_t n, moe::CacheOrder order) {
  const auto x = micro::random_floats(n);
  auto out = micro::buffer<std::byte>(kKeyBlock * moe::kv_bytes(type, n));
  for (auto _ : state) table->store_cache({type, order, x.data(), n, out.data(), 0});
  micro::count_work(state, static_cast<double>(n), n * 4 + moe::kv_bytes(type, n));
}

void add_table(const KernelTable* table) {
  const auto add = [&](const RowKernel& kernel, std::int64_t n) {
    benchmark::RegisterBenchmark(micro::name(kernel.name, table->isa, n).c_str(), run_row, table, &kernel, n);
  };
  // Experts of a router, hidden width of a small model, of Qwen3-30B-A3B and of DeepSeek-V3.
  for (const RowKernel& kernel : kRowKernels)
    for (const std::int64_t n : {128, 576, 2048, 7168}) add(kernel, n);
  for (const RowKernel& kernel : kRotations)
    for (const std::int64_t n : {64, 128}) add(kernel, n);
  for (const KvType type : moe::kKvTypes)
    for (const std::int64_t n : {64, 128, 576})
      for (const moe::CacheOrder order : {moe::CacheOrder::rows, moe::CacheOrder::columns}) {
        const char* stride = order == moe::CacheOrder::rows ? "stride1" : "stride64";
        benchmark::RegisterBenchmark(micro::name("store_cache", table->isa, type, n, stride).c_str(), run_store, table,
                                     type, n, order);
      }
}

}  // namespace

int main(int argc, char** argv) {
  micro::for_each_table(add_table);
  return micro::run(argc, argv);
}
