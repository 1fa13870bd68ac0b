#pragma once
// What a Model holds, and how the library reaches it.

#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  // Names and digests of the files that content_hash is made of, by name; none of packed files.
  std::vector<std::pair<std::string, std::string>> file_digests;
  std::int64_t resident_bytes = 0;
  std::shared_ptr<const Model> mtp;  // LoadOptions::mtp
};

namespace detail {

struct ModelAccess {
  static const ModelImpl& impl_of(const Model& model) { return *model.impl_; }
  static std::shared_ptr<const Model> model_of(std::shared_ptr<const ModelImpl> impl) {
    return std::shared_ptr<const Model>(new Model(std::move(impl)));
  }
};

}  // namespace detail

inline const ModelImpl& impl_of(const Model& model) { return detail::ModelAccess::impl_of(model); }
inline std::shared_ptr<const Model> model_of(std::shared_ptr<const ModelImpl> impl) {
  return detail::ModelAccess::model_of(std::move(impl));
}

}  // namespace moe::inline MOE_ABI
