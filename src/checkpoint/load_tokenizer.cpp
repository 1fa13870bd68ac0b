// Tokenizer::load: only the tokenizer of a model's files.

#include <fmt/format.h>

#include <filesystem>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/text_files.hpp"

namespace moe::inline MOE_ABI {
namespace {

/// A directory that holds a tokenizer and no model.
Result<std::shared_ptr<const Tokenizer>> from_directory(const std::string& path) {
  const checkpoint::TextFiles texts(path, nullptr);
  const auto json = texts.read("tokenizer.json", checkpoint::kTokenizerLimit);
  if (!json) return forward(json);
  const auto config = texts.read_optional("tokenizer_config.json", checkpoint::kConfigLimit);
  if (!config) return forward(config);
  auto built = Tokenizer::create({.json = *json, .config = config->value_or("")});
  if (built) return built;
  return fail(built.error().code, fmt::format("{}: {}", texts.path_of("tokenizer.json"), built.error().message));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::string& path) {
  auto file = checkpoint::open(path);
  if (file) return (*file)->load_tokenizer();
  std::error_code error;
  const bool has_tokenizer = std::filesystem::is_regular_file(std::filesystem::path(path) / "tokenizer.json", error);
  if (file.error().code == ErrorCode::not_found && has_tokenizer) return from_directory(path);
  return forward(file);
}

}  // namespace moe::inline MOE_ABI
