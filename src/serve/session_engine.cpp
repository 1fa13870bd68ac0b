#include "serve/session_engine.hpp"

namespace moe::inline MOE_ABI::serve {

SessionEngine::SessionEngine(std::unique_ptr<Session> session, std::int64_t context)
    : session_(std::move(session)),
      cache_tokens_(session_->free_tokens()),
      context_(context > 0 ? context : session_->model().config().max_position) {}

}  // namespace moe::inline MOE_ABI::serve
