#include "arch/unread_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "arch/unread_rules.hpp"
#include "support/json_text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

bool matches(std::string_view pattern, std::string_view key) {
  if (!pattern.ends_with('*')) return pattern == key;
  pattern.remove_suffix(1);
  if (!pattern.starts_with('*')) return key.starts_with(pattern);
  return key.find(pattern.substr(1)) != std::string_view::npos;
}

/// GGUF holds float32 of what was a decimal.
bool same(const nlohmann::json& a, const nlohmann::json& b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y));
  }
  if (!a.is_array() || !b.is_array()) return a == b;
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

std::string in_short(const nlohmann::json& value) { return shortened(json_text(value), 60); }

/// What the message says was expected.
std::string expected(const nlohmann::json& accepted) {
  std::string text;
  for (auto value = accepted.begin(); value != accepted.end(); ++value)
    if (std::none_of(accepted.begin(), value, [&](const nlohmann::json& before) { return same(before, *value); }))
      text += (text.empty() ? "" : " or ") + in_short(*value);
  return text.empty() ? "no such key" : text;
}

enum class Verdict { drop, show, refuse };

struct Judged {
  Verdict verdict = Verdict::show;
  std::string expected;
};

Judged judge(std::string_view key, const nlohmann::json& value, std::span<const UnreadRule> rules,
             const ModelConfig& config) {
  for (const UnreadRule& rule : rules) {
    if (!matches(rule.key, key)) continue;
    nlohmann::json accepted = nlohmann::json::parse(rule.neutral, nullptr, false);
    if (rule.computed != nullptr)
      for (nlohmann::json& computed : rule.computed(config)) accepted.push_back(std::move(computed));
    if (value.is_null() ||
        std::any_of(accepted.begin(), accepted.end(), [&](const nlohmann::json& a) { return same(a, value); }))
      return {Verdict::drop, {}};
    const bool shown = rule.otherwise == Otherwise::show ||
                       (rule.otherwise == Otherwise::refuse_if_moe && config.router.expert_count == 0);
    return {shown ? Verdict::show : Verdict::refuse, expected(accepted)};
  }
  return {};
}

/// "where" names the key in full.
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
                          where(unread.key.substr(0, 80)), in_short(unread.value), family, judged.expected);
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

void add_uncomputed(const std::string& key, const nlohmann::json& value, std::span<const UnreadRule> rules,
                    std::vector<std::string>& out) {
  const auto rule =
      std::find_if(rules.begin(), rules.end(), [&](const UnreadRule& one) { return matches(one.key, key); });
  // With `computed`, or in models with experts alone, some families compute it.
  if (rule == rules.end() || rule->computed != nullptr || rule->otherwise != Otherwise::refuse || value.is_null())
    return;
  const nlohmann::json neutral = nlohmann::json::parse(rule->neutral, nullptr, false);
  if (std::none_of(neutral.begin(), neutral.end(), [&](const nlohmann::json& n) { return same(n, value); }))
    out.push_back(fmt::format("{} {}", shortened(key, 80), in_short(value)));
}

}  // namespace

std::vector<std::string> uncomputed_keys_json(const nlohmann::json& config) {
  std::vector<std::string> out;
  for (const auto& [key, value] : config.items()) add_uncomputed(key, value, json_rules(), out);
  return out;
}

std::vector<std::string> uncomputed_keys_gguf(const std::vector<UnreadKey>& keys) {
  std::vector<std::string> out;
  for (const UnreadKey& one : keys) add_uncomputed(one.key, one.value, gguf_rules(), out);
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
