#include "support/same_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>

#include "support/show.hpp"

namespace moe::inline MOE_ABI {
namespace {

namespace fs = std::filesystem;

// The target of a name: an existing file by its inode, another by its path from the nearest existing folder.
struct Place {
  dev_t device = 0;
  ino_t number = 0;
  std::string name;
  bool operator==(const Place&) const = default;
};

std::optional<Place> place_of(fs::path path) {
  struct stat status {};
  for (int links = 0; links < 40; ++links) {
    if (::stat(path.c_str(), &status) == 0) return Place{status.st_dev, status.st_ino, {}};
    std::error_code failed;
    const fs::path target = fs::read_symlink(path, failed);
    if (failed) break;
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  // The nearest existing folder, and the rest of the path.
  fs::path folder = path.lexically_normal(), way;
  while (::stat(folder.empty() ? "." : folder.c_str(), &status) != 0) {
    if (folder.empty() || folder == folder.root_path()) return std::nullopt;
    if (!folder.filename().empty()) way = way.empty() ? folder.filename() : folder.filename() / way;
    folder = folder.parent_path();
  }
  return Place{status.st_dev, status.st_ino, way.string()};
}

// The input files in a Hugging Face folder, or in one with a GGUF file.
bool is_read(const std::string& name) {
  static constexpr std::string_view kNames[] = {"config.json",         "generation_config.json",
                                                "tokenizer.json",      "tokenizer_config.json",
                                                "chat_template.jinja", "model.safetensors.index.json"};
  return name.ends_with(".safetensors") || name.ends_with(".gguf") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace

bool same_file(const std::string& a, const std::string& b) {
  const auto left = place_of(a), right = place_of(b);
  return left && right && *left == *right;
}

Result<void> check_not_of_model(const std::string& output, const std::string& model) {
  const auto refuse = [&](const std::string& file) -> Result<void> {
    if (!same_file(output, file)) return {};
    return fail(ErrorCode::bad_argument, fmt::format("the output {} is {}, which the model is read from: name another",
                                                     in_quotes(output), in_quotes(file)));
  };
  if (auto ok = refuse(model); !ok) return ok;
  std::error_code failed;
  for (fs::directory_iterator it(model, failed), end; !failed && it != end; it.increment(failed))
    if (is_read(it->path().filename().string()))
      if (auto ok = refuse(it->path().string()); !ok) return ok;
  return {};
}

}  // namespace moe::inline MOE_ABI
