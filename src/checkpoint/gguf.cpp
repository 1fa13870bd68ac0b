// GGUF checkpoints, of one file or split into shards.

#include <fmt/format.h>

#include <cstdio>
#include <iterator>
#include <utility>

#include "checkpoint/chat_templates.hpp"
#include "checkpoint/file_checkpoint.hpp"
#include "checkpoint/gguf_header.hpp"
#include "checkpoint/metadata.hpp"
#include "checkpoint/tokenizer_metadata.hpp"
#include "support/json_writer.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

class GgufCheckpoint final : public FileCheckpoint {
 public:
  using FileCheckpoint::FileCheckpoint;
  using FileCheckpoint::finish;
  using FileCheckpoint::open_file;

  Kind kind() const override { return Kind::gguf; }
  const MetaValue* meta(std::string_view key) const override { return metadata_.find(key); }
  std::vector<std::string> meta_keys() const override { return metadata_.sorted_keys(); }
  const std::string& config_json() const override { return no_json_; }
  Result<std::shared_ptr<const Tokenizer>> load_tokenizer(std::int64_t row_count) const override;
  ChatTemplates chat_templates() const override { return read_gguf_chat_templates(*this); }
  Result<std::vector<RawMetadata>> raw_metadata() const override;

  /// Takes the first shard, or the only file.
  void start(InputFile file, GgufHeader header) {
    metadata_ = std::move(header.metadata);
    append(std::move(file), std::move(header));
  }
  void append(InputFile file, GgufHeader header);
  const InputFile& file(std::size_t i) const { return files_[i]; }

 private:
  GgufEntries metadata_;  // of the first shard
  std::string no_json_;
};

/// Without a copy of the first list, which is all there is of a file that is not split.
template <class T>
void append_all(std::vector<T> more, std::vector<T>& to) {
  if (to.empty())
    to = std::move(more);
  else
    to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

void GgufCheckpoint::append(InputFile file, GgufHeader header) {
  const auto index = static_cast<std::int32_t>(files_.size());
  for (TensorInfo& t : header.tensors) t.file = index;
  append_all(std::move(header.tensors), tensors_);
  append_all(std::move(header.unsupported), unsupported_);
  hash_.update(header.hash);
  files_.push_back(std::move(file));
}

Result<std::vector<RawMetadata>> GgufCheckpoint::raw_metadata() const {
  std::vector<RawMetadata> entries;
  for (const MetadataEntry& entry : metadata_.entries()) {
    RawMetadata raw{entry.key, std::vector<std::byte>(static_cast<std::size_t>(entry.bytes))};
    if (auto ok = file(0).read(entry.offset, raw.value); !ok) return forward(ok);
    entries.push_back(std::move(raw));
  }
  return entries;
}

/// A tokenizer_config.json for a tokenizer.json inside a GGUF file, from the file's arrays.
std::string tokenizer_config_of(const GgufVocabulary& v) {
  JsonWriter config;
  config.begin('{');
  if (v.bos) config.add("bos_token", v.tokens[static_cast<std::size_t>(*v.bos)]);
  if (v.eos) config.add("eos_token", v.tokens[static_cast<std::size_t>(*v.eos)]);
  if (v.add_bos) config.add("add_bos_token", *v.add_bos);
  if (v.add_eos) config.add("add_eos_token", *v.add_eos);
  return config.close('}').take();
}

Result<std::shared_ptr<const Tokenizer>> GgufCheckpoint::load_tokenizer(std::int64_t row_count) const {
  auto vocabulary = read_vocabulary(*this);
  if (!vocabulary) return fail(vocabulary.error().code, file(0).path() + ": " + vocabulary.error().message);
  auto stop = read_stop_ids(*this, vocabulary->tokens.size());
  if (!stop) return fail(stop.error().code, file(0).path() + ": " + stop.error().message);
  // The list may be padded beyond the vocabulary; an id in the padding is valid.
  const TokenizerOptions options{row_count > 0 ? row_count : static_cast<std::int64_t>(vocabulary->tokens.size()),
                                 std::move(*stop)};
  // A whole tokenizer.json has more than the arrays: normalisation, the split's pattern, flags of added tokens.
  if (const MetaValue* json = meta(kTokenizerJsonKey); json != nullptr) {
    const auto* text = std::get_if<std::string>(json);
    if (text == nullptr)
      return fail(ErrorCode::bad_file, fmt::format("{}: metadata {} is {}, expected a string", file(0).path(),
                                                   kTokenizerJsonKey, describe(*json)));
    auto built = Tokenizer::create(JsonTokenizer{*text, tokenizer_config_of(*vocabulary)}, options);
    if (built) return built;
    if (built.error().code != ErrorCode::unsupported)
      return fail(built.error().code,
                  fmt::format("{}: {}: {}", file(0).path(), kTokenizerJsonKey, built.error().message));
  }
  auto built = Tokenizer::create(std::move(*vocabulary), options);
  if (!built) return fail(built.error().code, fmt::format("{}: {}", file(0).path(), built.error().message));
  return built;
}

/// The three split.* keys of a shard; count is 1 for a file that is not split.
struct Split {
  std::int64_t number = 0, count = 1, tensor_count = -1;
};

Result<Split> read_split(const GgufHeader& header, const std::string& path) {
  Split split;
  const std::pair<std::string_view, std::int64_t*> fields[] = {
      {"split.no", &split.number}, {"split.count", &split.count}, {"split.tensors.count", &split.tensor_count}};
  for (const auto& [key, field] : fields) {
    const MetaValue* value = header.metadata.find(key);
    if (value == nullptr) continue;
    const auto* i = std::get_if<std::int64_t>(value);
    const auto* u = std::get_if<std::uint64_t>(value);
    const bool fits = (i != nullptr && *i >= 0 && *i <= INT32_MAX) || (u != nullptr && *u <= INT32_MAX);
    if (!fits)
      return fail(ErrorCode::bad_file, fmt::format("{}: metadata {} is {}, expected an integer in [0, {}]", path, key,
                                                   describe(*value), INT32_MAX));
    *field = i != nullptr ? *i : static_cast<std::int64_t>(*u);
  }
  // Files that were never split may have a count of 0.
  if (split.count == 0) split.count = 1;
  if (split.number >= split.count)
    return fail(ErrorCode::bad_file, fmt::format("{}: split.no is {}, expected less than split.count ({})", path,
                                                 split.number, split.count));
  return split;
}

/// "-00002-of-00005.gguf" for number 1 of 5.
std::string shard_ending(std::int64_t number, std::int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

Result<std::string> shard_prefix(const std::string& path, const Split& split) {
  const std::string ending = shard_ending(split.number, split.count);
  if (!path.ends_with(ending))
    return fail(ErrorCode::bad_file,
                fmt::format("{}: is shard {} of {} (split.no, split.count), so its name must end in {}", path,
                            split.number + 1, split.count, ending));
  return path.substr(0, path.size() - ending.size());
}

/// Opens shard `number` and checks that it belongs to the same set.
Result<std::pair<InputFile, GgufHeader>> open_shard(const GgufCheckpoint& checkpoint, const std::string& prefix,
                                                    std::int64_t number, const Split& set) {
  auto file = checkpoint.open_file(prefix + shard_ending(number, set.count));
  if (!file)
    return fail(file.error().code,
                fmt::format("shard {} of {} is missing: {}", number + 1, set.count, file.error().message));
  auto header = read_gguf_header(*file);
  if (!header) return forward(header);
  const auto split = read_split(*header, file->path());
  if (!split) return forward(split);
  if (split->number != number || split->count != set.count || split->tensor_count != set.tensor_count)
    return fail(
        ErrorCode::bad_file,
        fmt::format("{}: says it is shard {} of {} with {} tensors in all, expected {} of {} with {}", file->path(),
                    split->number + 1, split->count, split->tensor_count, number + 1, set.count, set.tensor_count));
  return std::pair(std::move(*file), std::move(*header));
}

Result<void> open_all_shards(const std::string& path, const Split& set, GgufCheckpoint& checkpoint) {
  const auto prefix = shard_prefix(path, set);
  if (!prefix) return forward(prefix);
  for (std::int64_t number = 0; number < set.count; ++number) {
    auto shard = open_shard(checkpoint, *prefix, number, set);
    if (!shard) return forward(shard);
    if (number == 0)
      checkpoint.start(std::move(shard->first), std::move(shard->second));
    else
      checkpoint.append(std::move(shard->first), std::move(shard->second));
  }
  const auto found = static_cast<std::int64_t>(checkpoint.tensors().size() + checkpoint.unsupported().size());
  if (found != set.tensor_count)
    return fail(ErrorCode::bad_file, fmt::format("{}: the shards hold {} tensors, expected {} (split.tensors.count)",
                                                 path, found, set.tensor_count));
  return {};
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_gguf(const std::string& path, ContentHash hash) {
  auto checkpoint = std::make_unique<GgufCheckpoint>(hash);
  auto file = checkpoint->open_file(path);
  if (!file) return forward(file);
  auto header = read_gguf_header(*file);
  if (!header) return forward(header);
  const auto split = read_split(*header, path);
  if (!split) return forward(split);
  if (split->count == 1) {
    checkpoint->start(std::move(*file), std::move(*header));
  } else if (auto ok = open_all_shards(path, *split, *checkpoint); !ok) {
    return forward(ok);
  }
  if (auto ok = checkpoint->finish(); !ok) return forward(ok);
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace moe::inline MOE_ABI::checkpoint
