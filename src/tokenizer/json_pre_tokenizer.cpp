#include "tokenizer/json_pre_tokenizer.hpp"

#include "support/show.hpp"
#include "tokenizer/json_fields.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

// Published files have up to 8 steps, and up to 2 tokens around a text. Encoding recurses from step to step.
constexpr std::size_t kMostSteps = 64;

tl::unexpected<Error> bad(std::string message) { return fail(ErrorCode::bad_file, std::move(message)); }
tl::unexpected<Error> unknown(const char* part, const std::string& type, const char* known) {
  return fail(ErrorCode::unsupported, std::string(part) + " " + in_quotes(type) + "; known are " + known);
}

Result<void> check_count(const char* what, std::size_t count) {
  if (count <= kMostSteps) return {};
  return fail(ErrorCode::unsupported, std::string(what) + " than " + std::to_string(kMostSteps));
}

// Calls `each` for every element of the list member `name`. Sequences hold sequences as deep as JSON may be nested.
template <class Each>
Result<void> for_each(JsonValue node, const char* part, const char* name, Each&& each) {
  const auto list = member(node, name);
  if (!list || !list->is_array()) return bad(std::string(part) + " Sequence has no list \"" + name + "\"");
  for (const JsonValue element : *list)
    if (auto done = each(element); !done) return done;
  return {};
}

Result<Behavior> read_behavior(const std::string& name) {
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Removed") return Behavior::removed;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  return bad("pre_tokenizer Split has the behavior " + in_quotes(name) +
             "; known are Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

Result<std::unique_ptr<Finder>> read_pattern(JsonValue node) {
  const auto pattern = member(node, "pattern");
  if (pattern) {
    if (const auto text = member(*pattern, "String"); text && text->is_string())
      return make_literal(std::string(text->text()));
    if (const auto regex = member(*pattern, "Regex"); regex && regex->is_string()) {
      const std::string_view source = regex->text();
      if (auto known = make_known(source)) return known;
      return make_pattern(source);
    }
  }
  return bad("pre_tokenizer Split has no \"pattern\" with a \"String\" or a \"Regex\"");
}

Result<void> read_split(JsonValue node, std::vector<Split>& splits) {
  auto finder = read_pattern(node);
  if (!finder) return forward(finder);
  const auto name = text_member(node, "behavior");
  if (!name) return forward(name);
  const auto behavior = read_behavior(*name);
  if (!behavior) return forward(behavior);
  const auto invert = bool_member(node, "invert", false);
  if (!invert) return forward(invert);
  Split split;
  split.finder = std::move(*finder);
  split.behavior = *behavior;
  split.invert = *invert;
  splits.push_back(std::move(split));
  return {};
}

Result<void> read_digits(JsonValue node, std::vector<Split>& splits) {
  const auto individual = bool_member(node, "individual_digits", false);
  if (!individual) return forward(individual);
  Split split;
  split.finder = make_set_run({kNumber, 1, *individual ? 1u : ~0u, false});
  splits.push_back(std::move(split));
  return {};
}

Result<void> read_byte_level(JsonValue node, std::vector<Split>& splits) {
  const auto space = bool_member(node, "add_prefix_space", true);
  const auto regex = bool_member(node, "use_regex", true);
  if (!space) return forward(space);
  if (!regex) return forward(regex);
  Split split;
  if (*regex) split.finder = make_scanner(Scanner::gpt2);
  split.add_prefix_space = *space;
  splits.push_back(std::move(split));
  return {};
}

// `done` becomes true with the ByteLevel step: after it the text is no longer text.
Result<void> read_step(JsonValue node, std::vector<Split>& splits, bool& done) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (done) return fail(ErrorCode::unsupported, "pre_tokenizer " + in_quotes(*type) + " after ByteLevel");
  if (auto ok = check_count("pre_tokenizer with more steps", splits.size() + 1); !ok) return ok;
  if (*type == "Sequence")
    return for_each(node, "pre_tokenizer", "pretokenizers",
                    [&](JsonValue step) { return read_step(step, splits, done); });
  if (*type == "Split") return read_split(node, splits);
  if (*type == "Digits") return read_digits(node, splits);
  if (*type == "ByteLevel") {
    done = true;
    return read_byte_level(node, splits);
  }
  return unknown("pre_tokenizer", *type, "Sequence, Split, Digits, ByteLevel");
}

Result<std::vector<TokenId>> special_ids(JsonValue node, JsonValue token) {
  const auto name = text_member(token, "id");
  if (!name) return forward(name);
  const auto all = member(node, "special_tokens");
  const auto entry = all ? member(*all, *name) : std::nullopt;
  const auto list = entry ? member(*entry, "ids") : std::nullopt;
  if (!list || !list->is_array())
    return bad("post_processor names " + in_quotes(*name) + ", which its \"special_tokens\" do not define");
  std::vector<TokenId> ids;
  for (const JsonValue value : *list) {
    const auto id = token_id(value, in_quotes(*name));
    if (!id) return forward(id);
    ids.push_back(*id);
  }
  return ids;
}

Result<void> read_template(JsonValue node, std::vector<TokenId>& prefix, std::vector<TokenId>& suffix) {
  const auto single = member(node, "single");
  if (!single || !single->is_array()) return bad("post_processor TemplateProcessing has no list \"single\"");
  std::vector<TokenId> before, after;
  int texts = 0;
  for (const JsonValue step : *single) {
    if (const auto token = member(step, "SpecialToken")) {
      auto ids = special_ids(node, *token);
      if (!ids) return forward(ids);
      auto& side = texts > 0 ? after : before;
      side.insert(side.end(), ids->begin(), ids->end());
      if (auto ok = check_count("post_processor that adds more tokens", side.size()); !ok) return ok;
    } else if (member(step, "Sequence")) {
      ++texts;
    } else {
      return bad("post_processor TemplateProcessing has a step that is neither SpecialToken nor Sequence");
    }
  }
  if (texts != 1) return bad("post_processor TemplateProcessing holds the text " + std::to_string(texts) + " times");
  // Of several templates the later one goes around the earlier.
  prefix.insert(prefix.begin(), before.begin(), before.end());
  suffix.insert(suffix.end(), after.begin(), after.end());
  return check_count("post_processor that adds more tokens", prefix.size() + suffix.size());
}

}  // namespace

Result<void> read_pre_tokenizer(JsonValue node, std::vector<Split>& splits) {
  bool done = false;
  if (auto ok = read_step(node, splits, done); !ok) return ok;
  if (!done) return fail(ErrorCode::unsupported, "pre_tokenizer without ByteLevel; only byte-level BPE is known");
  return {};
}

Result<void> read_normalizer(JsonValue node, std::vector<Normalization>& forms) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "Sequence")
    return for_each(node, "normalizer", "normalizers", [&](JsonValue step) { return read_normalizer(step, forms); });
  if (*type == "NFC")
    forms.push_back(Normalization::nfc);
  else if (*type == "NFD")
    forms.push_back(Normalization::nfd);
  else if (*type == "NFKC")
    forms.push_back(Normalization::nfkc);
  else if (*type == "NFKD")
    forms.push_back(Normalization::nfkd);
  else
    return unknown("normalizer", *type, "Sequence, NFC, NFD, NFKC, NFKD");
  return check_count("normalizer with more steps", forms.size());
}

Result<void> read_post_processor(JsonValue node, std::vector<TokenId>& prefix, std::vector<TokenId>& suffix) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "ByteLevel") return {};  // moves offsets only
  if (*type == "TemplateProcessing") return read_template(node, prefix, suffix);
  if (*type == "Sequence")
    return for_each(node, "post_processor", "processors",
                    [&](JsonValue step) { return read_post_processor(step, prefix, suffix); });
  return unknown("post_processor", *type, "Sequence, TemplateProcessing, ByteLevel");
}

Result<void> check_decoder(JsonValue node) {
  const auto type = text_member(node, "type");
  if (!type) return forward(type);
  if (*type == "ByteLevel") return {};
  if (*type == "Sequence")
    return for_each(node, "decoder", "decoders", [](JsonValue step) { return check_decoder(step); });
  return unknown("decoder", *type, "Sequence, ByteLevel");
}

}  // namespace moe::inline MOE_ABI::tokenizer
