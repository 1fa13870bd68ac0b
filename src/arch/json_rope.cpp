// RoPE settings (moe/rope_config.hpp) from config.json, as in transformers 5.24 (modeling_rope_utils): one block for
// all layers or one per kind of layer, under either of two names; missing values come from the top level or are
// defaults.
#include <fmt/format.h>

#include <cmath>

#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr std::string_view kFull = "full_attention", kSliding = "sliding_attention";

bool is_nested(JsonValue block) { return block.contains(kFull) || block.contains(kSliding); }

/// A key that transformers completes: its value as in the file, or the default.
std::string type_text(JsonValue block) {
  for (const char* key : {"rope_type", "type"})
    if (const auto type = block.find(key)) return type->in_ascii();
  return "\"default\"";
}
bool same_theta(JsonValue a, JsonValue b, double absent) {
  const auto x = a.find("rope_theta"), y = b.find("rope_theta");
  if (x && y) return *x == *y;
  const auto given = x ? x : y;
  return !given || (given->is_number() && given->get<double>() == absent);
}

bool same_block(JsonValue a, JsonValue b, double theta);

/// Whether `b` has all members of `a`, except the keys above.
bool has_members(JsonValue a, JsonValue b, double theta) {
  const bool nested = is_nested(a);
  for (const auto& [key, value] : a.items()) {
    if (!nested && (key == "type" || key == "rope_type" || key == "rope_theta")) continue;
    const auto other = b.find(key);
    if (!other) return false;
    const bool inner = nested && value.is_object() && other->is_object();
    if (inner ? !same_block(value, *other, theta) : !(value == *other)) return false;
  }
  return true;
}

/// Whether two blocks, completed as in transformers, are equal. Recurses at most kJsonDepthLimit deep.
bool same_block(JsonValue a, JsonValue b, double theta) {
  if (is_nested(a) != is_nested(b) || !has_members(a, b, theta) || !has_members(b, a, theta)) return false;
  return is_nested(a) || (type_text(a) == type_text(b) && same_theta(a, b, theta));
}

/// One block, and where to look for missing values.
struct Source {
  const JsonConfig& file;
  const JsonConfig& whole;  ///< all of rope_parameters; the block itself unless there is one per kind of layer
  const JsonConfig& block;
  std::string_view theta_key;
  bool old_name = true;       ///< "type" names the rule if there is no rope_type
  std::int64_t head_dim = 0;  ///< of the layers that the block is about (proportional)
  bool nested() const { return &whole != &block; }
};

std::string type_of(const Source& s) {
  const JsonConfig& block = s.block;
  if (!s.old_name && !block.in_file("rope_type")) {
    const std::string type = block.string_or("type", "default");
    if (type != "default")
      s.file.note(
          fmt::format("config.json: {} is '{}' and there is no rope_type: positions are not scaled, as in "
                      "transformers 5",
                      block.path("type"), type.substr(0, 60)));
    return "default";
  }
  for (const char* key : {"rope_type", "type"})
    if (block.in_file(key)) {
      if (!block.has(key)) block.refuse(ErrorCode::bad_config, "config.json: " + block.path(key) + " is null");
      block.in_file("type");  // ignored if there is rope_type
      return block.string_or(key, "default");
    }
  return "default";
}

double theta_of(const Source& s) {
  if (!s.block.in_file("rope_theta")) return s.file.number(s.theta_key);
  const double theta = s.block.number("rope_theta");
  if (s.file.in_file(s.theta_key) && s.file.number_or(s.theta_key, theta) != theta)
    s.file.note(fmt::format("config.json: {} is {} and {} is {}: the former counts, as in transformers 5",
                            s.block.path("rope_theta"), theta, s.theta_key, s.file.number(s.theta_key)));
  return theta;
}

/// The context of the unscaled model. The top level overrides the block, as in transformers.
std::int64_t original_context(const Source& s, const ModelConfig& c) {
  constexpr std::string_view kKey = "original_max_position_embeddings";
  const std::int64_t inner = s.block.integer_or(kKey, c.max_position, 1, kMaxPosition);
  if (s.nested() || !s.file.has(kKey)) return inner;
  const std::int64_t outer = s.file.integer(kKey, 1, kMaxPosition);
  if (s.block.has(kKey) && outer != inner)
    s.file.note(fmt::format("config.json: {} is {} and {} is {}: the former counts, as in transformers 5", kKey, outer,
                            s.block.path(kKey), inner));
  return outer;
}

// An explicit attention_factor wins.
void read_yarn(const Source& s, RopeConfig& rope, const ModelConfig& c) {
  rope.scaling = RopeScaling::yarn;
  rope.factor = s.block.in_file("factor") && !s.block.has("factor")  // null: the ratio of the contexts
                    ? static_cast<double>(c.max_position) / static_cast<double>(rope.original_max_position)
                    : s.block.number("factor");
  const auto or_default = [&](std::string_view key, double fallback) {
    const double found = s.block.number_or(key, fallback);
    return found == 0.0 ? fallback : found;
  };
  rope.beta_fast = or_default("beta_fast", 32.0);
  rope.beta_slow = or_default("beta_slow", 1.0);
  rope.truncate = !s.whole.in_file("truncate") || s.whole.boolean("truncate");
  const double mscale = s.block.number_or("mscale", 0.0), all_dim = s.block.number_or("mscale_all_dim", 0.0);
  rope.attention_factor = s.block.has("attention_factor") ? s.block.number("attention_factor")
                                                          : yarn_attention_factor(rope.factor, mscale, all_dim);
}

/// Hunyuan's "dynamic" with an alpha is not dynamic: the base is theta * alpha^(d / (d - 2)) for any length, and the
/// other numbers are not used.
void read_alpha(const Source& s, RopeConfig& rope, const ModelConfig& c) {
  const double alpha = s.block.number_or("alpha", 0.0), d = static_cast<double>(c.head_dim);
  if (alpha >= 1e-3 && alpha <= 1e9 && c.head_dim > 2)
    rope.theta *= detail::pow(alpha, d / (d - 2.0));
  else
    s.file.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: rope type 'dynamic' with alpha {} and heads of {} values, "
                              "expected an alpha from 0.001 to 1e9 and larger heads",
                              alpha, c.head_dim));
  for (const char* unused : {"factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"}) s.block.in_file(unused);
}

/// Divisors per rotated pair, for sequences up to the original context and beyond it.
void read_longrope(const Source& s, RopeConfig& rope, const ModelConfig& c) {
  rope.scaling = RopeScaling::longrope;
  rope.original_max_position = original_context(s, c);
  rope.frequency_factors = s.block.numbers_or_empty("short_factor");
  rope.long_factors = s.block.numbers_or_empty("long_factor");
  for (const auto& [key, factors] :
       {std::pair("short_factor", &rope.frequency_factors), std::pair("long_factor", &rope.long_factors)})
    if (static_cast<std::int64_t>(factors->size()) != c.rotated_dim() / 2)
      return s.file.refuse(ErrorCode::bad_config,
                           fmt::format("config.json: {} has {} numbers, expected {}, one per rotated pair of a head",
                                       s.block.path(key), factors->size(), c.rotated_dim() / 2));
  const double context = static_cast<double>(rope.original_max_position);
  const double factor = s.block.number_or("factor", static_cast<double>(c.max_position) / context);
  const double grown = factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(factor) / std::log(context));
  rope.attention_factor = s.block.number_or("attention_factor", grown);
}

/// The first pairs of a head turn as they would in whole heads, the others do not.
void read_proportional(const Source& s, RopeConfig& rope) {
  const double part = s.block.number_or("partial_rotary_factor", 1.0);
  if (!(part >= 0.0 && part <= 1.0))
    return s.file.refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {}, expected a number from 0 to 1",
                                                            s.block.path("partial_rotary_factor"), part));
  rope.scaling = RopeScaling::proportional;
  rope.factor = s.block.number_or("factor", 1.0);
  rope.rotated_pairs = static_cast<std::int64_t>(std::floor(part * static_cast<double>(s.head_dim) / 2.0));
}

void read_block(const Source& s, OwnRope own, RopeConfig& rope, ModelConfig& c) {
  rope.theta = theta_of(s);
  const std::string type = type_of(s);
  if (type == "default") return;
  if (type == "dynamic" && own == OwnRope::alpha) return read_alpha(s, rope, c);
  if (type == "proportional" && own == OwnRope::proportional) return read_proportional(s, rope);
  if (own == OwnRope::longrope) {
    if (type == "longrope" || type == "su" || type == "yarn")  // older names of the same in Phi-3's files
      return read_longrope(s, rope, c);
    return s.file.refuse(
        ErrorCode::unsupported,
        fmt::format("config.json: rope type '{}' is not known here (known: default, longrope)", type.substr(0, 60)));
  }
  if (type != "linear" && type != "llama3" && type != "yarn")
    return s.file.refuse(ErrorCode::unsupported,
                         fmt::format("config.json: rope type '{}' is not known (known: default, linear, llama3, yarn)",
                                     type.substr(0, 60)));
  rope.original_max_position = original_context(s, c);
  if (type == "yarn") {
    read_yarn(s, rope, c);
  } else {
    rope.scaling = type == "linear" ? RopeScaling::linear : RopeScaling::llama3;
    rope.factor = s.block.number("factor");
  }
  if (type == "llama3") {
    rope.low_freq_factor = s.block.number("low_freq_factor");
    rope.high_freq_factor = s.block.number("high_freq_factor");
  }
  // For any rule, not only YaRN's.
  if (c.attention == AttentionKind::mla) grow_softmax_scale(rope.factor, s.block.number_or("mscale_all_dim", 0.0), c);
}

/// Refuses partial rotation, for families that rotate whole heads.
void whole_heads(const JsonConfig& json, const JsonConfig& block, const ModelConfig& c) {
  if (c.rotary_dim != 0) return;  // read_partial_rotary() has read it
  for (const JsonConfig* place : {&json, &block})
    if (place->number_or("partial_rotary_factor", 1.0) != 1.0)
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} is {}, which libmoe does not support here",
                              place->path("partial_rotary_factor"), place->number("partial_rotary_factor")));
}

}  // namespace

JsonConfig rope_block(const JsonConfig& json) {
  const JsonConfig scaling = json.object("rope_scaling"), parameters = json.object("rope_parameters");
  if (scaling.empty()) return parameters;
  if (json.in_file("rope_parameters") && json.has("rope_parameters") && !parameters.empty()) {
    const double theta = json.number_or("rope_theta", 0.0);
    if (!same_block(scaling.value(), parameters.value(), theta))
      json.refuse(ErrorCode::bad_config,
                  "config.json: rope_scaling and rope_parameters say different things, expected one of them");
    for (const auto& [key, value] : parameters.value().items()) parameters.in_file(key);  // duplicates, read once
  }
  return scaling;
}

void read_partial_rotary(const JsonConfig& json, ModelConfig& c) {
  const JsonConfig block = rope_block(json);
  constexpr std::string_view kKey = "partial_rotary_factor", kCount = "rotary_dim";
  if (json.has(kCount) && !block.in_file(kKey)) {  // MiniMax's files have it as a number of values
    c.rotary_dim = json.integer(kCount, 2, kMaxWidth);
    if (c.rotary_dim % 2 != 0 || c.rotary_dim > c.head_dim)
      json.refuse(ErrorCode::bad_config,
                  fmt::format("config.json: {} is {}, expected an even number up to {} (head_dim)", json.path(kCount),
                              c.rotary_dim, c.head_dim));
    return;
  }
  const double factor = block.in_file(kKey) ? block.number(kKey) : json.number_or(kKey, 1.0);
  json.in_file(kKey);
  if (factor > 0.0 && factor <= 1.0) c.rotary_dim = static_cast<std::int64_t>(static_cast<double>(c.head_dim) * factor);
  if (c.rotary_dim < 2 || c.rotary_dim % 2 != 0)
    json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} is {}, expected a part of a head of "
                                                   "{} values that is an even number of them",
                                                   kKey, factor, c.head_dim));
}

void read_rope(const JsonConfig& json, RopeStyle style, ModelConfig& c, OwnRope own) {
  const JsonConfig whole = rope_block(json);
  c.rope.style = style;
  // As in transformers: a class without layer_types has one block, whatever is inside.
  if (!is_nested(whole.value()) || !json.knows("layer_types")) {
    whole_heads(json, whole, c);
    read_block({json, whole, whole, "rope_theta"}, own, c.rope, c);
    for (const std::string_view kind : {kFull, kSliding})
      if (whole.in_file(kind))
        json.note(
            fmt::format("config.json: {} is not used, as in transformers 5: layers of this family are of one "
                        "kind, whose base is {}",
                        whole.path(kind), c.rope.theta));
    return;
  }
  const bool slides = !c.sliding_layers.empty();
  const bool sees_all = static_cast<std::int64_t>(c.sliding_layers.size()) < c.layer_count;
  for (const auto& [kind, used] : {std::pair(kFull, sees_all), std::pair(kSliding, slides)})
    if (used && !whole.has(kind))
      return json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} is missing, expected the RoPE of the "
                                                            "layers of that kind",
                                                            whole.path(kind)));
  for (const char* outside : {"rope_theta", "rope_type", "factor"})
    if (whole.has(outside))
      return json.refuse(ErrorCode::bad_config,
                         fmt::format("config.json: {} stands beside the blocks of single kinds of layers, expected it "
                                     "inside of them",
                                     whole.path(outside)));
  const JsonConfig full = whole.object(kFull), sliding = whole.object(kSliding);
  RopeConfig of_full = c.rope, of_sliding = c.rope;
  for (const JsonConfig* block : {&full, &sliding})
    if (block == &full ? sees_all : slides) {
      const bool proportional = own == OwnRope::proportional && block->string_or("rope_type", "") == "proportional";
      if (!proportional) whole_heads(json, *block, c);
      const std::int64_t head_dim = block == &full ? c.full_rotated_dim() : c.rotated_dim();
      read_block({json, whole, *block, "rope_theta", true, head_dim}, own, block == &full ? of_full : of_sliding, c);
    }
  c.rope = sees_all ? of_full : of_sliding;
  if (sees_all && slides && (!(of_full == of_sliding) || c.full_head_dim > 0)) c.sliding_rope = of_sliding;
}

void set_sliding_rope(const RopeConfig& rope, ModelConfig& c) {
  if (!c.sliding_layers.empty() && !(rope == c.rope)) c.sliding_rope = rope;
}

void read_layered_rope(const JsonConfig& json, std::string_view sliding_theta, ModelConfig& c) {
  const JsonConfig scaling = json.object("rope_scaling"), parameters = json.object("rope_parameters");
  if (!scaling.empty() && !parameters.empty())
    return json.refuse(ErrorCode::bad_config,
                       "config.json: rope_scaling and rope_parameters are both set, expected one");
  for (const auto& [key, value] : parameters.value().items())
    if (key != kFull && key != kSliding && key != "truncate")
      return json.refuse(ErrorCode::bad_config,
                         fmt::format("config.json: {} stands outside of {} and {}, expected it inside of them",
                                     parameters.path(key.substr(0, 60)), kFull, kSliding));
  const JsonConfig full = parameters.object(kFull), sliding = parameters.object(kSliding);
  whole_heads(json, full, c);
  whole_heads(json, sliding, c);
  RopeConfig of_sliding;
  // A rule of the older form applies to full layers only. transformers merges it into a block with rope_type "default".
  read_block({json, parameters, scaling.empty() ? full : scaling, "rope_theta", scaling.empty()}, OwnRope::none, c.rope,
             c);
  read_block({json, parameters, sliding, sliding_theta}, OwnRope::none, of_sliding, c);
  set_sliding_rope(of_sliding, c);
}

}  // namespace moe::inline MOE_ABI::arch
