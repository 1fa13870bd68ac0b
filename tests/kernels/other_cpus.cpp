// Tables of other CPUs for one that has AVX-512 VNNI: `amx` with emulated tile instructions, and `avx512vnni` without
// VBMI. Compiled with the flags of avx512vnni, and so includes nothing that another unit could share with it.

#include "emulated_tiles.hpp"
//
#include "kernels/gemm_unpacked.hpp"
#include "kernels/isa/amx_parts.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Amx, but no symbol of the library's own table.
struct EmulatedAmx {
  using Simd = Amx::Simd;
  static constexpr const char* kName = "amx, emulated";
  static constexpr bool kVnni = true;
};
template <>
struct Vector<EmulatedAmx> : Vector<Amx> {};

/// Avx512Vnni, likewise.
struct PlainVnni {
  using Simd = Avx512Vnni::Simd;
  static constexpr const char* kName = "avx512vnni without VBMI";
  static constexpr bool kVnni = true;
};
template <>
struct Vector<PlainVnni> : Vector<Avx512Vnni> {};

const KernelTable* make_plain_vnni() noexcept {
  static KernelTable table = table_for<Avx512Vnni>();
  table.isa = PlainVnni::kName;
  table.gemm_q8[static_cast<int>(Format::e4m3)] = gemm_e4m3<PlainVnni>;
  return &table;
}

const KernelTable* make_emulated_amx() noexcept {
  static KernelTable table = table_for<Avx512Vnni>();
  table.isa = EmulatedAmx::kName;
  fill_amx<EmulatedAmx, BlockKind::plain>(table);
  fill_amx<EmulatedAmx, BlockKind::minimum>(table);
  fill_amx<EmulatedAmx, BlockKind::halves>(table);
  fill_amx<EmulatedAmx, BlockKind::halves_min>(table);
  fill_amx_scaled<EmulatedAmx>(table);
  return &table;
}

}  // namespace moe::inline MOE_ABI::kernels
