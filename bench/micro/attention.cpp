// Attention kernels: every runnable table, cache type and length, in operations and bytes per second.
//   moe-bench-attention --benchmark_filter='gqa/avx512vnni/.*/f16/prefill'
//   moe-bench-attention --help        # Google Benchmark's options
// Names: kernel/isa/key dim x value dim/keys/cache type/phase. One call is one kv head. Decode is one token with all the
// query heads of that kv head, prefill is the last tokens of a prompt of that many keys. Operations are those of
// moe/flops.hpp: 2 per multiply-add of scores and values. Bytes count the cache once, however often the call reads it.

#include <vector>

#include "kernels/table.hpp"
#include "micro.hpp"

namespace {

using namespace moe::kernels;
using moe::KvType;

struct Shape {
  const char* kernel;
  bool mla;
  std::int64_t key_dim, value_dim;
  std::int64_t group;           // query heads of a kv head
  std::int64_t prefill_tokens;  // 192 queries, four tiles of 48
};
// Qwen2.5-0.5B and SmolLM2 have heads of 64, Qwen3 of 128; MLA is DeepSeek-V2-Lite's.
constexpr Shape kShapes[] = {
    {"gqa", false, 64, 64, 4, 48}, {"gqa", false, 128, 128, 8, 24}, {"mla", true, 576, 512, 16, 12}};

/// Cache blocks of one kv head, filled with random numbers: rows of `dim` numbers, and of `rotated` more behind them.
class Blocks {
 public:
  Blocks(const KernelTable& table, KvType type, moe::CacheOrder order, std::int64_t count, std::int64_t dim,
         std::int64_t rotated = 0) {
    if (type != KvType::q8_0) dim += rotated, rotated = 0;
    const std::int64_t first = kKeyBlock * moe::kv_bytes(type, dim);
    const std::int64_t bytes = first + kKeyBlock * moe::kv_bytes(rope_key_type(type), rotated);
    memory_ = micro::buffer<std::byte>(count * bytes);
    const auto values = micro::random_floats(kKeyBlock * (dim + rotated));
    for (std::int64_t b = 0; b < count; ++b) {
      std::byte* block = memory_.data() + b * bytes;
      for (std::int64_t slot = 0; slot < kKeyBlock; ++slot) {
        const float* row = values.data() + slot * (dim + rotated);
        table.store_cache({type, order, row, dim, block, slot});
        if (rotated > 0) table.store_cache({rope_key_type(type), order, row + dim, rotated, block + first, slot});
      }
      pointers_.push_back(block);
    }
  }
  const void* const* pointers() const { return pointers_.data(); }
  std::int64_t bytes() const { return static_cast<std::int64_t>(memory_.size()); }

 private:
  moe::AlignedBuffer<std::byte> memory_;
  std::vector<const void*> pointers_;
};

void run(benchmark::State& state, const KernelTable* table, const Shape* shape, std::int64_t keys, KvType type,
         std::int64_t tokens) {
  const Shape& s = *shape;
  const std::int64_t queries = tokens * s.group;
  const std::int64_t count = keys / kKeyBlock;
  const Blocks key_blocks =
      s.mla ? Blocks(*table, type, moe::CacheOrder::rows, count, s.value_dim, s.key_dim - s.value_dim)
            : Blocks(*table, type, moe::CacheOrder::columns, count, s.key_dim);
  const Blocks value_blocks(*table, type, moe::CacheOrder::rows, s.mla ? 0 : count, s.value_dim);
  const auto q = micro::random_floats(queries * s.key_dim);
  auto out = micro::buffer<float>(queries * s.value_dim);
  auto scratch = micro::buffer<float>(attention_scratch(s.key_dim, s.value_dim));
  std::vector<std::int64_t> last;
  double visible = 0.0;
  for (std::int64_t i = 0; i < queries; ++i) {
    last.push_back(keys - tokens + i / s.group);
    visible += static_cast<double>(last.back() + 1);
  }
  Attention a;
  a.q = q.data();
  a.q_stride = a.key_dim = s.key_dim;
  a.query_count = queries;
  a.last_position = last.data();
  a.key_blocks = key_blocks.pointers();
  a.value_blocks = s.mla ? nullptr : value_blocks.pointers();
  a.cache_type = type;
  a.out_stride = a.value_dim = s.value_dim;
  a.scale = 0.1f;
  a.out = out.data();
  a.scratch = scratch.data();
  for (auto _ : state) s.mla ? table->attention_mla(a) : table->attention_gqa(a);
  micro::count_work(state, 2.0 * visible * static_cast<double>(s.key_dim + s.value_dim),
                    key_blocks.bytes() + value_blocks.bytes() + 4 * queries * (s.key_dim + s.value_dim));
}

void add_table(const KernelTable* table) {
  for (const Shape& s : kShapes)
    for (const std::int64_t keys : {64, 512, 4096, 65536})
      for (const KvType type : moe::kKvTypes)
        for (const bool prefill : {true, false}) {
          const std::string dims = std::to_string(s.key_dim) + "x" + std::to_string(s.value_dim);
          const std::string name = micro::name(s.kernel, table->isa, dims, keys, type, prefill ? "prefill" : "decode");
          benchmark::RegisterBenchmark(name.c_str(), run, table, &s, keys, type, prefill ? s.prefill_tokens : 1);
        }
}

}  // namespace

int main(int argc, char** argv) {
  micro::for_each_table(add_table);
  return micro::run(argc, argv);
}
