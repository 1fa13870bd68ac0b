#pragma once
// The members of run.json that only some runs have: until_known, families.

#include "eval/report/member_reader.hpp"
#include "eval/report/run_reader.hpp"

namespace moe::inline MOE_ABI::eval::read {

/// Into `run`, whose models are read.
void read_until_known(MemberReader& reader, const Place& root, Run& run);
void read_families(MemberReader& reader, const Place& root, Run& run);

}  // namespace moe::inline MOE_ABI::eval::read
