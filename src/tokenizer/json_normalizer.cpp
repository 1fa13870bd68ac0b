#include "tokenizer/json_normalizer.hpp"

#include "tokenizer/bpe_tokenizer.hpp"
#include "tokenizer/json_fields.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

using nlohmann::json;

tl::unexpected<Error> bad(std::string message) { return fail(ErrorCode::bad_file, std::move(message)); }

Result<NormalizerStep> read_replace(const json& node) {
  NormalizerStep step;
  step.kind = NormalizerStep::Kind::replace;
  auto finder = read_pattern(node, "normalizer Replace");
  if (!finder) return forward(finder);
  step.finder = std::move(*finder);
  auto content = text_member(node, "content");
  if (!content) return forward(content);
  step.content = std::move(*content);
  return step;
}

std::string all_replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

// One decoder step. `fused`: tokens are one text by now.
Result<void> read_step(const json& node, JsonDecoder& out, bool& fused) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "Sequence")
    return for_each(node, "decoder", "decoders", [&](const json& step) { return read_step(step, out, fused); });
  const auto misplaced = [&](const char* why) {
    return fail(ErrorCode::unsupported, "decoder " + in_quotes(*type) + " " + why);
  };
  if (*type == "ByteLevel") {
    out.byte_level = true;
  } else if (*type == "ByteFallback") {
    if (fused) return misplaced("after Fuse");
    out.byte_fallback = true;
  } else if (*type == "Fuse") {
    fused = true;
  } else if (*type == "Replace") {
    const json* pattern = member(node, "pattern");
    const json* text = pattern ? member(*pattern, "String") : nullptr;
    if (fused || out.byte_fallback || !text || !text->is_string() || text->get_ref<const std::string&>().empty())
      return misplaced("of another kind than a \"String\" before ByteFallback and Fuse");
    const auto content = text_member(node, "content");
    if (!content) return forward(content);
    out.replace.emplace_back(text->get<std::string>(), *content);
  } else if (*type == "Strip") {
    const json *start = member(node, "start"), *stop = member(node, "stop");
    const bool counts = start && start->is_number_unsigned() && (!stop || *stop == 0);
    const auto content = text_member(node, "content");
    if (!content) return forward(content);
    if (!fused || !counts || *content != " ") return misplaced("of something else than spaces in front, after Fuse");
    out.strip += start->get<std::size_t>();
  } else if (*type == "Metaspace") {
    if (fused || out.byte_fallback) return misplaced("after ByteFallback or Fuse");
    const auto space = character_member(node, "replacement");
    if (!space) return forward(space);
    const auto scheme = prepend_scheme(node);
    if (!scheme) return forward(scheme);
    out.replace.emplace_back(*space, " ");
    if (*scheme != "never") out.first_token_drops = *space;
  } else {
    return fail(ErrorCode::unsupported,
                "decoder " + in_quotes(*type) +
                    "; known are Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace");
  }
  return {};
}

}  // namespace

Result<void> read_normalizer(const json& node, std::vector<NormalizerStep>& steps) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "Sequence")
    return for_each(node, "normalizer", "normalizers", [&](const json& step) { return read_normalizer(step, steps); });
  NormalizerStep step;
  if (*type == "NFC") {
    step.form = Normalization::nfc;
  } else if (*type == "NFD") {
    step.form = Normalization::nfd;
  } else if (*type == "NFKC") {
    step.form = Normalization::nfkc;
  } else if (*type == "NFKD") {
    step.form = Normalization::nfkd;
  } else if (*type == "Prepend") {
    step.kind = NormalizerStep::Kind::prepend;
    auto content = text_member(node, "prepend");
    if (!content) return forward(content);
    step.content = std::move(*content);
  } else if (*type == "Replace") {
    auto replace = read_replace(node);
    if (!replace) return forward(replace);
    step = std::move(*replace);
  } else {
    return fail(ErrorCode::unsupported,
                "normalizer " + in_quotes(*type) + "; known are Sequence, NFC, NFD, NFKC, NFKD, Prepend, Replace");
  }
  steps.push_back(std::move(step));
  return {};
}

Result<JsonDecoder> read_decoder(const json& node) {
  JsonDecoder out;
  bool fused = false;
  if (auto ok = read_step(node, out, fused); !ok) return forward(ok);
  return out;
}

std::string JsonDecoder::bytes_of(const std::string& text) const {
  if (byte_level) return from_token_text(text).value_or(text);
  if (const int byte = byte_fallback ? byte_token(text) : -1; byte >= 0) return std::string(1, static_cast<char>(byte));
  std::string out = text;
  for (const auto& [what, by] : replace) out = all_replaced(std::move(out), what, by);
  return out;
}

Result<std::string> character_member(const json& node, const char* name) {
  auto text = text_member(node, name);
  if (!text) return text;
  if (text->empty() || decode_utf8(text->data()).bytes != text->size())
    return bad(std::string("Metaspace: \"") + name + "\" is " + in_quotes(*text) + ", expected one character");
  return text;
}

Result<std::string> prepend_scheme(const json& node) {
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
