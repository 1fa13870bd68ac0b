#pragma once
// The instruction set in use.

#include <string_view>

#include "moe/error.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI {

/// The instruction set whose kernels a new Session uses: "scalar", "avx2", "avx512", "avx512vnni", "amx", "neon".
/// The fastest that processor and operating system support, or the one that the environment variable MOE_ISA names.
/// Empty when MOE_ISA names one that cannot run here; Session::create fails then.
MOE_API std::string_view active_isa() noexcept;

/// Whether weights of this format are multiplied in int8 (Precision::automatic); otherwise in float32.
MOE_API bool multiplies_int8(Format format) noexcept;

}  // namespace moe::inline MOE_ABI
