#pragma once
// The bytes of a packed file (*.moepack): the panels of a model as they lie in memory. All numbers are little-endian.
//
//   0                PackStart
//   64               PackSource, then a PackSourceFile for each file of tensors
//   then             a PackMatrix for each matrix, in the order of their panels
//   then             u32 CRC-32C of each block: a MiB of a section, or the rest of it, in the order of the file
//   then             zeros up to PackStart::header_bytes, a multiple of 4096
//   header_bytes     the first section: panels of all matrices but routed experts', each padded to 64 bytes
//   then             a section for each routed expert, by layer and number: its bundle (model/expert_reader.hpp)
//
// Sections begin at multiples of 4096 and are padded to them, so that O_DIRECT can read each. Padding is zeros.
//
// What is in the file besides panels follows from the model's configuration and tensor list: a reader computes all of
// it from the source and compares. Norms, biases, configuration and tokenizer are not copied.

#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::pack {

inline constexpr char kMagic[8] = {'m', 'o', 'e', 'p', 'a', 'c', 'k', '\0'};
/// Of this description. A file of another version is made again.
inline constexpr std::uint32_t kFormatVersion = 1;
/// Changes with the order of matrices (MatrixKind) and with what kernels::pack_panel() writes.
inline constexpr std::uint32_t kPanelVersion = 2;

inline constexpr std::int64_t kSectionAlignment = 4096, kMatrixAlignment = 64;
inline constexpr std::int64_t kBlockBytes = 1 << 20;

struct PackStart {
  char magic[8];
  std::uint32_t format_version;
  std::uint32_t numerics_version;  ///< kNumericsVersion
  std::uint32_t panel_version;
  std::uint32_t source_bytes;   ///< of PackSource and its files
  std::uint64_t header_bytes;   ///< everything before the panels
  std::uint64_t file_bytes;     ///< of the whole file
  std::uint32_t source_crc;     ///< CRC-32C of PackSource and its files
  std::uint32_t directory_crc;  ///< CRC-32C of all between them and header_bytes
  std::uint32_t zero[3];
  std::uint32_t start_crc;  ///< CRC-32C of the bytes above
};
static_assert(sizeof(PackStart) == 64);

/// What the panels were made from. The digests are taken over; everything else must be equal.
struct PackSource {
  std::uint64_t header_hash;  ///< Checkpoint::header_hash()
  std::uint32_t file_count;
  std::uint32_t has_digests;       ///< 1, or 0 and all digests are zeros
  std::uint8_t hash_of_magic[32];  ///< of kMagic by the hash of the digests, which identifies it
};
static_assert(sizeof(PackSource) == 48);

struct PackSourceFile {
  std::uint64_t bytes;
  std::int64_t modified_ns;
  std::uint8_t digest[32];  ///< ContentHasher::file_digests()
};
static_assert(sizeof(PackSourceFile) == 48);

struct PackMatrix {
  std::int32_t layer;   ///< -1: embedding, head
  std::uint32_t kind;   ///< MatrixKind
  std::int32_t number;  ///< of the head or expert; -1 where a layer has one
  std::uint32_t format;
  std::int64_t rows, k, panel_bytes;
  std::uint64_t offset, bytes;  ///< of its panels, in the file
};
static_assert(sizeof(PackMatrix) == 56);

}  // namespace moe::inline MOE_ABI::pack
