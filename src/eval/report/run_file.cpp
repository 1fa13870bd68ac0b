// run.json: program, machine, settings and all results.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "eval/report/checks.hpp"
#include "eval/report/names.hpp"
#include "eval/report/standing.hpp"
#include "eval/report/subject_gaps.hpp"
#include "moe/eval/report.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "support/sha256.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Json = nlohmann::ordered_json;

Json optional_number(const std::optional<double>& x) { return x ? Json(*x) : Json(nullptr); }

// Of what was asked, not of the prompts made of it: the same for models with and without a chat template.
std::string digest_of_questions(const PreparedTask& task) {
  std::string all;
  for (const Subtask& subtask : task.subtasks) {
    all += fmt::format("{} {}:{}\n", subtask.documents.size(), subtask.name.size(), subtask.name);
    for (const Document& document : subtask.documents) all.append(document.question.json).append("\n");
  }
  return sha256_hex(all);
}

Json ends_json(const std::optional<std::pair<double, double>>& ends) {
  if (!ends) return nullptr;
  return {ends->first, ends->second};
}

Json work_json(const Work& w) {
  Json json = {{"total", w.total()}};
  for (const WorkPart& part : kWorkParts) json[std::string(part.name)] = w.*part.flops;
  json["tokens"] = w.tokens, json["head_tokens"] = w.head_tokens;
  return json;
}

// Null if nothing was counted: a dense model, or all answers from a store.
Json experts_json(const std::optional<ExpertUse>& use) {
  if (!use) return nullptr;
  Json subjects = Json::object();
  for (const ExpertUse::Subject& s : use->subjects) subjects[s.name] = {{"tokens", s.tokens}, {"counts", s.counts}};
  return {{"layers", use->layers},
          {"tokens", use->tokens},
          {"counts", use->counts},
          {"entropy_bits", use->entropy_bits},
          {"subjects", subjects}};
}

Json aggregate_json(const Aggregate& row) {
  Json out = {{"name", row.name},
              {"alias", row.alias},
              {"is_group", row.is_group},
              {"questions", row.question_count},
              {"model_flops", row.model_flops},
              {"model_tokens", row.pass_tokens}};
  for (std::size_t m = 0; m < row.kinds.size(); ++m)
    out["metrics"][row.kinds[m].title()] = {{"value", row.metrics[m].value},
                                            {"standard_error", optional_number(row.metrics[m].standard_error)}};
  return out;
}

Json outcome_json(const PreparedTask& task, const TaskOutcome& outcome, std::int64_t touched_bytes) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  const auto questions = static_cast<double>(task.question_count());
  const bool is_accuracy = has_accuracy(task.spec.metrics);
  Json out = {
      {"task", task.spec.name},
      {"version", task.spec.version},
      {"num_fewshot", task.num_fewshot},
      {"questions", task.question_count()},
      {"question_file", task.data_path},
      {"task_hash", sha256_hex(task.spec.source)},
      {"questions_hash", digest_of_questions(task)},
      {"accuracy", is_accuracy ? Json(accuracy.value) : Json(nullptr)},
      {"accuracy_metric",
       is_accuracy ? Json(task.spec.metrics[headline_column(task.spec.metrics)].title()) : Json(nullptr)},
      {"standard_error", optional_number(accuracy.standard_error)},
      {"interval_95", is_accuracy ? ends_json(interval_of(accuracy, task.question_count())) : Json(nullptr)},
      {"chance", outcome.chance},
      {"chance_corrected", is_accuracy ? Json(chance_corrected(accuracy.value, outcome.chance)) : Json(nullptr)},
      {"model_flops", outcome.model_flops},
      {"model_flops_per_question", static_cast<double>(outcome.model_flops) / questions},
      {"model_tokens", outcome.pass_tokens},
      {"weight_bytes_per_question",
       static_cast<double>(touched_bytes) * static_cast<double>(outcome.pass_tokens) / questions},
      {"executed", work_json(outcome.executed)},
      {"mean_experts_per_token", outcome.experts ? Json(outcome.experts->mean_experts_per_token()) : Json(nullptr)},
      {"experts", experts_json(outcome.experts)},
      {"stored_answers", outcome.stored_answers},
      {"seconds", outcome.seconds},
      {"joules", optional_number(outcome.joules)}};
  for (const Check& check : kChecks) out[check.key] = outcome.*check.count;
  out["rows"] = Json::array();
  for (const Aggregate& row : outcome.subtasks) out["rows"].push_back(aggregate_json(row));
  for (const Aggregate& row : outcome.groups) out["rows"].push_back(aggregate_json(row));
  for (const Breakdown& breakdown : outcome.breakdowns)
    for (const Aggregate& row : breakdown.rows) out["by"][breakdown.field].push_back(aggregate_json(row));
  return out;
}

// Null where there is nothing to compare with.
Json multiplier_json(const RunReport& report, const ModelRun& run, std::size_t t) {
  const auto index = static_cast<std::size_t>(&run - report.models.data());
  if (t >= report.multipliers.size() || index >= report.multipliers[t].size()) return nullptr;
  const ComputeMultiplier& multiplier = report.multipliers[t][index];
  Json reference = Json::array();
  for (const std::size_t m : report.reference) reference.push_back(report.models[m].name);
  return {{"value", optional_number(multiplier.value)},
          {"low_95", optional_number(multiplier.low)},
          {"high_95", optional_number(multiplier.high)},
          {"reference", reference.empty() ? Json(nullptr) : reference}};
}

Json peaks_json(const std::optional<MachinePeaks>& peaks) {
  if (!peaks) return nullptr;
  return {{"threads", peaks->threads},
          {"int8_operations_per_second", peaks->int8_ops},
          {"float_operations_per_second", peaks->float_ops},
          {"read_bytes_per_second", peaks->read_bytes}};
}

// Null where all experts were in memory.
Json traffic_json(const ExpertTraffic& t) {
  if (t.hits + t.misses == 0) return nullptr;
  return {{"hits", t.hits},
          {"misses", t.misses},
          {"read_bytes", t.read_bytes},
          {"unused_bytes", t.unused_bytes},
          {"read_seconds", static_cast<double>(t.read_ns) * 1e-9},
          {"wait_seconds", static_cast<double>(t.wait_ns) * 1e-9},
          {"memory_bytes", t.memory_bytes}};
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
  const RouterConfig& router = run.info.config.router;
  const std::vector<std::int64_t>& layer_top_k = run.info.config.layer_top_k;
  Json out = {{"name", run.name},
              {"path", run.path},
              {"hash", fmt::format("{:016x}", run.info.hash)},
              {"content_hash", run.content_hash.empty() ? Json(nullptr) : Json(run.content_hash)},
              {"family", run.info.config.family},
              {"formats", run.info.format_summary},
              {"notes", run.info.notes},
              {"unread_keys", run.info.unread_keys},
              // A dense model may have the keys of its family's experts.
              {"top_k", run.info.config.moe_layer_count() > 0 ? router.top_k : 0},
              {"layer_top_k", layer_top_k.empty() ? Json(nullptr) : Json(layer_top_k)},
              {"expert_mass", router.expert_mass < 1.0 ? Json(router.expert_mass) : Json(nullptr)},
              {"expert_mass_variant",
               router.expert_mass < 1.0 ? Json(std::string(name_of(router.mass_variant))) : Json(nullptr)},
              {"precision", name_of(run.precision)},
              {"kv", name_of(run.kv)},
              {"total_parameters", parameters.total},
              {"active_parameters", parameters.active_matmul},
              {"weight_flops_per_token", weight_flops_per_token(run.info.config)},
              {"weight_bytes", run.info.weight_bytes},
              {"weight_bytes_per_token", run.info.touched_bytes},
              {"resident_bytes", run.resident_bytes},
              {"session_bytes", run.session_bytes},
              {"max_length", run.max_length},
              {"expert_traffic", traffic_json(run.expert_traffic)},
              {"chat", chat_json(run)},
              {"tasks", Json::array()}};
  for (std::size_t t = 0; t < run.outcomes.size(); ++t) {
    out["tasks"].push_back(outcome_json(run.task(report.tasks, t), run.outcomes[t], run.info.touched_bytes));
    out["tasks"].back()["compute_multiplier"] = multiplier_json(report, run, t);
  }
  return out;
}

// A gap, of a whole task or of one subject. Without any difference, the standard error is unknown.
Json gap_json(const PairedGap& gap, double adjusted_p, bool distinguishable) {
  const auto interval = interval_of(gap);
  const Json mde = interval ? Json(minimum_detectable_effect(*gap.standard_error)) : Json(nullptr);
  const auto needed = questions_needed(gap);
  return {{"questions", gap.question_count},
          {"gap", gap.gap},
          {"standard_error", optional_number(gap.standard_error)},
          {"interval_95", ends_json(interval)},
          {"only_a", gap.only_a},
          {"only_b", gap.only_b},
          {"p_mcnemar", gap.p_value},
          {"p_holm", adjusted_p},
          {"minimum_detectable_effect", mde},
          {"questions_needed", needed ? Json(*needed) : Json(nullptr)},
          {"distinguishable", distinguishable}};
}

Json comparisons_json(const RunReport& report) {
  const std::vector<Comparison> comparisons = compare_models(report);
  Json out = Json::array();
  for (const Comparison& c : comparisons) {
    Json row = {
        {"task", report.tasks[c.task].spec.name}, {"a", report.models[c.a].name}, {"b", report.models[c.b].name}};
    row.update(gap_json(c.gap, c.adjusted_p, c.distinguishable()));
    out.push_back(std::move(row));
  }
  for (const SubjectGaps& gaps : compare_subjects(report, comparisons))
    for (const SubjectGap& subject : gaps.rows) {
      Json row = {{"name", subject.name}};
      row.update(gap_json(subject.gap, subject.adjusted_p, subject.distinguishable()));
      out[gaps.comparison]["by"][gaps.field].push_back(std::move(row));
    }
  return out;
}

Json families_json(const RunReport& report) {
  Json out = Json::array();
  const auto names = [&](std::size_t family) {
    Json models = Json::array();
    for (const std::size_t m : report.families[family].models) models.push_back(report.models[m].name);
    return models;
  };
  for (const FamilyComparison& c : report.family_gaps)
    out.push_back({{"task", report.tasks[c.task].spec.name},
                   {"a", report.families[c.a].name},
                   {"b", report.families[c.b].name},
                   {"models_a", names(c.a)},
                   {"models_b", names(c.b)},
                   {"best_a", report.models[c.gap.best_a].name},
                   {"best_b", report.models[c.gap.best_b].name},
                   {"gap", c.gap.gap},
                   {"standard_error", c.gap.standard_error},
                   {"interval_95", {c.gap.low, c.gap.high}},
                   {"replicates", c.gap.replicates},
                   {"distinguishable", c.gap.distinguishable()}});
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

std::string run_file_text(const RunReport& report) {
  Json root = {{"format", "libmoe run 1"},
               {"started", report.started},
               {"seconds", report.seconds},
               {"libmoe_version", MOE_VERSION},
               {"compiler", __VERSION__},
               {"command", report.command},
               {"numerics_version", kNumericsVersion},
               {"isa", report.isa},
               {"threads", report.thread_count},
               {"machine_peaks", peaks_json(report.peaks)},
               {"seed", report.seed},
               {"limit", report.limit},
               {"baseline", report.baseline},
               {"system_instruction", report.system_instruction},
               {"think_end_token", report.think_end},
               {"models", Json::array()},
               {"comparisons", comparisons_json(report)}};
  for (const ModelRun& run : report.models) root["models"].push_back(model_json(report, run));
  if (!report.family_gaps.empty()) root["family_gaps"] = families_json(report);
  if (report.until_known) root["until_known"] = until_known_json(report, *report.until_known);
  return json_text(root, 2) + "\n";
}

Result<void> write_run_file(const RunReport& report, const std::string& directory,
                            const std::function<bool()>& cancelled) {
  if (auto made = make_folder(directory); !made) return made;
  return write_file((std::filesystem::path(directory) / kRunFile).string(), run_file_text(report),
                    {.cancelled = cancelled});
}

}  // namespace moe::inline MOE_ABI::eval
