// Decides whether the head is tied to the embedding.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "arch/family.hpp"
#include "moe/decode.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

using checkpoint::TensorInfo;

constexpr std::int64_t kRowsBytes = 1 << 20;  // compared at a time

/// Values, not bytes: the two may be stored in different formats.
Result<bool> same_values(const checkpoint::Checkpoint& file, const TensorInfo& a, const TensorInfo& b) {
  const std::int64_t columns = a.cols(), step = std::max<std::int64_t>(1, kRowsBytes / row_bytes(a.format, columns));
  std::vector<std::byte> raw;
  std::vector<float> values[2];
  for (std::int64_t row = 0; row < a.rows(); row += step) {
    const std::int64_t rows = std::min(step, a.rows() - row);
    for (int i = 0; i < 2; ++i) {
      const TensorInfo& tensor = i == 0 ? a : b;
      const std::int64_t bytes = row_bytes(tensor.format, columns);
      raw.resize(static_cast<std::size_t>(rows * bytes));
      if (auto ok = file.read(tensor, static_cast<std::uint64_t>(row * bytes), raw); !ok) return forward(ok);
      values[i].resize(static_cast<std::size_t>(rows * columns));
      decode_row(tensor.format, raw.data(), rows * columns, values[i].data());
    }
    if (values[0] != values[1]) return false;
  }
  return true;
}

}  // namespace

Result<void> untie_own_head(const checkpoint::Checkpoint& file, Recognised& model) {
  if (!model.config.tie_word_embeddings) return {};
  const TensorInfo* embedding = file.find(tensor_name(model, file.kind(), Role::embedding));
  const TensorInfo* head = file.find(tensor_name(model, file.kind(), Role::head));
  if (embedding == nullptr || head == nullptr) return {};
  if (embedding->shape != head->shape)
    return fail(
        ErrorCode::bad_shape,
        fmt::format("tensor {} has shape [{}], expected that of {} ([{}]): config.json has tie_word_embeddings",
                    head->name, fmt::join(head->shape, ", "), embedding->name, fmt::join(embedding->shape, ", ")));
  if (embedding->bytes == 0 || head->bytes == 0) return {};  // the plan refuses such shapes
  const auto same = same_values(file, *embedding, *head);
  if (!same) return forward(same);
  if (*same) return {};
  model.config.tie_word_embeddings = false;
  model.notes.push_back(
      fmt::format("config.json has tie_word_embeddings, but {} is not {}: it is used as the head, as in "
                  "transformers 5",
                  head->name, embedding->name));
  return {};
}

void tie_missing_head(const checkpoint::Checkpoint& file, Recognised& model) {
  if (!model.wrapper_ties || model.config.tie_word_embeddings) return;
  std::string head = tensor_name(model, file.kind(), Role::head);
  head.resize(head.rfind('.') + 1);  // codes and scales have other endings
  for (const TensorInfo& tensor : file.tensors())
    if (tensor.name.starts_with(head)) return;
  if (file.find(tensor_name(model, file.kind(), Role::embedding)) == nullptr) return;
  model.config.tie_word_embeddings = true;
  model.notes.push_back(
      "config.json: there is no head, and tie_word_embeddings outside of text_config is true, there or by default: the "
      "embedding is used, as in transformers 5");
}

std::string embedding_name(const checkpoint::Checkpoint& file, const Recognised& model) {
  const std::string name = tensor_name(model, file.kind(), Role::embedding);
  const std::string head = tensor_name(model, file.kind(), Role::head);
  const bool under_head = model.config.tie_word_embeddings && file.find(name) == nullptr && file.find(head) != nullptr;
  return under_head ? head : name;
}

}  // namespace moe::inline MOE_ABI::arch
