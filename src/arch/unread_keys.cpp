#include "arch/unread_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "arch/unread_rules.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

bool matches(std::string_view pattern, std::string_view key) {
  if (!pattern.ends_with('*')) return pattern == key;
  pattern.remove_suffix(1);
  if (!pattern.starts_with('*')) return key.starts_with(pattern);
  return key.find(pattern.substr(1)) != std::string_view::npos;
}

/// GGUF stores decimals as float32.
bool same(JsonValue a, JsonValue b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y));
  }
  if (!a.is_array() || !b.is_array()) return a == b;
  if (a.size() != b.size()) return false;
  auto other = b.begin();
  for (const JsonValue element : a) {
    if (!same(element, *other)) return false;
    ++other;
  }
  return true;
}

std::string in_short(JsonValue value) { return value.in_ascii(60); }

/// Values to compare with the file's.
class Values {
 public:
  /// Those of "[..]".
  explicit Values(std::string_view list) { add(list); }
  void add(std::string_view list) {
    if (auto document = JsonDocument::parse(list)) documents_.push_back(std::move(*document));
  }
  bool has(JsonValue value) const {
    for (const JsonDocument& document : documents_)
      for (const JsonValue one : document.root())
        if (same(one, value)) return true;
    return false;
  }
  /// The expected value, for messages.
  std::string text() const {
    std::string out;
    std::vector<JsonValue> before;
    for (const JsonDocument& document : documents_)
      for (const JsonValue one : document.root()) {
        if (std::any_of(before.begin(), before.end(), [&](JsonValue b) { return same(b, one); })) continue;
        before.push_back(one);
        out += (out.empty() ? "" : " or ") + in_short(one);
      }
    return out.empty() ? "no such key" : out;
  }

 private:
  std::vector<JsonDocument> documents_;
};

enum class Verdict { drop, show, refuse };

struct Judged {
  Verdict verdict = Verdict::show;
  std::string expected;
};

Judged judge(std::string_view key, JsonValue value, std::span<const UnreadRule> rules, const ModelConfig& config) {
  for (const UnreadRule& rule : rules) {
    if (!matches(rule.key, key)) continue;
    Values accepted(rule.neutral);
    if (rule.computed != nullptr) accepted.add(rule.computed(config));
    if (value.is_null() || accepted.has(value)) return {Verdict::drop, {}};
    const bool shown = rule.otherwise == Otherwise::show ||
                       (rule.otherwise == Otherwise::refuse_if_moe && config.router.expert_count == 0);
    return {shown ? Verdict::show : Verdict::refuse, accepted.text()};
  }
  return {};
}

/// `where` is the full key.
template <class Where, class Rules>
Result<std::vector<std::string>> judge_all(const std::vector<UnreadKey>& keys, std::string_view family,
                                           std::span<const std::string_view> never, Where&& where, Rules&& rules,
                                           const ModelConfig& config) {
  std::vector<std::string> out;
  std::string error, more;
  for (const UnreadKey& unread : keys) {
    if (std::any_of(never.begin(), never.end(), [&](std::string_view known) { return matches(known, unread.key); }))
      continue;
    const auto [key, list] = rules(unread.key);
    const Judged judged = judge(key, unread.value, list, config);
    if (judged.verdict == Verdict::show) out.push_back(unread.key);
    if (judged.verdict != Verdict::refuse) continue;
    if (error.empty())
      error = fmt::format("{} is {}, which libmoe does not support in a {} model, expected {}",
                          where(shortened(unread.key, 80)), in_short(unread.value), family, judged.expected);
    else
      more += fmt::format("{}{} {}", more.empty() ? "" : ", ", shortened(unread.key, 80), in_short(unread.value));
  }
  if (!more.empty()) error += fmt::format(" (nor does it {})", more);
  if (!error.empty()) return fail(ErrorCode::unsupported, std::move(error));
  return out;
}

}  // namespace

Result<std::vector<std::string>> judge_unread_json(const std::vector<UnreadKey>& keys, std::string_view prefix,
                                                   const ModelConfig& config) {
  std::vector<UnreadKey> own = keys;
  for (UnreadKey& key : own)
    if (key.key.starts_with(prefix)) key.key.erase(0, prefix.size());
  auto shown = judge_all(
      own, config.family, json_never_matters(),
      [&](const std::string& key) { return fmt::format("config.json: {}{}", prefix, key); },
      [](std::string_view path) {
        const bool rope = path.starts_with("rope_scaling.") || path.starts_with("rope_parameters.");
        return std::pair(rope ? path.substr(path.rfind('.') + 1) : path, rope ? json_rope_rules() : json_rules());
      },
      config);
  if (shown)
    for (std::string& key : *shown) key.insert(0, prefix);
  return shown;
}

Result<std::vector<std::string>> judge_unread_gguf(const std::vector<UnreadKey>& keys, std::string_view architecture,
                                                   const ModelConfig& config) {
  auto shown = judge_all(
      keys, config.family, gguf_never_matters(),
      [&](const std::string& key) { return fmt::format("metadata {}.{}", architecture, key); },
      [](std::string_view key) { return std::pair(key, gguf_rules()); }, config);
  if (shown)
    for (std::string& key : *shown) key = fmt::format("{}.{}", architecture, key);
  return shown;
}

namespace {

/// Whether some family of libmoe computes with the value, or none has to.
bool is_computed(JsonValue value, const UnreadRule& rule, const ModelConfig& shapes) {
  if (rule.some_family.empty() && (rule.computed != nullptr || rule.otherwise != Otherwise::refuse)) return true;
  if (rule.otherwise == Otherwise::refuse_if_moe && shapes.router.expert_count == 0) return true;
  Values accepted(rule.neutral);
  accepted.add(rule.some_family);
  if (rule.computed != nullptr) accepted.add(rule.computed(shapes));
  return value.is_null() || accepted.has(value);
}

void add_uncomputed(std::string_view key, JsonValue value, std::span<const UnreadRule> rules, const ModelConfig& shapes,
                    std::vector<std::string>& out) {
  const auto rule =
      std::find_if(rules.begin(), rules.end(), [&](const UnreadRule& one) { return matches(one.key, key); });
  if (rule != rules.end() && !is_computed(value, *rule, shapes))
    out.push_back(fmt::format("{} {}", shortened(key, 80), in_short(value)));
}

}  // namespace

std::vector<std::string> uncomputed_keys_json(JsonValue config, const ModelConfig& shapes) {
  std::vector<std::string> out;
  std::map<std::string_view, JsonValue> members;  // sorted
  for (const auto& [key, value] : config.items()) members.emplace(key, value);
  for (const auto& [key, value] : members) add_uncomputed(key, value, json_rules(), shapes, out);
  return out;
}

std::vector<std::string> uncomputed_keys_gguf(const std::vector<UnreadKey>& keys, const ModelConfig& shapes) {
  std::vector<std::string> out;
  for (const UnreadKey& one : keys) add_uncomputed(one.key, one.value, gguf_rules(), shapes, out);
  return out;
}

bool never_matters_json(std::string_view key) {
  const auto known = json_never_matters();
  return std::any_of(known.begin(), known.end(), [key](std::string_view pattern) { return matches(pattern, key); });
}

bool never_matters_outside(std::string_view key) {
  const auto known = gguf_outside_never_matters();
  return std::any_of(known.begin(), known.end(), [key](std::string_view pattern) { return matches(pattern, key); });
}

}  // namespace moe::inline MOE_ABI::arch
