#pragma once
// Counts the bytes that operator new has handed out: the programs that include allocation_meter.cpp replace it.

#include <cstddef>

namespace moe_test {

/// Starts a new measurement: the peak is counted from what is allocated now.
void start_allocation_meter();
/// Most bytes allocated at one time since then, above the level at its start.
std::size_t allocation_peak();
/// Bytes allocated now, above the level at its start.
std::size_t allocation_level();

}  // namespace moe_test
