// Prompts, token ids and metrics through chat templates as the reference harness has them: every configuration of
// MOE_EVAL_CHAT_DIR, asked through the scripted fake model.

#include <map>
#include <set>

#include "eval/run/reply_run.hpp"
#include "eval/score/text.hpp"
#include "moe/eval/evaluate.hpp"
#include "support/sha256.hpp"
#include "unit/fake_model.hpp"
#include "unit/harness_chat.hpp"

namespace eval_chat_test {

using namespace harness_chat;

namespace {

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
    for (const auto& one : by_subtask) {
      CAPTURE(one.first);
      check_subtask(one.first, one.second, seen);
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
  for (const auto& one : all["configs"].items()) {
    const std::string& name = one.key();
    const Json& config = one.value();
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

}  // namespace eval_chat_test
