#include "checkpoint/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "checkpoint/file_checkpoint.hpp"
#include "support/directory.hpp"
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

Result<void> FileCheckpoint::finish() {
  build_index();
  for (const TensorInfo& t : tensors_)
    if (const TensorInfo* first = find(t.name); first != &t)
      return fail(ErrorCode::bad_file, fmt::format("tensor {} is in {} and in {}", in_quotes(t.name),
                                                   files_[static_cast<std::size_t>(first->file)].path(),
                                                   files_[static_cast<std::size_t>(t.file)].path()));
  header_hash_ = hash_.value();
  return {};
}

std::uint64_t FileCheckpoint::file_bytes() const {
  std::uint64_t sum = 0;
  for (const InputFile& file : files_) sum += file.size();
  return sum;
}

std::vector<Source> FileCheckpoint::sources() const {
  std::vector<Source> out;
  for (const InputFile& file : files_)
    out.push_back({.name = std::filesystem::path(file.path()).filename().string(),
                   .file = file.known_digest().empty() ? &file : nullptr,
                   .digest = file.known_digest()});
  return out;
}

std::vector<Checkpoint::FileState> FileCheckpoint::file_states() const {
  std::vector<FileState> out;
  for (const InputFile& file : files_) out.push_back({file.size(), file.modified_ns()});
  return out;
}

void FileCheckpoint::set_digests(const std::vector<std::string>& digests) {
  for (std::size_t i = 0; i < files_.size() && i < digests.size(); ++i) files_[i].set_digest(digests[i]);
}

namespace {

bool is_gguf(const std::string& name) {
  constexpr std::string_view kEnding = ".gguf";
  return name.size() >= kEnding.size() && std::equal(kEnding.begin(), kEnding.end(), name.end() - kEnding.size(),
                                                     [](char a, char b) { return a == b || a - 'a' == b - 'A'; });
}

/// "-00002-of-00005.gguf": one shard of a set, which is named by its first.
bool is_later_shard(const std::string& name) {
  const std::size_t of = name.rfind("-of-");
  if (of == std::string::npos || of < 6 || name[of - 6] != '-') return false;
  const std::string number = name.substr(of - 5, 5);
  return std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; }) && number != "00001";
}

/// The error for a directory without a model: lists some of its contents.
Error no_model_in(const std::string& directory) {
  auto names = names_in(directory).value_or(std::vector<std::string>());
  std::sort(names.begin(), names.end());
  std::string held;
  for (std::size_t i = 0; i < names.size() && i < 5; ++i) held += (i > 0 ? ", " : "") + in_quotes(names[i]);
  if (names.size() > 5) held += fmt::format(" and {} more", names.size() - 5);
  return {ErrorCode::not_found, fmt::format("{}: holds {}, expected a config.json or a .gguf file", directory,
                                            held.empty() ? "nothing" : held)};
}

}  // namespace

Result<std::string> gguf_of_directory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<std::string> found, later;
  bool config = false, weights = false;  // of a Hugging Face directory
  const auto names = names_in(directory);
  if (!names) return forward(names);
  for (const std::string& name : *names) {
    config |= name == "config.json";
    weights |= name.ends_with(".safetensors");
    if (is_gguf(name)) (is_later_shard(name) ? later : found).push_back(name);
  }
  // Only a later shard: opening it reports the missing one.
  if (found.empty() && !later.empty()) found = {*std::min_element(later.begin(), later.end())};
  if (found.empty() || (config && weights)) return std::string();
  if (found.size() == 1) return (fs::path(directory) / found.front()).string();
  std::sort(found.begin(), found.end());
  std::string listed;
  for (std::size_t i = 0; i < found.size() && i < 10; ++i) listed += (i > 0 ? ", " : "") + in_quotes(found[i]);
  if (found.size() > 10) listed += ", ..";
  return fail(ErrorCode::bad_argument, fmt::format("{} holds {} GGUF files, expected the path of one of them: {}",
                                                   directory, found.size(), listed));
}

Result<std::unique_ptr<Checkpoint>> open(const std::string& path, ContentHash hash) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(ErrorCode::bad_argument, "the path of a model is " + in_quotes(path) +
                                             ", expected one that is not empty and has no zero byte inside");
  std::error_code ignored;
  std::string file_path = path;
  if (std::filesystem::is_directory(path, ignored)) {
    const auto inside = gguf_of_directory(path);
    if (!inside) return forward(inside);
    const std::string config = path + "/config.json";
    if (inside->empty() && !std::filesystem::exists(std::filesystem::symlink_status(config, ignored)))
      return tl::unexpected<Error>(no_model_in(path));
    if (inside->empty()) return open_hf(path, hash);
    file_path = *inside;
  }
  return open_gguf(file_path, hash);
}

}  // namespace moe::inline MOE_ABI::checkpoint
