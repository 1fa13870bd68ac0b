#pragma once
// A packed file that was checked against what it must be: nothing in it is trusted before.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/input_file.hpp"
#include "model/expert_reader.hpp"
#include "model/load_work.hpp"
#include "pack/format.hpp"
#include "pack/layout.hpp"

namespace moe::inline MOE_ABI::pack {

class PackFile final : public ExpertReader {
 public:
  /// Null when there is none, or one of another version or of another source (source_record()): then it is to be made.
  /// Errors: io; bad_file, naming the file and the item, when it is damaged, no packed file, or could have been written
  /// by another user.
  static Result<std::shared_ptr<const PackFile>> open(const std::string& path, Layout layout,
                                                      std::span<const std::byte> source);

  const std::string& path() const { return file_.path(); }
  const Layout& layout() const { return layout_; }
  /// PackSource with its files and their digests.
  std::span<const std::byte> source() const { return source_; }

  /// Reads blocks [0, last) into `out`, as a part of `work`. Errors: io, bad_file, cancelled.
  Result<void> read(std::size_t last, std::byte* out, LoadWork& work) const;
  /// The bytes up to the end of blocks [0, last), shared with other processes (InputFile::map), checked once.
  Result<std::shared_ptr<const std::byte>> map(std::size_t last, LoadWork& work) const;

  std::int64_t bundle_bytes(std::int64_t layer) const override;
  std::int64_t part_count(std::int64_t layer) const override;
  std::uint64_t position(std::int64_t layer, std::int64_t expert) const override;
  Result<void> read(std::int64_t layer, std::int64_t expert, std::int64_t part,
                    std::span<std::byte> bundle) const override;
  Result<void> check(std::int64_t layer, std::int64_t expert, std::int64_t part,
                     std::span<const std::byte> bundle) const override;

 private:
  struct ExpertPart {
    std::size_t block;         // of layout_.blocks
    std::size_t begin, bytes;  // in the bundle
  };
  /// Errors: bad_argument.
  Result<ExpertPart> part_of(std::int64_t layer, std::int64_t expert, std::int64_t part,
                             std::size_t bundle_bytes) const;

  PackFile(checkpoint::InputFile file, Layout layout) : file_(std::move(file)), layout_(std::move(layout)) {}
  tl::unexpected<Error> damaged(const std::string& what) const;
  /// False: of another version or source.
  Result<bool> read_header(std::span<const std::byte> source);
  Result<bool> read_source(const PackStart& start, std::span<const std::byte> source);
  Result<void> read_directory(const PackStart& start);
  Result<void> check_blocks(std::size_t first, std::size_t last, const std::byte* at) const;
  template <class Part>
  Result<void> in_parts(std::size_t last, LoadWork& work, const Part& part) const;

  checkpoint::InputFile file_;
  Layout layout_;
  std::vector<std::byte> source_;
  std::vector<std::uint32_t> crcs_;  // of layout_.blocks
};

/// What stands at `path` may be replaced by a packed file: nothing, or what begins as one.
/// Errors: bad_argument, io.
Result<void> check_replaceable(const std::string& path);

}  // namespace moe::inline MOE_ABI::pack
