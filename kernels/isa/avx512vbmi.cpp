// e4m3 with one permutation of bytes for 64 codes, for the table avx512vnni.

#include "kernels/gemm_unpacked.hpp"

namespace moe::inline MOE_ABI::kernels {

void gemm_e4m3_vbmi(const GemmQ8& g) noexcept { gemm_e4m3<Avx512Vbmi>(g); }

}  // namespace moe::inline MOE_ABI::kernels
