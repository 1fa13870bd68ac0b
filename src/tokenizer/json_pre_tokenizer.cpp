#include "tokenizer/json_pre_tokenizer.hpp"

#include "support/show.hpp"
#include "tokenizer/bad_file.hpp"
#include "tokenizer/json_fields.hpp"
#include "tokenizer/json_normalizer.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

tl::unexpected<Error> unknown(const char* part, const std::string& type, const char* known) {
  return fail(ErrorCode::unsupported, std::string(part) + " " + in_quotes(type) + "; known are " + known);
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

Result<void> read_split(JsonValue node, std::vector<Split>& splits) {
  auto finder = read_pattern(node, "pre_tokenizer Split");
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
  if (*space) split.space = " ", split.in_front = InFront::of_all;
  splits.push_back(std::move(split));
  return {};
}

Result<void> read_metaspace(JsonValue node, std::vector<Split>& splits) {
  Split split;
  auto space = character_member(node, "replacement");
  if (!space) return forward(space);
  split.space = std::move(*space);
  const auto scheme = prepend_scheme(node);
  if (!scheme) return forward(scheme);
  split.in_front = *scheme == "always" ? InFront::of_all : *scheme == "first" ? InFront::of_text : InFront::nothing;
  const auto cut = bool_member(node, "split", true);
  if (!cut) return forward(cut);
  if (*cut) split.finder = make_literal(split.space);
  split.behavior = Behavior::merged_with_next;
  splits.push_back(std::move(split));
  return {};
}

// `done` becomes true with the ByteLevel step: after it, the text is encoded bytes.
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
  if (*type == "Metaspace") return read_metaspace(node, splits);
  if (*type == "ByteLevel") {
    done = true;
    return read_byte_level(node, splits);
  }
  return unknown("pre_tokenizer", *type, "Sequence, Split, Digits, Metaspace, ByteLevel");
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
  // The tokenizers package would treat the result of an earlier one as a pair of texts.
  if (!prefix.empty() || !suffix.empty())
    return fail(ErrorCode::unsupported, "post_processor TemplateProcessing after another that adds tokens");
  prefix = std::move(before);
  suffix = std::move(after);
  return check_count("post_processor that adds more tokens", prefix.size() + suffix.size());
}

}  // namespace

Result<void> read_pre_tokenizer(JsonValue node, std::vector<Split>& splits, bool& byte_level) {
  return read_step(node, splits, byte_level);
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

}  // namespace moe::inline MOE_ABI::tokenizer
