// Every golden model of a known family, from both file kinds, against logits, hidden states, routing and greedy tokens
// of an independent implementation. In one piece and token by token.

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "arch/family.hpp"
#include "golden/golden.hpp"
#include "moe/flops.hpp"
#include "safetensors.hpp"

namespace models_test {

namespace {

using namespace moe_test;
using nlohmann::json;

std::int32_t first_maximum(std::span<const float> row) {
  return static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

struct Prompt {
  std::vector<moe::TokenId> ids, greedy;
  json routing;
  std::vector<float> logits, greedy_logits;
  std::vector<std::vector<float>> hidden;  // empty where the file has none
  /// By layer, of those with sparse attention: [T, k] positions that each token attends to, then -1.
  std::map<std::size_t, std::vector<std::int32_t>> chosen;
};

std::vector<Prompt> read_prompts(const GoldenCase& c, const json& golden) {
  auto tensors = read_safetensors(std::filesystem::path(c.expected).replace_extension(".safetensors"));
  std::vector<Prompt> prompts;
  for (std::size_t p = 0; p < golden["prompts"].size(); ++p) {
    const json& j = golden["prompts"][p];
    const std::string prefix = "prompt" + std::to_string(p) + ".";
    Prompt prompt;
    prompt.ids = j["ids"].get<std::vector<moe::TokenId>>();
    prompt.greedy = j["greedy"].get<std::vector<moe::TokenId>>();
    prompt.routing = j["routing"];
    prompt.logits = tensors.at(prefix + "logits").values<float>();
    prompt.greedy_logits = tensors.at(prefix + "greedy_logits").values<float>();
    for (int l = 0; tensors.count(prefix + "hidden." + std::to_string(l)) != 0; ++l)
      prompt.hidden.push_back(tensors.at(prefix + "hidden." + std::to_string(l)).values<float>());
    for (const auto& [name, tensor] : tensors)
      if (name.starts_with(prefix + "layer") && name.ends_with(".indexer_positions"))
        prompt.chosen[static_cast<std::size_t>(std::stoi(name.substr(prefix.size() + 5)))] =
            tensor.values<std::int32_t>();
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

void check_routing(const std::vector<moe::TokenRouting>& found, const json& expected, double tolerance) {
  REQUIRE(found.size() == expected["experts"].size());
  for (std::size_t t = 0; t < found.size(); ++t) {
    CAPTURE(t);
    std::map<std::int32_t, float> by_expert;
    for (std::size_t k = 0; k < found[t].experts.size(); ++k) by_expert[found[t].experts[k]] = found[t].weights[k];
    const auto experts = expected["experts"][t].get<std::vector<std::int32_t>>();
    const auto weights = expected["weights"][t].get<std::vector<double>>();
    REQUIRE(by_expert.size() == experts.size());
    std::size_t k = 0;
    for (const auto& [expert, weight] : by_expert) {
      CHECK(expert == experts[k]);
      CHECK(std::abs(weight - weights[k]) <= tolerance);
      ++k;
    }
  }
}

void check_chosen(const std::vector<std::vector<std::int32_t>>& found, const std::vector<std::int32_t>& expected) {
  REQUIRE(!found.empty());
  const std::size_t width = expected.size() / found.size();
  for (std::size_t t = 0; t < found.size(); ++t) {
    CAPTURE(t);
    const auto row = expected.begin() + static_cast<std::ptrdiff_t>(t * width);
    std::vector<std::int32_t> positions(row, row + static_cast<std::ptrdiff_t>(width));
    std::erase(positions, -1);
    CHECK(found[t] == positions);
  }
}

void check_prompt(const std::shared_ptr<const moe::Model>& model, const Prompt& prompt, double tolerance) {
  moe::SessionOptions options = reference_options();
  options.record_routing = options.record_hidden = options.record_chosen_keys = true;
  auto session = open_session(model, options);
  const moe::Sequence sequence = *session->open();
  const std::vector<float> whole = step(*session, sequence, prompt.ids);
  CHECK(worst(whole, prompt.logits) <= tolerance);
  for (std::size_t l = 0; l < prompt.hidden.size(); ++l) {
    CAPTURE(l);
    CHECK(worst(session->hidden()[l], prompt.hidden[l]) <= tolerance);
  }
  for (const auto& [key, expected] : prompt.routing.items()) {
    const std::string& layer = key;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(layer);
    check_routing(session->routing()[static_cast<std::size_t>(std::stoi(layer))], expected, tolerance);
  }
  for (const auto& [number, expected] : prompt.chosen) {
    const std::size_t layer = number;
    CAPTURE(layer);
    check_chosen(session->chosen_keys()[layer], expected);
  }
  // Greedy continuation, one token at a time after the cached prompt.
  const auto V = static_cast<std::size_t>(model->config().vocab_size);
  std::vector<float> row(whole.end() - static_cast<std::ptrdiff_t>(V), whole.end()), seen;
  for (std::size_t i = 0; i < prompt.greedy.size(); ++i) {
    seen.insert(seen.end(), row.begin(), row.end());
    CHECK(first_maximum(row) == prompt.greedy[i]);
    row = step(*session, sequence, std::span(&prompt.greedy[i], 1));
  }
  CHECK(worst(seen, prompt.greedy_logits) <= tolerance);

  // Token by token: the same bits as in one piece. The first sequence makes room: both may not fit in max_position
  // tokens.
  REQUIRE(session->close(sequence).has_value());
  const moe::Sequence slow = *session->open();
  std::vector<float> pieces;
  for (const moe::TokenId id : prompt.ids) {
    const std::vector<float> one = step(*session, slow, std::span(&id, 1));
    pieces.insert(pieces.end(), one.begin(), one.end());
  }
  // LongRoPE changes all positions once a sequence is long, so shorter prefixes of a long prompt differ.
  const moe::RopeConfig& rope = model->config().rope;
  std::size_t first = 0;
  if (const auto context = static_cast<std::size_t>(rope.original_max_position);
      rope.scaling == moe::RopeScaling::longrope && prompt.ids.size() > context)
    first = context * V;
  CHECK(same_bits(std::span<const float>(pieces).subspan(first), std::span<const float>(whole).subspan(first)));
}

/// Without the last columns where the model has fewer rows: a converter cut the embedding to the tokenizer's length.
std::vector<float> first_columns(const std::vector<float>& rows, std::size_t row_count, std::int64_t columns) {
  const std::size_t width = rows.size() / row_count, kept = static_cast<std::size_t>(columns);
  if (kept >= width) return rows;
  std::vector<float> out;
  for (std::size_t r = 0; r < row_count; ++r)
    out.insert(out.end(), rows.begin() + static_cast<std::ptrdiff_t>(r * width),
               rows.begin() + static_cast<std::ptrdiff_t>(r * width + kept));
  return out;
}

/// Load or skip, then every prompt; false where the family is unknown.
bool check_model(const GoldenCase& c, std::set<std::string>& families) {
  CAPTURE(c.name);
  auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
  if (!model && is_later_family(c) && model.error().code == moe::ErrorCode::unsupported) {
    report_skip(c.name, model.error().message);
    return false;
  }
  if (const std::string lost = lost_in_conversion(c); !lost.empty()) {
    report_skip(c.name, lost);
    return false;
  }
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  CHECK((*model)->info().unread_keys.empty());
  CHECK((*model)->info().notes.empty());
  const json golden = json::parse(read_file(c.expected));
  const double tolerance = golden["suggested_tolerance_logits"].get<double>();
  for (Prompt& prompt : read_prompts(c, golden)) {
    const std::int64_t V = (*model)->config().vocab_size;
    prompt.logits = first_columns(prompt.logits, prompt.ids.size(), V);
    prompt.greedy_logits = first_columns(prompt.greedy_logits, prompt.greedy.size(), V);
    check_prompt(*model, prompt, tolerance);
  }
  families.insert((*model)->config().family);
  return true;
}

}  // namespace

TEST_CASE("golden models: logits, hidden states, routing and greedy tokens in reference precision") {
  const auto cases = golden_cases();
  REQUIRE_MESSAGE(!cases.empty(), "no golden model found");
  int checked = 0, skipped = 0;
  std::set<std::string> families;
  for (const GoldenCase& c : cases) ++(check_model(c, families) ? checked : skipped);
  MESSAGE(checked << " golden models checked, " << skipped << " skipped");
  CHECK(checked > 0);
  // A family that is registered must not slip through as a skip. Some have committed models alone (the next case).
  for (const GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/shapes"))
    if (const auto model = moe::arch::recognise_hf_config(read_file(c.model / "config.json")))
      families.insert(std::string(model->family->name));
  if (std::getenv("MOE_GOLDEN_DIR") == nullptr &&
      std::filesystem::exists(std::filesystem::path(MOE_SOURCE_DIR) / "../shared/golden"))
    for (const moe::arch::Family* family : moe::arch::families()) CHECK(families.count(std::string(family->name)) == 1);
}

TEST_CASE("the committed models of uncommon sizes and switches") {
  std::set<std::string> families;
  for (const GoldenCase& c : golden_cases_in(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/shapes"))
    CHECK_MESSAGE(check_model(c, families), c.name);
  CHECK(!families.empty());
}

TEST_CASE("golden models: config.json as transformers 5 writes it means the same model") {
  namespace fs = std::filesystem;
  int found = 0, checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (!fs::exists(c.model / "config_transformers5.json")) continue;
    ++found;
    auto old_form = moe::arch::recognise_hf_config(read_file(c.model / "config.json"));
    auto new_form = moe::arch::recognise_hf_config(read_file(c.model / "config_transformers5.json"));
    if (!old_form && is_later_family(c)) continue;  // reported by the case above
    CAPTURE(c.name);
    REQUIRE(old_form.has_value());
    REQUIRE(new_form.has_value());
    CHECK(new_form->unread_keys.empty());
    moe::ModelConfig &a = old_form->config, &b = new_form->config;
    b.mtp_layer_count = a.mtp_layer_count;  // save_pretrained writes its class's default
    CHECK(a == b);
    CHECK(a.rope.theta == b.rope.theta);
    CHECK(a.rope.factor == b.rope.factor);
    CHECK(a.rope.scaling == b.rope.scaling);
    CHECK(a.rope.attention_factor == b.rope.attention_factor);
    CHECK(a.softmax_scale == b.softmax_scale);
    CHECK(a.router.expert_count == b.router.expert_count);
    CHECK(a.router.routed_scaling_factor == b.router.routed_scaling_factor);
    CHECK(a.head_dim == b.head_dim);
    CHECK(a.rotated_dim() == b.rotated_dim());
    CHECK(a.sliding_window == b.sliding_window);
    CHECK(a.sliding_layers == b.sliding_layers);
    REQUIRE(a.sliding_rope.has_value() == b.sliding_rope.has_value());
    if (a.sliding_rope) CHECK(a.sliding_rope->theta == b.sliding_rope->theta);
    CHECK(moe::forward_work(a, 3, 20, 1, moe::MlaForm::absorbed) ==
          moe::forward_work(b, 3, 20, 1, moe::MlaForm::absorbed));
    ++checked;
  }
  if (found == 0) return report_skip("config_transformers5.json", "no directory holds one");
  CHECK(checked > 0);
}

}  // namespace models_test
