#include "pack/build.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "model/panel_units.hpp"
#include "pack/pack_writer.hpp"
#include "pack/source.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

constexpr std::uint64_t kGroupBytes = std::uint64_t{64} << 20;

/// A unit and where its panels go in the file.
struct Piece {
  PanelUnit unit;
  std::uint64_t offset = 0, bytes = 0;

  std::uint64_t end() const { return offset + bytes; }
};

Result<std::vector<Piece>> pieces_of(const LoadPlan& plan, const Layout& layout) {
  std::unordered_map<const Matrix*, const MatrixJob*> jobs;
  for (const MatrixJob& job : plan.matrices) jobs.emplace(job.out, &job);
  std::vector<Piece> pieces;
  for (const PlacedMatrix& m : layout.matrices) {
    const auto job = jobs.find(m.matrix);
    if (job == jobs.end()) return fail(ErrorCode::internal, "the plan does not fill " + text_of(m));
    for (const PanelUnit& unit : panel_units(*job->second))
      pieces.push_back({unit, m.offset + static_cast<std::uint64_t>(unit.begin * m.matrix->panel_bytes),
                        static_cast<std::uint64_t>((unit.end - unit.begin) * m.matrix->panel_bytes)});
  }
  return pieces;
}

/// The end of a group of pieces that are in memory together, with the gaps between them.
std::size_t group_end(const std::vector<Piece>& pieces, std::size_t first) {
  std::size_t end = first + 1;
  while (end < pieces.size() && pieces[end].end() - pieces[first].offset <= kGroupBytes) ++end;
  return end;
}

class Builder {
 public:
  Builder(const checkpoint::Checkpoint& file, std::vector<Piece> pieces, LoadWork& work)
      : file_(file), pieces_(std::move(pieces)), work_(work), buffers_(static_cast<std::size_t>(work.worker_count())) {}

  Result<void> run(PackWriter& out);

 private:
  Result<void> pack(std::size_t first, std::size_t last, std::byte* at);

  const checkpoint::Checkpoint& file_;
  std::vector<Piece> pieces_;
  LoadWork& work_;
  std::vector<RowBuffers> buffers_;  // one per worker
};

// In the order of the source, where bundles take from three places: blocks that are hashed are then read once.
Result<void> Builder::pack(std::size_t first, std::size_t last, std::byte* at) {
  std::vector<const Piece*> order;
  for (std::size_t i = first; i < last; ++i) order.push_back(&pieces_[i]);
  std::sort(order.begin(), order.end(), [](const Piece* a, const Piece* b) {
    return std::tie(a->unit.file, a->unit.offset) < std::tie(b->unit.file, b->unit.offset);
  });
  const std::uint64_t begin = pieces_[first].offset;
  return work_.run(static_cast<std::int64_t>(order.size()), [&](std::int64_t i, std::int32_t worker) -> Result<void> {
    const Piece& piece = *order[static_cast<std::size_t>(i)];
    auto ok = pack_unit(file_, piece.unit, buffers_[static_cast<std::size_t>(worker)], at + (piece.offset - begin));
    if (ok) work_.add(piece.unit.bytes);
    return ok;
  });
}

Result<void> Builder::run(PackWriter& out) {
  std::uint64_t most = 0;
  for (std::size_t first = 0; first < pieces_.size(); first = group_end(pieces_, first))
    most = std::max(most, pieces_[group_end(pieces_, first) - 1].end() - pieces_[first].offset);
  for (const Piece& piece : pieces_) work_.expect(piece.unit.bytes);
  auto group = AlignedBuffer<std::byte>::create(static_cast<std::size_t>(most));
  if (!group) return forward(group);
  for (std::size_t first = 0, last; first < pieces_.size(); first = last) {
    last = group_end(pieces_, first);
    const std::size_t bytes = pieces_[last - 1].end() - pieces_[first].offset;
    std::memset(group->data(), 0, bytes);  // gaps
    if (auto ok = pack(first, last, group->data()); !ok) return ok;
    if (auto ok = out.write(pieces_[first].offset, group->span().first(bytes), work_); !ok) return ok;
  }
  return {};
}

/// Reads what no panel was made from: of other towers, or what lies between tensors.
Result<void> hash_the_rest(const checkpoint::ContentHasher& hash, LoadWork& work) {
  return work.run(static_cast<std::int64_t>(hash.blocks().size()), [&](std::int64_t i, std::int32_t) {
    work.add(0);  // asks whether to go on; most blocks were read for panels, which the progress has counted
    return hash.add(static_cast<std::size_t>(i));
  });
}

}  // namespace

Result<void> build(const std::string& path, checkpoint::Checkpoint& file, const LoadPlan& plan, const Layout& layout,
                   LoadWork& work) {
  auto pieces = pieces_of(plan, layout);
  if (!pieces) return forward(pieces);
  auto out = PackWriter::begin(path, layout, work.options().cancelled);
  if (!out) return forward(out);
  // Those of a group, and one at each end of what a worker reads.
  file.keep_blocks(kGroupBytes / checkpoint::kFileBlockBytes + 3 * static_cast<std::size_t>(work.worker_count()));
  if (auto ok = Builder(file, std::move(*pieces), work).run(*out); !ok) return ok;
  const ContentHash hash = work.options().content_hash;
  if (hash != nullptr) {
    const checkpoint::ContentHasher hasher(file.sources(), hash);
    if (auto ok = hash_the_rest(hasher, work); !ok) return ok;
    const auto digests = hasher.file_digests();
    if (!digests) return forward(digests);
    file.set_digests(*digests);
    return out->finish(source_record(file, hash, *digests), work);
  }
  return out->finish(source_record(file, nullptr, {}), work);
}

}  // namespace moe::inline MOE_ABI::pack
