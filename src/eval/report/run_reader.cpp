#include "eval/report/run_reader.hpp"

#include <set>

#include "eval/report/member_reader.hpp"
#include "eval/report/until_known_reader.hpp"

namespace moe::inline MOE_ABI::eval::read {
namespace {

// Far above the size of real files.
constexpr std::size_t kMostModels = 4096, kMostTasks = 4096, kMostRows = 1 << 20, kMostComparisons = 1 << 20;
constexpr std::size_t kMostLayers = 1024, kMostExperts = 4096, kMostTexts = 4096, kMostFields = 64, kMostMetrics = 64;

Interval interval(MemberReader& reader, const Place& place, double least, double most) {
  const auto found = place.value.find("interval_95");
  if (!found || found->is_null()) return std::nullopt;
  std::vector<double> ends;
  if (found->is_array() && found->size() == 2)
    for (const JsonValue end : *found)
      if (end.is_number()) ends.push_back(end.get<double>());
  if (ends.size() == 2 && ends[0] >= least && ends[0] <= ends[1] && ends[1] <= most) return std::pair{ends[0], ends[1]};
  reader.expected(MemberReader::name_of(place, "interval_95"), found,
                  fmt::format("two numbers from {} to {}, the lower one first", least, most));
  return std::nullopt;
}

Row read_row(MemberReader& reader, const Place& place) {
  Row row;
  row.name = reader.text(place, "name");
  row.is_group = reader.flag(place, "is_group");
  row.questions = reader.count(place, "questions");
  row.model_flops = reader.optional_count(place, "model_flops");
  for (const auto& [key, at] : reader.members(place, "metrics", kMostMetrics, false)) {
    if (!at.value.is_object()) reader.expected(at.at, at.value, "an object");
    row.metrics.push_back({key, reader.optional_number(at, "value", -kMostNumber, kMostNumber),
                           reader.optional_number(at, "standard_error", 0, kMostNumber)});
  }
  return row;
}

std::vector<std::vector<std::int64_t>> read_counts(MemberReader& reader, const Place& place, std::size_t layers) {
  std::vector<std::vector<std::int64_t>> out;
  const auto rows = reader.list(place, "counts", kMostLayers);
  if (rows.size() != layers)
    reader.expected(MemberReader::name_of(place, "counts"), place.value.find("counts"),
                    fmt::format("a list for each of {} layers", layers));
  for (const Place& row : rows) {
    std::vector<std::int64_t> counts;
    if (!row.value.is_array() || row.value.size() < 1 || row.value.size() > kMostExperts)
      reader.expected(row.at, row.value, fmt::format("a list of 1 to {} counts", kMostExperts));
    else
      for (const JsonValue value : row.value) {
        const auto count = MemberReader::whole(value);
        if (!count || *count < 0 || *count > (std::int64_t{1} << 50))
          reader.expected(row.at, value, "counts from 0 to 2^50");
        counts.push_back(count.value_or(0));
      }
    out.push_back(std::move(counts));
  }
  return out;
}

std::optional<Experts> read_experts(MemberReader& reader, const Place& task) {
  const auto found = task.value.find("experts");
  if (!found || found->is_null()) return std::nullopt;
  const Place place{*found, MemberReader::name_of(task, "experts")};
  if (!found->is_object()) reader.expected(place.at, found, "an object");
  Experts out;
  for (const Place& layer : reader.list(place, "layers", kMostLayers)) {
    const auto index = MemberReader::whole(layer.value);
    if (!index || *index < 0) reader.expected(layer.at, layer.value, "a whole number from 0 on");
    out.layers.push_back(index.value_or(0));
  }
  out.all.tokens = reader.count(place, "tokens");
  out.all.counts = read_counts(reader, place, out.layers.size());
  const auto bits = reader.list(place, "entropy_bits", kMostLayers, false);
  for (const Place& bit : bits) {
    const double value = bit.value.is_number() ? bit.value.get<double>() : -1;
    if (!(value >= 0)) reader.expected(bit.at, bit.value, "a number from 0 on");
    out.entropy_bits.push_back(value);
  }
  if (!bits.empty() && bits.size() != out.layers.size())
    reader.expected(place.at + ".entropy_bits", found->find("entropy_bits"),
                    fmt::format("a number for each of {} layers", out.layers.size()));
  for (const auto& [name, at] : reader.members(place, "subjects", kMostRows, false)) {
    if (!at.value.is_object()) reader.expected(at.at, at.value, "an object");
    Experts::Load load{name, reader.count(at, "tokens"), read_counts(reader, at, out.layers.size())};
    for (std::size_t l = 0; l < load.counts.size() && l < out.all.counts.size(); ++l)
      if (load.counts[l].size() != out.all.counts[l].size())
        reader.expected(at.at + ".counts", at.value.find("counts"), "as many counts as those of all questions");
    out.subjects.push_back(std::move(load));
  }
  out.mean_experts_per_token = reader.optional_number(task, "mean_experts_per_token", 0, kMostExperts);
  return out;
}

void read_costs(MemberReader& reader, const Place& place, Task& task) {
  task.model_flops = reader.count(place, "model_flops");
  task.flops_per_question = reader.number(place, "model_flops_per_question", 0, kMostNumber);
  task.tokens = reader.count(place, "model_tokens");
  task.weight_bytes_per_question = reader.optional_number(place, "weight_bytes_per_question", 0, kMostNumber);
  task.stored_answers = reader.optional_count(place, "stored_answers").value_or(0);
  task.seconds = reader.number(place, "seconds", 0, kMostNumber);
  task.joules = reader.optional_number(place, "joules", 0, kMostNumber);
  const auto executed = place.value.find("executed");
  if (!executed || !executed->is_object())
    return reader.expected(MemberReader::name_of(place, "executed"), executed, "an object");
  const Place work{*executed, MemberReader::name_of(place, "executed")};
  task.executed_flops = reader.count(work, "total");
  task.executed_tokens = reader.count(work, "tokens");
}

void read_multiplier(MemberReader& reader, const Place& place, Task& task) {
  const auto found = place.value.find("compute_multiplier");
  if (!found || found->is_null()) return;
  const Place at{*found, MemberReader::name_of(place, "compute_multiplier")};
  if (!found->is_object()) return reader.expected(at.at, found, "an object");
  task.multiplier = ComputeMultiplier{reader.optional_number(at, "value", 0, kMostNumber),
                                      reader.optional_number(at, "low_95", 0, kMostNumber),
                                      reader.optional_number(at, "high_95", 0, kMostNumber)};
  if (const auto names = found->find("reference"); names && !names->is_null())
    task.reference = reader.texts(at, "reference", kMostModels);
}

std::optional<MachinePeaks> read_peaks(MemberReader& reader, const Place& root) {
  const auto found = root.value.find("machine_peaks");
  if (!found || found->is_null()) return std::nullopt;
  const Place at{*found, "machine_peaks"};
  if (!found->is_object()) reader.expected(at.at, found, "an object");
  MachinePeaks out;
  out.threads = static_cast<std::int32_t>(std::min<std::int64_t>(reader.count(at, "threads", 1), 1 << 20));
  out.int8_ops = reader.number(at, "int8_operations_per_second", 0, kMostNumber);
  out.float_ops = reader.number(at, "float_operations_per_second", 0, kMostNumber);
  out.read_bytes = reader.number(at, "read_bytes_per_second", 0, kMostNumber);
  return out;
}

Task read_task(MemberReader& reader, const Place& place) {
  Task task;
  task.name = reader.text(place, "task");
  task.version = reader.optional_text(place, "version");
  task.question_file = reader.text(place, "question_file");
  task.hash = reader.text(place, "task_hash");
  task.questions_hash = reader.optional_text(place, "questions_hash");
  task.shots = reader.count(place, "num_fewshot");
  task.questions = reader.count(place, "questions", 1);
  task.accuracy = reader.optional_number(place, "accuracy", 0, 1);
  task.accuracy_metric = reader.optional_text(place, "accuracy_metric");
  task.standard_error = reader.optional_number(place, "standard_error", 0, kMostNumber);
  task.interval = interval(reader, place, 0, 1);
  task.chance = reader.number(place, "chance", 0, 1);
  task.chance_corrected = reader.optional_number(place, "chance_corrected", -kMostNumber, 1);
  read_costs(reader, place, task);
  for (const Check& check : kChecks) task.checks.push_back(reader.count(place, check.key));
  const char* const skipped = kChecks[kSkipped].key;
  if (task.checks[kSkipped] > kMostCount - task.questions)
    reader.expected(MemberReader::name_of(place, skipped), place.value.find(skipped),
                    "a count that adds to the questions");
  for (const Place& row : reader.objects(place, "rows", kMostRows)) task.rows.push_back(read_row(reader, row));
  for (const auto& [field, at] : reader.members(place, "by", kMostFields, false)) {
    task.by.push_back({field, {}});
    for (const Place& row : reader.objects(at, kMostRows)) task.by.back().rows.push_back(read_row(reader, row));
  }
  task.experts = read_experts(reader, place);
  read_multiplier(reader, place, task);
  return task;
}

// One number, or one per layer.
void read_top_k(MemberReader& reader, const Place& place, Model& model) {
  const auto top_k = static_cast<double>(reader.count(place, "top_k"));
  const auto found = place.value.find("layer_top_k");
  if (!found || found->is_null()) {
    model.top_k = top_k;
    model.top_k_text = fmt::format("{}", top_k);
    return;
  }
  for (const Place& layer : reader.list(place, "layer_top_k", kMostLayers)) {
    const auto value = MemberReader::whole(layer.value);
    if (!value || *value < 0) reader.expected(layer.at, layer.value, "a whole number from 0 on");
    model.top_k_text += fmt::format("{}{}", model.top_k_text.empty() ? "" : ",", value.value_or(0));
  }
}

Model read_model(MemberReader& reader, const Place& place) {
  Model model;
  model.name = reader.text(place, "name");
  model.path = reader.text(place, "path");
  model.hash = reader.text(place, "hash");
  model.content_hash = reader.optional_text(place, "content_hash");
  model.family = reader.text(place, "family");
  model.formats = reader.text(place, "formats");
  model.precision = reader.text(place, "precision");
  model.kv = reader.text(place, "kv");
  model.notes = reader.texts(place, "notes", kMostTexts, false);
  model.unread_keys = reader.texts(place, "unread_keys", kMostTexts, false);
  read_top_k(reader, place, model);
  model.expert_mass = reader.optional_number(place, "expert_mass", 0, 1);
  model.total_parameters = reader.count(place, "total_parameters");
  model.active_parameters = reader.count(place, "active_parameters");
  model.weight_flops_per_token = reader.count(place, "weight_flops_per_token");
  model.weight_bytes_per_token = reader.count(place, "weight_bytes_per_token");
  model.resident_bytes = reader.count(place, "resident_bytes");
  model.session_bytes = reader.count(place, "session_bytes");
  model.max_length = reader.count(place, "max_length");
  if (const auto chat = place.value.find("chat"); chat && !chat->is_null())
    model.template_sha256 = reader.text({*chat, MemberReader::name_of(place, "chat")}, "template_sha256");
  for (const Place& task : reader.objects(place, "tasks", kMostTasks)) model.tasks.push_back(read_task(reader, task));
  return model;
}

void read_gap(MemberReader& reader, const Place& place, Gap& gap) {
  gap.questions = reader.optional_count(place, "questions");
  gap.questions_needed = reader.optional_count(place, "questions_needed");
  gap.gap = reader.number(place, "gap", -1, 1);
  gap.standard_error = reader.optional_number(place, "standard_error", 0, kMostNumber);
  gap.interval = interval(reader, place, -kMostNumber, kMostNumber);
  gap.mde = reader.optional_number(place, "minimum_detectable_effect", 0, kMostNumber);
  gap.only_a = reader.count(place, "only_a");
  gap.only_b = reader.count(place, "only_b");
  gap.p = reader.number(place, "p_mcnemar", 0, 1);
  gap.p_holm = reader.number(place, "p_holm", 0, 1);
  gap.distinguishable = reader.flag(place, "distinguishable");
}

// Model and task of each result.
using Answered = std::set<std::pair<std::string, std::string>>;

Comparison read_comparison(MemberReader& reader, const Place& place, const Answered& answered) {
  Comparison out;
  out.task = reader.text(place, "task");
  out.a = reader.text(place, "a");
  out.b = reader.text(place, "b");
  for (const auto& [key, name] : {std::pair{"a", &out.a}, std::pair{"b", &out.b}})
    if (!answered.contains({*name, out.task}))
      reader.expected(MemberReader::name_of(place, key), place.value.find(key),
                      "a model of this file that has answered " + in_quotes(out.task));
  read_gap(reader, place, out);
  for (const auto& [field, at] : reader.members(place, "by", kMostFields, false)) {
    out.by.push_back({field, {}});
    for (const Place& row : reader.objects(at, kMostRows)) {
      Gap& gap = out.by.back().rows.emplace_back();
      gap.name = reader.text(row, "name");
      read_gap(reader, row, gap);
    }
  }
  return out;
}

// Names of models, and tasks of a model, must be unique.
Answered check_names(MemberReader& reader, const Run& run) {
  Answered answered;
  std::set<std::string> models;
  for (std::size_t m = 0; m < run.models.size(); ++m) {
    const Model& model = run.models[m];
    if (!models.insert(model.name).second) reader.twice(fmt::format("models[{}].name", m), model.name);
    for (std::size_t t = 0; t < model.tasks.size(); ++t)
      if (!answered.insert({model.name, model.tasks[t].name}).second)
        reader.twice(fmt::format("models[{}].tasks[{}].task", m, t), model.tasks[t].name);
  }
  return answered;
}

}  // namespace

Result<Run> read_run(const RunText& text) {
  const auto document = parse_json_object(text.text, printable(text.name));
  if (!document) return forward(document);
  MemberReader reader(printable(text.name));
  const Place root{document->root(), ""};
  if (const auto format = root.value.find("format"); !format || format->text() != "libmoe run 1")
    reader.expected("format", format, "'libmoe run 1'");
  if (reader.failed()) return tl::unexpected(reader.error());
  Run run;
  run.file = text.name;
  run.started = reader.text(root, "started");
  run.version = reader.optional_text(root, "libmoe_version");
  run.compiler = reader.optional_text(root, "compiler");
  run.isa = reader.text(root, "isa");
  run.baseline = reader.optional_text(root, "baseline");
  run.system_instruction = reader.optional_text(root, "system_instruction");
  run.think_end = reader.optional_text(root, "think_end_token");
  run.seconds = reader.number(root, "seconds", 0, kMostNumber);
  run.limit = reader.number(root, "limit", 0, kMostNumber);
  run.numerics_version = reader.count(root, "numerics_version");
  run.threads = reader.count(root, "threads");
  const auto seed = root.value.find("seed");
  if (!seed || !seed->is_number_unsigned()) reader.expected("seed", seed, "a whole number from 0 on");
  if (!reader.failed()) run.seed = seed->get<std::uint64_t>();
  run.command = reader.texts(root, "command", kMostTexts, false);
  for (const Place& model : reader.objects(root, "models", kMostModels))
    run.models.push_back(read_model(reader, model));
  const Answered answered = check_names(reader, run);
  for (const Place& row : reader.objects(root, "comparisons", kMostComparisons)) {
    run.comparisons.push_back(read_comparison(reader, row, answered));
    if (reader.failed()) break;
  }
  read_until_known(reader, root, run);
  read_families(reader, root, run);
  run.peaks = read_peaks(reader, root);
  if (reader.failed()) return tl::unexpected(reader.error());
  return run;
}

}  // namespace moe::inline MOE_ABI::eval::read
