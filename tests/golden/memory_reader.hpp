#pragma once
// A model whose experts come through ExpertSource, from the panels of one that has them in memory: late, or not at all.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "model/expert_source.hpp"
#include "model/model_impl.hpp"

namespace moe_test {

class MemoryReader : public moe::ExpertReader {
 public:
  struct Options {
    std::uint32_t seed = 0;
    int most_us = 0;       ///< reads take up to so long, and checks
    int fails_after = -1;  ///< that many reads work
    /// Besides: which experts cannot be read, and which parts have another checksum.
    std::function<bool(std::int64_t layer, std::int64_t expert)> fails = {};
    std::function<bool(std::int64_t layer, std::int64_t expert, std::int64_t part)> is_damaged = {};
  };
  MemoryReader(std::shared_ptr<const moe::Model> model, const Options& options)
      : model_(std::move(model)), options_(options) {}

  std::int64_t bundle_bytes(std::int64_t layer) const override {
    return moe::BundleLayout::of(experts(layer).front()).bytes;
  }
  std::int64_t part_count(std::int64_t) const override { return 3; }
  // Not the order of the numbers.
  std::uint64_t position(std::int64_t layer, std::int64_t expert) const override {
    return static_cast<std::uint64_t>(layer * 100000 + expert * 7919 % 10007);
  }
  moe::Result<void> read(std::int64_t layer, std::int64_t expert, std::int64_t part,
                         std::span<std::byte> bundle) const override {
    const int nth = reads_++;
    const Reading reading(*this, layer, expert);
    wait(nth);
    if ((options_.fails_after >= 0 && nth >= options_.fails_after) || (options_.fails && options_.fails(layer, expert)))
      return moe::fail(moe::ErrorCode::io,
                       "layer " + std::to_string(layer) + ", expert " + std::to_string(expert) + ": the disk is gone");
    const Panels panels = panels_of(layer, expert, part);
    for (std::size_t i = 0; i < panels.bytes.size(); ++i) bundle[panels.begin + i] = ~panels.bytes[i];
    return {};
  }
  /// Panels are wrong before this, and right after one call.
  moe::Result<void> check(std::int64_t layer, std::int64_t expert, std::int64_t part,
                          std::span<const std::byte> bundle) const override {
    wait(1000000 + checks_++);
    if (options_.is_damaged && options_.is_damaged(layer, expert, part))
      return moe::fail(moe::ErrorCode::bad_file,
                       "layer " + std::to_string(layer) + ", expert " + std::to_string(expert) + ": another checksum");
    const Panels panels = panels_of(layer, expert, part);
    auto* at = const_cast<std::byte*>(bundle.data()) + panels.begin;
    for (std::size_t i = 0; i < panels.bytes.size(); ++i) at[i] = ~at[i];
    return {};
  }
  int reads() const { return reads_; }
  /// The most parts that were read at the same time: of one expert, and of all.
  int most_together() const { return most_together_; }
  int most_reads() const { return most_reads_; }

 private:
  void wait(int nth) const {
    if (options_.most_us <= 0) return;
    std::minstd_rand random(options_.seed + static_cast<std::uint32_t>(nth));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<std::uint32_t>(options_.most_us)));
  }
  struct Reading {
    const MemoryReader& reader;
    std::pair<std::int64_t, std::int64_t> key;
    Reading(const MemoryReader& r, std::int64_t layer, std::int64_t expert) : reader(r), key(layer, expert) {
      const std::lock_guard lock(reader.mutex_);
      reader.most_together_ = std::max(reader.most_together_, ++reader.together_[key]);
      reader.most_reads_ = std::max(reader.most_reads_, ++reader.now_);
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() {
      const std::lock_guard lock(reader.mutex_);
      --reader.together_[key];
      --reader.now_;
    }
  };
  struct Panels {
    std::span<const std::byte> bytes;  // not every FFN has a gate
    std::size_t begin;                 // in the bundle
  };
  Panels panels_of(std::int64_t layer, std::int64_t expert, std::int64_t part) const {
    const moe::FfnWeights& e = experts(layer)[static_cast<std::size_t>(expert)];
    const moe::BundleLayout layout = moe::BundleLayout::of(e);
    const moe::Matrix& matrix = part == 0 ? e.gate : part == 1 ? e.up : e.down;
    const std::int64_t begin = part == 0 ? 0 : part == 1 ? layout.up : layout.down;
    return {{matrix.data, static_cast<std::size_t>(matrix.bytes())}, static_cast<std::size_t>(begin)};
  }
  const std::vector<moe::FfnWeights>& experts(std::int64_t layer) const {
    return moe::impl_of(*model_).weights->layers[static_cast<std::size_t>(layer)].experts;
  }
  std::shared_ptr<const moe::Model> model_;
  Options options_;
  mutable std::atomic<int> reads_{0}, checks_{0};
  mutable std::mutex mutex_;
  mutable std::map<std::pair<std::int64_t, std::int64_t>, int> together_;
  mutable int most_together_ = 0, most_reads_ = 0, now_ = 0;
};

/// The sizes of its layers' bundles.
inline std::vector<moe::ExpertCache::Shape> expert_shapes(const moe::Model& model) {
  std::vector<moe::ExpertCache::Shape> shapes;
  for (const moe::LayerWeights& layer : moe::impl_of(model).weights->layers)
    shapes.push_back({static_cast<std::int64_t>(layer.experts.size()),
                      layer.experts.empty() ? 0 : moe::BundleLayout::of(layer.experts.front()).bytes});
  return shapes;
}

/// `model` with its experts read through `reader` into `bytes`.
inline std::shared_ptr<const moe::Model> streamed(const std::shared_ptr<const moe::Model>& model,
                                                  std::shared_ptr<const MemoryReader> reader, std::int64_t bytes,
                                                  std::int32_t read_threads) {
  auto impl = std::make_shared<moe::ModelImpl>(moe::impl_of(*model));
  auto source = moe::ExpertSource::create(std::move(reader), *impl->weights, {bytes, read_threads});
  if (!source) return nullptr;
  impl->experts = *source;
  return moe::model_of(std::move(impl));
}

}  // namespace moe_test
