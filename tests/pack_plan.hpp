#pragma once
// What a model's packed file must be, and packed files to be damaged. For tests and fuzzers.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "pack/format.hpp"
#include "pack/pack_file.hpp"
#include "pack/source.hpp"
#include "support/crc32c.hpp"

namespace moe_test {

/// The value; an error ends the test.
template <class T>
T taken(moe::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::abort();
  }
  return std::move(*result);
}

struct PackPlan {
  std::unique_ptr<moe::checkpoint::Checkpoint> file;
  moe::Weights weights;
  moe::LoadPlan plan;
  moe::pack::Layout layout;
  std::vector<std::byte> source;

  explicit PackPlan(const std::string& model) : file(taken(moe::checkpoint::open(model))) {
    const auto recognised = taken(moe::arch::recognise(*file));
    plan = taken(moe::plan_weights(*file, recognised, weights));
    layout = taken(moe::pack::lay_out(weights, plan, file->file_states().size()));
    source = moe::pack::source_record(*file, nullptr, {});
  }
  moe::Result<std::shared_ptr<const moe::pack::PackFile>> open(const std::string& path) const {
    return moe::pack::PackFile::open(path, layout, source);
  }
};

template <class T>
void put_at(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// Right checksums for a header whose fields were changed.
inline void repair_header(std::string& bytes) {
  using moe::pack::PackStart;
  PackStart start;
  if (bytes.size() < sizeof start) return;
  std::memcpy(&start, bytes.data(), sizeof start);
  const auto crc = [&](std::size_t from, std::size_t to) {
    return moe::crc32c(std::as_bytes(std::span(bytes)).subspan(from, to - from));
  };
  const std::size_t source_end = sizeof start + start.source_bytes;
  if (source_end <= bytes.size()) put_at(bytes, offsetof(PackStart, source_crc), crc(sizeof start, source_end));
  if (source_end <= start.header_bytes && start.header_bytes <= bytes.size())
    put_at(bytes, offsetof(PackStart, directory_crc), crc(source_end, start.header_bytes));
  put_at(bytes, offsetof(PackStart, start_crc), crc(0, offsetof(PackStart, start_crc)));
}

/// Reads a whole bundle.
inline moe::Result<void> read_parts(const moe::ExpertReader& reader, std::int64_t layer, std::int64_t expert,
                                    std::span<std::byte> bundle) {
  for (std::int64_t part = 0; part < reader.part_count(layer); ++part) {
    if (auto ok = reader.read(layer, expert, part, bundle); !ok) return ok;
    if (auto ok = reader.check(layer, expert, part, bundle); !ok) return ok;
  }
  return {};
}

}  // namespace moe_test
