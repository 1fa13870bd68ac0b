#include "serve/session_engine.hpp"

#include "moe/flops.hpp"

namespace moe::inline MOE_ABI::serve {

SessionEngine::SessionEngine(std::unique_ptr<Session> session)
    : session_(std::move(session)), cache_tokens_(session_->free_tokens()) {}

std::int64_t SessionEngine::flops_of(std::int64_t cached_tokens, std::int64_t new_tokens, std::int64_t rows,
                                     std::optional<std::int64_t> experts) const {
  const ModelConfig& config = session_->model().config();
  const Work work = experts ? forward_work(config, cached_tokens, new_tokens, rows, MlaForm::absorbed, *experts)
                            : forward_work(config, cached_tokens, new_tokens, rows, MlaForm::absorbed);
  return work.total();
}

}  // namespace moe::inline MOE_ABI::serve
