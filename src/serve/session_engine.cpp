#include "serve/session_engine.hpp"

namespace moe::inline MOE_ABI::serve {

SessionEngine::SessionEngine(std::unique_ptr<Session> session)
    : session_(std::move(session)), cache_tokens_(session_->free_tokens()) {}

}  // namespace moe::inline MOE_ABI::serve
