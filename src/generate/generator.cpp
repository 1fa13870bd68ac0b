#include <fmt/format.h>

#include <utility>

#include "batch/kept_sequences.hpp"
#include "generate/batch_run.hpp"
#include "generate/model_drafter.hpp"
#include "moe/generate.hpp"

namespace moe::inline MOE_ABI {

struct Generator::Impl {
  std::unique_ptr<Session> own;
  Session* session = nullptr;
  std::optional<batch::KeptSequences> kept;
  std::unique_ptr<generate::ModelDrafter> drafter, mtp;
  generate::BatchRun* running = nullptr;

  void use(Session& s) { kept.emplace(*(session = &s)); }
  // A session that ends its steps when what runs is cancelled. The Impl does not move.
  SessionOptions with_cancel(SessionOptions options) {
    options.cancelled = [this, own = std::move(options.cancelled)] {
      return (own && own()) || (running != nullptr && running->is_cancelled());
    };
    return options;
  }
};

Generator::Generator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Generator::Generator(Session& session) : impl_(std::make_unique<Impl>()) { impl_->use(session); }
Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;

Result<Generator> Generator::create(std::shared_ptr<const Model> model, const SessionOptions& options) {
  auto impl = std::make_unique<Impl>();
  auto session = Session::create(std::move(model), impl->with_cancel(options));
  if (!session) return forward(session);
  impl->own = std::move(*session);
  impl->use(*impl->own);
  return Generator(std::move(impl));
}

Result<std::vector<std::vector<Generation>>> Generator::generate(std::span<const GenerateRequest> requests) {
  generate::BatchRun run(*impl_->session, *impl_->kept, {impl_->drafter.get(), impl_->mtp.get()}, requests);
  struct Running {  // also when a callback of the host throws
    generate::BatchRun*& at;
    ~Running() { at = nullptr; }
  } const running{impl_->running};
  impl_->running = &run;
  return run.run();
}

Result<Generation> Generator::generate(const Prompt& prompt, const GenerateOptions& options) {
  if (options.replies != 1)
    return fail(
        ErrorCode::bad_argument,
        fmt::format("replies is {}, expected 1: the call for several requests returns several", options.replies));
  const GenerateRequest request{prompt, options};
  auto out = generate(std::span(&request, 1));
  if (!out) return forward(out);
  Generation& reply = out->front().front();
  if (reply.error) return fail(reply.error->code, reply.error->message);
  return std::move(reply);
}

Result<void> Generator::use_draft_model(std::shared_ptr<const Model> model, const SessionOptions& options) {
  auto drafter = generate::ModelDrafter::create(impl_->session->model(), std::move(model), impl_->with_cancel(options));
  if (!drafter) return forward(drafter);
  impl_->drafter = std::move(*drafter);
  return {};
}

const Session* Generator::draft_session() const {
  return impl_->drafter != nullptr ? &impl_->drafter->session() : nullptr;
}

Result<void> Generator::use_mtp(const SessionOptions& options) {
  if (!impl_->session->options().record_states)
    return fail(ErrorCode::bad_argument,
                "the generator's session records no states, expected SessionOptions::record_states");
  auto drafter = generate::ModelDrafter::create_mtp(impl_->session->model(), impl_->with_cancel(options));
  if (!drafter) return forward(drafter);
  impl_->mtp = std::move(*drafter);
  return {};
}

const Session* Generator::mtp_session() const { return impl_->mtp != nullptr ? &impl_->mtp->session() : nullptr; }

void Generator::forget() {
  impl_->kept->clear();
  for (const auto* drafter : {&impl_->drafter, &impl_->mtp})
    if (*drafter != nullptr) (*drafter)->forget();
}
Session& Generator::session() { return *impl_->session; }

}  // namespace moe::inline MOE_ABI
