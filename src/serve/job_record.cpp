#include "serve/job_record.hpp"

namespace moe::inline MOE_ABI::serve {

std::int64_t JobRecord::pages_to_come() const {
  std::int64_t pages = 0;
  if (!has_branched) {
    // Only full pages are shared; a partly filled one is copied.
    const std::int64_t there = std::max(trunk_length, waited_tokens);
    pages += batch::pages_of(trunk_end()) - (is_fresh ? batch::full_pages_of(there) : batch::pages_of(there));
  }
  for (const ReplyRecord& reply : replies) {
    if (reply.has_ended || !generates) continue;
    const std::int64_t length = prompt_tokens() + static_cast<std::int64_t>(reply.tokens().size());
    const std::int64_t there = has_branched ? reply.length : prompt_tokens();
    pages += batch::pages_of(length) - batch::pages_of(there) + 1;
  }
  return pages;
}

}  // namespace moe::inline MOE_ABI::serve
