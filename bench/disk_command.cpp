#include "bench/disk_command.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "bench/bench_output.hpp"
#include "bench/disk_limit.hpp"
#include "support/bytes_in_words.hpp"
#include "support/same_file.hpp"
#include "support/show.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/program.hpp"

namespace moe_bench {
namespace {

struct Pieces {
  std::int64_t bytes;         // of one piece
  std::int64_t memory_bytes;  // DiskReads::memory_bytes

  std::string in_words() const {
    const std::string words = moe::bytes_in_words(bytes);
    return memory_bytes > 0 ? words + ", to " + moe::bytes_in_words(memory_bytes) : words;
  }
};

}  // namespace

moe::Result<void> disk_command(const std::string& path, const std::string& json) {
  constexpr std::int64_t kMiB = std::int64_t{1} << 20;
  // The last one as experts are read: into more memory than a cache holds.
  constexpr Pieces kPieces[] = {{kMiB / 16, 0}, {kMiB, 0}, {4 * kMiB, 0}, {kMiB, 256 * kMiB}};
  constexpr std::int32_t kThreads[] = {1, 2, 4};
  constexpr std::int64_t kMeasurements = std::size(kPieces) * std::size(kThreads);
  if (!json.empty() && json != "-" && moe::same_file(json, path))
    return moe::fail(moe::ErrorCode::bad_argument, "--json " + json + " is what is measured: name another file");
  auto output = BenchOutput::open(json, "");
  if (!output) return moe::forward(output);
  cli::ProgressLine line("measuring the disk");
  line.update({0, kMeasurements});
  const auto file = DiskFile::open(path, cli::interrupted);
  if (!file) return moe::forward(file);

  std::string rows;
  auto measurements = nlohmann::ordered_json::array();
  bool is_direct = true;
  for (const Pieces& piece : kPieces) {
    rows += fmt::format("{:<24}", piece.in_words());
    for (const std::int32_t threads : kThreads) {
      const auto limit = file->measure(
          {.read_bytes = piece.bytes, .threads = threads, .memory_bytes = piece.memory_bytes}, cli::interrupted);
      if (!limit) return moe::forward(limit);
      rows += fmt::format(" {:>10.0f}", limit->bytes_per_second * 1e-6);
      is_direct = limit->is_direct;
      measurements.push_back({{"read_bytes", piece.bytes},
                              {"threads", threads},
                              {"memory_bytes", piece.memory_bytes},
                              {"bytes_per_second", limit->bytes_per_second}});
      line.update({static_cast<std::int64_t>(measurements.size()), kMeasurements});
    }
    rows += "\n";
  }
  line.clear();
  // What was read a moment before comes from the memory of a virtual machine's host.
  constexpr std::int64_t kLong = std::int64_t{8} << 30;
  if (file->size() < kLong)
    rows += fmt::format("of {}, some of it more than once: a host's memory may have helped; a longer file says more\n",
                        moe::bytes_in_words(file->size()));
  return output->write(
      fmt::format("{}: MB/s of reads at random places {} the page cache, {:.0f} s each\n{:<24} {:>10} {:>10} {:>10}\n",
                  moe::printable(path), is_direct ? "past" : "through", DiskReads{}.seconds, "piece", "1 thread",
                  "2 threads", "4 threads") +
          rows,
      {{"disk", path}, {"is_direct", is_direct}, {"measurements", measurements}});
}

}  // namespace moe_bench
