// Pairs at the borders of prompts, and single cases with templates of their own, as the reference harness has them
// (MOE_EVAL_CHAT_DIR).

#include "unit/harness_chat.hpp"

namespace eval_chat_edges_test {

using namespace harness_chat;

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

}  // namespace eval_chat_edges_test
