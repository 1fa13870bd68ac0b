#include "tokenizer/json_normalizer.hpp"

#include "support/show.hpp"
#include "tokenizer/bad_file.hpp"
#include "tokenizer/bpe_tokenizer.hpp"
#include "tokenizer/json_fields.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

// Lengths of replacements multiply, so a small file could need any amount of memory. Published ones prepend a character
// and replace a space by 3 bytes.
constexpr std::size_t kMostGrowth = 256;

/// The maximum growth factor of a text.
class Growth {
 public:
  /// `from` bytes become `to` at most.
  Result<void> replace(const char* part, std::size_t from, std::size_t to) {
    if (to > from) factor_ *= (to + from - 1) / from;
    if (factor_ <= kMostGrowth) return {};
    return fail(ErrorCode::unsupported,
                std::string(part) + " that makes a text more than " + std::to_string(kMostGrowth) + " times as long");
  }

 private:
  std::size_t factor_ = 1;
};

Result<NormalizerStep> read_replace(JsonValue node, Growth& growth) {
  NormalizerStep step;
  step.kind = NormalizerStep::Kind::replace;
  auto finder = read_pattern(node, "normalizer Replace");
  if (!finder) return forward(finder);
  step.finder = std::move(*finder);
  auto content = text_member(node, "content");
  if (!content) return forward(content);
  step.content = std::move(*content);
  auto text = member(*member(node, "pattern"), "String");
  if (text && !text->is_string()) text = std::nullopt;
  // The tokenizers package inserts the content twice at some empty matches.
  if (step.finder->matches_nothing() || (text && text->text().empty()))
    return fail(ErrorCode::unsupported, "normalizer Replace with a pattern that matches an empty text");
  const auto ok = growth.replace("normalizer Replace", text ? text->text().size() : 1, step.content.size());
  if (!ok) return forward(ok);
  return step;
}

Result<NormalizerStep> read_prepend(JsonValue node, Growth& growth) {
  NormalizerStep step;
  step.kind = NormalizerStep::Kind::prepend;
  auto content = text_member(node, "prepend");
  if (!content) return forward(content);
  step.content = std::move(*content);
  if (auto ok = growth.replace("normalizer Prepend", 1, 1 + step.content.size()); !ok) return forward(ok);
  return step;
}

Result<NormalizerStep> read_strip(JsonValue node) {
  NormalizerStep step;
  step.kind = NormalizerStep::Kind::strip;
  for (const auto& [name, field] :
       {std::pair{"strip_left", &NormalizerStep::left}, {"strip_right", &NormalizerStep::right}}) {
    const auto value = bool_member(node, name, false);
    if (!value) return forward(value);
    step.*field = *value;
  }
  return step;
}

Result<NormalizerStep> unicode_form(Normalization form) {
  NormalizerStep step;
  step.form = form;
  return step;
}

Result<NormalizerStep> read_single(const std::string& type, JsonValue node, Growth& growth) {
  if (type == "NFC") return unicode_form(Normalization::nfc);
  if (type == "NFD") return unicode_form(Normalization::nfd);
  if (type == "NFKC") return unicode_form(Normalization::nfkc);
  if (type == "NFKD") return unicode_form(Normalization::nfkd);
  if (type == "Prepend") return read_prepend(node, growth);
  if (type == "Replace") return read_replace(node, growth);
  if (type == "Strip") return read_strip(node);
  return fail(ErrorCode::unsupported,
              "normalizer " + in_quotes(type) + "; known are Sequence, NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip");
}

Result<void> read_steps(JsonValue node, std::vector<NormalizerStep>& steps, Growth& growth) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "Sequence")
    return for_each(node, "normalizer", "normalizers", [&](JsonValue step) { return read_steps(step, steps, growth); });
  auto step = read_single(*type, node, growth);
  if (!step) return forward(step);
  steps.push_back(std::move(*step));
  return check_count("normalizer with more steps", steps.size());
}

std::string all_replaced(std::string_view text, const std::string& what, const std::string& by) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t at; (at = text.find(what, done)) != std::string::npos; done = at + what.size())
    out.append(text, done, at - done).append(by);
  return out.append(text, done);
}

/// A decoder that is being read.
struct DecoderState {
  JsonDecoder out;
  bool fused = false;  ///< tokens have been joined to one text
  Growth growth;
};

Result<void> decoder_replace(std::string_view what, const std::string& by, DecoderState& state) {
  if (auto ok = state.growth.replace("decoder", what.size(), by.size()); !ok) return ok;
  state.out.replace.emplace_back(what, by);
  return check_count("decoder with more replacements", state.out.replace.size());
}

Result<void> read_decoder_step(JsonValue node, DecoderState& state) {
  JsonDecoder& out = state.out;
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "Sequence")
    return for_each(node, "decoder", "decoders", [&](JsonValue step) { return read_decoder_step(step, state); });
  const auto misplaced = [&](const char* why) {
    return fail(ErrorCode::unsupported, "decoder " + in_quotes(*type) + " " + why);
  };
  if (*type == "ByteLevel") {
    if (out.byte_level || out.byte_fallback || out.strip > 0 || !out.replace.empty())
      return misplaced("after another step");
    out.byte_level = state.fused = true;
  } else if (*type == "ByteFallback") {
    if (state.fused) return misplaced("after Fuse");
    out.byte_fallback = true;
  } else if (*type == "Fuse") {
    state.fused = true;
  } else if (*type == "Replace") {
    const auto pattern = member(node, "pattern");
    const auto text = pattern ? member(*pattern, "String") : std::nullopt;
    if (state.fused || out.byte_fallback || !text || !text->is_string() || text->text().empty())
      return misplaced("of another kind than a \"String\" before ByteFallback and Fuse");
    const auto content = text_member(node, "content");
    if (!content) return forward(content);
    return decoder_replace(text->text(), *content, state);
  } else if (*type == "Strip") {
    const auto start = member(node, "start"), stop = member(node, "stop");
    const bool counts = start && start->is_number_unsigned() &&
                        (!stop || (stop->is_number_unsigned() && stop->get<std::uint64_t>() == 0));
    const auto content = text_member(node, "content");
    if (!content) return forward(content);
    if (!state.fused || !counts || *content != " ")
      return misplaced("of something else than spaces in front, after Fuse");
    out.strip += start->get<std::size_t>();
  } else if (*type == "Metaspace") {
    if (state.fused || out.byte_fallback) return misplaced("after ByteFallback or Fuse");
    const auto space = character_member(node, "replacement");
    if (!space) return forward(space);
    const auto scheme = prepend_scheme(node);
    if (!scheme) return forward(scheme);
    if (*scheme != "never") out.first_token_drops = *space;
    return decoder_replace(*space, " ", state);
  } else {
    return fail(ErrorCode::unsupported,
                "decoder " + in_quotes(*type) +
                    "; known are Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace");
  }
  return {};
}

}  // namespace

Result<void> read_normalizer(JsonValue node, std::vector<NormalizerStep>& steps) {
  Growth growth;
  return read_steps(node, steps, growth);
}

Result<JsonDecoder> read_decoder(JsonValue node) {
  DecoderState state;
  if (auto ok = read_decoder_step(node, state); !ok) return forward(ok);
  return std::move(state.out);
}

std::string JsonDecoder::bytes_of(const std::string& text) const {
  if (byte_level) return from_token_text(text).value_or(text);
  if (const int byte = byte_fallback ? byte_token(text) : -1; byte >= 0) return std::string(1, static_cast<char>(byte));
  std::string out = text;
  for (const auto& [what, by] : replace) out = all_replaced(out, what, by);
  return out;
}

Result<std::string> character_member(JsonValue node, const char* name) {
  auto text = text_member(node, name);
  if (!text) return text;
  if (text->empty() || decode_utf8(text->data()).bytes != text->size())
    return bad(std::string("Metaspace: \"") + name + "\" is " + in_quotes(*text) + ", expected one character");
  return text;
}

Result<std::string> prepend_scheme(JsonValue node) {
  auto scheme = text_member(node, "prepend_scheme");
  if (!scheme) return scheme;
  if (scheme->empty()) *scheme = "always";
  if (*scheme != "always" && *scheme != "first" && *scheme != "never")
    return bad("Metaspace: \"prepend_scheme\" is " + in_quotes(*scheme) + "; known are always, first, never");
  const auto old = bool_member(node, "add_prefix_space", true);
  if (!old) return forward(old);
  if (!*old && *scheme != "never")
    return bad("Metaspace: \"add_prefix_space\" is false, but \"prepend_scheme\" is " + in_quotes(*scheme));
  return scheme;
}

}  // namespace moe::inline MOE_ABI::tokenizer
