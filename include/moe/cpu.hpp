#pragma once
// What this processor computes with.

#include <string_view>

#include "moe/error.hpp"
#include "moe/formats.hpp"

namespace moe::inline MOE_ABI {

/// The instruction set whose kernels a Session made now runs: "scalar", "avx2", "avx512", "avx512vnni", "amx", "neon".
/// The fastest one that processor and operating system have, or what the environment variable MOE_ISA names; empty when
/// it names one that cannot run here: then Session::create fails.
MOE_API std::string_view active_isa() noexcept;

/// Whether weights of this format are multiplied in int8 there (Precision::automatic); otherwise in float32.
MOE_API bool multiplies_int8(Format format) noexcept;

}  // namespace moe::inline MOE_ABI
