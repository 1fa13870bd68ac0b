#include "moe/session.hpp"

#include <fmt/format.h>

#include <limits>

#include "c/buffers.hpp"
#include "c/session_call.hpp"
#include "c/session_options.hpp"
#include "c/structs.hpp"
#include "c/work.hpp"

using moe::ErrorCode;
using moe::Result;

static_assert(std::atomic<bool>::is_always_lock_free);  // moe_session_cancel is for signal handlers, too

namespace {

// Numbers out of range are no sequences; the session checks which ones are open.
Result<moe::Sequence> read_sequence(std::int64_t sequence) {
  if (sequence < 0 || sequence > std::numeric_limits<moe::Sequence>::max())
    return moe::fail(ErrorCode::bad_argument, fmt::format("sequence {} is not open", sequence));
  return static_cast<moe::Sequence>(sequence);
}

Result<std::vector<moe::BatchItem>> read_batch(const moe_batch_item* items, std::int64_t count) {
  const auto list = moe::c::read_list(items, count, "items");
  if (!list) return moe::forward(list);
  std::vector<moe::BatchItem> batch;
  if (count == 0) return batch;
  // The caller's items may be shorter or longer than ours: their struct_size is the stride.
  const auto stride = moe::c::struct_size_of(items, "moe_batch_item");
  if (!stride) return moe::forward(stride);
  for (std::int64_t i = 0; i < count; ++i) {
    const char* given = reinterpret_cast<const char*>(items) + i * static_cast<std::int64_t>(*stride);
    const auto size = moe::c::struct_size_of(given, "moe_batch_item");
    if (!size) return moe::forward(size);
    if (*size != *stride)
      return moe::fail(ErrorCode::bad_argument,
                       fmt::format("item {}: struct_size is {}, expected {} as in the first", i, *size, *stride));
    moe_batch_item defaults{};
    defaults.logits = MOE_LOGITS_LAST;
    const auto item = moe::c::read_struct(given, "moe_batch_item", defaults);
    if (!item) return moe::forward(item);
    const auto sequence = read_sequence(item->sequence);
    if (!sequence) return moe::forward(sequence);
    const auto logits = moe::c::read_choice(item->logits, moe::Logits::all, "moe_batch_item.logits");
    if (!logits) return moe::forward(logits);
    const auto tokens = moe::c::read_list(item->tokens, item->token_count, "tokens");
    if (!tokens) return moe::forward(tokens);
    batch.push_back({*sequence, *tokens, *logits});
  }
  return batch;
}

moe_memory memory_of(const moe::MemoryEstimate& estimate) {
  moe_memory out{};
  out.weight_bytes = estimate.weight_bytes;
  out.cache_bytes = estimate.cache_bytes;
  out.scratch_bytes = estimate.scratch_bytes;
  out.state_bytes = estimate.state_bytes;
  return out;
}

}  // namespace

moe_status moe_session_create(const moe_model* model, const moe_session_options* options, moe_session** session,
                              moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    if (session == nullptr) return moe::c::null_argument("session");
    moe_session_options read{};
    auto with_stop = moe::c::session_options(options, read);
    if (!with_stop) return moe::forward(with_stop);
    auto handle = std::make_unique<moe_session>();
    handle->model = model->model;
    handle->cancelled = read.cancelled;
    handle->user = read.user;
    with_stop->cancelled = [s = handle.get()] { return s->asks_to_stop(); };
    if (read.on_progress != nullptr)
      with_stop->on_progress = [call = read.on_progress, user = read.user](moe::Progress p) {
        call(user, p.done, p.total);
      };
    auto created = moe::Session::create(model->model, *with_stop);
    if (!created) return moe::forward(created);
    handle->session = std::move(*created);
    *session = handle.release();
    return {};
  });
}

void moe_session_free(moe_session* session) { delete session; }

moe_status moe_session_open(moe_session* session, int64_t* sequence, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    if (sequence == nullptr) return moe::c::null_argument("sequence");
    const auto opened = s.session->open();
    if (!opened) return moe::forward(opened);
    *sequence = *opened;
    return {};
  });
}

moe_status moe_session_fork(moe_session* session, int64_t parent, int64_t* sequence, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    if (sequence == nullptr) return moe::c::null_argument("sequence");
    const auto from = read_sequence(parent);
    if (!from) return moe::forward(from);
    const auto forked = s.session->fork(*from);
    if (!forked) return moe::forward(forked);
    *sequence = *forked;
    return {};
  });
}

moe_status moe_session_rewind(moe_session* session, int64_t sequence, int64_t length, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto of = read_sequence(sequence);
    if (!of) return moe::forward(of);
    return s.session->rewind(*of, length);
  });
}

moe_status moe_session_close(moe_session* session, int64_t sequence, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto of = read_sequence(sequence);
    if (!of) return moe::forward(of);
    return s.session->close(*of);
  });
}

moe_status moe_session_length(moe_session* session, int64_t sequence, int64_t* length, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    if (length == nullptr) return moe::c::null_argument("length");
    const auto of = read_sequence(sequence);
    if (!of) return moe::forward(of);
    const auto found = s.session->length(*of);
    if (!found) return moe::forward(found);
    *length = *found;
    return {};
  });
}

moe_status moe_session_free_tokens(moe_session* session, int64_t* tokens, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    if (tokens == nullptr) return moe::c::null_argument("tokens");
    *tokens = s.session->free_tokens();
    return {};
  });
}

void moe_batch_item_init(moe_batch_item* item, size_t struct_size) {
  moe_batch_item defaults{};
  defaults.logits = MOE_LOGITS_LAST;
  moe::c::init_struct(item, struct_size, defaults);
}

moe_status moe_session_step(moe_session* session, const moe_batch_item* items, int64_t item_count, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    s.last = {};
    const auto batch = read_batch(items, item_count);
    if (!batch) return moe::forward(batch);
    auto out = s.session->step(*batch);
    if (!out) {
      if (out.error().code == ErrorCode::cancelled) s.cancel.store(false, std::memory_order_relaxed);
      return moe::forward(out);
    }
    s.last = std::move(*out);
    return {};
  });
}

void moe_session_cancel(moe_session* session) {
  if (session != nullptr) session->cancel.store(true, std::memory_order_relaxed);
}

moe_status moe_session_executed(moe_session* session, moe_work* work, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto out = moe::c::StructOut<moe_work>::create(work, "moe_work");
    if (!out) return moe::forward(out);
    out->write(moe::c::work_of(s.session->executed()));
    return {};
  });
}

moe_status moe_session_memory(moe_session* session, moe_memory* memory, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto out = moe::c::StructOut<moe_memory>::create(memory, "moe_memory");
    if (!out) return moe::forward(out);
    out->write(memory_of(moe::Session::estimate_memory(*s.model, s.session->options())));
    return {};
  });
}

moe_status moe_estimate_memory(const char* path, int64_t path_length, const moe_session_options* options,
                               moe_memory* memory, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto out = moe::c::StructOut<moe_memory>::create(memory, "moe_memory");
    if (!out) return moe::forward(out);
    const auto name = moe::c::read_path(path, path_length);
    if (!name) return moe::forward(name);
    moe_session_options read{};
    const auto session = moe::c::session_options(options, read);
    if (!session) return moe::forward(session);
    if (const auto ok = moe::Session::check(*session); !ok) return ok;
    const auto info = moe::Model::inspect(*name);
    if (!info) return moe::forward(info);
    out->write(memory_of(moe::Session::estimate_memory(*info, *session)));
    return {};
  });
}
