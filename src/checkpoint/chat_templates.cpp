#include "checkpoint/chat_templates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "support/directory.hpp"
#include "support/json.hpp"
#include "support/show.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::checkpoint {
namespace {

constexpr std::size_t kTemplateLimit = std::size_t{1} << 20;  // the largest published one has 17 KB
constexpr std::size_t kCountLimit = 64;
constexpr const char* kUsual = "default";
constexpr const char* kFolder = "additional_chat_templates";

/// Keeps valid parts; the first invalid one becomes ChatTemplates::error.
class Collector {
 public:
  void refuse(std::string message) {
    if (out.error.empty()) out.error = std::move(message);
  }

  void add(const std::string& name, std::string_view text, const std::string& where) {
    if (text.size() > kTemplateLimit)
      return refuse(fmt::format("{}: the chat template {} has {} bytes, expected at most {}", where, in_quotes(name),
                                text.size(), kTemplateLimit));
    if (const std::size_t valid = valid_utf8_prefix(text); valid < text.size())
      return refuse(fmt::format("{}: the chat template {} is no UTF-8 at byte {}", where, in_quotes(name), valid));
    if (out.texts.size() == kCountLimit && !out.texts.contains(name))
      return refuse(fmt::format("{}: has more than {} chat templates", where, kCountLimit));
    out.texts.insert_or_assign(name, std::string(text));
  }

  ChatTemplates out;
};

/// Python reads text files with "\n" for all three kinds of line ends; the hash of a template counts what it read.
std::string with_unix_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out += text[i] == '\r' ? '\n' : text[i];
  }
  return out;
}

/// The text of a file, if it is there and can be read.
std::optional<std::string> text_of(const TextFiles& files, const std::string& name, std::uint64_t limit,
                                   Collector& into) {
  auto text = files.read_optional(name, limit);
  if (text) return std::move(*text);
  into.refuse(text.error().message);
  return {};
}

std::optional<JsonDocument> object_of(const TextFiles& files, const std::string& name, Collector& into) {
  const auto text = text_of(files, name, kConfigLimit, into);
  if (!text) return {};
  auto parsed = parse_json_object(*text, files.path_of(name));
  if (parsed) return std::move(*parsed);
  into.refuse(parsed.error().message);
  return {};
}

void add_file(const TextFiles& files, const std::string& name, const std::string& file, Collector& into) {
  if (const auto text = text_of(files, file, kTemplateLimit, into))
    into.add(name, with_unix_lines(*text), files.path_of(file));
}

/// chat_template.jinja and its folder. They replace templates in other files.
void add_files(const TextFiles& files, Collector& into) {
  add_file(files, kUsual, "chat_template.jinja", into);
  const auto held = names_in(files.path_of(kFolder));
  if (!held && held.error().code != ErrorCode::not_found) return into.refuse(held.error().message);
  std::vector<std::string> names;
  for (const std::string& name : held.value_or(std::vector<std::string>())) {
    if (name.ends_with(".jinja") && name != ".jinja") names.push_back(name);
    if (names.size() > kCountLimit)
      return into.refuse(fmt::format("{}: has more than {} chat templates", files.path_of(kFolder), kCountLimit));
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names)
    add_file(files, name.substr(0, name.size() - 6), std::string(kFolder) + "/" + name, into);
  into.out.are_named = !into.out.texts.empty() && !(into.out.texts.size() == 1 && into.out.texts.contains(kUsual));
}

/// "chat_template": a text, or [{"name": ..., "template": ...}].
void add_config(JsonValue config, const std::string& where, Collector& into) {
  const auto found = config.find("chat_template");
  if (!found || found->is_null()) return;
  if (found->is_string()) return into.add(kUsual, found->text(), where);
  if (!found->is_array())
    return into.refuse(
        fmt::format("{}: chat_template is a {}, expected a text or a list of texts", where, found->type_name()));
  into.out.are_named = true;
  for (const JsonValue entry : *found) {
    const auto name = entry.find("name"), text = entry.find("template");
    if (name && text && name->is_string() && text->is_string())
      into.add(std::string(name->text()), text->text(), where);
    else
      into.refuse(fmt::format("{}: chat_template holds {}, expected objects with name and template", where,
                              entry.in_ascii(80)));
  }
}

/// A text, or an AddedToken as an object.
std::optional<std::string> token_text(JsonValue token) {
  if (token.is_string()) return token.get<std::string>();
  const auto content = token.find("content");
  return content && content->is_string() ? std::optional(content->get<std::string>()) : std::nullopt;
}

/// Standard names and what else ends in "_token"; extra_special_tokens may be an object of more.
void add_special_tokens(JsonValue config, std::map<std::string, std::string>& out) {
  for (const auto& [key, value] : config.items())
    if (const auto text = token_text(value); text && key.ends_with("_token"))
      out.insert_or_assign(std::string(key), *text);
  if (const auto extra = config.find("extra_special_tokens"))
    for (const auto& [key, value] : extra->items())
      if (const auto text = token_text(value)) out.insert_or_assign(std::string(key), *text);
}

}  // namespace

ChatTemplates read_hf_chat_templates(const TextFiles& files) {
  constexpr const char* kConfig = "tokenizer_config.json";
  Collector into;
  add_files(files, into);
  const bool in_files = !into.out.texts.empty() || !into.out.error.empty();
  const auto config = object_of(files, kConfig, into);
  if (config) add_special_tokens(config->root(), into.out.special_tokens);
  // transformers reads the old file only with an old configuration.
  if (!config || !config->root().contains("added_tokens_decoder"))
    if (const auto map = object_of(files, "special_tokens_map.json", into))
      add_special_tokens(map->root(), into.out.special_tokens);
  if (in_files) return std::move(into.out);
  if (config) add_config(config->root(), files.path_of(kConfig), into);
  if (!into.out.texts.empty() || !into.out.error.empty()) return std::move(into.out);
  constexpr const char* kProcessor = "chat_template.json";
  if (const auto processor = object_of(files, kProcessor, into))
    add_config(processor->root(), files.path_of(kProcessor), into);
  return std::move(into.out);
}

namespace {

void add_entry(const Checkpoint& file, const std::string& name, const std::string& key, Collector& into) {
  const MetaValue* value = file.meta(key);
  if (value == nullptr) return;
  if (const auto* text = std::get_if<std::string>(value)) return into.add(name, *text, "metadata " + key);
  into.refuse(fmt::format("metadata {} is no text", key));
}

void add_token(const Checkpoint& file, const char* name, std::string_view key, ChatTemplates& out) {
  const MetaValue* tokens = file.meta("tokenizer.ggml.tokens");
  const MetaValue* value = file.meta(key);
  if (tokens == nullptr || value == nullptr) return;
  const auto* texts = std::get_if<std::vector<std::string>>(tokens);
  std::uint64_t id = std::numeric_limits<std::uint64_t>::max();
  if (const auto* number = std::get_if<std::int64_t>(value); number != nullptr && *number >= 0)
    id = static_cast<std::uint64_t>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(value)) id = *number;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(value);
      list != nullptr && !list->empty() && list->front() >= 0)
    id = static_cast<std::uint64_t>(list->front());
  if (texts != nullptr && id < texts->size()) out.special_tokens[name] = (*texts)[static_cast<std::size_t>(id)];
}

}  // namespace

ChatTemplates read_gguf_chat_templates(const Checkpoint& file) {
  constexpr const char* kKey = "tokenizer.chat_template";
  Collector into;
  add_entry(file, kUsual, kKey, into);
  if (const MetaValue* list = file.meta("tokenizer.chat_templates")) {
    const auto* names = std::get_if<std::vector<std::string>>(list);
    if (names == nullptr) into.refuse("metadata tokenizer.chat_templates is no list of texts");
    into.out.are_named = true;
    for (std::size_t i = 0; names != nullptr && i < std::min(names->size(), kCountLimit + 1); ++i)
      add_entry(file, (*names)[i], std::string(kKey) + "." + (*names)[i], into);
  }
  constexpr std::array<std::pair<const char*, std::string_view>, 8> kTokens = {{
      {"bos_token", "tokenizer.ggml.bos_token_id"},
      {"eos_token", "tokenizer.ggml.eos_token_id"},
      {"unk_token", "tokenizer.ggml.unknown_token_id"},
      {"sep_token", "tokenizer.ggml.separator_token_id"},
      {"sep_token", "tokenizer.ggml.seperator_token_id"},  // the spelling in older files
      {"pad_token", "tokenizer.ggml.padding_token_id"},
      {"cls_token", "tokenizer.ggml.cls_token_id"},
      {"mask_token", "tokenizer.ggml.mask_token_id"},
  }};
  for (const auto& [name, key] : kTokens) add_token(file, name, key, into.out);
  return std::move(into.out);
}

}  // namespace moe::inline MOE_ABI::checkpoint
