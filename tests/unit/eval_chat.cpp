// Prompts, token ids and metrics through chat templates as the reference harness has them: every configuration, pair and
// edge case of MOE_HARNESS_CHAT_DIR, asked through the scripted fake model.

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/chat_templates.hpp"
#include "eval/run/reply_run.hpp"
#include "eval/score/text.hpp"
#include "moe/eval/chat_prompts.hpp"
#include "moe/eval/evaluate.hpp"
#include "score/pair_encoder.hpp"
#include "support.hpp"
#include "support/sha256.hpp"
#include "unit/fake_model.hpp"

using Json = nlohmann::json;
using namespace moe::eval;
using moe::score::PairEncoder;

namespace {

namespace fs = std::filesystem;
using Ids = std::vector<moe::TokenId>;

const fs::path kOwnTasks = fs::path(MOE_SOURCE_DIR) / "tests/data/harness/chat";

bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

std::string text_of(const Json& value) { return value.get<std::string>(); }

fs::path directory() { return moe_test::reference_dir("MOE_HARNESS_CHAT_DIR", "../shared/data/harness_chat"); }

std::vector<Json> parse_lines(const fs::path& path) {
  std::vector<Json> out;
  for (const std::string& line : moe_test::read_lines(path))
    if (!line.empty()) out.push_back(Json::parse(line));
  return out;
}

/// A tokenizer directory of the reference: it has no weights, so it is no model.
struct Folder {
  std::shared_ptr<const moe::Tokenizer> tokenizer;
  moe::ChatTemplates templates;
  explicit Folder(const fs::path& dir) {
    const std::string json = moe_test::read_file(dir / "tokenizer.json"),
                      config = moe_test::read_file(dir / "tokenizer_config.json");
    auto built = moe::Tokenizer::create({.json = json, .config = config});
    REQUIRE_MESSAGE(built.has_value(), built.error().message);
    tokenizer = std::move(*built);
    templates = moe::checkpoint::read_hf_chat_templates(moe::checkpoint::TextFiles(dir.string(), nullptr));
  }
};

/// Task files are the harness's YAMLs in our form; fields that are Jinja there are placeholders here.
std::string as_placeholder(const std::string& jinja) {
  if (jinja == "question" || jinja == "{{ question }}") return "{question}";
  if (jinja == "{{ 'Answer to the question:' }}") return "Answer to the question:";
  return jinja;
}

TaskSpec spec_of(const std::string& subtask) {
  const bool llama = subtask.starts_with("mmlu_llama");
  const std::string name = llama ? "mmlu_llama" : subtask.starts_with("mmlu_") ? "mmlu" : subtask;
  const bool own = llama || name == "arc_challenge_chat";
  auto spec = load_task(own ? (kOwnTasks / (name + ".json")).string() : name);
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  return std::move(*spec);
}

const Subtask& subtask_of(const PreparedTask& task, const std::string& name) {
  for (const Subtask& s : task.subtasks)
    if (s.name == name) return s;
  FAIL("no subtask " << name);
  return task.subtasks.front();
}

Json messages_json(const Conversation& conversation) {
  Json out = Json::array();
  for (const moe::ChatMessage& m : conversation.messages) out.push_back({{"role", m.role}, {"content", m.content}});
  return out;
}

/// One line of a requests file against what was asked.
struct Checker {
  const PairEncoder& encoder;
  const TaskSpec& spec;

  void choices(const Json& line, const Document& document, const DocumentOutcome& outcome) const {
    const bool own = line["ctx"].is_array();
    const std::size_t count = line["ll"].size();
    REQUIRE(outcome.scores.size() == count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t asked = i % document.continuations.size();
      const std::string context = i < document.continuations.size() ? document.context_of(asked) : std::string();
      const std::string continuation = document.continuations[asked];
      CHECK(context == (own ? line["ctx"][i] : line["ctx"]).get<std::string>());
      CHECK(continuation == (line["conts"].is_array() ? line["conts"][i] : line["conts"]).get<std::string>());
      const auto pair = encoder.encode(context, continuation);
      REQUIRE_MESSAGE(pair.has_value(), pair.error().message);
      CHECK(pair->context == (own ? line["cids"][i] : line["cids"]).get<Ids>());
      CHECK(pair->continuation == line["kids"][i].get<Ids>());
      CHECK(close(outcome.scores[i].log_likelihood, line["ll"][i].get<double>()));
      CHECK(outcome.scores[i].is_greedy == line["greedy"][i].get<bool>());
    }
    for (std::size_t m = 0; m < spec.metrics.size(); ++m) {
      const std::string name(name_of(spec.metrics[m].metric));
      if (line["m"].contains(name)) CHECK(close(outcome.metrics[m], line["m"][name].get<double>()));
    }
  }

  void reply(const Json& line, const Document& document, const DocumentOutcome& outcome) const {
    CHECK(document.contexts[0] == line["ctx"].get<std::string>());
    const auto ids = encoder.encode_context(document.contexts[0]);
    REQUIRE(ids.has_value());
    CHECK(*ids == line["cids"].get<Ids>());
    CHECK(Json(spec.generation.until) == line["gen"]["until"]);
    CHECK(spec.generation.max_tokens == line["max_new"].get<std::int64_t>());
    CHECK(outcome.reply->text == line["resp"].get<std::string>());
    for (std::size_t f = 0; f < spec.filters.size(); ++f) {
      if (spec.filters[f].name != line["f"]) continue;
      CHECK(outcome.filtered[f] == line["out"].get<std::string>());
      for (std::size_t m = 0; m < spec.metrics.size(); ++m)
        if (spec.metrics[m].filter == line["f"])
          CHECK(close(outcome.metrics[m], line["m"][std::string(name_of(spec.metrics[m].metric))].get<double>()));
    }
  }
};

void check_results(const TaskOutcome& outcome, const Json& results, std::set<std::string>& seen) {
  for (const Aggregate& row : outcome.subtasks) {
    if (!results.contains(row.name)) continue;
    seen.insert(row.name);
    CAPTURE(row.name);
    std::size_t checked = 0;
    for (std::size_t m = 0; m < row.kinds.size(); ++m) {
      if (!results[row.name].contains(row.kinds[m].key())) continue;
      CHECK(close(row.metrics[m].value, results[row.name][row.kinds[m].key()].get<double>()));
      REQUIRE(row.metrics[m].standard_error.has_value());
      CHECK(close(*row.metrics[m].standard_error, results[row.name][row.kinds[m].key("_stderr")].get<double>()));
      checked += 2;
    }
    CHECK(checked == results[row.name].size());
  }
}

/// All lines of one configuration.
class Configuration {
 public:
  Configuration(const fs::path& dir, const Json& all, const Json& config, const Folder& folder,
                const std::vector<Json>& lines)
      : dir_(dir), all_(all), config_(config), folder_(folder), lines_(lines), encoder_(*folder.tokenizer) {}

  void check() {
    std::map<std::string, std::vector<const Json*>> by_subtask;
    for (const Json& line : lines_) by_subtask[line["t"].get<std::string>()].push_back(&line);
    std::set<std::string> seen;
    for (const auto& [subtask, lines] : by_subtask) {
      CAPTURE(subtask);
      check_subtask(subtask, lines, seen);
    }
    CHECK(retries_ == config_["retries"].get<std::int64_t>());
    CHECK(seen.size() == config_["results"].size());
  }

 private:
  bool applied() const { return !config_["template"].is_null(); }

  PreparedTask prepared(const TaskSpec& spec, const Json& line) const {
    PrepareOptions options{.data_dir = dir_.string()};
    // The YAML of arc_challenge_chat fixes its number of examples, whatever is asked for.
    options.num_fewshot = spec.name == "arc_challenge_chat" ? 0 : line["k"].get<std::int64_t>();
    const Json& system = all_["systems"][config_["system"].get<std::string>()];
    if (system.is_string()) options.system_instruction = system.get<std::string>();
    options.conversations = config_["multiturn"].get<bool>() ? Conversations::multiturn : Conversations::singleturn;
    if (config_["tag"] == "think") options.think_end = "</think>";
    auto task = prepare(spec, options);
    REQUIRE_MESSAGE(task.has_value(), task.error().message);
    return std::move(*task);
  }

  TaskSpec spec(const std::string& subtask) const {
    TaskSpec spec = spec_of(subtask);
    const std::string tag = text_of(config_["tag"]);
    for (const auto& [name, prefix] : all_["gen_prefixes"].items())
      if (tag.ends_with("gp-" + name)) spec.gen_prefix = as_placeholder(prefix.get<std::string>());
    if (tag.starts_with("mutual")) spec.metrics.push_back(Metric::acc_mutual_info);
    return spec;
  }

  void check_subtask(const std::string& subtask, const std::vector<const Json*>& lines, std::set<std::string>& seen) {
    const TaskSpec spec = this->spec(subtask);
    const PreparedTask plain = prepared(spec, *lines.front());
    const auto& conversations = subtask_of(plain, subtask).documents;
    PreparedTask task = plain;
    if (applied()) {
      ChatSetting setting;
      if (!config_["args"].empty()) setting.options.variables = config_["args"].dump();
      const auto prompts = ChatPrompts::create(folder_.templates, setting);
      REQUIRE_MESSAGE(prompts.has_value(), prompts.error().message);
      CHECK(moe::sha256_hex(prompts->reported_text()) == config_["chat_template_sha"].get<std::string>());
      auto asked = prompts->apply(plain);
      REQUIRE_MESSAGE(asked.has_value(), asked.error().message);
      task = std::move(*asked);
      for (std::size_t s = 0; s < task.subtasks.size() && task.chat_retries > 0; ++s)
        if (task.subtasks[s].name == subtask)
          retries_ += task.chat_retries / static_cast<std::int64_t>(task.subtasks.size());
    }
    moe_test::FakeModel model;
    std::map<std::string, const Json*> reply_lines;
    for (const Json* line : lines)
      if (line->contains("raw")) reply_lines[(*line)["ctx"].get<std::string>()] = line;
    const std::string eos(folder_.tokenizer->bytes_of(*folder_.tokenizer->eos()));
    model.reply_to = [&](std::string_view context) -> std::string {
      const auto known = reply_lines.find(std::string(context));
      if (known == reply_lines.end()) return "(no such prompt)";
      const std::string raw = text_of((*known->second)["raw"]);
      const auto answer = cut_at(after_thinking(raw, task.spec.generation.think_end), task.spec.generation.until);
      return std::string(cut_at(answer, std::span(&eos, 1)));
    };
    const auto outcome = evaluate(task, model, {.bootstrap_count = 1000, .threads = {}, .hooks = {}});
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    const Checker checker{encoder_, task.spec};
    std::size_t at = 0;
    while (task.subtasks[at].name != subtask) ++at;
    for (const Json* line : lines) {
      const auto d = (*line)["d"].get<std::size_t>();
      CAPTURE(d);
      if (applied() && line->contains("messages"))
        CHECK(messages_json(conversations[d].conversations[0]) == (*line)["messages"]);
      const Document& document = task.subtasks[at].documents[d];
      if (line->contains("gen"))
        checker.reply(*line, document, outcome->documents[at][d]);
      else
        checker.choices(*line, document, outcome->documents[at][d]);
    }
    check_results(*outcome, config_["results"], seen);
  }

  const fs::path& dir_;
  const Json& all_;
  const Json& config_;
  const Folder& folder_;
  const std::vector<Json>& lines_;
  PairEncoder encoder_;
  std::int64_t retries_ = 0;
};

}  // namespace

TEST_CASE("every configuration of the reference harness with chat templates") {
  const fs::path dir = directory();
  if (dir.empty()) return moe_test::report_skip("harness with chat templates", "no reference directory");
  const Json all = Json::parse(moe_test::read_file(dir / "results.json"));
  std::map<std::string, std::vector<Json>> lines;  // by configuration
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with("requests_")) continue;
    for (Json& line : parse_lines(entry.path())) {
      const std::string name = text_of(line["cfg"]);
      lines[name].push_back(std::move(line));
    }
  }
  std::map<std::string, std::unique_ptr<Folder>> folders;
  std::size_t checked = 0;
  for (const auto& [name, config] : all["configs"].items()) {
    CAPTURE(name);
    const std::string tokenizer = text_of(config["tokenizer"]);
    auto& folder = folders[tokenizer];
    if (folder == nullptr) folder = std::make_unique<Folder>(dir / "tok" / tokenizer);
    REQUIRE(lines.contains(name));
    Configuration(dir, all, config, *folder, lines[name]).check();
    checked += lines[name].size();
  }
  MESSAGE(all["configs"].size() << " configurations, " << checked << " requests");
  CHECK(lines.size() == all["configs"].size());
}

TEST_CASE("pairs of contexts and continuations at the borders, with the tokenizers of the chat models") {
  const fs::path dir = directory();
  if (dir.empty()) return moe_test::report_skip("harness pairs", "no reference directory");
  std::size_t checked = 0;
  for (const auto& entry : fs::directory_iterator(dir / "tok")) {
    const std::string name = entry.path().filename().string();
    const fs::path pairs = dir / ("encode_pairs_" + name + ".jsonl");
    if (!fs::exists(pairs)) {
      moe_test::report_skip("pairs of " + name, "no file");
      continue;
    }
    const Folder folder(entry.path());
    const PairEncoder encoder(*folder.tokenizer);
    for (const Json& line : parse_lines(pairs)) {
      CAPTURE(line.dump());
      const std::string context = text_of(line["context"]), continuation = text_of(line["continuation"]);
      const auto pair = encoder.encode(context, continuation);
      if (line["cont"].empty()) {  // the harness itself aborts; here it is an error, or the continuation alone
        CHECK((!pair.has_value() || pair->reencoded));
      } else {
        REQUIRE_MESSAGE(pair.has_value(), pair.error().message);
        // Nothing in front of the first token: the harness aborts in its model, here BOS or EOS stands there.
        if (!line["ctx"].empty()) CHECK(pair->context == line["ctx"].get<Ids>());
        CHECK(pair->continuation == line["cont"].get<Ids>());
      }
      const auto ids = encoder.encode_context(context.empty() ? continuation : context);
      REQUIRE(ids.has_value());
      CHECK(*ids == line["gen"].get<Ids>());
      ++checked;
    }
  }
  MESSAGE(checked << " pairs");
  CHECK(checked > 0);
}

namespace {

moe::ChatTemplates templates_of(const Json& texts, const Folder& folder) {
  moe::ChatTemplates out;
  out.special_tokens = folder.templates.special_tokens;
  if (texts.is_string()) out.texts["default"] = texts.get<std::string>();
  out.are_named = texts.is_object();
  for (const auto& [name, text] : texts.items())
    if (texts.is_object()) out.texts[name] = text.get<std::string>();
  return out;
}

void apply_overrides(const Json& overrides, TaskSpec& spec) {
  for (const auto& [key, value] : overrides.items()) {
    const std::string text = text_of(value);
    if (key == "gen_prefix") spec.gen_prefix = as_placeholder(text);
    if (key == "target_delimiter") spec.target_delimiter = text;
    if (key == "fewshot_delimiter") spec.fewshot_delimiter = text;
    if (key == "description") spec.description = text;
    if (key == "doc_to_text") spec.prompt = "a<|eot_id|>b{question}<|begin_of_text|>";
  }
}

moe::Result<PreparedTask> asked_of(const Json& one, const PreparedTask& plain, const Folder& folder, Json& reported) {
  if (one["apply"] == false) return plain;
  ChatSetting setting;
  if (one["apply"].is_string()) setting.reported_name = one["apply"].get<std::string>();
  if (one["lm_args"].contains("chat_template_args"))
    setting.options.variables = one["lm_args"]["chat_template_args"].dump();
  if (one["lm_args"].contains("enable_thinking"))
    setting.enable_thinking = one["lm_args"]["enable_thinking"].get<bool>();
  const auto prompts = ChatPrompts::create(templates_of(one["template"], folder), setting);
  if (!prompts) return moe::forward(prompts);
  reported = prompts->reported_text();
  return prompts->apply(plain);
}

// Of the cases with a template of their own.
void check_edge_case(const Json& one, const fs::path& dir, const Folder& folder) {
  TaskSpec spec = spec_of(text_of(one["task"]));
  apply_overrides(one["overrides"], spec);
  PrepareOptions options{.data_dir = dir.string()};
  options.num_fewshot = one["shots"].get<std::int64_t>();
  options.limit = 1;
  if (one["system"].is_string()) options.system_instruction = one["system"].get<std::string>();
  options.conversations = one["multiturn"].get<bool>() ? Conversations::multiturn : Conversations::singleturn;
  const auto plain = prepare(spec, options);
  REQUIRE_MESSAGE(plain.has_value(), plain.error().message);
  Json reported;
  const auto asked = asked_of(one, *plain, folder, reported);
  CHECK(asked.has_value() == one["ok"].get<bool>());
  if (!asked || !one["ok"].get<bool>()) return;
  const Document& document = subtask_of(*asked, text_of(one["task"])).documents.front();
  CHECK(document.contexts[0] == one["prompt"].get<std::string>());
  CHECK(Json(document.continuations) == one["conts"]);
  CHECK(reported == one["reported"]);
  const std::int64_t per_prompt = asked->chat_retries / std::max<std::int64_t>(1, asked->question_count());
  CHECK(per_prompt == one["retries"].get<std::int64_t>());
  if (one["apply"] != false && one.contains("messages"))
    CHECK(messages_json(subtask_of(*plain, text_of(one["task"])).documents.front().conversations[0]) ==
          one["messages"]);
  if (one["lm_args"].value("add_bos_token", true)) {
    const auto pair = PairEncoder(*folder.tokenizer).encode(document.contexts[0], document.continuations[0]);
    REQUIRE(pair.has_value());
    CHECK(pair->context == one["ids"].get<Ids>());
  }
}

}  // namespace

TEST_CASE("edge cases of the reference harness with chat templates") {
  const fs::path dir = directory();
  if (dir.empty()) return moe_test::report_skip("harness edge cases", "no reference directory");
  const Folder llama(dir / "tok/llama31");
  std::size_t checked = 0, others = 0;
  for (const Json& one : parse_lines(dir / "edge_cases.jsonl")) {
    CAPTURE(one.dump().substr(0, 400));
    if (one["case"] == "add_bos_token" && one["value"].is_null()) {
      const Folder folder(dir / "tok" / one["tok"].get<std::string>());
      const auto ids = PairEncoder(*folder.tokenizer).encode_context("Hi A");
      REQUIRE(ids.has_value());
      CHECK(*ids == one["gen"].get<Ids>());
      ++checked;
    } else if (!one.contains("task")) {
      ++others;  // options of the command line: tests/unit/eval_programs.cpp
    } else if (one["overrides"].value("gen_prefix", "") == "{{ question[:0] }}") {
      moe_test::report_skip("edge case with gen_prefix {{ question[:0] }}", "task files have no such expression");
    } else if (one["case"] == "enable_thinking with choices") {
      ++others;  // refused by the program
    } else {
      check_edge_case(one, dir, llama);
      ++checked;
    }
  }
  moe_test::report_skip(std::to_string(others) + " edge cases", "of options that a library call does not have");
  MESSAGE(checked << " edge cases");
  CHECK(checked > 0);
}
