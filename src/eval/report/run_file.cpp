// run.json: what ran, on what, and everything it found.

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "eval/report/names.hpp"
#include "moe/eval/report.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "support/sha256.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Json = nlohmann::ordered_json;

Json optional_number(const std::optional<double>& x) { return x ? Json(*x) : Json(nullptr); }

Json work_json(const Work& w) {
  return {{"total", w.total()},
          {"attention_projection", w.attention_projection},
          {"attention_score", w.attention_score},
          {"attention_value", w.attention_value},
          {"router", w.router},
          {"routed_experts", w.routed_experts},
          {"shared_experts", w.shared_experts},
          {"dense_ffn", w.dense_ffn},
          {"head", w.head},
          {"tokens", w.tokens},
          {"head_tokens", w.head_tokens}};
}

Json aggregate_json(const Aggregate& row) {
  Json out = {{"name", row.name}, {"alias", row.alias}, {"is_group", row.is_group}, {"questions", row.question_count}};
  for (std::size_t m = 0; m < row.kinds.size(); ++m)
    out["metrics"]
       [row.kinds[m].filter == "none" ? std::string(eval::name_of(row.kinds[m].metric)) : row.kinds[m].key()] = {
           {"value", row.metrics[m].value}, {"standard_error", optional_number(row.metrics[m].standard_error)}};
  return out;
}

Json outcome_json(const PreparedTask& task, const TaskOutcome& outcome) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  const auto questions = static_cast<double>(task.question_count());
  const bool has_accuracy = headline_column(task.spec.metrics) < task.spec.metrics.size();
  Json out = {
      {"task", task.spec.name},
      {"num_fewshot", task.num_fewshot},
      {"questions", task.question_count()},
      {"question_file", task.data_path},
      {"task_hash", sha256_hex(task.spec.source)},
      {"accuracy", has_accuracy ? Json(accuracy.value) : Json(nullptr)},
      {"standard_error", optional_number(accuracy.standard_error)},
      {"chance", outcome.chance},
      {"chance_corrected", has_accuracy ? Json(chance_corrected(accuracy.value, outcome.chance)) : Json(nullptr)},
      {"model_flops", outcome.model_flops},
      {"model_flops_per_question", static_cast<double>(outcome.model_flops) / questions},
      {"model_tokens", outcome.pass_tokens},
      {"executed", work_json(outcome.executed)},
      {"seconds", outcome.seconds},
      {"truncated_questions", outcome.truncated},
      {"too_long_questions", outcome.too_long},
      {"non_finite_questions", outcome.non_finite},
      {"match_limit_questions", outcome.match_limit},
      {"skipped_questions", outcome.skipped},
      {"tied_questions", outcome.tied},
      {"reencoded_questions", outcome.reencoded},
      {"rows", Json::array()}};
  for (const Aggregate& row : outcome.subtasks) out["rows"].push_back(aggregate_json(row));
  for (const Aggregate& row : outcome.groups) out["rows"].push_back(aggregate_json(row));
  for (const Breakdown& breakdown : outcome.breakdowns)
    for (const Aggregate& row : breakdown.rows) out["by"][breakdown.field].push_back(aggregate_json(row));
  return out;
}

Json chat_json(const ModelRun& run) {
  if (!run.chat) return nullptr;
  return {{"template_sha256", sha256_hex(run.chat->template_text)},
          {"fewshot_as_multiturn", run.chat->multiturn},
          {"variables", run.chat->variables},
          {"enable_thinking", run.chat->enable_thinking ? Json(*run.chat->enable_thinking) : Json(nullptr)},
          {"date", run.chat->date}};
}

Json model_json(const RunReport& report, const ModelRun& run) {
  const ParameterCount parameters = count_parameters(run.info.config);
  Json out = {{"name", run.name},
              {"path", run.path},
              {"hash", fmt::format("{:016x}", run.info.hash)},
              {"content_hash", run.content_hash.empty() ? Json(nullptr) : Json(run.content_hash)},
              {"family", run.info.config.family},
              {"formats", run.info.format_summary},
              {"notes", run.info.notes},
              {"unread_keys", run.info.unread_keys},
              {"top_k", run.info.config.router.top_k},
              {"precision", name_of(run.precision)},
              {"kv", name_of(run.kv)},
              {"total_parameters", parameters.total},
              {"active_parameters", parameters.active_matmul},
              {"weight_flops_per_token", weight_flops_per_token(run.info.config, true)},
              {"weight_bytes", run.info.weight_bytes},
              {"weight_bytes_per_token", run.info.touched_bytes},
              {"resident_bytes", run.resident_bytes},
              {"session_bytes", run.session_bytes},
              {"max_length", run.max_length},
              {"chat", chat_json(run)},
              {"tasks", Json::array()}};
  for (std::size_t t = 0; t < run.outcomes.size(); ++t)
    out["tasks"].push_back(outcome_json(run.task(report.tasks, t), run.outcomes[t]));
  return out;
}

Json until_known_json(const RunReport& report, const UntilKnown& known) {
  Json out = {{"alpha", known.alpha},
              {"pair_alpha", known.pair_alpha},
              {"margin", known.margin},
              {"seed", known.seed},
              {"questions", known.asked},
              {"questions_of_all", known.question_count},
              {"clusters_of_all", known.cluster_count},
              {"largest_cluster", known.largest_cluster},
              {"looks", known.looks},
              {"pairs", Json::array()},
              {"models", Json::array()}};
  for (const PairVerdict& pair : known.pairs)
    out["pairs"].push_back({{"a", report.models[pair.a].name},
                            {"b", report.models[pair.b].name},
                            {"verdict", name_of(pair.verdict)},
                            {"gap", pair.gap},
                            {"interval", {pair.lower, pair.upper}},
                            {"p_anytime", pair.p_value},
                            {"questions", pair.questions},
                            {"only_a", pair.only_a},
                            {"only_b", pair.only_b}});
  for (std::size_t m = 0; m < known.models.size(); ++m)
    out["models"].push_back({{"name", report.models[m].name},
                             {"questions", known.models[m].questions},
                             {"model_flops", known.models[m].model_flops},
                             {"saved_model_flops_estimate", known.models[m].unasked_flops},
                             {"executed_flops", known.models[m].executed_flops}});
  return out;
}

}  // namespace

Result<void> write_run_file(const RunReport& report, const std::string& directory,
                            const std::function<bool()>& cancelled) {
  Json root = {{"format", "libmoe run 1"},
               {"started", report.started},
               {"seconds", report.seconds},
               {"numerics_version", kNumericsVersion},
               {"isa", report.isa},
               {"threads", report.thread_count},
               {"seed", report.seed},
               {"limit", report.limit},
               {"baseline", report.baseline},
               {"system_instruction", report.system_instruction},
               {"think_end_token", report.think_end},
               {"models", Json::array()},
               {"comparisons", Json::array()}};
  for (const ModelRun& run : report.models) root["models"].push_back(model_json(report, run));
  for (const Comparison& c : compare_models(report))
    root["comparisons"].push_back({{"task", report.tasks[c.task].spec.name},
                                   {"a", report.models[c.a].name},
                                   {"b", report.models[c.b].name},
                                   {"gap", c.gap.gap},
                                   {"standard_error", optional_number(c.gap.standard_error)},
                                   {"only_a", c.gap.only_a},
                                   {"only_b", c.gap.only_b},
                                   {"p_mcnemar", c.gap.p_value},
                                   {"p_holm", c.adjusted_p},
                                   {"distinguishable", c.distinguishable()}});
  if (report.until_known) root["until_known"] = until_known_json(report, *report.until_known);
  if (auto made = make_folder(directory); !made) return made;
  return write_file((std::filesystem::path(directory) / kRunFile).string(), json_text(root, 2) + "\n",
                    {.cancelled = cancelled});
}

}  // namespace moe::inline MOE_ABI::eval
