// Tables of other CPUs for one that has AVX-512 VNNI: `amx` with emulated tile instructions, and `avx512vnni` without
// VBMI. Compiled with the flags of avx512vnni: shares no symbol with other units (kernels_isa_symbols).

#include "emulated_tiles.hpp"
// After the emulation, which replaces their intrinsics:
#include "kernels/gemm_unpacked.hpp"
#include "kernels/isa/amx_parts.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Amx, but no symbol of the library's own table.
struct EmulatedAmx : Amx {
  static constexpr const char* kName = "amx, emulated";
};
template <>
struct Vector<EmulatedAmx> : Vector<Amx> {};

/// Avx512Vnni, likewise.
struct PlainVnni : Avx512Vnni {
  static constexpr const char* kName = "avx512vnni without VBMI";
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
