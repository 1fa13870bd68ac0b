// What an absent key of config.json means: for every family and key, the same as the key written out with the value that
// the family's class in transformers gives it (tests/data/defaults).

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "arch/defaults.hpp"
#include "arch/family.hpp"
#include "support.hpp"

namespace defaults_test {

namespace {

using moe::arch::recognise_hf_config;
using nlohmann::json;

/// Keys of these classes without effect on a forward pass.
const std::set<std::string> kInert = {
    "initializer_range",    "use_cache",        "pad_token_id",         "bos_token_id",
    "eos_token_id",         "eod_token_id",     "sep_token_id",         "pretraining_tp",
    "attention_dropout",    "residual_dropout", "router_aux_loss_coef", "router_jitter_noise",
    "output_router_logits", "embd_pdrop",       "resid_pdrop",          "enable_moe_fp32_combine",
    "hidden_dropout"};

json read_cases() {
  return json::parse(moe_test::read_file(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/defaults/cases.json"));
}

json without(const json& config, const std::string& key, const moe::arch::ClassDefaults& defaults) {
  json out = config;
  out.erase(key);
  for (const auto& [one, other] : defaults.names)
    if (key == one || key == other) out.erase(one), out.erase(other);
  return out;
}

/// A list in reverse, or the next number.
json another(const json& value) {
  if (!value.is_array()) return value.get<int>() + 1;
  json reversed = value;
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

/// Equal models, or the same reason why there is none.
void check_same(const moe::Result<moe::arch::Recognised>& absent, const moe::Result<moe::arch::Recognised>& written,
                const std::string& key, bool null) {
  REQUIRE_MESSAGE(absent.has_value() == written.has_value(),
                  (absent ? written.error().message : absent.error().message));
  if (absent) {
    CHECK(absent->config == written->config);
  } else if (null) {  // "missing" here and "null" there
    for (const auto* read : {&absent, &written}) CHECK(read->error().message.find(key) != std::string::npos);
  } else {
    // One message may say besides which keys the file leaves out.
    const auto bare = [](const std::string& text) { return text.substr(0, text.find(" (config.json does not give")); };
    CHECK(bare(absent.error().message) == bare(written.error().message));
  }
}

/// The names in front of each item of docs/MODELS.md's list: "* name, name: ...".
std::set<std::string> documented_families() {
  std::set<std::string> out;
  for (const std::string& line : moe_test::read_lines(std::filesystem::path(MOE_SOURCE_DIR) / "docs/MODELS.md")) {
    if (!line.starts_with("* ")) continue;
    std::istringstream names(line.substr(2, line.find(':') - 2));
    for (std::string name; std::getline(names >> std::ws, name, ',');) out.insert(name);
  }
  return out;
}

}  // namespace

TEST_CASE("the table of defaults has every family, and the cases too") {
  const json cases = read_cases();
  for (const moe::arch::Family* family : moe::arch::families()) {
    CAPTURE(family->name);
    CHECK(moe::arch::defaults_of(family->name) != nullptr);
    CHECK(cases["families"].contains(std::string(family->name)));
  }
  CHECK(cases["families"].size() == moe::arch::families().size());
  CHECK(moe::arch::defaults_of("nobodys_model") == nullptr);
  const std::set<std::string> documented = documented_families();
  for (const moe::arch::Family* family : moe::arch::families())
    CHECK_MESSAGE(documented.count(std::string(family->name)) == 1, family->name << " is not in docs/MODELS.md");
}

TEST_CASE("an absent key means what transformers' class of the family says") {
  std::size_t same = 0, refused = 0;
  const json families = read_cases()["families"];
  for (const auto& [family, entry] : families.items()) {
    const std::string& name = family;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(name);
    const json& base = entry["base"];
    const moe::arch::ClassDefaults& defaults = *moe::arch::defaults_of(name);
    const auto whole = recognise_hf_config(base.dump());
    REQUIRE_MESSAGE(whole.has_value(), whole.error().message);
    CHECK(whole->unread_keys.empty());
    for (const auto& [absent_key, value] : entry["absent"].items()) {
      const std::string& key = absent_key;
      CAPTURE(key);
      const json config = without(base, key, defaults);
      json written = config;
      written[key] = value;
      const auto absent = recognise_hf_config(config.dump());
      check_same(absent, recognise_hf_config(written.dump()), key, value.is_null());
      ++(absent ? same : refused);
      // The default reaches the model: with the other value of `base` it is another one.
      if (kInert.count(key) != 0 || base.value(key, value) == value) continue;
      if (key == "num_key_value_heads" && whole->config.attention == moe::AttentionKind::mla) continue;
      if (absent) CHECK_MESSAGE(!(absent->config == whole->config), "the key has no effect");
    }
  }
  MESSAGE(same << " defaults give the same model, " << refused << " contradict the rest in the same words");
  CHECK(same >= 300);
  CHECK(refused <= 65);
}

TEST_CASE("null is what the class makes of it: none, a value worked out of others, or an error that names the key") {
  std::size_t accepted = 0, refused = 0;
  const json families = read_cases()["families"];
  for (const auto& [family, entry] : families.items()) {
    const std::string& name = family;
    CAPTURE(name);
    const moe::arch::ClassDefaults& defaults = *moe::arch::defaults_of(name);
    for (const auto& [null_key, value] : defaults.values.items()) {
      const std::string key(null_key);
      if (kInert.count(key) != 0) continue;
      CAPTURE(key);
      json config = without(entry["base"], key, defaults);
      config[key] = nullptr;
      const auto read = recognise_hf_config(config.dump());
      ++(read ? accepted : refused);
      const bool is_off = value.is_boolean() && !value.get<bool>();
      if (read) CHECK((defaults.nullable.count(key) != 0 || is_off));
      if (!read) CHECK_MESSAGE(read.error().message.find(key) != std::string::npos, read.error().message);
    }
  }
  CHECK(accepted >= 40);
  CHECK(refused >= 200);
}

TEST_CASE("a key under two names") {
  const json families = read_cases()["families"];
  for (const auto& [family, entry] : families.items()) {
    const std::string& name = family;
    CAPTURE(name);
    for (const auto& [one, other] : moe::arch::defaults_of(name)->names) {
      const json& base = entry["base"];
      const std::string here = base.contains(one) ? one : other, there = here == one ? other : one;
      CAPTURE(there);
      json renamed = base, both = base;
      renamed[there] = base[here];
      renamed.erase(here);
      const auto a = recognise_hf_config(base.dump()), b = recognise_hf_config(renamed.dump());
      REQUIRE_MESSAGE(b.has_value(), b.error().message);
      CHECK(a->config == b->config);
      both[there] = base[here];
      CHECK(recognise_hf_config(both.dump()).has_value());
      both[there] = another(base[here]);
      const auto torn = recognise_hf_config(both.dump());
      REQUIRE_FALSE(torn.has_value());
      for (const std::string& key : {here, there}) CHECK(torn.error().message.find(key) != std::string::npos);
    }
  }
}

}  // namespace defaults_test
