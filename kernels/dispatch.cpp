// Chooses the kernel table by CPU features, by the registers that the operating system saves, and by MOE_ISA.

#include <cstdlib>
#include <cstring>

#include "kernels/table.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace moe::inline MOE_ABI::kernels {

// The tags are defined in simd.hpp, which only isa/ units may include.
#define MOE_ISA_ENTRY(name, Arch) struct Arch;
#include "kernels/isa_list.inc"
#undef MOE_ISA_ENTRY

namespace {

#if defined(__x86_64__)
struct Cpu {
  bool avx2 = false, avx512 = false, avx512vnni = false, amx = false;
};

// Linux enables the tile registers of a process only on request: ARCH_REQ_XCOMP_PERM for XTILEDATA. It refuses where
// a thread's alternative signal stack is too small to hold them.
bool permit_tiles() noexcept {
#ifdef __linux__
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

std::uint64_t enabled_state() noexcept {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

constexpr bool all(std::uint64_t bits, std::uint64_t wanted) noexcept { return (bits & wanted) == wanted; }
constexpr std::uint64_t bit(int n) noexcept { return std::uint64_t{1} << n; }

Cpu detect_cpu() noexcept {
  Cpu cpu;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return cpu;
  // The operating system may not save all registers of the CPU: XGETBV, available with OSXSAVE, tells which.
  const bool fma_osxsave_avx_f16c = all(c, bit(12) | bit(27) | bit(28) | bit(29));
  if (!fma_osxsave_avx_f16c) return cpu;
  const std::uint64_t state = enabled_state();
  const bool ymm = all(state, bit(1) | bit(2));
  const bool zmm = ymm && all(state, bit(5) | bit(6) | bit(7));
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return cpu;
  cpu.avx2 = ymm && all(b, bit(5));
  const bool f_dq_cd_bw_vl = all(b, bit(16) | bit(17) | bit(28) | bit(30) | bit(31));
  cpu.avx512 = cpu.avx2 && zmm && f_dq_cd_bw_vl;
  cpu.avx512vnni = cpu.avx512 && all(c, bit(11));
  const bool amx_tile_int8 = all(d, bit(24) | bit(25));
  cpu.amx = cpu.avx512vnni && amx_tile_int8 && all(state, bit(17) | bit(18)) && permit_tiles();
  return cpu;
}

bool can_run(const char* isa) noexcept {
  static const Cpu cpu = detect_cpu();
  if (std::strcmp(isa, "avx2") == 0) return cpu.avx2;
  if (std::strcmp(isa, "avx512") == 0) return cpu.avx512;
  if (std::strcmp(isa, "avx512vnni") == 0) return cpu.avx512vnni;
  if (std::strcmp(isa, "amx") == 0) return cpu.amx;
  return std::strcmp(isa, "scalar") == 0;
}
#elif defined(__aarch64__) && defined(__linux__)
bool can_run(const char* isa) noexcept {
  const unsigned long wanted = HWCAP_ASIMD | HWCAP_ASIMDDP | HWCAP_FPHP | HWCAP_ASIMDHP;
  if (std::strcmp(isa, "neon") == 0) return (getauxval(AT_HWCAP) & wanted) == wanted;
  return std::strcmp(isa, "scalar") == 0;
}
#else
bool can_run(const char* isa) noexcept { return std::strcmp(isa, "scalar") == 0; }
#endif

constexpr int kMaxTables = 8;
struct Runnable {
  const KernelTable* tables[kMaxTables] = {};
  int count = 0;

  Runnable() noexcept {
#define MOE_ISA_ENTRY(name, Arch) \
  if (can_run(#name)) tables[count++] = &table_for<Arch>();
#include "kernels/isa_list.inc"
#undef MOE_ISA_ENTRY
  }
};

const Runnable& runnable() noexcept {
  static const Runnable r;
  return r;
}

}  // namespace

const KernelTable* const* runnable_tables(int& count) noexcept {
  count = runnable().count;
  return runnable().tables;
}

const KernelTable* find_table(const char* isa) noexcept {
  const Runnable& r = runnable();
  for (int i = 0; i < r.count; ++i)
    if (std::strcmp(r.tables[i]->isa, isa) == 0) return r.tables[i];
  return nullptr;
}

// Called once per Session: the environment may name another table for the next one.
const KernelTable* active_table() noexcept {
  const char* forced = std::getenv("MOE_ISA");
  if (forced != nullptr && *forced != '\0') return find_table(forced);
  const Runnable& r = runnable();
  return r.tables[r.count - 1];
}

}  // namespace moe::inline MOE_ABI::kernels
