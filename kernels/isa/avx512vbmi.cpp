// e4m3 to int8 with one permutation of bytes for 64 codes, for the table avx512vnni.

#include "kernels/gemm_e4m3.hpp"

namespace moe::inline MOE_ABI::kernels {

void unpack_e4m3_vbmi(const std::byte* panel, const Panels& w, std::int64_t begin, std::int64_t count,
                      const std::byte* ahead, std::byte* out) noexcept {
  unpack_e4m3<Avx512Vbmi>(panel, w, begin, count, ahead, out);
}

}  // namespace moe::inline MOE_ABI::kernels
