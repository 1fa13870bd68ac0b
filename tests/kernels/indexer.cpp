// Sparse attention: LayerNorm and the indexer's scores give the scalar twin's bits in every table and follow float64;
// attention to chosen keys gives the bits of a cache that holds no others.

#include "moe/detail/reference/indexer.hpp"

#include <cmath>

#include "moe/detail/reference/attention.hpp"
#include "tables.hpp"

using namespace moe;
using namespace moe_test;
using kernels::KernelTable;

namespace {

constexpr double kUnit = 0x1p-24;  // half an ulp of a float, relative

/// Keys in columns, NaN in all slots behind them.
struct IndexCase {
  std::int64_t heads, dim, keys, queries;
  KvType type;
  std::vector<std::vector<float>> store;  // blocks, as raw bytes of the type
  std::vector<const void*> blocks;
  std::vector<float> q, weights;

  IndexCase(std::int64_t h, std::int64_t d, std::int64_t k, std::int64_t n, KvType t, std::uint64_t seed)
      : heads(h), dim(d), keys(k), queries(n), type(t) {
    for (std::int64_t b = 0; b * kKeyBlock < keys; ++b)
      store.emplace_back(static_cast<std::size_t>(kKeyBlock * kv_bytes(type, dim) / 4),
                         std::bit_cast<float>(0xFFFFFFFFu));
    for (std::int64_t position = 0; position < keys; ++position) {
      const std::vector<float> key = random_row(dim, seed + 100 + static_cast<std::uint64_t>(position));
      reference::store_cache({type, CacheOrder::columns, key.data(), dim,
                              store[static_cast<std::size_t>(position / kKeyBlock)].data(), position % kKeyBlock});
    }
    for (const auto& block : store) blocks.push_back(block.data());
    q = with_nan_tail(random_row(queries * (heads * dim + 3), seed));
    weights = with_nan_tail(random_row(queries * (heads + 2), seed + 1));
  }
  std::int64_t columns() const { return static_cast<std::int64_t>(store.size()) * kKeyBlock; }

  IndexScores call(std::int64_t first, std::int64_t count, float* out, float* scratch) const {
    IndexScores a;
    a.q_stride = heads * dim + 3, a.weight_stride = heads + 2, a.out_stride = columns();
    a.q = q.data() + first * a.q_stride, a.weights = weights.data() + first * a.weight_stride;
    a.query_count = count, a.head_count = heads, a.dim = dim, a.key_count = keys;
    a.key_blocks = blocks.data(), a.key_type = type, a.scale = 0.25f;
    a.out = out + first * a.out_stride, a.scratch = scratch;
    return a;
  }
  /// The scores of keys alone, in calls of `group` queries; a null table: the twin's.
  std::vector<float> run(const KernelTable* table, std::int64_t group) const {
    const auto floats = static_cast<std::size_t>(kernels::index_scratch(dim));
    std::vector<float> scratch(floats + 16, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> out(static_cast<std::size_t>(queries * columns()), 7.0f), scores;
    for (std::int64_t first = 0; first < queries; first += group) {
      const IndexScores a = call(first, std::min(group, queries - first), out.data(), scratch.data());
      table == nullptr ? reference::index_scores(a) : table->index_scores(a);
    }
    for (std::size_t i = floats; i < scratch.size(); ++i) CHECK(std::isnan(scratch[i]));
    for (std::int64_t i = 0; i < queries; ++i)
      scores.insert(scores.end(), out.begin() + i * columns(), out.begin() + i * columns() + keys);
    return scores;
  }
};

}  // namespace

TEST_CASE("index scores: same bits as the twin for every type, number of heads and grouping") {
  std::uint64_t seed = 1;
  for (const std::int64_t heads : {1, 2, 6, 7, 12, 33})
    for (const std::int64_t dim : {1, 8, 24, 33})
      for (const std::int64_t keys : {1, 63, 64, 65, 200})
        for (const KvType type : {KvType::f32, KvType::f16, KvType::bf16}) {
          const IndexCase c(heads, dim, keys, 3, type, seed++);
          const std::vector<float> expected = c.run(nullptr, 3);
          for (const KernelTable* table : all_tables())
            for (const std::int64_t group : {1, 2, 3}) {
              CAPTURE(table->isa);
              CAPTURE(heads);
              CAPTURE(dim);
              CAPTURE(keys);
              CHECK(same_bits(expected, c.run(table, group)));
            }
        }
}

TEST_CASE("index scores: the twin follows float64, and negative products count as 0") {
  const IndexCase c(5, 24, 70, 2, KvType::f16, 900);
  const std::vector<float> found = c.run(nullptr, 2);
  bool some_zero = false;
  for (std::int64_t i = 0; i < c.queries; ++i)
    for (std::int64_t j = 0; j < c.keys; ++j) {
      double sum = 0.0, sizes = 0.0;
      for (std::int64_t h = 0; h < c.heads; ++h) {
        double product = 0.0, size = 0.0;
        for (std::int64_t d = 0; d < c.dim; ++d) {
          const double term =
              static_cast<double>(c.q[static_cast<std::size_t>(i * (c.heads * c.dim + 3) + h * c.dim + d)]) *
              static_cast<double>(reference::load_cache(c.type, CacheOrder::columns,
                                                        c.blocks[static_cast<std::size_t>(j / kKeyBlock)], c.dim,
                                                        j % kKeyBlock, d));
          product += term, size += std::abs(term);
        }
        const double weight = c.weights[static_cast<std::size_t>(i * (c.heads + 2) + h)];
        some_zero |= product < 0.0;
        sum += weight * std::max(product, 0.0) * 0.25;
        sizes += std::abs(weight) * size * 0.25;
      }
      CHECK(std::abs(found[static_cast<std::size_t>(i * c.keys + j)] - sum) <=
            kUnit * static_cast<double>(c.dim + c.heads + 2) * sizes);
    }
  CHECK(some_zero);
}

TEST_CASE("layer_norm: same bits as the twin, in place as well; the twin follows float64") {
  for (const std::int64_t n : kRowSizes)
    for (const std::uint64_t seed : {1, 2}) {
      const std::vector<float> x = random_row(n, seed, 3.0f), w = random_row(n, seed + 9), b = random_row(n, seed + 20);
      std::vector<float> expected = x;
      reference::layer_norm(x.data(), w.data(), b.data(), 1e-6f, n, expected.data());
      for (const KernelTable* table : all_tables()) {
        CAPTURE(table->isa);
        CAPTURE(n);
        std::vector<float> in_place = with_nan_tail(x), y = with_nan_tail(std::vector<float>(x.size()));
        table->layer_norm(in_place.data(), w.data(), b.data(), 1e-6f, n, in_place.data());
        table->layer_norm(x.data(), w.data(), b.data(), 1e-6f, n, y.data());
        CHECK(same_bits(in_place, with_nan_tail(expected)));
        CHECK(same_bits(y, with_nan_tail(expected)));
      }
      double mean = 0.0, variance = 0.0, largest = 0.0;
      for (const float v : x) mean += v / static_cast<double>(n), largest = std::max(largest, std::abs(double{v}));
      for (const float v : x) variance += (v - mean) * (v - mean) / static_cast<double>(n);
      const double r = 1.0 / std::sqrt(variance + static_cast<double>(1e-6f));
      // Roundings of the mean move every value alike; those of the variance are halved by the root.
      const double steps = static_cast<double>(n) / 16 + 12;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double y = (x[i] - mean) * r * w[i], size = largest * r * std::abs(w[i]);
        CHECK(std::abs(expected[i] - (y + b[i])) <= kUnit * steps * (2 * size + std::abs(y) + std::abs(b[i])) +
                                                        kUnit * steps * std::abs(y) * largest * largest * r * r);
      }
    }
}

TEST_CASE("attention to chosen keys: the bits of a cache with no others, in every table and type") {
  for (const KvType type : kKvTypes)
    for (const auto& dims : {std::pair<std::int64_t, std::int64_t>{48, 32}, {37, 25}, {41, 33}})
      for (const std::int64_t count : {1, 5, 64, 70, 130}) {
        constexpr std::int64_t kKeys = 200, kQueries = 19;
        const std::int64_t key_dim = dims.first, value_dim = dims.second;  // clang 14 captures no structured binding
        const std::int64_t latent = type == KvType::q8_0 ? value_dim : key_dim, rotated = key_dim - latent;
        const auto floats =
            static_cast<std::size_t>(kKeyBlock * (kv_bytes(type, latent) + kv_bytes(KvType::f16, rotated)) / 4);
        const auto cache_of = [&](const std::vector<std::int32_t>& positions) {
          std::vector<std::vector<float>> blocks((positions.size() + kKeyBlock - 1) / kKeyBlock,
                                                 std::vector<float>(floats, std::bit_cast<float>(0xFFFFFFFFu)));
          for (std::size_t i = 0; i < positions.size(); ++i) {
            const std::vector<float> key = random_row(key_dim, 50 + static_cast<std::uint64_t>(positions[i]));
            auto* block = reinterpret_cast<std::byte*>(blocks[i / kKeyBlock].data());
            const auto slot = static_cast<std::int64_t>(i % kKeyBlock);
            reference::store_cache({type, CacheOrder::rows, key.data(), latent, block, slot});
            if (rotated > 0)
              reference::store_cache(
                  {KvType::f16, CacheOrder::rows, key.data() + latent, rotated, block + mla_rope_offset(latent), slot});
          }
          return blocks;
        };
        std::vector<std::int32_t> all, chosen;
        for (std::int32_t i = 0; i < kKeys; ++i) all.push_back(i);
        for (std::int64_t i = 0; i < count; ++i) chosen.push_back(static_cast<std::int32_t>(i * kKeys / count + i % 2));
        const auto whole = cache_of(all), few = cache_of(chosen);
        const std::vector<float> q = random_row(kQueries * key_dim, 7);
        const std::vector<std::int64_t> last(kQueries, count - 1);
        std::vector<float> scratch(static_cast<std::size_t>(kernels::attention_scratch(key_dim, value_dim)));
        const auto run = [&](const std::vector<std::vector<float>>& cache, const std::int32_t* list, auto attention) {
          std::vector<const void*> blocks;
          for (const auto& block : cache) blocks.push_back(block.data());
          std::vector<float> out(static_cast<std::size_t>(kQueries * value_dim));
          Attention a;
          a.q = q.data(), a.q_stride = key_dim, a.query_count = kQueries, a.last_position = last.data();
          a.key_blocks = blocks.data(), a.cache_type = type, a.key_dim = key_dim, a.value_dim = value_dim;
          a.scale = 0.3f, a.out = out.data(), a.out_stride = value_dim, a.scratch = scratch.data(), a.chosen = list;
          attention(a);
          return out;
        };
        const std::vector<float> expected = run(few, nullptr, reference::attention_mla);
        for (const float v : expected) REQUIRE_FALSE(std::isnan(v));
        CHECK(same_bits(expected, run(whole, chosen.data(), reference::attention_mla)));
        for (const KernelTable* table : all_tables()) {
          CAPTURE(table->isa);
          CAPTURE(count);
          CHECK(same_bits(expected, run(few, nullptr, table->attention_mla)));
          CHECK(same_bits(expected, run(whole, chosen.data(), table->attention_mla)));
        }
      }
}
