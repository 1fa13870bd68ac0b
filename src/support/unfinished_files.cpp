#include "moe/unfinished_files.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>

namespace moe::inline MOE_ABI {

namespace {

// A signal handler may neither lock nor read a std::string that another thread changes. So names are in fixed buffers
// with a state that marks them complete. Programs write one or two files at a time.
struct Slot {
  enum State : int { free, changing, whole };
  std::atomic<int> state{free};
  std::array<char, 4096> path{};
};
static_assert(std::atomic<int>::is_always_lock_free);
std::array<Slot, 8> slots;

}  // namespace

int note_unfinished(const std::string& path) {
  for (std::size_t i = 0; i < slots.size() && path.size() < slots[i].path.size(); ++i) {
    int expected = Slot::free;
    if (!slots[i].state.compare_exchange_strong(expected, Slot::changing)) continue;
    std::memcpy(slots[i].path.data(), path.c_str(), path.size() + 1);
    slots[i].state.store(Slot::whole);
    return static_cast<int>(i);
  }
  return -1;
}

void note_finished(int slot) {
  if (slot >= 0) slots[static_cast<std::size_t>(slot)].state.store(Slot::free);
}

void remove_unfinished_files() noexcept {
  for (const Slot& slot : slots)
    if (slot.state.load() == Slot::whole) ::unlink(slot.path.data());
}

}  // namespace moe::inline MOE_ABI
