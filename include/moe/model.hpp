#pragma once
// Model: immutable weights, shared by any number of Sessions and threads.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/chat_templates.hpp"
#include "moe/config.hpp"
#include "moe/content_hash.hpp"
#include "moe/error.hpp"
#include "moe/expert_traffic.hpp"
#include "moe/formats.hpp"
#include "moe/metadata.hpp"
#include "moe/parallel.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI {

/// Changes whenever a line of the numerics contract (docs/NUMERICS.md) changes.
inline constexpr int kNumericsVersion = 3;

enum class Precision {
  automatic,  ///< int8 activations against integer formats, float32 against float formats
  reference,  ///< float32 activations against the widened weights: what golden data is compared with
};
/// As written in result files and on command lines: "auto", "reference".
constexpr std::string_view name_of(Precision value) noexcept {
  switch (value) {
    case Precision::automatic: return "auto";
    case Precision::reference: return "reference";
  }
  return "";
}

/// Progress in bytes; called from the loading thread, at most about ten times a second.
struct Progress {
  std::int64_t done = 0, total = 0;
};

/// Checks that all numbers are in range and consistent with each other; router.hpp has the same for a RouterConfig.
/// Errors: bad_config, naming the field, what was found and what was expected.
MOE_API Result<void> validate(const ModelConfig& config);
/// Numbers of routed experts per token that differ from the model's own.
struct ExpertOptions {
  std::vector<std::int64_t> top_k = {};          ///< one number for all MoE layers or one for each; empty: the model's
  std::optional<double> expert_mass = {};        ///< RouterConfig::expert_mass; empty: the model's
  std::optional<MassVariant> mass_variant = {};  ///< matters below a mass of 1; empty: the model's
  bool operator==(const ExpertOptions&) const = default;
};
/// The configuration that Model::with_experts would run.
/// Errors: bad_config when a number is out of range (naming layer, number and range), when top_k has neither one entry
/// nor one for each MoE layer, or when the model is dense.
MOE_API Result<ModelConfig> with_experts(const ModelConfig& config, const ExpertOptions& options);
inline Result<ModelConfig> with_top_k(const ModelConfig& config, std::int64_t top_k) {
  return with_experts(config, {.top_k = {top_k}});
}

/// The multi-token-prediction (MTP) layer behind a model's own layers, as a model of one layer: of the same family, read
/// by Model::mtp(). DeepSeek-V3, arXiv 2412.19437, section 2.2.
/// Errors: unsupported, when the model has no such layer or several, or libmoe does not run those of its family.
MOE_API Result<ModelConfig> mtp_config(const ModelConfig& config);

/// What to do with a model that has no usable tokenizer: none at all, or one with an unknown pre-tokenizer.
enum class TokenizerUse {
  required,  ///< fail; the error says why
  optional,  ///< load it for use with token ids; Model::tokenizer_error() says why
  none,      ///< do not read the tokenizer
};
constexpr std::string_view name_of(TokenizerUse value) noexcept {
  switch (value) {
    case TokenizerUse::required: return "required";
    case TokenizerUse::optional: return "optional";
    case TokenizerUse::none: return "none";
  }
  return "";
}

/// How a packed file (moe/pack.hpp) becomes a model's weights.
enum class PackUse {
  read,  ///< into memory of this process, in huge pages where Linux has them
  map,   ///< mapped: processes share one copy; if the file shrinks while it is used, the process gets SIGBUS
};
constexpr std::string_view name_of(PackUse value) noexcept {
  switch (value) {
    case PackUse::read: return "read";
    case PackUse::map: return "map";
  }
  return "";
}

struct LoadOptions {
  ParallelFor threads = {};  ///< default: one thread
  std::function<void(Progress)> on_progress = {};
  std::function<bool()> cancelled = {};  ///< called between tensors; true ends with ErrorCode::cancelled
  TokenizerUse tokenizer = TokenizerUse::required;
  /// Memory for routed experts; the others are read when a step needs them, from the packed file. Empty: all are in
  /// memory. plan_memory() computes it.
  std::optional<std::int64_t> expert_bytes = {};
  std::int32_t read_threads = 4;  ///< reads of experts at a time, 1 to 64; two threads more are started
  /// Only these layers are loaded, with the embedding before the first and the head behind the last: a stage of a
  /// pipeline (moe/stages.hpp). Not with a packed file. Empty: all.
  std::optional<LayerRange> layers = {};
  ContentHash content_hash = nullptr;  ///< fills Model::content_hash(): all bytes are hashed while they are loaded
  /// A packed file (*.moepack) of this model, or a folder for packed files: the first load makes the file, later ones
  /// read it in place of the model's matrices. It is made again when the model's files have changed. Empty: none.
  std::string pack = {};
  PackUse pack_use = PackUse::read;
  bool mtp = false;  ///< also the MTP layer, into memory: Model::mtp()
};

/// Tensors of one format in a file.
struct FormatUse {
  Format format = Format::f32;  ///< what they become in memory
  std::string name = {};        ///< what they are in the file: the format's name, or "f8_e4m3"
  std::int64_t tensor_count = 0;
  std::int64_t bytes = 0;
};

/// Bytes of the weights as they lie in memory.
struct PackedSizes {
  std::int64_t always = 0;                ///< all but routed experts
  std::vector<std::int64_t> expert = {};  ///< [layer] of one routed expert, the mean where they differ; 0: dense
};

/// Facts about a model file that need no weights in memory.
struct ModelInfo {
  ModelConfig config = {};
  std::int64_t total_parameters = 0;  ///< without MTP layers
  std::int64_t mtp_parameters = 0;
  std::int64_t mtp_bytes = 0;  ///< that LoadOptions::mtp adds in memory; 0: the file holds no MTP layer that can be run
  /// Parameters of other models in the checkpoint (vision, audio). They are not loaded and not counted in
  /// total_parameters or weight_bytes.
  std::int64_t tower_tensors = 0, tower_parameters = 0;
  std::int64_t weight_bytes = 0;   ///< as stored in the file; 0 when there is only a config.json
  std::int64_t touched_bytes = 0;  ///< of those, read when decoding one token (K of E experts, one embedding row)
  PackedSizes packed = {};         ///< empty when there is only a config.json
  std::int64_t routed_bytes =
      0;  ///< of those, the part that each expert chosen per token adds (all MoE layers together)
  std::vector<std::int64_t> layer_routed_bytes = {};  ///< the same of each MoE layer
  std::vector<FormatUse> formats = {};                ///< most bytes first
  std::string format_summary = {};                    ///< "133 q5_0, 13 q8_0, ...", the same as text
  std::uint64_t hash = 0;  ///< of header and tensor list only; for the bytes of all weights see Model::content_hash
  std::vector<std::string> notes = {};  ///< warnings about the file: contradicting values, tensors that are not used
  /// Keys of config.json or GGUF metadata that were not read and that are not known to be irrelevant.
  std::vector<std::string> unread_keys = {};
  Metadata metadata = {};             ///< of the model's files
  ChatTemplates chat_templates = {};  ///< as texts; moe/chat.hpp compiles and uses them
};

struct ModelImpl;
namespace detail {
struct ModelAccess;  // the library's own way to a Model's parts
}

/// Immutable: any number of threads may use one object at once.
class MOE_API Model {
 public:
  /// A .gguf file, a directory that holds one, or a Hugging Face directory. A file that is modified while it is read is
  /// an error; if it is replaced by a new file of the same name, the old one is read to its end.
  /// Errors: not_found, bad_file, bad_config, unsupported, io, out_of_memory, cancelled.
  static Result<std::shared_ptr<const Model>> load(const std::string& path, const LoadOptions& options = {});
  /// Reads headers only. For a directory with a config.json and no weights, sizes are computed from the configuration.
  static Result<ModelInfo> inspect(const std::string& path);

  ~Model();
  const ModelConfig& config() const;
  const ModelInfo& info() const;
  /// Metadata of the model's files: info().metadata.
  const Metadata& metadata() const;
  /// Never null with TokenizerUse::required. Otherwise null when the file has none or libmoe does not know its
  /// pre-tokenizer; tokenizer_error() says why.
  const std::shared_ptr<const Tokenizer>& tokenizer() const;
  const std::string& tokenizer_error() const;
  const ChatTemplates& chat_templates() const { return info().chat_templates; }
  /// Identifies this model by its bytes: a SHA-256 in hexadecimal over the .gguf file with its shards, or over all
  /// files of a directory that were read (weights, index, config.json, tokenizer, chat templates). It is taken from the
  /// open files as they are loaded. Empty unless LoadOptions::content_hash is set. Renaming a single file does not
  /// change it.
  const std::string& content_hash() const;
  /// Those that were loaded: LoadOptions::layers.
  LayerRange layers() const;
  /// The MTP layer as a model of its own, null without LoadOptions::mtp. Its sessions read the states of a session of
  /// this model (BatchItem::states); token i goes with the state of token i - 1.
  const std::shared_ptr<const Model>& mtp() const;
  /// Bytes of the weights in memory: packed matrices, and vectors of float32 (norms, biases).
  std::int64_t resident_bytes() const;
  /// What reading experts cost so far; all 0 where they are in memory.
  ExpertTraffic expert_traffic() const;
  /// The same model with other numbers of experts per token; the weights are shared. ModelInfo::touched_bytes follows
  /// top_k; with an expert_mass it is an upper bound. Errors: bad_config (as moe::with_experts).
  Result<std::shared_ptr<const Model>> with_experts(const ExpertOptions& options) const;
  Result<std::shared_ptr<const Model>> with_top_k(std::int64_t top_k) const { return with_experts({.top_k = {top_k}}); }

 private:
  friend struct detail::ModelAccess;
  explicit Model(std::shared_ptr<const ModelImpl> impl);
  std::shared_ptr<const ModelImpl> impl_;
};

}  // namespace moe::inline MOE_ABI
