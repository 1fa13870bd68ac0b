#include "tokenizer/pre_tokenizer.hpp"

#include <algorithm>

#include "support/show.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

Split isolated(std::unique_ptr<Finder> finder) {
  Split split;
  split.finder = std::move(finder);
  return split;
}

// Meaning of tokenizer.ggml.pre. Names in a group split alike, by the pattern of the models' own tokenizer.json.
// llama.cpp's patterns are adapted to std::regex, which has neither (?i:) nor \p{Lu}; the models were not trained with
// them.
struct NameGroup {
  const char* kind;
  std::vector<std::string_view> names;
};

const std::vector<NameGroup>& name_groups() {
  static const std::vector<NameGroup> groups = {
      {"gpt-2",
       {"gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling", "a.x-4.0", "mellum",
        "gigachat"}},
      {"llama-bpe", {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}},
      {"dbrx", {"dbrx", "smaug-bpe", "chatglm-bpe"}},  // splits like Llama 3, but merges always run and there is no BOS
      {"glm4", {"glm4", "glm5"}},                      // the same with whole tokens kept
      {"qwen2",
       {"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "kormo", "f2llmv2", "grok-2", "solar-open"}},
      {"qwen35", {"qwen35"}},
      {"seed-coder", {"seed-coder", "seed-oss"}},
      {"gpt-4o", {"gpt-4o", "llama4", "kanana2", "minimax-m2"}},
      {"tekken", {"tekken"}},
      {"kimi-k2", {"kimi-k2"}},
      {"deepseek-llm", {"deepseek-llm"}},
      {"deepseek-coder", {"deepseek-coder"}},
      {"deepseek-v3", {"deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"}},
      {"smollm", {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"}},
      {"default", {"default"}},  // llama.cpp's own, in the files of models that it had no name for
  };
  return groups;
}

NamedPreTokenizer build(std::string_view kind) {
  NamedPreTokenizer pre;
  const auto add = [&](std::unique_ptr<Finder> finder) { pre.splits.push_back(isolated(std::move(finder))); };
  const auto run = [](std::uint32_t set, std::uint32_t min = 1, std::uint32_t max = ~0u, bool space = false) {
    return make_set_run({set, min, max, space});
  };
  const auto spaced = [&](std::uint32_t set) { return run(set, 1, ~0u, true); };
  if (kind == "gpt-2") {
    add(make_scanner(Scanner::gpt2));
  } else if (kind == "llama-bpe" || kind == "dbrx" || kind == "glm4") {
    add(make_scanner(Scanner::llama3_folded));
    pre.ignore_merges = kind != "dbrx";
    pre.add_bos = kind == "llama-bpe";
  } else if (kind == "qwen2") {
    add(make_scanner(Scanner::qwen2_folded));
  } else if (kind == "qwen35") {
    add(make_scanner(Scanner::qwen35));
  } else if (kind == "seed-coder") {
    add(make_scanner(Scanner::seed_coder));
  } else if (kind == "gpt-4o") {
    add(make_scanner(Scanner::gpt4o));
  } else if (kind == "tekken") {
    add(make_scanner(Scanner::tekken));
    pre.ignore_merges = pre.add_bos = true;
  } else if (kind == "kimi-k2") {
    add(make_scanner(Scanner::kimi_k2));
  } else if (kind == "deepseek-llm") {
    add(run(kNewline, 1, 1));
    add(spaced(kDeepseekLetter));
    add(spaced(kDeepseekPunctuation));
    add(make_scanner(Scanner::trailing_space));
    add(run(kDeepseekWide));
    add(run(kNumber));
  } else if (kind == "deepseek-coder") {
    add(run(kNewline, 1, 1));
    add(spaced(kLetter));
    add(spaced(kPunctuation));
    add(run(kDeepseekWide));
    add(run(kNumber, 1, 1));
  } else if (kind == "deepseek-v3") {
    add(run(kNumber, 1, 3));
    add(run(kCjk));
    add(make_scanner(Scanner::deepseek_v3));
  } else if (kind == "smollm") {
    add(run(kNumber, 1, 1));
    add(make_scanner(Scanner::gpt2));
  } else {  // default
    add(run(kDefaultPunctuation));
    add(make_scanner(Scanner::gpt2));
    add(run(kNumber));
    add(run(kAsciiDigit, 3, 3));
  }
  return pre;
}

}  // namespace

FinderStates PreTokenizer::make_states() const {
  FinderStates states;
  for (const Split& split : splits_) states.push_back(split.finder ? split.finder->make_state() : nullptr);
  return states;
}

std::string PreTokenizer::description() const {
  std::string text;
  for (const Split& split : splits_) {
    text += split.finder ? split.finder->description() : "none";
    text += "; " + std::to_string(static_cast<int>(split.behavior)) + (split.invert ? " inverted" : "") +
            (split.space.empty() ? "" : " space " + split.space) +
            (split.in_front == InFront::nothing  ? ""
             : split.in_front == InFront::of_all ? " of all"
                                                 : " of text") +
            "\n";
  }
  return text;
}

std::string PreTokenizer::with_spaces(const Split& split, std::string_view segment, bool begins) {
  std::string out;
  out.reserve(segment.size() + segment.size() / 2 + split.space.size());
  const bool has_one = segment.starts_with(' ') || segment.starts_with(split.space);
  if (!has_one && (split.in_front == InFront::of_all || (split.in_front == InFront::of_text && begins)))
    out += split.space;
  for (const char c : segment) {
    if (c == ' ')
      out += split.space;
    else
      out += c;
  }
  return out;
}

Result<std::vector<PreTokenizer::Part>> PreTokenizer::parts(const Split& split, FinderState* state,
                                                            std::string_view segment) const {
  std::vector<Part> all;
  Matches matches(*split.finder, state, segment);
  std::size_t done = 0;
  Match match;
  Error error;
  for (;;) {
    const Found found = matches.next(match, error);
    if (found == Found::failed) return tl::unexpected<Error>(std::move(error));
    if (found == Found::no) break;
    if (match.begin > done) all.push_back({{done, match.begin}, split.invert});
    all.push_back({match, !split.invert});
    done = match.end;
  }
  if (done < segment.size()) all.push_back({{done, segment.size()}, split.invert});

  std::vector<Part> merged;
  bool previous = false;
  switch (split.behavior) {
    case Behavior::isolated: return all;
    case Behavior::removed: std::erase_if(all, [](const Part& part) { return part.is_match; }); return all;
    case Behavior::merged_with_previous:
      for (const Part& part : all) {
        if (part.is_match && !previous && !merged.empty()) {
          merged.back().range.end = part.range.end;
        } else {
          merged.push_back(part);
        }
        previous = part.is_match;
      }
      return merged;
    case Behavior::merged_with_next:
      for (auto part = all.rbegin(); part != all.rend(); ++part) {
        if (part->is_match && !previous && !merged.empty()) {
          merged.back().range.begin = part->range.begin;
        } else {
          merged.push_back(*part);
        }
        previous = part->is_match;
      }
      std::reverse(merged.begin(), merged.end());
      return merged;
    case Behavior::contiguous:
      for (const Part& part : all) {
        if (!merged.empty() && merged.back().is_match == part.is_match) {
          merged.back().range.end = part.range.end;
        } else {
          merged.push_back(part);
        }
      }
      return merged;
  }
  return all;
}

Result<NamedPreTokenizer> named_pre_tokenizer(std::string_view name) {
  std::string known;
  for (const NameGroup& group : name_groups()) {
    for (std::string_view candidate : group.names) {
      if (candidate == name) return build(group.kind);
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
  }
  const std::string found =
      name.empty() ? "missing, and without it text may be cut otherwise than in training" : in_quotes(name);
  return fail(name.empty() ? ErrorCode::bad_file : ErrorCode::unsupported,
              "tokenizer.ggml.pre is " + found + "; known are " + known + " (token ids still work)");
}

std::string_view name_of_splits(std::string description, bool ignore_merges) {
  // A split that does nothing represents ByteLevel without a pattern. Contractions written out as 'S differ from
  // folded ones in U+017F alone, and in GGUF both have one name.
  const auto comparable = [](std::string text) {
    for (const std::string_view extra : {" folded", "none; 0\n"})
      for (std::size_t at; (at = text.find(extra)) != std::string::npos;) text.erase(at, extra.size());
    return text;
  };
  description = comparable(std::move(description));
  for (const NameGroup& group : name_groups()) {
    if (std::string_view(group.kind) == "default") continue;  // a fallback of llama.cpp, not a tokenizer's own splits
    NamedPreTokenizer pre = build(group.kind);
    if (pre.ignore_merges == ignore_merges &&
        comparable(PreTokenizer(std::move(pre.splits)).description()) == description)
      return group.kind;
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::tokenizer
