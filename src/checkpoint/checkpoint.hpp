#pragma once
// One view of a model file, whatever its kind. Opening validates everything (headers, shapes, offsets against the
// file's length) before anything is allocated from it; tensor bytes are read with pread into the caller's buffer.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/content_hash.hpp"
#include "moe/chat_templates.hpp"
#include "moe/error.hpp"
#include "moe/formats.hpp"
#include "moe/metadata.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// A tensor as stored. `shape` is row-major, outermost first (GGUF's order reversed): rows are contiguous.
struct TensorInfo {
  std::string name;
  Format format = Format::f32;
  std::vector<std::int64_t> shape;
  std::int32_t file = 0;     ///< index of the shard
  std::uint64_t offset = 0;  ///< from the start of that file, in bytes
  std::uint64_t bytes = 0;

  std::int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  /// All dimensions but the last, multiplied.
  std::int64_t rows() const {
    std::int64_t n = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
    return n;
  }
};

/// A tensor of a type that no kernel reads (integers, float64, FP8, ..): for error messages, or to be widened as its
/// checkpoint specifies.
struct UnsupportedTensor {
  std::string name;
  std::string type;       ///< "i32", "F8_E4M3": the file's name of the type
  TensorInfo where = {};  ///< safetensors: shape and place of the raw bytes; `format` is meaningless
};

/// GGUF metadata value. Integers of every width are widened; arrays are of one element type.
using MetaValue = MetadataValue;

enum class Kind { gguf, hf };

/// The tokenizer files of a directory; absent ones are empty.
struct TokenizerText {
  std::string json;    ///< tokenizer.json
  std::string config;  ///< tokenizer_config.json
};

/// The raw bytes of a GGUF metadata entry: its type and value.
struct RawMetadata {
  std::string key;
  std::vector<std::byte> value;
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  virtual Kind kind() const = 0;
  /// In file order; those of a Format only.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  const TensorInfo* find(std::string_view name) const;
  /// The tensors that tensors() leaves out because of their type.
  const std::vector<UnsupportedTensor>& unsupported() const { return unsupported_; }

  /// Reads bytes [offset, offset + out.size()) of the tensor. Thread-safe.
  /// Errors: io, when the file ended early or was changed, naming the tensor and the byte counts.
  virtual Result<void> read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const = 0;

  /// GGUF: metadata by key, null when absent. HF: always null.
  virtual const MetaValue* meta(std::string_view key) const = 0;
  /// GGUF: all keys, sorted. HF: none.
  virtual std::vector<std::string> meta_keys() const { return {}; }
  /// HF: text of config.json. GGUF: empty.
  virtual const std::string& config_json() const = 0;
  /// HF: text of generation_config.json, empty where there is none. GGUF: empty. Errors: io, bad_file.
  virtual Result<std::string> generation_json() const { return std::string(); }

  /// Sum of the sizes of all shards, in bytes.
  virtual std::uint64_t file_bytes() const = 0;
  /// A hash of header, metadata and tensor list (not of the weights); part of run-store keys.
  virtual std::uint64_t header_hash() const = 0;
  /// With a hash from open(): number of file blocks kept in memory (block_cache.hpp).
  virtual void keep_blocks(std::size_t count) const = 0;
  /// The files of tensors, by TensorInfo::file: what changes when one is written.
  struct FileState {
    std::uint64_t bytes = 0;
    std::int64_t modified_ns = 0;
  };
  virtual std::vector<FileState> file_states() const = 0;
  /// The digests of these files, known from before (ContentHasher::file_digests): they are then not hashed again.
  virtual void set_digests(const std::vector<std::string>& digests) = 0;
  /// Input of ContentHasher: the files of tensors, by TensorInfo::file, then the texts read so far.
  virtual std::vector<Source> sources() const = 0;

  /// The tokenizer in the file or directory, for a model with that many rows (0: not known).
  /// Errors: not_found when there is none ("no_vocab"), unsupported, bad_file.
  virtual Result<std::shared_ptr<const Tokenizer>> load_tokenizer(std::int64_t row_count = 0) const = 0;

  /// Never fails: errors are in ChatTemplates::error.
  virtual ChatTemplates chat_templates() const = 0;

  /// For writing another file. HF: the texts; GGUF: empty. Errors: io, bad_file.
  virtual Result<TokenizerText> tokenizer_text() const { return TokenizerText{}; }
  /// For writing another file. GGUF: all entries in file order; HF: none. Errors: io.
  virtual Result<std::vector<RawMetadata>> raw_metadata() const { return std::vector<RawMetadata>{}; }

 protected:
  /// To be called once, when tensors() is complete.
  void build_index();
  std::vector<UnsupportedTensor> unsupported_;

 private:
  std::unordered_map<std::string_view, std::size_t> index_;
};

/// The one GGUF file of a directory, of a split one its first shard; empty where there is none, or a config.json with
/// safetensors.
/// Errors: io; bad_argument when there are several, naming them.
Result<std::string> gguf_of_directory(const std::string& directory);

/// A .gguf file (any shard of a split one opens all), a directory with config.json and safetensors, or one that holds
/// one GGUF file. With a hash, everything read from then on, headers included, is hashed (content_hash.hpp).
/// Errors: not_found, bad_file, unsupported, io - the message names the file, the item, what was found and expected.
Result<std::unique_ptr<Checkpoint>> open(const std::string& path, ContentHash hash = nullptr);

}  // namespace moe::inline MOE_ABI::checkpoint
