// The causal convolution and the steps of a state: every table gives the bits of the scalar twin, writes only what it owns,
// and a run in pieces is the run in one piece; the twin follows float64.

#include <array>
#include <cmath>

#include "moe/detail/reference/recurrent.hpp"
#include "tables.hpp"

using namespace moe;
using namespace moe_test;
using kernels::KernelTable;

namespace {

constexpr std::int64_t kTokens = 6;

struct Steps {
  std::int64_t key_dim, value_dim;
  bool delta, fresh;
  std::vector<float> q, k, v, decay, step, before;

  Steps(std::int64_t keys, std::int64_t values, bool is_delta, bool is_fresh)
      : key_dim(keys), value_dim(values), delta(is_delta), fresh(is_fresh) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(keys));
    q = with_nan_tail(random_row(kTokens * keys, 1, scale)), k = with_nan_tail(random_row(kTokens * keys, 2, scale));
    v = with_nan_tail(random_row(kTokens * values, 3));
    decay = random_row(kTokens, 4), step = random_row(kTokens, 5);
    for (float& x : decay) x = 1.0f / (1.0f + std::abs(x));
    before = random_row(state_floats(keys, values), 6);
    // Lanes that no value has are zero in every state that was computed.
    for (std::int64_t i = 0; i < state_floats(keys, values); ++i)
      if (i / (keys * kStateLanes) * kStateLanes + i % kStateLanes >= values) before[static_cast<std::size_t>(i)] = 0;
  }
  StateSteps at(std::int64_t first, std::int64_t count, const float* from, std::vector<float>& state,
                std::vector<float>& y) const {
    StateSteps s;
    s.delta = delta, s.tokens = count, s.key_dim = key_dim, s.values = value_dim;
    s.q = q.data() + first * key_dim, s.k = k.data() + first * key_dim, s.qk_stride = key_dim;
    s.v = v.data() + first * value_dim, s.v_stride = value_dim;
    s.decay = decay.data() + first, s.step = step.data() + first, s.gate_stride = 1;
    s.from = from, s.to = state.data(), s.y = y.data() + first * value_dim, s.y_stride = value_dim;
    return s;
  }
  std::vector<float> state() const { return with_nan_tail(std::vector<float>(before.size())); }
  std::vector<float> rows() const {
    return with_nan_tail(std::vector<float>(static_cast<std::size_t>(kTokens * value_dim)));
  }
  const float* start() const { return fresh ? nullptr : before.data(); }
};

// Values that are not whole tiles, one tile, two, four and more.
constexpr std::array<std::int64_t, 2> kSizes[] = {{1, 1}, {8, 24}, {16, 16}, {5, 33}, {12, 64}, {7, 87}, {128, 128}};

template <class Check>
void each_case(Check&& check) {
  for (const auto& size : kSizes)
    for (const bool delta : {true, false})
      for (const bool fresh : {true, false}) {
        CAPTURE(size[0]);
        CAPTURE(size[1]);
        CAPTURE(delta);
        CAPTURE(fresh);
        check(Steps(size[0], size[1], delta, fresh));
      }
}

}  // namespace

TEST_CASE("state steps: same bits as the twin, within the state, in pieces and in place") {
  for (const KernelTable* table : all_tables())
    each_case([&](const Steps& c) {
      CAPTURE(table->isa);
      std::vector<float> expected = c.state(), rows = c.rows();
      reference::state_steps(c.at(0, kTokens, c.start(), expected, rows));
      std::vector<float> state = c.state(), y = c.rows();
      table->state_steps(c.at(0, kTokens, c.start(), state, y));
      CHECK(same_bits(state, expected));
      CHECK(same_bits(y, rows));
      std::vector<float> pieces = c.state(), parts = c.rows();
      table->state_steps(c.at(0, 2, c.start(), pieces, parts));
      table->state_steps(c.at(2, kTokens - 2, pieces.data(), pieces, parts));
      CHECK(same_bits(pieces, expected));
      CHECK(same_bits(parts, rows));
    });
}

TEST_CASE("state steps: the twin follows float64") {
  each_case([](const Steps& c) {
    std::vector<float> state = c.state(), y = c.rows();
    reference::state_steps(c.at(0, kTokens, c.start(), state, y));
    double worst = 0.0;
    for (std::int64_t j = 0; j < c.value_dim; ++j) {
      std::vector<double> s(static_cast<std::size_t>(c.key_dim));
      for (std::int64_t i = 0; i < c.key_dim && !c.fresh; ++i)
        s[static_cast<std::size_t>(i)] = c.before[static_cast<std::size_t>(j / kStateLanes * c.key_dim * kStateLanes +
                                                                           i * kStateLanes + j % kStateLanes)];
      for (std::int64_t t = 0; t < kTokens; ++t) {
        const auto at = static_cast<std::size_t>(t);
        const double g = c.decay[at];
        double seen = 0.0, out = 0.0;
        for (std::int64_t i = 0; i < c.key_dim && c.delta; ++i)
          seen += c.k[static_cast<std::size_t>(t * c.key_dim + i)] * g * s[static_cast<std::size_t>(i)];
        const double d = c.step[at] * (c.v[static_cast<std::size_t>(t * c.value_dim + j)] - seen);
        for (std::int64_t i = 0; i < c.key_dim; ++i) {
          double& x = s[static_cast<std::size_t>(i)];
          x = g * x + c.k[static_cast<std::size_t>(t * c.key_dim + i)] * d;
          out += c.q[static_cast<std::size_t>(t * c.key_dim + i)] * x;
        }
        worst = std::max(worst, std::abs(out - y[static_cast<std::size_t>(t * c.value_dim + j)]));
      }
    }
    // Chains of key_dim additions of terms of about 1 / key_dim, over six tokens whose states feed back.
    CHECK(worst < 0x1p-24 * 64.0 * static_cast<double>(c.key_dim + 16));
  });
}

TEST_CASE("causal convolution: same bits as the twin, in pieces, and nothing beside its channels") {
  for (const KernelTable* table : all_tables())
    for (const std::int64_t channels : kRowSizes)
      for (const int taps : {2, 3, 4, 9})
        for (const bool silu : {true, false}) {
          CAPTURE(table->isa);
          CAPTURE(channels);
          CAPTURE(taps);
          const std::vector<float> x = with_nan_tail(random_row(kTokens * channels, 1));
          const std::vector<float> w = with_nan_tail(random_row(taps * channels, 2));
          const std::vector<float> bias = with_nan_tail(random_row(channels, 3));
          const auto part = [&](std::int64_t first, std::int64_t count, const float* in, std::vector<float>& tail,
                                std::vector<float>& y) {
            CausalConv c;
            c.x = x.data() + first * channels, c.x_stride = c.y_stride = c.weight_stride = c.channels = channels;
            c.tokens = count, c.taps = taps, c.weights = w.data(), c.silu = silu;
            c.bias = silu ? bias.data() : nullptr, c.tail_in = in, c.tail_out = tail.data();
            c.y = y.data() + first * channels;
            return c;
          };
          const auto tails = [&] {
            return with_nan_tail(std::vector<float>(static_cast<std::size_t>((taps - 1) * channels)));
          };
          const auto rows = [&] {
            return with_nan_tail(std::vector<float>(static_cast<std::size_t>(kTokens * channels)));
          };
          std::vector<float> expected = tails(), expected_y = rows(), tail = tails(), y = rows();
          reference::causal_conv(part(0, kTokens, nullptr, expected, expected_y));
          table->causal_conv(part(0, 1, nullptr, tail, y));
          table->causal_conv(part(1, kTokens - 1, tail.data(), tail, y));
          CHECK(same_bits(y, expected_y));
          CHECK(same_bits(tail, expected));
        }
}
