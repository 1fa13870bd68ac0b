#include "bench/eval_experts.hpp"

#include <fmt/format.h>

#include "support/number.hpp"
#include "tools/common/numbers.hpp"

namespace eval_experts {
namespace {

constexpr moe::Bounds<std::int64_t> kTopK{1, 4096};
constexpr moe::Bounds<double> kMass{0.0, 1.0, true};
constexpr const char *kTopKKey = "top_k", *kMassKey = "expert_mass", *kVariantKey = "expert_mass_variant";

// "4" or "4,4,3".
moe::Result<std::vector<std::int64_t>> top_k_of(std::string_view item, std::string_view text) {
  std::vector<std::int64_t> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const auto number = moe::parse_number(item, text.substr(at, end - at), kTopK);
    if (!number) return moe::forward(number);
    out.push_back(*number);
    at = end + 1;
  }
  return out;
}

// Reads a setting; `item` is its name in messages. The caller appends the row's name.
moe::Result<void> read(moe::ExpertOptions& options, std::string_view key, std::string_view item,
                       const std::string& value) {
  if (key == kTopKKey) {
    auto top_k = top_k_of(item, value);
    if (!top_k) return moe::forward(top_k);
    options.top_k = std::move(*top_k);
    return {};
  }
  if (key == kMassKey) {
    const auto mass = moe::parse_number(item, value, kMass);
    if (!mass) return moe::forward(mass);
    options.expert_mass = *mass;
    return {};
  }
  for (const moe::MassVariant variant : {moe::MassVariant::renormalised, moe::MassVariant::plain})
    if (value == name_of(variant)) {
      options.mass_variant = variant;
      return {};
    }
  return moe::fail(moe::ErrorCode::bad_argument,
                   std::string(item) + " '" + value + "': expected renormalised or plain");
}

void say(Setting& setting, std::string_view key, const std::string& item, const std::string& value) {
  setting.name.append("[").append(key).append("=").append(value).append("]");
  setting.asked += (setting.asked.empty() ? "" : ", ") + item + " " + value;
}

}  // namespace

void add_options(CLI::App& app, Flags& flags) {
  app.add_option("--top-k", flags.top_k,
                 "routed experts per token instead of the model's own: one number, or one for each MoE layer (4,4,3)")
      ->type_name("K[,K...]");
  cli::add_number(app, "--expert-mass", flags.mass, kMass,
                  "a token goes only to its best experts, as few as reach this share of the top-k weights")
      ->type_name("P");
  app.add_option("--expert-mass-variant", flags.variant,
                 "weights of those experts: renormalised (the default: to the sum of all top-k) or plain")
      ->type_name("NAME");
}

moe::Result<Setting> setting_of(const Flags& flags, bool mass_is_swept) {
  Setting setting;
  if (!flags.top_k.empty()) {
    if (auto ok = read(setting.options, kTopKKey, "--top-k", flags.top_k); !ok) return moe::forward(ok);
    say(setting, kTopKKey, "--top-k", flags.top_k);
  }
  if (flags.mass) {
    const std::string text = fmt::format("{}", *flags.mass);
    setting.options.expert_mass = flags.mass;
    say(setting, kMassKey, "--expert-mass", text);
  }
  if (!flags.variant.empty()) {
    if (!flags.mass && !mass_is_swept)
      return moe::fail(moe::ErrorCode::bad_argument, "--expert-mass-variant needs --expert-mass");
    if (auto ok = read(setting.options, kVariantKey, "--expert-mass-variant", flags.variant); !ok)
      return moe::forward(ok);
    say(setting, kVariantKey, "--expert-mass-variant", flags.variant);
  }
  return setting;
}

bool is_key(std::string_view key) { return key == kTopKKey || key == kMassKey || key == kVariantKey; }

moe::Result<void> apply(Setting& setting, std::string_view key, const std::string& value) {
  const std::string item = "--sweep " + std::string(key);
  if (auto ok = read(setting.options, key, item, value); !ok) return ok;
  say(setting, key, item, value);
  return {};
}

}  // namespace eval_experts
