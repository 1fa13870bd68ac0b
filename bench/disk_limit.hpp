#pragma once
// How fast this disk is read past the page cache: the limit of a model whose experts stay in a file.

#include <cstdint>
#include <functional>
#include <string>

#include "moe/error.hpp"

namespace moe_bench {

struct DiskLimit {
  double bytes_per_second = 0.0;
  std::int64_t read_bytes = 0;  ///< of one read
  std::int32_t threads = 1;
  bool is_direct = true;  ///< false: the file system has no O_DIRECT, and the page cache took part
};

/// Reads pieces of `read_bytes` (a multiple of 4096) at random places of the file with `threads` threads for about two
/// seconds. Errors: not_found, io (also a file smaller than one piece), out_of_memory, cancelled.
moe::Result<DiskLimit> measure_disk(const std::string& path, std::int64_t read_bytes, std::int32_t threads,
                                    const std::function<bool()>& cancelled = {});
/// The same of a folder, with a file of 1 GiB that is made there and removed.
moe::Result<DiskLimit> measure_disk_of_folder(const std::string& folder, std::int64_t read_bytes, std::int32_t threads,
                                              const std::function<bool()>& cancelled = {});

}  // namespace moe_bench
