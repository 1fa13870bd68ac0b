#include "serve/api/tables.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

using enum FieldType;
constexpr auto kRead = FieldUse::read;
constexpr auto kAccepted = FieldUse::accepted;
constexpr auto kRefused = FieldUse::refused;
constexpr double kCount = 1e9;

using Rules = std::vector<FieldRule>;

FieldRule refused(std::string_view name, std::vector<std::string_view> neutral = {}) {
  return {name, any, kRefused, 0, 0, 0, std::move(neutral)};
}

// Fields that affect replies, common to completions and chats.
Rules reply_rules() {
  return {
      {"model", text},
      {"max_tokens", integer, kRead, 0, kCount},
      {"max_completion_tokens", integer, kRead, 0, kCount},
      {"min_tokens", integer, kRead, 0, kCount, 0},
      {"temperature", number, kRead, 0, 100, 1},
      {"top_p", number, kRead, 0, 1, 1},
      {"top_k", integer, kRead, -1, kCount, 0},
      {"min_p", number, kRead, 0, 1, 0},
      {"seed", integer, kRead, -1, 1.8446744073709552e19},
      {"frequency_penalty", number, kRead, -2, 2, 0},
      {"presence_penalty", number, kRead, -2, 2, 0},
      {"repetition_penalty", number, kRead, 0.01, 100, 1},
      {"repeat_penalty", number, kRead, 0.01, 100, 1},
      {"logit_bias", any},
      {"n", integer, kRead, 1, 64, 1},
      {"stop", any},
      {"stop_token_ids", list},
      {"ignore_eos", boolean},
      {"include_stop_str_in_output", boolean},
      {"skip_special_tokens", boolean, kRead, 0, 0, 1},
      {"stream", boolean},
      {"stream_options", object},
      {"truncate_prompt_tokens", integer, kRead, -1, kCount},
      {"add_special_tokens", boolean},
      {"include_work", boolean},
      {"user", text, kAccepted},
      {"safety_identifier", text, kAccepted},
      {"prompt_cache_key", text, kAccepted},
      {"metadata", object, kAccepted},
      {"cache_prompt", boolean, kAccepted},  // the cache never affects an answer
      {"store", boolean, kAccepted},         // nothing is ever stored
      {"priority", integer, kAccepted},
      {"request_id", text, kAccepted},
  };
}

// Features of other servers that this one does not have.
Rules foreign_rules() {
  return {
      refused("response_format", {R"({"type": "text"})"}),
      refused("prompt_logprobs"),
      refused("guided_json"),
      refused("guided_regex"),
      refused("guided_choice"),
      refused("guided_grammar"),
      refused("structured_outputs"),
      refused("grammar", {R"("")"}),
      refused("json_schema", {"{}"}),
      refused("use_beam_search", {"false"}),
      refused("length_penalty", {"1"}),
      refused("early_stopping", {"false"}),
      refused("bad_words", {"[]"}),
      refused("allowed_token_ids"),
      refused("logits_processors", {"[]"}),
      refused("typical_p", {"1"}),
      refused("tfs_z", {"1"}),
      refused("top_a", {"0"}),
      refused("mirostat", {"0"}),
      refused("dynatemp_range", {"0"}),
      refused("dry_multiplier", {"0"}),
      refused("xtc_probability", {"0"}),
      refused("top_n_sigma", {"-1", "0"}),
      refused("n_probs", {"0"}),
      refused("lora", {"[]"}),
      refused("samplers"),
      refused("service_tier", {R"("auto")", R"("default")"}),
      refused("return_tokens_as_token_ids", {"false"}),
      refused("return_token_ids", {"false"}),
      refused("prompt_embeds"),
      refused("mm_processor_kwargs"),
      refused("kv_transfer_params"),
      refused("spaces_between_special_tokens", {"true"}),
  };
}

Rules joined(std::vector<Rules> parts) {
  Rules all;
  for (Rules& part : parts)
    for (FieldRule& rule : part) all.push_back(std::move(rule));
  return all;
}

}  // namespace

RequestTable completions_table() {
  static const Rules rules = joined({reply_rules(),
                                     foreign_rules(),
                                     {{"prompt", any},
                                      {"echo", boolean},
                                      {"logprobs", integer, kRead, 0, 20},
                                      {"best_of", integer, kRead, 1, 64},
                                      refused("suffix", {R"("")"})}});
  return rules;
}

RequestTable chat_table() {
  static const Rules rules = joined({reply_rules(),
                                     foreign_rules(),
                                     {{"messages", list},
                                      {"logprobs", boolean},
                                      {"top_logprobs", integer, kRead, 0, 20, 0},
                                      {"tools", list},
                                      {"documents", list},
                                      {"chat_template", text},
                                      {"chat_template_kwargs", object},
                                      {"reasoning_effort", text},
                                      {"add_generation_prompt", boolean, kRead, 0, 0, 1},
                                      {"continue_final_message", boolean},
                                      {"parallel_tool_calls", boolean, kAccepted},  // replies are plain text
                                      refused("tool_choice", {R"("none")", R"("auto")"}),
                                      refused("functions", {"[]"}),
                                      refused("function_call", {R"("none")", R"("auto")"}),
                                      refused("modalities", {R"(["text"])"}),
                                      refused("audio"),
                                      refused("prediction"),
                                      refused("verbosity", {R"("medium")"}),
                                      refused("web_search_options"),
                                      refused("echo", {"false"}),
                                      refused("best_of", {"1"}),
                                      refused("include_reasoning", {"true"}),
                                      refused("reasoning_format", {R"("none")"}),
                                      refused("thinking_budget_tokens", {"-1"})}});
  return rules;
}

RequestTable tokenize_table() {
  static const Rules rules = joined({{{"model", text},
                                      {"prompt", any},
                                      {"content", text},
                                      {"messages", list},
                                      {"tools", list},
                                      {"documents", list},
                                      {"reasoning_effort", text},
                                      {"chat_template", text},
                                      {"chat_template_kwargs", object},
                                      {"add_generation_prompt", boolean, kRead, 0, 0, 1},
                                      {"continue_final_message", boolean},
                                      {"add_special_tokens", boolean},
                                      {"add_special", boolean},
                                      {"parse_special", boolean, kRead, 0, 0, 1},
                                      {"with_pieces", boolean},
                                      {"return_token_strs", boolean}}});
  return rules;
}

RequestTable detokenize_table() {
  static const Rules rules{{"model", text}, {"tokens", list}};
  return rules;
}

}  // namespace moe::inline MOE_ABI::serve::api
