#pragma once
// Facts about a model as JSON.

#include <string>

#include "moe/model.hpp"

namespace moe::inline MOE_ABI::c {

/// `model` is null if only headers were read.
std::string info_json(const ModelInfo& info, const Model* model);

}  // namespace moe::inline MOE_ABI::c
