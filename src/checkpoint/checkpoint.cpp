#include "checkpoint/checkpoint.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "checkpoint/file_checkpoint.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

void Checkpoint::build_index() {
  const std::vector<TensorInfo>& list = tensors();
  index_.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) index_.emplace(list[i].name, i);
}

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors()[it->second];
}

Result<void> FileCheckpoint::read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > tensor.bytes || out.size() > tensor.bytes - offset)
    return fail(ErrorCode::bad_argument, fmt::format("tensor {} has {} bytes, asked for {} at {}",
                                                     in_quotes(tensor.name), tensor.bytes, out.size(), offset));
  const auto file = static_cast<std::size_t>(tensor.file);
  if (file >= files_.size())
    return fail(ErrorCode::bad_argument, fmt::format("tensor {} is of file {}, expected less than {}",
                                                     in_quotes(tensor.name), tensor.file, files_.size()));
  auto done = files_[file].read(tensor.offset + offset, out);
  if (!done) return fail(done.error().code, fmt::format("tensor {}: {}", in_quotes(tensor.name), done.error().message));
  return done;
}

std::uint64_t FileCheckpoint::file_bytes() const {
  std::uint64_t sum = 0;
  for (const InputFile& file : files_) sum += file.size();
  return sum;
}

Result<std::unique_ptr<Checkpoint>> open(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_hf(path);
  auto file = InputFile::open(path);
  if (!file) return forward(file);
  return open_gguf(std::move(*file));
}

}  // namespace moe::inline MOE_ABI::checkpoint
