#pragma once
// Shared by the tests that let a trained model answer an exam.

#include <memory>
#include <utility>

#include "moe/eval/evaluate.hpp"
#include "moe/eval/session_model.hpp"
#include "support.hpp"

namespace moe_test {

inline moe::eval::TaskOutcome answer(const moe::eval::PreparedTask& task,
                                     const std::shared_ptr<const moe::Model>& model, moe::Precision precision) {
  moe::eval::SessionModelOptions options;
  options.precision = precision;
  options.kv = precision == moe::Precision::reference ? moe::KvType::f32 : moe::KvType::f16;
  options.threads = moe::openmp_pool();
  auto scorer = moe::eval::SessionModel::create(model, options);
  REQUIRE_MESSAGE(scorer.has_value(), scorer.error().message);
  auto outcome = moe::eval::evaluate(task, **scorer, {.bootstrap_count = 0, .threads = options.threads, .hooks = {}});
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  return std::move(*outcome);
}

}  // namespace moe_test
