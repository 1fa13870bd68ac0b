#include "moe/cpu.hpp"

#include "kernels/table.hpp"

namespace moe::inline MOE_ABI {

std::string_view active_isa() noexcept {
  const kernels::KernelTable* table = kernels::active_table();
  return table == nullptr ? std::string_view() : table->isa;
}

bool multiplies_int8(Format format) noexcept {
  const kernels::KernelTable* table = kernels::active_table();
  return table != nullptr && !name_of(format).empty() && table->gemm_q8[static_cast<std::size_t>(format)] != nullptr;
}

}  // namespace moe::inline MOE_ABI
