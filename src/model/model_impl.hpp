#pragma once

#include <memory>
#include <string>

#include "model/expert_source.hpp"
#include "model/weights.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

struct ModelImpl {
  std::shared_ptr<const Weights> weights;
  std::shared_ptr<ExpertSource> experts;  // null: all experts are in `weights`
  ModelInfo info;
  LayerRange layers;  // that are in `weights`
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string tokenizer_error;
  std::string content_hash;  // empty unless LoadOptions::content_hash
  std::int64_t resident_bytes = 0;
  std::shared_ptr<const Model> mtp;  // LoadOptions::mtp
};

inline const ModelImpl& impl_of(const Model& model) { return *model.impl_; }

}  // namespace moe::inline MOE_ABI
