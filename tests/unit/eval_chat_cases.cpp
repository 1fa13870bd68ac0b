// Small questions of our own through chat templates as the reference harness asks and counts them
// (tests/data/harness/chat/make_cases.py).

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/chat_templates.hpp"
#include "moe/eval/chat_prompts.hpp"
#include "moe/eval/evaluate.hpp"
#include "support.hpp"
#include "unit/fake_model.hpp"

namespace eval_chat_cases_test {

using Json = nlohmann::json;
using namespace moe::eval;

namespace {

const std::filesystem::path kData = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data";

bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

/// The special tokens of the small model, with another template.
moe::ChatTemplates templates_of(const std::string& text) {
  moe::ChatTemplates out = moe::checkpoint::read_hf_chat_templates(
      moe::checkpoint::TextFiles((kData / "golden/qwen3_moe").string(), nullptr));
  REQUIRE(out.special_tokens.at("eos_token") == "<|im_end|>");
  out.texts = {{"default", text}};
  return out;
}

PreparedTask asked(const Json& one, const std::string& text) {
  const auto spec = load_task((kData / "harness" / one["task"].get<std::string>()).string());
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  PrepareOptions options;
  options.num_fewshot = one["num_fewshot"].get<std::int64_t>();
  options.system_instruction = one["system_instruction"].get<std::string>();
  options.conversations = one["multiturn"].get<bool>() ? Conversations::multiturn : Conversations::singleturn;
  const auto task = prepare(*spec, options);
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  ChatSetting setting;
  if (!one["variables"].empty()) setting.options.variables = one["variables"].dump();
  const auto prompts = ChatPrompts::create(templates_of(text), setting);
  REQUIRE_MESSAGE(prompts.has_value(), prompts.error().message);
  CHECK(moe::sha256_hex(prompts->reported_text()) == one["chat_template_sha"].get<std::string>());
  auto out = prompts->apply(*task);
  REQUIRE_MESSAGE(out.has_value(), out.error().message);
  return std::move(*out);
}

/// What a question was asked, as the harness lists it.
Json arguments_of(const TaskSpec& spec, const Document& document, std::size_t count) {
  Json out = Json::array();
  if (spec.kind == TaskKind::rolling) return Json::array({Json::array({document.contexts[0]})});
  if (spec.kind == TaskKind::generation)
    return Json::array({Json::array({document.contexts[0], spec.generation.until})});
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t n = document.continuations.size();
    out.push_back({i < n ? document.context_of(i) : std::string(), document.continuations[i % n]});
  }
  return out;
}

void check_samples(const PreparedTask& task, const TaskOutcome& outcome, const Json& samples) {
  const TaskSpec& spec = task.spec;
  const auto& documents = task.subtasks[0].documents;
  REQUIRE(samples.size() == documents.size() * spec.filters.size());
  for (std::size_t f = 0; f < spec.filters.size(); ++f)
    for (std::size_t d = 0; d < documents.size(); ++d) {
      const Json& sample = samples[f * documents.size() + d];
      CAPTURE(d);
      const DocumentOutcome& scored = outcome.documents[0][d];
      CHECK(sample["filter"] == spec.filters[f].name);
      CHECK(arguments_of(spec, documents[d], scored.scores.size()) == sample["arguments"]);
      for (std::size_t m = 0; m < spec.metrics.size(); ++m) {
        const Json value = sample["metrics"].value(std::string(name_of(spec.metrics[m].metric)), Json());
        if (value.is_number() && spec.metrics[m].filter == spec.filters[f].name)
          CHECK(close(scored.metrics[m], value.get<double>()));
      }
    }
}

}  // namespace

TEST_CASE("small cases through chat templates: prompts, metrics and results are the reference harness's") {
  const Json file = Json::parse(moe_test::read_file(kData / "harness/chat/cases.json"));
  const auto replies = file["replies"].get<std::vector<std::string>>();
  moe_test::FakeModel model;
  model.reply_to = [&](std::string_view context) { return replies[moe::sha256(context)[0] & 3]; };
  REQUIRE(file["cases"].size() >= 12);
  for (const Json& one : file["cases"]) {
    CAPTURE(one["task"].get<std::string>());
    CAPTURE(one["template"].get<std::string>());
    CAPTURE(one["num_fewshot"].get<int>());
    const PreparedTask task = asked(one, file["templates"][one["template"].get<std::string>()].get<std::string>());
    const auto outcome = evaluate(task, model, {.bootstrap_count = 1000, .threads = {}, .hooks = {}});
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    check_samples(task, *outcome, one["samples"]);
    CHECK(one["results"].size() == 2 * task.spec.metrics.size());
    for (std::size_t m = 0; m < task.spec.metrics.size(); ++m) {
      const MetricValue& value = outcome->overall.metrics[m];
      CAPTURE(task.spec.metrics[m].key());
      CHECK(close(value.value, one["results"].at(task.spec.metrics[m].key()).get<double>()));
      const Json& error = one["results"].at(task.spec.metrics[m].key("_stderr"));
      CHECK(value.standard_error.has_value() == error.is_number());
      if (error.is_number()) CHECK(close(value.standard_error.value_or(-1), error.get<double>()));
    }
  }
}

TEST_CASE("a task without conversations is not asked through a template as if it had some") {
  const auto prompts = ChatPrompts::create(templates_of("{{ messages[0].content }}"), {});
  REQUIRE(prompts.has_value());
  const auto task = prepare(*load_task((kData / "harness/letters.json").string()), {});
  REQUIRE(task.has_value());
  const auto refused = prompts->apply(*task);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::bad_argument);
  CHECK(refused.error().message.find("PrepareOptions::conversations") != std::string::npos);
}

}  // namespace eval_chat_cases_test
