// Attention: every table gives the twin's bits for any grouping; the twin follows float64; unwritten slots do not matter.

#include "moe/detail/reference/attention.hpp"

#include <algorithm>
#include <cmath>

#include "tables.hpp"

using namespace moe;
using namespace moe_test;
using kernels::KernelTable;

namespace {

enum class Kind { gqa, mla };

struct Shape {
  Kind kind;
  std::int64_t key_dim, value_dim;
};

/// A cache with `length` keys, NaN in all later slots, and queries with rising last positions.
struct AttentionCase {
  Shape shape;
  KvType type;
  std::int64_t length, query_count;
  std::vector<std::vector<float>> key_store, value_store;    // blocks, as raw bytes of the cache's type
  std::vector<std::vector<float>> exact_keys, exact_values;  // before they were rounded
  std::vector<const void*> keys, values;
  std::vector<float> q;
  std::vector<std::int64_t> last, from;  // from: empty without a window
  std::vector<float> sinks;              // empty without sinks
  float soft_cap = 0.0f;

  /// Numbers of a key in one stretch of the cache: q8_0 keeps the rotated part of MLA's keys apart.
  std::int64_t latent_dim() const {
    return shape.kind == Kind::mla && type == KvType::q8_0 ? shape.value_dim : shape.key_dim;
  }
  std::int64_t q_stride() const { return shape.key_dim + 3; }
  std::int64_t out_stride() const { return shape.value_dim + 5; }

  AttentionCase(Shape s, KvType t, std::int64_t keys_in_cache, std::int64_t queries, std::uint64_t seed)
      : shape(s), type(t), length(keys_in_cache), query_count(queries) {
    std::mt19937_64 random(seed);
    const std::int64_t blocks = (length + kKeyBlock - 1) / kKeyBlock;
    const auto floats_of = [](std::int64_t bytes) { return static_cast<std::size_t>(kKeyBlock * bytes / 4); };
    const std::int64_t rotated = s.key_dim - latent_dim();
    for (std::int64_t b = 0; b < blocks; ++b) {
      key_store.emplace_back(floats_of(kv_bytes(type, latent_dim()) + kv_bytes(rope_key_type(type), rotated)),
                             std::bit_cast<float>(0xFFFFFFFFu));
      value_store.emplace_back(floats_of(kv_bytes(type, s.value_dim)), std::bit_cast<float>(0xFFFFFFFFu));
    }
    for (std::int64_t position = 0; position < length; ++position) {
      const std::vector<float> key = random_row(s.key_dim, seed + 100 + static_cast<std::uint64_t>(position), 1.5f);
      const std::vector<float> value = random_row(s.value_dim, seed + 9000 + static_cast<std::uint64_t>(position));
      const auto block = static_cast<std::size_t>(position / kKeyBlock);
      const std::int64_t j = position % kKeyBlock;
      auto* k = reinterpret_cast<std::byte*>(key_store[block].data());
      const CacheOrder order = s.kind == Kind::gqa ? CacheOrder::columns : CacheOrder::rows;
      reference::store_cache({type, order, key.data(), latent_dim(), k, j});
      reference::store_cache({rope_key_type(type), order, key.data() + latent_dim(), rotated,
                              k + (rotated > 0 ? mla_rope_offset(latent_dim()) : 0), j});
      if (s.kind == Kind::gqa)
        reference::store_cache({type, CacheOrder::rows, value.data(), s.value_dim, value_store[block].data(), j});
      exact_keys.push_back(key);
      exact_values.push_back(s.kind == Kind::gqa ? value : key);
    }
    for (std::int64_t b = 0; b < blocks; ++b) {
      keys.push_back(key_store[static_cast<std::size_t>(b)].data());
      values.push_back(value_store[static_cast<std::size_t>(b)].data());
    }
    q = random_row(query_count * q_stride(), seed + 5, 1.0f);
    for (std::int64_t i = 0; i < query_count; ++i)
      last.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(length)));
    std::sort(last.begin(), last.end());
    if (seed % 2 == 0) std::fill(last.begin(), last.end(), length - 1);
  }

  /// Each query sees its last `window` positions alone.
  AttentionCase& with_window(std::int64_t window) {
    for (const std::int64_t position : last) from.push_back(std::max<std::int64_t>(0, position - window + 1));
    return *this;
  }
  AttentionCase& with_sinks() {
    sinks = random_row(query_count, 4711, 3.0f);
    return *this;
  }

  AttentionCase& with_soft_cap(float cap) {
    soft_cap = cap;
    return *this;
  }

  Attention call(float* out, float* scratch, std::int64_t first, std::int64_t count) const {
    Attention a;
    a.q = q.data() + first * q_stride();
    a.q_stride = q_stride();
    a.query_count = count;
    a.last_position = last.data() + first;
    if (!from.empty()) a.first_position = from.data() + first;
    if (!sinks.empty()) a.sinks = sinks.data() + first;
    a.key_blocks = keys.data();
    a.value_blocks = shape.kind == Kind::gqa ? values.data() : nullptr;
    a.cache_type = type;
    a.key_dim = shape.key_dim;
    a.value_dim = shape.value_dim;
    a.scale = 0.3f;
    a.soft_cap = soft_cap;
    a.out = out + first * out_stride();
    a.out_stride = out_stride();
    a.scratch = scratch;
    return a;
  }

  /// Numbers of position j, as the cache has them.
  double key(const Attention& a, std::int64_t j, std::int64_t d) const {
    return shape.kind == Kind::gqa ? reference::GqaLayout::key(a, j / kKeyBlock, j % kKeyBlock, d)
                                   : reference::MlaLayout::key(a, j / kKeyBlock, j % kKeyBlock, d);
  }
  double value(const Attention& a, std::int64_t j, std::int64_t d) const {
    return shape.kind == Kind::gqa ? reference::GqaLayout::value(a, j / kKeyBlock, j % kKeyBlock, d)
                                   : reference::MlaLayout::value(a, j / kKeyBlock, j % kKeyBlock, d);
  }

  std::vector<float> run_twin() const {
    std::vector<float> out(static_cast<std::size_t>(query_count * out_stride()), -7.0f);
    const Attention a = call(out.data(), nullptr, 0, query_count);
    shape.kind == Kind::gqa ? reference::attention_gqa(a) : reference::attention_mla(a);
    return out;
  }
  /// In calls of `group` queries.
  std::vector<float> run(const KernelTable& table, std::int64_t group) const {
    std::vector<float> out(static_cast<std::size_t>(query_count * out_stride()), -7.0f);
    const auto floats = static_cast<std::size_t>(kernels::attention_scratch(shape.key_dim, shape.value_dim));
    std::vector<float> scratch(floats + 16, std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t first = 0; first < query_count; first += group) {
      const Attention a = call(out.data(), scratch.data(), first, std::min(group, query_count - first));
      shape.kind == Kind::gqa ? table.attention_gqa(a) : table.attention_mla(a);
    }
    for (std::size_t i = floats; i < scratch.size(); ++i) CHECK(std::isnan(scratch[i]));
    return out;
  }
};

constexpr Shape kShapes[] = {{Kind::gqa, 16, 16},   {Kind::gqa, 64, 64}, {Kind::gqa, 128, 128}, {Kind::gqa, 24, 8},
                             {Kind::gqa, 10, 20},   {Kind::mla, 48, 32}, {Kind::gqa, 80, 80},   {Kind::gqa, 96, 48},
                             {Kind::mla, 576, 512}, {Kind::mla, 20, 12}, {Kind::mla, 37, 25},   {Kind::mla, 41, 33}};

}  // namespace

TEST_CASE("attention gives the twin's bits on every ISA, for every cache type, length and grouping") {
  const auto tables = all_tables();
  std::uint64_t seed = 1;
  for (const Shape& shape : kShapes)
    for (KvType type : kKvTypes)
      for (std::int64_t length : {1, 5, 16, 63, 64, 65, 128, 131, 200}) {
        const std::int64_t wide = shape.key_dim > 200 ? 7 : 53;  // more than one group of 48 where it is cheap
        const AttentionCase c(shape, type, length, length % 2 == 0 ? 17 : wide, ++seed);
        const std::vector<float> expected = c.run_twin();
        for (float v : expected) REQUIRE_FALSE(std::isnan(v));
        for (const KernelTable* table : tables)
          for (std::int64_t group : {std::int64_t{1}, std::int64_t{4}, std::int64_t{13}, c.query_count}) {
            CAPTURE(table->isa);
            CAPTURE(shape.key_dim);
            CAPTURE(length);
            CAPTURE(group);
            CHECK(same_bits(expected, c.run(*table, group)));
          }
      }
}

TEST_CASE("windows, sinks and soft-capping give the twin's bits on every ISA, for every grouping") {
  const auto tables = all_tables();
  std::uint64_t seed = 500;
  for (const Shape& shape : kShapes) {
    if (shape.kind == Kind::mla) continue;
    for (KvType type : kKvTypes)
      for (std::int64_t length : {1, 9, 64, 65, 131, 200})
        for (std::int64_t window : {1, 3, 64, 70, 1000})
          for (bool sinks : {false, true}) {
            AttentionCase c(shape, type, length, length % 2 == 0 ? 17 : 53, ++seed);
            c.with_window(window);
            if (sinks) c.with_sinks();
            if (seed % 2 == 0) c.with_soft_cap(1.5f);
            const std::vector<float> expected = c.run_twin();
            for (float v : expected) REQUIRE_FALSE(std::isnan(v));
            for (const KernelTable* table : tables)
              for (std::int64_t group : {std::int64_t{1}, std::int64_t{7}, c.query_count}) {
                CAPTURE(table->isa);
                CAPTURE(shape.key_dim);
                CAPTURE(length);
                CAPTURE(window);
                CAPTURE(group);
                CHECK(same_bits(expected, c.run(*table, group)));
              }
          }
  }
}

TEST_CASE("a window that reaches back to the start changes no bit; slots before it have no influence") {
  for (const KernelTable* table : all_tables()) {
    AttentionCase plain({Kind::gqa, 16, 16}, KvType::f16, 150, 9, 3), wide = plain, narrow = plain;
    wide.with_window(1000);
    CHECK(same_bits(plain.run(*table, 4), wide.run(*table, 4)));
    narrow.with_window(20);
    const std::vector<float> expected = narrow.run(*table, 4);
    // NaN in every slot that no query sees.
    const std::int64_t first = narrow.from.front();
    for (std::int64_t position = 0; position < first; ++position) {
      const auto block = static_cast<std::size_t>(position / kKeyBlock);
      auto* v = reinterpret_cast<std::uint16_t*>(narrow.value_store[block].data()) + position % kKeyBlock * 16;
      auto* k = reinterpret_cast<std::uint16_t*>(narrow.key_store[block].data()) + position % kKeyBlock;
      for (int d = 0; d < 16; ++d) v[d] = k[d * kKeyBlock] = 0x7FFF;
    }
    for (std::size_t b = 0; b < narrow.keys.size(); ++b) {
      narrow.keys[b] = narrow.key_store[b].data();
      narrow.values[b] = narrow.value_store[b].data();
    }
    CHECK(same_bits(expected, narrow.run(*table, 4)));
  }
}

TEST_CASE("the twin follows float64") {
  for (const Shape& shape : kShapes)
    for (std::int64_t length : {1, 64, 150, 151}) {
      AttentionCase c(shape, length == 64 ? KvType::q8_0 : KvType::f16, length, 5, 77);
      const double cap = shape.kind == Kind::gqa && length == 151 ? 2.0 : 0.0;
      c.with_soft_cap(static_cast<float>(cap));
      if (shape.kind == Kind::gqa) c.with_window(100).with_sinks();
      const std::vector<float> found = c.run_twin();
      for (std::int64_t i = 0; i < c.query_count; ++i) {
        const Attention a = c.call(nullptr, nullptr, 0, c.query_count);
        const auto key = [&](std::int64_t j, std::int64_t d) { return c.key(a, j, d); };
        const auto value = [&](std::int64_t j, std::int64_t d) { return c.value(a, j, d); };
        const std::int64_t visible = c.last[static_cast<std::size_t>(i)] + 1;
        std::vector<double> score;
        double error_of_score = 0.0, highest = -1e300, sum = 0.0;
        const bool gqa = shape.kind == Kind::gqa;
        const std::int64_t start = gqa ? c.from[static_cast<std::size_t>(i)] : 0;
        if (gqa) highest = c.sinks[static_cast<std::size_t>(i)];
        for (std::int64_t j = start; j < visible; ++j) {
          double s = 0.0, size = 0.0;
          for (std::int64_t d = 0; d < shape.key_dim; ++d) {
            const double term = static_cast<double>(a.q[i * a.q_stride + d]) * key(j, d);
            s += term;
            size += std::abs(term);
          }
          score.push_back(cap == 0.0 ? s * a.scale : cap * std::tanh(s * a.scale / cap));
          highest = std::max(highest, score.back());
          // A chain of key_dim fmas, the scale, soft-capping, and the subtraction of the maximum.
          error_of_score =
              std::max(error_of_score,
                       (size * static_cast<double>(shape.key_dim) + 2 * size) * a.scale * 0x1p-24 + cap * 0x1p-21);
        }
        for (double s : score) sum += std::exp(s - highest);
        if (gqa) sum += std::exp(c.sinks[static_cast<std::size_t>(i)] - highest);
        for (std::int64_t d = 0; d < shape.value_dim; ++d) {
          double exact = 0.0, size = 0.0;
          for (std::int64_t j = start; j < visible; ++j) {
            const double weight = std::exp(score[static_cast<std::size_t>(j - start)] - highest) / sum;
            exact += weight * value(j, d);
            size += weight * std::abs(value(j, d));
          }
          const double bound = size * (4 * error_of_score + (static_cast<double>(visible) + 40) * 0x1p-24);
          CHECK(std::abs(found[static_cast<std::size_t>(i * c.out_stride() + d)] - exact) <= bound);
        }
      }
    }
}

/// How far the contract lets the cache move number d of a row, of which q8_0 rounds the first n.
double most_moved(KvType type, const std::vector<float>& row, std::int64_t n, std::int64_t d) {
  const auto at = [&](std::int64_t i) { return std::abs(static_cast<double>(row[static_cast<std::size_t>(i)])); };
  if (type == KvType::f32) return 0.0;
  if (type == KvType::bf16) return at(d) * 0x1p-8;
  if (type == KvType::f16 || d >= n) return at(d) * 0x1p-11 + 0x1p-25;
  double a = 0.0;
  for (std::int64_t i = d / 32 * 32; i < std::min(n, d / 32 * 32 + 32); ++i) a = std::max(a, at(i));
  return a / 127 * (0.5 + 0x1p-11 + 127 * 0x1p-11);
}

TEST_CASE("a rounded cache moves results no further than its rounding allows") {
  for (const Shape& shape : kShapes)
    for (const KvType type : kKvTypes) {
      const AttentionCase c(shape, type, 150, 5, 78);
      const std::vector<float> found = c.run_twin();
      const Attention a = c.call(nullptr, nullptr, 0, c.query_count);
      for (std::int64_t i = 0; i < c.query_count; ++i) {
        const std::int64_t visible = c.last[static_cast<std::size_t>(i)] + 1;
        std::vector<double> score;
        double moved = 0.0, highest = -1e300, sum = 0.0, size_of_terms = 0.0;  // moved: the most that a score does
        for (std::int64_t j = 0; j < visible; ++j) {
          double s = 0.0, error = 0.0, size = 0.0;
          for (std::int64_t d = 0; d < shape.key_dim; ++d) {
            const double q = a.q[i * a.q_stride + d] * static_cast<double>(a.scale);
            const double exact = c.exact_keys[static_cast<std::size_t>(j)][static_cast<std::size_t>(d)];
            s += q * exact;
            error += std::abs(q) * most_moved(type, c.exact_keys[static_cast<std::size_t>(j)], c.latent_dim(), d);
            size += std::abs(q * exact);
          }
          score.push_back(s);
          highest = std::max(highest, s), moved = std::max(moved, error), size_of_terms = std::max(size_of_terms, size);
        }
        for (const double s : score) sum += std::exp(s - highest);
        // float32 itself, as in the test above.
        const double arithmetic = (static_cast<double>(shape.key_dim + visible) + 42) * (size_of_terms + 1) * 0x1p-22;
        for (std::int64_t d = 0; d < shape.value_dim; ++d) {
          double exact = 0.0, size = 0.0, error = 0.0;
          for (std::int64_t j = 0; j < visible; ++j) {
            const double weight = std::exp(score[static_cast<std::size_t>(j)] - highest) / sum;
            const std::vector<float>& row = c.exact_values[static_cast<std::size_t>(j)];
            const double v = row[static_cast<std::size_t>(d)];
            exact += weight * v, size += weight * std::abs(v);
            error += weight * most_moved(type, row, shape.value_dim, d);
          }
          // All scores within `moved`: all weights within a factor of exp(2 moved).
          const double factor = std::exp(2 * moved);
          const double bound = (factor - 1) * size + factor * error + arithmetic * size * factor;
          CAPTURE(name_of(type));
          CHECK(std::abs(found[static_cast<std::size_t>(i * c.out_stride() + d)] - exact) <= bound);
        }
      }
    }
}

TEST_CASE("scratch for both kinds fits the limits of configurations") {
  CHECK(kernels::attention_scratch(576, 512) >= 64 * 576 + 48 * (576 + 512 + 64));
  CHECK(kernels::attention_scratch(1, 1) > 0);
}
