// moe-inspect: what is in this model - parameters, formats, FLOPs and bytes per token - without loading its weights.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "moe/cpu.hpp"
#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "moe/outline.hpp"
#include "support/json_text.hpp"
#include "support/number.hpp"
#include "support/show.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"
#include "tools/inspect_facts.hpp"

namespace {

using json = nlohmann::ordered_json;
using inspect::Facts;
using inspect::Limit;
using inspect::limit_of;
using moe::Format;
using moe::KvType;
using moe::ModelConfig;

/// Formats that a model without weights is sized for.
constexpr Format kSizedFor[] = {Format::bf16, Format::q8_0, Format::q6_k, Format::q4_k, Format::q4_0};

std::string limit_text(const Limit& limit) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3g tokens/s (%s)", limit.tokens_per_second,
                limit.by_bytes ? "bytes" : "operations");
  return text;
}

/// Bytes of weights in `format`: vectors and the router stay float32; rows that its blocks do not divide become q8_0 or,
/// where that does not fit either, float16.
auto bytes_as(Format format) {
  return [format](const moe::WeightShape& w, std::int64_t rows) {
    Format used = Format::f16;
    for (const Format fits : {Format::q8_0, format})
      if (w.cols % moe::format_info(fits).block_values == 0) used = fits;
    if (w.part == moe::WeightPart::vector || w.part == moe::WeightPart::router) used = Format::f32;
    return rows * moe::row_bytes(used, w.cols);
  };
}

std::string with_unit(double value, const char* const* units, double step, int digits = 2) {
  int i = 0;
  for (; value >= step && units[i + 1] != nullptr; ++i) value /= step;
  char text[48];
  std::snprintf(text, sizeof text, "%.*f %s", i == 0 ? 0 : digits, value, units[i]);
  return text;
}
std::string bytes_text(std::int64_t n) {
  static const char* const kUnits[] = {"B", "KB", "MB", "GB", "TB", nullptr};
  return with_unit(static_cast<double>(n), kUnits, 1000.0);
}
std::string flops_text(std::int64_t n) {
  static const char* const kUnits[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", nullptr};
  return with_unit(static_cast<double>(n), kUnits, 1000.0);
}
std::string count_text(std::int64_t n, int digits = 2) {
  static const char* const kUnits[] = {"", "K", "M", "B", nullptr};
  return with_unit(static_cast<double>(n), kUnits, 1000.0, digits);
}

std::string number(std::int64_t n) { return std::to_string(n); }

/// Of sparse attention; empty for other models.
std::string indexer_text(const ModelConfig& c) {
  if (c.indexer.top_k == 0) return "";
  const auto shared = static_cast<std::int64_t>(c.indexer.shared_layers.size());
  return "; attends to " + number(c.indexer.top_k) + " keys, which " + number(c.indexer.head_count) + " heads of " +
         number(c.indexer.head_dim) + " choose in " + number(c.layer_count - shared) + " of " + number(c.layer_count) +
         " layers";
}

std::string attention_line(const ModelConfig& c) {
  if (c.attention == moe::AttentionKind::mla)
    return number(c.head_count) + " heads over a latent of " + number(c.kv_lora_rank) + " + " +
           number(c.qk_rope_head_dim) + " (q and k " + number(c.qk_nope_head_dim) + " + " + number(c.qk_rope_head_dim) +
           ", v " + number(c.v_head_dim) + " per head)" + indexer_text(c);
  std::string text = number(c.head_count) + " heads of " + number(c.head_dim) + ", " + number(c.kv_head_count) +
                     " for keys and values";
  if (c.full_head_dim > 0 || c.full_kv_head_count > 0)
    text += " (in full layers " + number(c.full_head_dim > 0 ? c.full_head_dim : c.head_dim) + " and " +
            number(c.full_kv_head_count > 0 ? c.full_kv_head_count : c.kv_head_count) + ")";
  if (c.full_key_is_value) text += "; full layers use their keys as values";
  if (c.kv_shared_layer_count > 0)
    text += "; the last " + number(c.kv_shared_layer_count) + " layers use the keys and values of others";
  if (!c.sliding_layers.empty())
    text += "; " + number(static_cast<std::int64_t>(c.sliding_layers.size())) + " layers see the last " +
            number(c.sliding_window) + " keys";
  return text;
}

std::string experts_line(const ModelConfig& c) {
  const moe::RouterConfig& r = c.router;
  std::int64_t moe_layers = 0;
  for (std::int64_t l = 0; l < c.layer_count; ++l) moe_layers += c.layer_is_moe(l) ? 1 : 0;
  std::string text = number(r.top_k) + " of " + number(r.expert_count) + " per token";
  if (r.group_count > 1) text += ", out of " + number(r.topk_group) + " of " + number(r.group_count) + " groups";
  if (c.shared_expert_count > 0)
    text += ", " + number(c.shared_expert_count) + " shared" +
            (c.shared_expert_intermediate_size > 0 ? " of width " + number(c.shared_width()) : std::string{});
  if (c.dense_beside_experts) text += ", beside a dense FFN of width " + number(c.intermediate_size);
  text += ", width " + number(c.moe_intermediate_size) + ", in " + number(moe_layers) + " of " + number(c.layer_count) +
          " layers";
  return text;
}

/// Layers with a state; a model has one kind of them.
std::string mixers_line(const ModelConfig& c) {
  std::int64_t count = 0;
  std::string_view kind;
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (c.is_recurrent(l)) kind = name_of(c.mixer(l)), ++count;
  return count == 0 ? "" : std::string(kind) + " in " + number(count) + " of " + number(c.layer_count) + " layers";
}

/// Text in lines of a label and what is said of it.
class Lines {
 public:
  void add(std::string_view label, const std::string& text) {
    text_ += fmt::format("{:<16} {}\n", label, moe::printable(text));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void add_sizes(Lines& out, const std::string& path, const Facts& f) {
  const ModelConfig& c = f.info.config;
  out.add("model", path + (f.config_only() ? " (configuration only, no weights)" : ""));
  out.add("family", c.family);
  out.add("shape", number(c.layer_count) + " layers, width " + number(c.hidden_size) + ", vocabulary " +
                       number(c.vocab_size) + (c.tie_word_embeddings ? " (head tied to the embedding)" : "") +
                       ", context " + number(c.max_position));
  out.add("attention", attention_line(c));
  if (const std::string mixers = mixers_line(c); !mixers.empty()) out.add("recurrent", mixers);
  out.add("experts",
          c.router.expert_count > 0 ? experts_line(c) : "none (dense), width " + number(c.intermediate_size));
  if (c.layer_input_size > 0)
    out.add("layer inputs", number(c.layer_input_size) + " values per token and layer, of a table of " +
                                count_text(c.layer_input_vocab_size * c.layer_count * c.layer_input_size) +
                                " parameters");
  out.add("parameters",
          count_text(f.info.total_parameters) + " total (" + count_text(f.parameters.matrices) + " in matrices)" +
              (f.info.mtp_parameters > 0 ? ", and " + count_text(f.info.mtp_parameters) + " of multi-token prediction" +
                                               (f.info.mtp_bytes > 0 ? " (for --draft mtp)" : " (not run)")
                                         : std::string{}));
  if (f.info.tower_tensors > 0)
    out.add("other towers", number(f.info.tower_tensors) + " tensors of other models in the checkpoint, " +
                                count_text(f.info.tower_parameters) + " parameters (not read)");
}

void add_work(Lines& out, const Facts& f) {
  out.add("active", count_text(f.parameters.active_with_embedding) + " with embedding and head, " +
                        count_text(f.parameters.active_matmul, 3) + " with the head alone, " +
                        count_text(f.parameters.active_without_head) + " with neither");
  out.add("FLOPs per token", flops_text(f.flops_per_token) + " (" + flops_text(f.flops_per_token_without_head) +
                                 " without the head), plus attention:");
  const std::string at = number(f.context);
  out.add("", flops_text(f.attention_decode) + " decoding at " + at + " tokens, " +
                  flops_text(f.attention_prefill_mean) + " mean of a prefill of " + at +
                  (f.attention_decode_all_keys != f.attention_decode
                       ? "; " + flops_text(f.attention_decode_all_keys) + " decoding if every layer saw all keys"
                       : "") +
                  (f.attention_decode_absorbed != f.attention_decode
                       ? "; " + flops_text(f.attention_decode_absorbed) + " in the absorbed form that runs"
                       : ""));
  out.add("cache", bytes_text(f.cache_per_token(KvType::f16)) + " per token as f16 or bf16, " +
                       bytes_text(f.cache_per_token(KvType::f32)) + " as f32, " +
                       bytes_text(f.cache_per_token(KvType::q8_0)) + " as q8_0; " +
                       bytes_text(f.cache_at_context(KvType::f16)) + " at " + at + " tokens (f16), " +
                       bytes_text(f.cache_at_context(KvType::q8_0)) + " (q8_0)");
  if (const std::int64_t bytes = moe::recurrent_state_bytes(f.info.config); bytes > 0)
    out.add("states", bytes_text(bytes) + " per sequence, at any length");
}

/// Of a configuration alone: what its weights would take in some formats.
void add_possible_weights(Lines& out, const Facts& f) {
  const ModelConfig& c = f.info.config;
  out.add("weights as", "stored / touched per decoded token, with the cache at " + number(f.context) + " tokens");
  for (const Format format : kSizedFor) {
    const std::int64_t touched = moe::weight_bytes_touched(c, bytes_as(format));
    out.add(
        "  " + std::string(moe::name_of(format)),
        bytes_text(moe::weight_bytes_stored(c, bytes_as(format))) + " / " + bytes_text(touched) + ", " +
            bytes_text(touched + f.cache_at_context(KvType::f16)) +
            (f.peaks ? "; at most " + limit_text(limit_of(f, touched, moe::multiplies_int8(format))) : std::string{}));
  }
}

void add_weights(Lines& out, const Facts& f) {
  const std::string at = number(f.context);
  out.add("weights", bytes_text(f.info.weight_bytes) + " stored");
  for (const moe::FormatUse& use : f.info.formats)
    out.add("  " + use.name, bytes_text(use.bytes) + " in " + number(use.tensor_count) +
                                 (use.tensor_count == 1 ? " tensor" : " tensors"));
  out.add("touched", bytes_text(f.info.touched_bytes) + " of weights per decoded token, " +
                         bytes_text(f.info.touched_bytes + f.cache_at_context(KvType::f16)) + " with the cache at " +
                         at + " tokens (f16)");
  if (f.peaks)
    out.add("limit", limit_text(limit_of(f)) + " decoding one sequence at " + at + " tokens, by this machine's peaks");
}

std::string text_of(const std::string& path, const Facts& f) {
  Lines out;
  add_sizes(out, path, f);
  add_work(out, f);
  // What a reader of the file should know, and what libmoe did not read.
  for (const std::string& note : f.info.notes) out.add("note", note);
  if (!f.info.unread_keys.empty()) out.add("keys not read", fmt::format("{}", fmt::join(f.info.unread_keys, ", ")));
  if (f.config_only())
    add_possible_weights(out, f);
  else
    add_weights(out, f);
  return out.text();
}

json as_json(const std::string& path, const Facts& f) {
  const ModelConfig& c = f.info.config;
  json out = {{"path", path},
              {"family", c.family},
              {"config_only", f.config_only()},
              {"layer_count", c.layer_count},
              {"hidden_size", c.hidden_size},
              {"vocab_size", c.vocab_size},
              {"max_position", c.max_position},
              {"tie_word_embeddings", c.tie_word_embeddings},
              {"attention", name_of(c.attention)},
              {"head_count", c.head_count}};
  if (c.router.expert_count > 0)
    out["experts"] = {{"routed", c.router.expert_count},   {"per_token", c.router.top_k},
                      {"shared", c.shared_expert_count},   {"group_count", c.router.group_count},
                      {"topk_group", c.router.topk_group}, {"width", c.moe_intermediate_size}};
  out["notes"] = f.info.notes;
  out["unread_keys"] = f.info.unread_keys;
  out["parameters"] = {{"total", f.info.total_parameters},
                       {"mtp", f.info.mtp_parameters},
                       {"other_towers", f.info.tower_parameters},
                       {"matrices", f.parameters.matrices},
                       {"active_with_embedding", f.parameters.active_with_embedding},
                       {"active_matmul", f.parameters.active_matmul},
                       {"active_without_head", f.parameters.active_without_head}};
  out["other_tower_tensors"] = f.info.tower_tensors;
  out["context"] = f.context;
  out["flops_per_token"] = {{"weights", f.flops_per_token},
                            {"weights_without_head", f.flops_per_token_without_head},
                            {"attention_decode", f.attention_decode},
                            {"attention_decode_absorbed", f.attention_decode_absorbed},
                            {"attention_decode_all_keys", f.attention_decode_all_keys},
                            {"attention_prefill_mean", f.attention_prefill_mean}};
  out["state_bytes_per_sequence"] = moe::recurrent_state_bytes(c);
  for (const KvType type : moe::kKvTypes) {
    out["cache_bytes_per_token"][std::string(name_of(type))] = f.cache_per_token(type);
    out["cache_bytes_at_context"][std::string(name_of(type))] = f.cache_at_context(type);
  }
  if (f.config_only()) {
    for (const Format format : kSizedFor)
      out["weight_bytes_as"][std::string(moe::name_of(format))] = {
          {"stored", moe::weight_bytes_stored(c, bytes_as(format))},
          {"touched_per_token", moe::weight_bytes_touched(c, bytes_as(format))}};
    for (const Format format : kSizedFor)
      if (f.peaks)
        out["limit_tokens_per_second"][std::string(moe::name_of(format))] =
            limit_of(f, moe::weight_bytes_touched(c, bytes_as(format)), moe::multiplies_int8(format)).tokens_per_second;
    return out;
  }
  out["weight_bytes"] = f.info.weight_bytes;
  out["weight_bytes_touched_per_token"] = f.info.touched_bytes;
  if (f.peaks) out["limit_tokens_per_second"] = limit_of(f).tokens_per_second;
  for (const moe::FormatUse& use : f.info.formats)
    out["formats"].push_back({{"format", use.name}, {"tensors", use.tensor_count}, {"bytes", use.bytes}});
  return out;
}

/// A model that libmoe does not run, as far as its configuration and tensors tell.
std::string text_of(const std::string& path, const moe::ModelOutline& o) {
  Lines out;
  const auto told = [](std::int64_t n) { return n > 0 ? number(n) : std::string("unknown"); };
  out.add("model", path + " (not supported)");
  out.add("family", o.family);
  for (const std::string& missing : o.missing) out.add("missing", missing);
  out.add("shape", told(o.layer_count) + " layers, width " + told(o.hidden_size) + ", vocabulary " +
                       told(o.vocab_size) + ", context " + told(o.max_position));
  if (o.expert_count > 0) out.add("experts", number(o.top_k) + " of " + number(o.expert_count) + " per token");
  if (o.tensor_parameters > 0) out.add("parameters", count_text(o.tensor_parameters) + " in the tensors");
  if (o.parameters > 0) {
    out.add(o.tensor_parameters > 0 ? "" : "parameters",
            count_text(o.parameters) + ", " + count_text(o.active_parameters) +
                " active with embedding and head, if every layer were attention and FFN");
    out.add("FLOPs per token", flops_text(o.flops_per_token) + " plus attention, by the same assumption");
  } else {
    out.add("FLOPs per token", "unknown: the configuration has other names for its sizes");
  }
  return out.text();
}

json as_json(const std::string& path, const moe::ModelOutline& o) {
  return {{"path", path},
          {"supported", false},
          {"family", o.family},
          {"missing", o.missing},
          {"layer_count", o.layer_count},
          {"hidden_size", o.hidden_size},
          {"vocab_size", o.vocab_size},
          {"max_position", o.max_position},
          {"experts", {{"routed", o.expert_count}, {"per_token", o.top_k}}},
          {"parameters",
           {{"tensors", o.tensor_parameters}, {"total", o.parameters}, {"active_with_embedding", o.active_parameters}}},
          {"flops_per_token", {{"weights", o.flops_per_token}}}};
}

/// What there is to say of it, then the error.
moe::Result<void> print_outline(const std::string& path, bool want_json, const moe::Error& error) {
  const auto o = moe::outline(path);
  if (o)
    if (auto ok = cli::print(want_json ? moe::ascii_json_text(as_json(path, *o), 2) + "\n" : text_of(path, *o)); !ok)
      return ok;
  return moe::fail(error.code, error.message);
}

}  // namespace

int main(int argc, char** argv) {
  std::string path, peaks;
  std::int64_t context = 2048;
  bool want_json = false;
  CLI::App app("Says what is in a model without loading its weights.", "moe-inspect");
  cli::add_path(app, "path", path,
                "a .gguf file, a directory with one, or one with a config.json (weights may be missing)")
      ->required();
  cli::add_number(app, "--context", context, moe::Bounds<std::int64_t>{1, std::int64_t{1} << 26},
                  "tokens in the cache for what depends on it (2048)");
  cli::add_path(app, "--peaks", peaks,
                "what this machine can do, for the limit in tokens/s: 'measure', or a file of moe-bench --json");
  app.add_flag("--json", want_json, "one JSON object; FLOPs and bytes as integers");
  app.footer(
      "Examples:\n"
      "  moe-inspect model.gguf --context 8192\n"
      "  moe-inspect DeepSeek-V3 --peaks measure\n"
      "Exit status: 0 done, 1 bad input, 2 wrong usage, 3 internal or out of memory, 130 interrupted.");
  return cli::run(app, argc, argv, [&]() -> moe::Result<void> {
    auto info = moe::Model::inspect(path);
    if (!info && info.error().code == moe::ErrorCode::unsupported) return print_outline(path, want_json, info.error());
    if (!info) return moe::forward(info);
    Facts facts = inspect::gather(std::move(*info), context);
    if (!peaks.empty()) {
      auto found = inspect::read_peaks(peaks);
      if (!found) return moe::forward(found);
      facts.peaks = *found;
    }
    return cli::print(want_json ? moe::ascii_json_text(as_json(path, facts), 2) + "\n" : text_of(path, facts));
  });
}
