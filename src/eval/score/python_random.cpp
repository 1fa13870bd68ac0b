// Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998; sample() as in CPython's Lib/random.py.

#include "eval/score/python_random.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_set>
#include <vector>

namespace moe::inline MOE_ABI::eval {

PythonRandom::PythonRandom(std::uint64_t seed) {
  // The key is the seed in 32-bit words, lowest first, at least one.
  std::vector<std::uint32_t> key = {static_cast<std::uint32_t>(seed)};
  if (seed >> 32) key.push_back(static_cast<std::uint32_t>(seed >> 32));

  state_[0] = 19650218u;
  for (std::size_t i = 1; i < kWords; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<std::uint32_t>(i);
  std::size_t i = 1, j = 0;
  const auto advance = [&] {
    if (++i == kWords) {
      state_[0] = state_[kWords - 1];
      i = 1;
    }
  };
  for (std::size_t n = std::max(kWords, key.size()); n > 0; --n) {
    const std::uint32_t before = state_[i - 1] ^ (state_[i - 1] >> 30);
    state_[i] = (state_[i] ^ (before * 1664525u)) + key[j] + static_cast<std::uint32_t>(j);
    j = (j + 1) % key.size();
    advance();
  }
  for (std::size_t n = kWords - 1; n > 0; --n) {
    const std::uint32_t before = state_[i - 1] ^ (state_[i - 1] >> 30);
    state_[i] = (state_[i] ^ (before * 1566083941u)) - static_cast<std::uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
    state_[i] = state_[(i + 397) % kWords] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0u);
  }
  at_ = 0;
}

std::uint32_t PythonRandom::next32() {
  if (at_ == kWords) refill();
  std::uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

double PythonRandom::next_double() {
  const std::uint32_t high = next32() >> 5, low = next32() >> 6;
  return (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) / 9007199254740992.0;
}

// _randbelow: as many bits as the limit has, drawn again until they are below it.
std::uint32_t PythonRandom::below(std::uint32_t limit) {
  const int bits = std::bit_width(limit);
  std::uint32_t drawn = next32() >> (32 - bits);
  while (drawn >= limit) drawn = next32() >> (32 - bits);
  return drawn;
}

std::vector<std::size_t> PythonRandom::sample(std::size_t population, std::size_t count) {
  // Up to this size CPython shuffles a list of everything; beyond it, a set of what was drawn is the smaller one.
  std::size_t set_size = 21;
  if (count > 5) {
    std::size_t power = 1;
    while (power < count * 3) power *= 4;
    set_size += power;
  }
  std::vector<std::size_t> out;
  if (population <= set_size) {
    std::vector<std::size_t> left(population);
    std::iota(left.begin(), left.end(), std::size_t{0});
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = below(static_cast<std::uint32_t>(population - i));
      out.push_back(left[at]);
      left[at] = left[population - i - 1];
    }
    return out;
  }
  std::unordered_set<std::size_t> drawn;
  while (out.size() < count) {
    const std::size_t at = below(static_cast<std::uint32_t>(population));
    if (drawn.insert(at).second) out.push_back(at);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
