// Result and sample files in the reference harness's form, so that its readers work on them.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "eval/report/names.hpp"
#include "eval/score/text.hpp"
#include "moe/eval/report.hpp"
#include "support/json_copy.hpp"
#include "support/json_text.hpp"
#include "support/output_file.hpp"
#include "support/python_float.hpp"
#include "support/sha256.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Json = nlohmann::ordered_json;

// A number where the text is one, else the text.
Json version_of(const std::string& text) {
  const auto number = JsonDocument::parse(text);
  return number && number->root().is_number() ? copy_json<Json>(number->root()) : Json(text);
}

Json metrics_of(const Aggregate& row) {
  Json out;
  for (std::size_t m = 0; m < row.kinds.size(); ++m) {
    out[row.kinds[m].key()] = row.metrics[m].value;
    out[row.kinds[m].key("_stderr")] =
        row.metrics[m].standard_error ? Json(*row.metrics[m].standard_error) : Json("N/A");
  }
  return out;
}

Json row_json(const Aggregate& row) {
  Json out = {{"name", row.name}, {"alias", row.alias}, {"sample_len", row.question_count}};
  out.update(metrics_of(row));
  if (row.is_group)
    for (const MetricColumn& column : row.kinds) out["sample_count"][column.key()] = row.question_count;
  return out;
}

Json group_members(const PreparedTask& task, const Aggregate& group) {
  Json members = Json::array();
  const auto spec = std::find_if(task.spec.groups.begin(), task.spec.groups.end(),
                                 [&](const GroupSpec& g) { return g.name == group.name; });
  if (spec == task.spec.groups.end() && !task.spec.groups.empty()) {
    for (const GroupSpec& g : task.spec.groups) members.push_back(g.name);
    return members;
  }
  for (const Subtask& subtask : task.subtasks)
    if (spec == task.spec.groups.end() ||
        std::find(spec->subjects.begin(), spec->subjects.end(), subtask.subject) != spec->subjects.end())
      members.push_back(subtask.name);
  return members;
}

std::string group_version(const TaskSpec& spec, const std::string& name) {
  for (const GroupSpec& group : spec.groups)
    if (group.name == name && !group.version.empty()) return group.version;
  return spec.group_version;
}

const char* output_type(TaskKind kind) {
  return kind == TaskKind::cloze        ? "loglikelihood"
         : kind == TaskKind::generation ? "generate_until"
         : kind == TaskKind::rolling    ? "loglikelihood_rolling"
                                        : "multiple_choice";
}

Json config_json(const TaskSpec& spec, const Subtask& subtask, std::int64_t shots) {
  Json metrics = Json::array();
  for (const MetricColumn& column : spec.metrics)
    if (column.filter == spec.metrics.front().filter)
      metrics.push_back({{"metric", name_of(column.metric)},
                         {"aggregation", column.metric == Metric::perplexity ? "perplexity" : "mean"},
                         {"higher_is_better", higher_is_better(column.metric)}});
  return {{"task", subtask.name},
          {"task_alias", subtask.alias},
          {"output_type", output_type(spec.kind)},
          {"description", spec.description},
          {"doc_to_text", spec.prompt},
          {"target_delimiter", spec.target_delimiter},
          {"fewshot_delimiter", spec.fewshot_delimiter},
          {"num_fewshot", shots},
          {"metric_list", metrics}};
}

void add_task(const PreparedTask& task, const TaskOutcome& outcome, Json& root) {
  for (std::size_t s = 0; s < outcome.subtasks.size(); ++s) {
    const Aggregate& row = outcome.subtasks[s];
    root["results"][row.name] = row_json(row);
    root["configs"][row.name] = config_json(task.spec, task.subtasks[s], task.num_fewshot);
    root["versions"][row.name] = version_of(task.spec.version);
    root["n-shot"][row.name] = task.num_fewshot;
    for (const MetricColumn& column : row.kinds)
      root["higher_is_better"][row.name][std::string(name_of(column.metric))] = higher_is_better(column.metric);
    root["n-samples"][row.name] = {{"original", task.subtasks[s].original_count}, {"effective", row.question_count}};
  }
  for (const Aggregate& group : outcome.groups) {
    root["results"][group.name] = row_json(group);
    root["groups"][group.name] = row_json(group);
    root["group_subtasks"][group.name] = group_members(task, group);
    root["versions"][group.name] = group_version(task.spec, group.name);
  }
}

// Seconds since 1970, as the harness notes when a run began; the text itself where it is no local ISO 8601 time.
Json unix_time(const std::string& iso) {
  std::tm local{};
  double seconds = 0;
  if (std::sscanf(iso.c_str(), "%d-%d-%dT%d:%d:%lf", &local.tm_year, &local.tm_mon, &local.tm_mday, &local.tm_hour,
                  &local.tm_min, &seconds) != 6)
    return iso;
  local.tm_year -= 1900, local.tm_mon -= 1, local.tm_isdst = -1;
  return static_cast<double>(std::mktime(&local)) + seconds;
}

// Text and number of a special token, as the harness notes them.
Json token_json(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  if (!id) return Json::array({nullptr, "None"});
  const auto text = tokenizer.decode(*id);
  return Json::array({text ? Json(*text) : Json(nullptr), fmt::format("{}", *id)});
}

std::string hex16(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

// Keys that begin with libmoe_ are not the harness's own.
void add_chat(const RunReport& report, const ModelRun& run, Json& root) {
  const auto maybe = [](const std::optional<bool>& b) { return b ? Json(*b) : Json(nullptr); };
  root["fewshot_as_multiturn"] = run.chat ? Json(run.chat->multiturn) : maybe(report.fewshot_as_multiturn);
  root["chat_template"] = run.chat ? Json(run.chat->template_text) : Json(nullptr);
  root["chat_template_sha"] = run.chat ? Json(sha256_hex(run.chat->template_text)) : Json(nullptr);
  if (run.chat)
    root["libmoe_chat"] = {{"variables", run.chat->variables},
                           {"date", run.chat->date},
                           {"enable_thinking", maybe(run.chat->enable_thinking)}};
  if (!report.think_end.empty()) root["libmoe_think_end_token"] = report.think_end;
}

Json results_json(const RunReport& report, const ModelRun& run) {
  Json root = {{"results", Json::object()},          {"groups", Json::object()},   {"group_subtasks", Json::object()},
               {"configs", Json::object()},          {"versions", Json::object()}, {"n-shot", Json::object()},
               {"higher_is_better", Json::object()}, {"n-samples", Json::object()}};
  double seconds = 0;
  for (std::size_t t = 0; t < run.outcomes.size(); ++t) {
    add_task(run.task(report.tasks, t), run.outcomes[t], root);
    seconds += run.outcomes[t].seconds;
    // Our own addition; the harness's readers ignore unknown keys.
    const TaskOutcome& o = run.outcomes[t];
    root["libmoe_checks"][report.tasks[t].spec.name] = {
        {"truncated", o.truncated},   {"too_long", o.too_long},
        {"non_finite", o.non_finite}, {"match_limit", o.match_limit},
        {"skipped", o.skipped},       {"tied", o.tied},
        {"reencoded", o.reencoded},   {"without_system", run.task(report.tasks, t).chat_retries}};
  }
  root["config"] = {{"model", "libmoe"},
                    {"model_args", "path=" + run.path},
                    {"model_num_parameters", run.info.total_parameters},
                    {"model_dtype", run.info.format_summary},
                    {"model_hash", hex16(run.info.hash)},
                    {"batch_size", "auto"},
                    {"device", "cpu"},
                    {"limit", report.limit > 0 ? Json(report.limit) : Json(nullptr)},
                    {"random_seed", report.seed},
                    {"fewshot_seed", report.seed}};
  root["date"] = unix_time(report.started);
  root["max_length"] = run.max_length;
  if (run.tokenizer) {
    root["tokenizer_bos_token"] = token_json(*run.tokenizer, run.tokenizer->bos());
    root["tokenizer_eos_token"] = token_json(*run.tokenizer, run.tokenizer->eos());
    root["eot_token_id"] = run.tokenizer->eos() ? Json(*run.tokenizer->eos()) : Json(nullptr);
  }
  root["system_instruction"] = report.system_instruction.empty() ? Json(nullptr) : Json(report.system_instruction);
  root["system_instruction_sha"] =
      report.system_instruction.empty() ? Json(nullptr) : Json(sha256_hex(report.system_instruction));
  add_chat(report, run, root);
  root["model_name"] = run.name;
  root["total_evaluation_time_seconds"] = fmt::format("{}", seconds);
  return root;
}

// Requests and results: log-likelihoods of continuations.
void add_scores(const Document& document, const DocumentOutcome& scored, Json& line) {
  const std::size_t count = document.continuations.size();
  for (std::size_t i = 0; i < scored.scores.size(); ++i) {
    const Score& score = scored.scores[i];
    const Json response = {python_float(score.log_likelihood), score.is_greedy ? "True" : "False"};
    // The answers to the question are followed by the answers alone, if a metric needs them.
    line["arguments"][fmt::format("gen_args_{}", i)] = {{"arg_0", i < count ? document.context_of(i) : std::string()},
                                                        {"arg_1", document.continuations[i % count]}};
    line["resps"].push_back(Json::array({response}));
    line["filtered_resps"].push_back(response);
  }
}

// The same of a whole text.
void add_text(const Document& document, const DocumentOutcome& scored, Json& line) {
  const std::string response = python_float(scored.scores[0].log_likelihood);
  line["arguments"]["gen_args_0"] = {{"arg_0", document.contexts[0]}};
  line["resps"].push_back(Json::array({response}));
  line["filtered_resps"].push_back(response);
}

// The same for a reply after one of the filters.
void add_reply(const TaskSpec& task, const Document& document, const DocumentOutcome& scored, std::size_t filter,
               Json& line) {
  const Json how = {{"until", task.generation.until},
                    {"do_sample", false},
                    {"temperature", 0.0},
                    {"max_gen_toks", task.generation.max_tokens}};
  line["arguments"]["gen_args_0"] = {{"arg_0", document.contexts[0]}, {"arg_1", how}};
  line["resps"].push_back(Json::array({scored.reply->text}));
  line["filtered_resps"].push_back(scored.filtered[filter]);
}

// A question's metric in the harness's form: for texts with their size, for averaging.
Json metric_json(Metric metric, double value, const DocumentOutcome& scored) {
  if (metric == Metric::word_perplexity) return Json::array({value, scored.words});
  if (metric == Metric::byte_perplexity || metric == Metric::bits_per_byte) return Json::array({value, scored.bytes});
  return value;
}

// Problems of a question. Our own addition.
Json checks_of(const DocumentOutcome& scored) {
  const auto any = [&](bool Score::*flag) {
    return std::any_of(scored.scores.begin(), scored.scores.end(), [&](const Score& s) { return s.*flag; });
  };
  Json out = Json::array();
  if (any(&Score::truncated) || (scored.reply && scored.reply->truncated)) out.push_back("truncated");
  if (scored.failure != Failure::none) out.push_back(name_of(scored.failure));
  if (scored.tied) out.push_back("tied");
  if (any(&Score::reencoded)) out.push_back("reencoded");
  return out;
}

Json sample_of(const PreparedTask& task, const Document& document, const DocumentOutcome& scored, std::int64_t index,
               std::size_t filter) {
  // May fail if the caller built the question.
  const auto question = JsonDocument::parse(document.question.json);
  const Json doc = question ? copy_json<Json>(question->root()) : Json(std::string(document.question.json));
  Json line = {{"doc_id", index},
               {"doc", doc},
               {"target", document.target},
               {"arguments", Json::object()},
               {"resps", Json::array()},
               {"filtered_resps", Json::array()},
               {"filter", task.spec.filters[filter].name},
               {"metrics", Json::array()}};
  if (scored.reply)
    add_reply(task.spec, document, scored, filter, line);
  else if (task.spec.kind == TaskKind::rolling)
    add_text(document, scored, line);
  else
    add_scores(document, scored, line);
  line["doc_hash"] = sha256_hex(json_text(doc, 2));
  line["prompt_hash"] = sha256_hex(document.contexts[0]);
  line["target_hash"] = sha256_hex(document.target);
  for (std::size_t m = 0; m < task.spec.metrics.size(); ++m) {
    if (task.spec.metrics[m].filter != task.spec.filters[filter].name) continue;
    line["metrics"].push_back(name_of(task.spec.metrics[m].metric));
    line[std::string(name_of(task.spec.metrics[m].metric))] =
        metric_json(task.spec.metrics[m].metric, scored.metrics[m], scored);
  }
  line["libmoe_model_flops"] = scored.flops;
  line["libmoe_model_tokens"] = scored.pass_tokens;
  if (Json checks = checks_of(scored); !checks.empty()) line["libmoe_checks"] = std::move(checks);
  return line;
}

// All lines of a subtask, filter by filter as in the harness; `hash` is its task hash.
std::string sample_lines(const PreparedTask& task, const Subtask& subtask,
                         const std::vector<DocumentOutcome>& documents, std::string& hash) {
  std::string lines, hashes;
  for (std::size_t f = 0; f < task.spec.filters.size(); ++f)
    for (std::size_t d = 0; d < subtask.documents.size(); ++d) {
      const Json line = sample_of(task, subtask.documents[d], documents[d], subtask.position(d), f);
      for (const char* key : {"doc_hash", "prompt_hash", "target_hash"})
        hashes += *line[key].get_ptr<const std::string*>();
      lines += json_text(line) + "\n";
    }
  hash = sha256_hex(hashes);
  return lines;
}

// Errors of some files; the others are still written.
class FileErrors {
 public:
  void note(const Result<void>& written) {
    if (written) return;
    if (count_++ == 0) first_ = written.error();
  }
  bool cancelled() const { return count_ > 0 && first_.code == ErrorCode::cancelled; }
  Result<void> result() const {
    if (count_ == 0) return {};
    const std::string others = count_ == 1 ? "" : fmt::format(" (and {} more files)", count_ - 1);
    return fail(first_.code, first_.message + others);
  }

 private:
  Error first_;
  int count_ = 0;
};

}  // namespace

Result<void> write_harness_files(const RunReport& report, const ModelRun& run, const std::string& directory,
                                 const std::function<bool()>& cancelled) {
  if (auto ok = check_names(report.tasks, std::span(&run.name, 1)); !ok) return ok;
  const std::filesystem::path folder = std::filesystem::path(directory) / model_folder(run.name);
  if (auto made = make_folder(folder.string()); !made) return made;
  const std::string time = file_time(report.started);
  Json results = results_json(report, run);
  FileErrors errors;
  const auto write = [&](const std::string& file, const std::string& text) {
    if (!errors.cancelled()) errors.note(write_file((folder / file).string(), text, {.cancelled = cancelled}));
  };
  for (std::size_t t = 0; t < run.outcomes.size(); ++t) {
    const PreparedTask& task = run.task(report.tasks, t);
    for (std::size_t s = 0; s < task.subtasks.size(); ++s) {
      const Subtask& subtask = task.subtasks[s];
      std::string hash;
      const std::string lines = sample_lines(task, subtask, run.outcomes[t].documents[s], hash);
      const std::string file = samples_file(subtask.name, time);
      results["task_hashes"][subtask.name] = hash;
      // Readers take the subtask's name from the file's; if they differ, this lists the file.
      if (file_name_of(subtask.name) != subtask.name) results["libmoe_sample_files"][subtask.name] = file;
      write(file, lines);
    }
  }
  write(results_file(time), json_text(results, 2) + "\n");
  return errors.result();
}

}  // namespace moe::inline MOE_ABI::eval
