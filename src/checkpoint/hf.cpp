// Hugging Face directories: config.json, one model.safetensors or several with an index, tokenizer.json.

#include <fmt/format.h>

#include <map>
#include <tuple>
#include <utility>

#include "checkpoint/chat_templates.hpp"
#include "checkpoint/file_checkpoint.hpp"
#include "checkpoint/safetensors_header.hpp"
#include "checkpoint/text_files.hpp"
#include "support/json.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

constexpr std::uint64_t kIndexLimit = std::uint64_t{64} << 20;

class HfCheckpoint final : public FileCheckpoint {
 public:
  HfCheckpoint(std::string directory, ContentHash hash) : FileCheckpoint(hash), texts_(std::move(directory), hash) {}

  Kind kind() const override { return Kind::hf; }
  const MetaValue* meta(std::string_view) const override { return nullptr; }
  const std::string& config_json() const override { return config_; }
  Result<std::string> generation_json() const override {
    auto text = texts_.read_optional("generation_config.json", kConfigLimit);
    if (!text) return forward(text);
    return text->value_or(std::string());
  }
  Result<std::shared_ptr<const Tokenizer>> load_tokenizer(std::int64_t row_count) const override;
  ChatTemplates chat_templates() const override { return read_hf_chat_templates(texts_); }
  Result<TokenizerText> tokenizer_text() const override;
  std::vector<Source> sources() const override;

  Result<void> open();

 private:
  std::string path_of(std::string_view file) const { return texts_.path_of(file); }
  Result<void> read_config();
  Result<std::vector<StopIds>> read_stop_ids() const;
  Result<void> add_file(InputFile file);
  Result<void> add_indexed(const std::string& index_path, const std::string& index_text);

  TextFiles texts_;
  std::string config_;
};

Result<void> HfCheckpoint::read_config() {
  auto text = texts_.read("config.json", kConfigLimit);
  if (!text) return forward(text);
  config_ = std::move(*text);
  hash_.update(config_);
  const auto parsed = parse_json_object(config_, path_of("config.json"));
  return parsed ? Result<void>{} : forward(parsed);
}

Result<void> HfCheckpoint::add_file(InputFile file) {
  auto header = read_safetensors_header(file);
  if (!header) return forward(header);
  const auto index = static_cast<std::int32_t>(files_.size());
  for (TensorInfo& t : header->tensors) {
    t.file = index;
    tensors_.push_back(std::move(t));
  }
  for (UnsupportedTensor& t : header->unsupported) {
    t.where.file = index;
    unsupported_.push_back(std::move(t));
  }
  hash_.update(header->hash);
  files_.push_back(std::move(file));
  return {};
}

/// The index must name plain files inside the directory. (Links are followed: the Hugging Face cache consists of them.)
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos &&
         name.ends_with(".safetensors");
}

/// weight_map as file -> tensors, in the files' order.
Result<std::map<std::string, std::vector<std::string>>> read_weight_map(const std::string& path,
                                                                        const std::string& text) {
  const auto bad = [&path](const std::string& message) {
    return fail(ErrorCode::bad_file, fmt::format("{}: {}", path, message));
  };
  const auto json = parse_json_object(text, path);
  if (!json) return forward(json);
  const auto map = json->root().find("weight_map");
  if (!map || !map->is_object() || map->empty()) return bad("has no weight_map with tensors");
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string())
      return bad(
          fmt::format("weight_map holds a {} for {}, expected a file name", file.type_name(), in_quotes(tensor)));
    if (!is_plain_name(file.text()))
      return bad(fmt::format("weight_map names the file {}, expected a .safetensors file in the same directory",
                             in_quotes(file.text())));
    files[std::string(file.text())].emplace_back(tensor);
  }
  return files;
}

Result<void> HfCheckpoint::add_indexed(const std::string& index_path, const std::string& index_text) {
  hash_.update(index_text);
  const auto files = read_weight_map(index_path, index_text);
  if (!files) return forward(files);
  for (const auto& [name, expected] : *files) {
    auto file = open_file(path_of(name));
    if (!file)
      return fail(file.error().code,
                  fmt::format("{}: names a file that is missing: {}", index_path, file.error().message));
    const std::size_t first = tensors_.size(), first_unsupported = unsupported_.size();
    if (auto ok = add_file(std::move(*file)); !ok) return ok;
    std::unordered_map<std::string_view, bool> held;
    for (std::size_t i = first; i < tensors_.size(); ++i) held[tensors_[i].name] = true;
    for (std::size_t i = first_unsupported; i < unsupported_.size(); ++i) held[unsupported_[i].name] = true;
    for (const std::string& tensor : expected)
      if (held.find(tensor) == held.end())
        return fail(ErrorCode::bad_file, fmt::format("{}: says that tensor {} is in {}, but it is not", index_path,
                                                     in_quotes(tensor), in_quotes(name)));
  }
  return {};
}

Result<void> HfCheckpoint::open() {
  if (auto ok = read_config(); !ok) return ok;
  auto single = open_file(path_of("model.safetensors"));
  if (single) {
    if (auto ok = add_file(std::move(*single)); !ok) return ok;
    return finish();
  }
  if (single.error().code != ErrorCode::not_found) return forward(single);
  constexpr const char* kIndex = "model.safetensors.index.json";
  const auto index = texts_.read_optional(kIndex, kIndexLimit);
  if (!index) return forward(index);
  if (!*index)
    return fail(ErrorCode::not_found,
                fmt::format("{}: has neither model.safetensors nor {}", texts_.directory(), kIndex));
  if (auto ok = add_indexed(path_of(kIndex), **index); !ok) return ok;
  return finish();
}

/// "eos_token_id": absent, null, an id or a list of them.
Result<std::vector<std::int64_t>> eos_ids(JsonValue object, const std::string& where) {
  std::vector<std::int64_t> ids;
  const auto found = object.find("eos_token_id");
  if (!found || found->is_null()) return ids;
  const auto add = [&](JsonValue id) {
    if (id.is_number_integer()) ids.push_back(id.get<std::int64_t>());
    return id.is_number_integer();
  };
  bool are_ids = true;
  if (found->is_array())
    for (const JsonValue id : *found) are_ids = add(id) && are_ids;
  else
    are_ids = add(*found);
  if (are_ids) return ids;
  return fail(ErrorCode::bad_file, fmt::format("{} holds something else than token ids", where));
}

/// End-of-reply ids from generation_config.json and config.json.
Result<std::vector<StopIds>> HfCheckpoint::read_stop_ids() const {
  std::vector<StopIds> all;
  const auto add = [&](JsonValue object, const std::string& where, bool generate) -> Result<void> {
    auto ids = eos_ids(object, where);
    if (!ids) return forward(ids);
    if (!ids->empty()) all.push_back({where, std::move(*ids), generate});
    return {};
  };
  const std::string path = path_of("generation_config.json");
  const auto text = texts_.read_optional("generation_config.json", kConfigLimit);
  if (!text) return forward(text);
  if (*text) {
    const auto generation = parse_json_object(**text, path);
    if (!generation) return forward(generation);
    if (auto ok = add(generation->root(), path + ": eos_token_id", true); !ok) return forward(ok);
  }
  // transformers reads config.json only if there is no generation_config.json, and text_config only if the outer object
  // has no value.
  const auto config = parse_json_object(config_, path_of("config.json"));
  if (!config) return forward(config);
  const std::string where = path_of("config.json") + ": eos_token_id";
  if (auto ok = add(config->root(), where, !*text); !ok) return forward(ok);
  if (const auto inner = config->root().find("text_config"); inner && inner->is_object())
    if (auto ok = add(*inner, where + " of text_config", !*text && all.empty()); !ok) return forward(ok);
  return all;
}

Result<std::shared_ptr<const Tokenizer>> HfCheckpoint::load_tokenizer(std::int64_t row_count) const {
  const auto tokenizer = texts_.read("tokenizer.json", kTokenizerLimit);
  if (!tokenizer) return forward(tokenizer);
  const auto config = texts_.read_optional("tokenizer_config.json", kConfigLimit);
  if (!config) return forward(config);
  auto stop = read_stop_ids();
  if (!stop) return forward(stop);
  auto built = Tokenizer::create(JsonTokenizer{*tokenizer, config->value_or("")}, {row_count, std::move(*stop)});
  if (built || built.error().message.starts_with(texts_.directory())) return built;  // it names another file
  return fail(built.error().code, fmt::format("{}: {}", path_of("tokenizer.json"), built.error().message));
}

std::vector<Source> HfCheckpoint::sources() const {
  std::vector<Source> out = FileCheckpoint::sources();
  for (Source& text : texts_.sources()) out.push_back(std::move(text));
  return out;
}

Result<TokenizerText> HfCheckpoint::tokenizer_text() const {
  TokenizerText text;
  const std::tuple<const char*, std::uint64_t, std::string*> files[] = {
      {"tokenizer.json", kTokenizerLimit, &text.json}, {"tokenizer_config.json", kConfigLimit, &text.config}};
  for (const auto& [name, limit, out] : files) {
    auto found = texts_.read_optional(name, limit);
    if (!found) return forward(found);
    if (*found) *out = std::move(**found);
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_hf(const std::string& directory, ContentHash hash) {
  auto checkpoint = std::make_unique<HfCheckpoint>(directory, hash);
  if (auto ok = checkpoint->open(); !ok) return forward(ok);
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace moe::inline MOE_ABI::checkpoint
