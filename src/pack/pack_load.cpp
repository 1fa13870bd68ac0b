#include "pack/pack_load.hpp"

#include <filesystem>
#include <optional>

#include "model/loader.hpp"
#include "pack/build.hpp"
#include "pack/pack_file.hpp"
#include "pack/pack_path.hpp"
#include "pack/source.hpp"

namespace moe::inline MOE_ABI::pack {
namespace {

using checkpoint::Checkpoint;

/// The packed file of the model, made if it is not there. `note`: as of PackedModel.
Result<std::shared_ptr<const PackFile>> open_or_build(const std::string& path, Checkpoint& file, const LoadPlan& plan,
                                                      const Layout& layout, LoadWork& work, std::string& note) {
  const std::vector<std::byte> source = source_record(file, nullptr, {});
  auto pack = PackFile::open(path, layout, source);
  if (!pack || *pack != nullptr) return pack;
  const auto lock = FolderLock::take(path, work.options().cancelled);
  if (!lock) return forward(lock);
  pack = PackFile::open(path, layout, source);  // another process may have made it meanwhile
  if (!pack || *pack != nullptr) return pack;
  if (std::error_code error; std::filesystem::exists(path, error))
    note = path + ": was of another model, or of another version of it or of libmoe, and is replaced";
  lock->remove_dead_parts(path);
  if (auto ok = build(path, file, plan, layout, work); !ok) return forward(ok);
  pack = PackFile::open(path, layout, source);
  if (pack && *pack == nullptr) return fail(ErrorCode::io, path + ": was replaced while it was being made");
  return pack;
}

/// Matrices point into `panels`, the bytes of the file from header_bytes to `end`.
void point_at(const std::byte* panels, const Layout& layout, std::uint64_t end) {
  for (const PlacedMatrix& m : layout.matrices)
    if (m.offset < end) m.matrix->data = const_cast<std::byte*>(panels + (m.offset - layout.header_bytes));
}

Result<void> load_panels(const PackFile& pack, const PackLoad& what, LoadWork& work, Weights& weights) {
  const Layout& layout = pack.layout();
  const std::uint64_t end = what.experts ? layout.file_bytes : layout.resident_end();
  const std::size_t blocks = what.experts ? layout.blocks.size() : layout.resident_blocks;
  const std::uint64_t bytes = end - layout.header_bytes;
  if (work.options().pack_use == PackUse::map) {
    auto mapping = pack.map(blocks, work);
    if (!mapping) return forward(mapping);
    point_at(mapping->get() + layout.header_bytes, layout, end);
    weights.mapping = std::move(*mapping);
    weights.mapped_bytes = static_cast<std::int64_t>(bytes);
    return {};
  }
  auto buffer = AlignedBuffer<std::byte>::create(static_cast<std::size_t>(bytes));
  if (!buffer) return fail(buffer.error().code, "the weights: " + buffer.error().message);
  if (auto ok = pack.read(blocks, buffer->data(), work); !ok) return ok;
  point_at(buffer->data(), layout, end);
  weights.memory = std::move(*buffer);
  return {};
}

/// With digests from the packed file, nothing is left to hash but texts, which were read. Otherwise everything is read.
Result<std::string> load_vectors_and_hash(Checkpoint& file, const LoadPlan& plan, const PackFile& pack,
                                          LoadWork& work) {
  const ContentHash hash = work.options().content_hash;
  const auto known = hash == nullptr ? std::nullopt : digests_in(pack.source(), hash);
  if (known) file.set_digests(*known);
  std::optional<checkpoint::ContentHasher> hasher;
  if (hash != nullptr) hasher.emplace(file.sources(), hash);
  if (auto ok = load_vectors(file, plan, work, hasher && !known ? &*hasher : nullptr); !ok) return forward(ok);
  return hasher ? hasher->value() : std::string();
}

}  // namespace

Result<PackedModel> load_packed(const std::string& model, Checkpoint& file, const LoadPlan& plan,
                                const LoadOptions& options, const PackLoad& what, Weights& weights) {
  const auto path = path_of_pack(options.pack, model);
  if (!path) return forward(path);
  const auto layout = lay_out(weights, plan, file.file_states().size());
  if (!layout) return forward(layout);
  LoadWork work(options);
  work.expect(
      static_cast<std::int64_t>((what.experts ? layout->file_bytes : layout->resident_end()) - layout->header_bytes));
  std::string note;
  const auto pack = open_or_build(*path, file, plan, *layout, work, note);
  if (!pack) return forward(pack);
  auto content_hash = load_vectors_and_hash(file, plan, **pack, work);
  if (!content_hash) return forward(content_hash);
  if (auto ok = load_panels(**pack, what, work, weights); !ok) return forward(ok);
  work.finish();
  return PackedModel{std::move(*content_hash), *pack, std::move(note)};
}

}  // namespace moe::inline MOE_ABI::pack
