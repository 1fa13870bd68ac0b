#pragma once
// The structs of moe.h's opaque handles.

#include <atomic>
#include <memory>
#include <optional>

#include "moe.h"
#include "moe/generate.hpp"
#include "moe/model.hpp"
#include "moe/parallel.hpp"
#include "moe/sampling.hpp"
#include "moe/score.hpp"
#include "moe/session.hpp"

struct moe_pool {
  moe::ParallelFor threads;
};

struct moe_model {
  std::shared_ptr<const moe::Model> model;
  std::atomic<std::int64_t> owners{1};
};

struct moe_logits {
  std::shared_ptr<const float[]> values;
};

struct moe_sampler {
  moe::Sampler sampler;
};

struct moe_session {
  std::shared_ptr<const moe::Model> model;
  std::atomic<bool> cancel{false};  // set by moe_session_cancel, reset by the call that it cancelled
  std::atomic<bool> is_busy{false};
  moe_is_cancelled cancelled = nullptr;
  void* user = nullptr;
  std::unique_ptr<moe::Session> session;
  // Over `session`: created on first use, destroyed before it.
  std::optional<moe::Generator> generator;
  std::optional<moe::Scorer> scorer;
  moe::StepOutput last;
  std::optional<moe::Generation> reply;

  bool asks_to_stop() const {
    return cancel.load(std::memory_order_relaxed) || (cancelled != nullptr && cancelled(user) != 0);
  }
};
