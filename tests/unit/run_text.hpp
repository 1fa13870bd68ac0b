#pragma once
// A run.json made by hand, with everything that a report reads: two models, a sweep, experts, joules, gaps by subject.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moe/eval/run_report.hpp"

namespace moe_test {

using RunJson = nlohmann::ordered_json;

inline RunJson gap_json(double gap, bool distinguishable) {
  return {{"questions", 200},
          {"gap", gap},
          {"standard_error", 0.0123},
          {"interval_95", {gap - 0.024, gap + 0.024}},
          {"only_a", 31},
          {"only_b", 7},
          {"p_mcnemar", 0.001},
          {"p_holm", distinguishable ? 0.002 : 0.7},
          {"minimum_detectable_effect", 0.0345},
          {"questions_needed", 4321},
          {"distinguishable", distinguishable}};
}

inline RunJson row_json(const std::string& name, bool is_group, double acc) {
  return {{"name", name},
          {"alias", name},
          {"is_group", is_group},
          {"questions", 100},
          {"model_flops", 3000000000},
          {"model_tokens", 4321},
          {"metrics",
           {{"acc", {{"value", acc}, {"standard_error", 0.02}}},
            {"acc_norm", {{"value", acc + 0.01}, {"standard_error", nullptr}}}}}};
}

inline RunJson experts_json() {
  const std::vector<std::vector<std::int64_t>> counts = {{10, 20, 30, 40}, {0, 0, 50, 50}},
                                               first = {{10, 0, 0, 0}, {0, 0, 5, 5}},
                                               second = {{0, 20, 30, 40}, {0, 0, 45, 45}};
  return {
      {"layers", {1, 2}},
      {"tokens", 50},
      {"counts", counts},
      {"entropy_bits", {1.8464, 1.0}},
      {"subjects", {{"history", {{"tokens", 5}, {"counts", first}}}, {"law", {{"tokens", 45}, {"counts", second}}}}}};
}

inline RunJson task_json(const std::string& name, double accuracy, double flops) {
  RunJson out = {
      {"task", name},
      {"version", "1.0"},
      {"num_fewshot", 5},
      {"questions", 200},
      {"question_file", "exam.jsonl"},
      {"task_hash", "abc123"},
      {"accuracy", accuracy},
      {"standard_error", 0.03},
      {"interval_95", {accuracy - 0.06, accuracy + 0.06}},
      {"chance", 0.25},
      {"chance_corrected", (accuracy - 0.25) / 0.75},
      {"model_flops", 4000000000},
      {"model_flops_per_question", flops},
      {"model_tokens", 12345},
      {"weight_bytes_per_question", 9876543.25},
      {"executed", {{"total", 2000000000}, {"tokens", 6789}}},
      {"seconds", 1.5},
      {"joules", 42.25},

      {"compute_multiplier",
       {{"value", 1.25}, {"low_95", 1.125}, {"high_95", nullptr}, {"reference", RunJson::array({"second"})}}}};
  for (const char* key : {"truncated_questions", "too_long_questions", "non_finite_questions", "match_limit_questions",
                          "skipped_questions", "tied_questions", "reencoded_questions"})
    out[key] = 0;
  out["rows"] = RunJson::array({row_json(name, true, accuracy)});  // clang takes {object} for the object
  out["by"]["subject"] = {row_json("history", true, accuracy + 0.05), row_json("law", true, accuracy - 0.05)};
  return out;
}

inline RunJson model_json(const std::string& name, std::int64_t top_k, RunJson task) {
  RunJson out = {{"name", name},
                 {"path", "models/" + name},
                 {"hash", "00ff"},
                 {"content_hash", "feed"},
                 {"family", "deepseek_v3"},
                 {"formats", "2 q8_0"},
                 {"notes", {"a note"}},
                 {"unread_keys", RunJson::array()},
                 {"top_k", top_k},
                 {"layer_top_k", nullptr},
                 {"precision", "auto"},
                 {"kv", "f16"},
                 {"total_parameters", 1000000},
                 {"active_parameters", 400000},
                 {"weight_flops_per_token", 800000},
                 {"weight_bytes", 2000000},
                 {"weight_bytes_per_token", 850000},
                 {"resident_bytes", 2100000},
                 {"session_bytes", 700000},
                 {"max_length", 1024},
                 {"chat", nullptr}};
  out["tasks"] = RunJson::array({std::move(task)});
  return out;
}

inline RunJson run_json(const std::string& a = "first", const std::string& b = "second") {
  RunJson comparison = {{"task", "exam"}, {"a", a}, {"b", b}};
  comparison.update(gap_json(0.1, true));
  for (const char* subject : {"history", "law"}) {
    RunJson row = {{"name", subject}};
    row.update(gap_json(subject == std::string("law") ? -0.02 : 0.22, subject != std::string("law")));
    comparison["by"]["subject"].push_back(row);
  }
  RunJson first = task_json("exam", 0.875, 2.5e9);
  first["experts"] = experts_json();
  first["mean_experts_per_token"] = 2.5;
  return {{"format", "libmoe run 1"},
          {"started", "2026-01-02T03:04:05.000006"},
          {"seconds", 12.5},
          {"libmoe_version", "0.1.0"},
          {"compiler", "12.2"},
          {"command", {"moe-eval", "--model", "it's one"}},
          {"numerics_version", 2},
          {"isa", "avx2"},
          {"threads", 2},
          {"machine_peaks",
           {{"threads", 2},
            {"int8_operations_per_second", 8e11},
            {"float_operations_per_second", 2e11},
            {"read_bytes_per_second", 3e10}}},
          {"seed", 18446744073709551615u},
          {"limit", 0.0},
          {"baseline", ""},
          {"system_instruction", ""},
          {"think_end_token", ""},
          {"models", {model_json(a, 2, first), model_json(b, 4, task_json("exam", 0.775, 5e9))}},
          {"comparisons", RunJson::array({comparison})}};
}

/// The same run, had it stopped when it was known, and with two families.
inline RunJson stopped_json() {
  RunJson run = run_json();
  const std::string a = run["models"][0]["name"].get<std::string>(), b = run["models"][1]["name"].get<std::string>();
  const auto use = [](const std::string& name, double saved) {
    return RunJson{{"name", name},
                   {"questions", 200},
                   {"model_flops", 1000000000000},
                   {"saved_model_flops_estimate", saved},
                   {"executed_flops", 600000000000}};
  };
  run["comparisons"] = RunJson::array();
  run["until_known"] = {{"alpha", 0.05},
                        {"pair_alpha", 0.05},
                        {"margin", 0.0},
                        {"seed", 18446744073709551615u},
                        {"questions", 200},
                        {"questions_of_all", 1000},
                        {"clusters_of_all", 900},
                        {"largest_cluster", 3},
                        {"looks", 4},
                        {"pairs", RunJson::array({{{"a", a},
                                                   {"b", b},
                                                   {"verdict", "a_better"},
                                                   {"gap", 0.1},
                                                   {"interval", {0.0125, 0.1875}},
                                                   {"p_anytime", 0.004},
                                                   {"questions", 200},
                                                   {"only_a", 31},
                                                   {"only_b", 11}}})},
                        {"models", {use(a, 4e12), use(b, 5e12)}}};
  run["family_gaps"] = RunJson::array({{{"task", "exam"},
                                        {"a", "<b>US"},
                                        {"b", "CN"},
                                        {"models_a", {a}},
                                        {"models_b", {b}},
                                        {"best_a", a},
                                        {"best_b", b},
                                        {"gap", -0.02},
                                        {"standard_error", 0.0125},
                                        {"interval_95", {-0.045, 0.005}},
                                        {"replicates", 10000},
                                        {"distinguishable", false}}});
  return run;
}

inline moe::eval::RunText run_text(const RunJson& run, const std::string& name = "run.json") {
  return {name, run.dump(-1, ' ', false, RunJson::error_handler_t::replace)};
}

/// A report without pictures.
inline moe::Result<moe::eval::RunReportTexts> report_of(const RunJson& run, const std::string& gnuplot = {}) {
  const moe::eval::RunText text = run_text(run);
  return moe::eval::render_run_report({&text, 1}, {.gnuplot = gnuplot});
}

}  // namespace moe_test
