// Questions with problems, and the origin of everything.

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Quoted for a shell.
std::string command_line(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& text : words) {
    const bool is_plain =
        !text.empty() &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-=.,/:@%+") ==
            std::string::npos;
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += (out.empty() ? "" : " ") + (is_plain ? text : quoted + "'");
  }
  return out;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : "; ") + text;
  return out;
}

Table pairs(std::string caption) {
  Table out;
  out.caption = std::move(caption);
  out.columns = {{"what", false}, {"value", false}};
  return out;
}

void add_line(Table& table, const char* what, const std::string& value) {
  if (!value.empty()) table.rows.push_back({word(what), word(value)});
}

// A number of the file, with the place where it stands.
template <class T>
void add_number(Table& table, const char* what, T value, std::string at) {
  if constexpr (std::is_integral_v<T>)
    table.rows.push_back(
        {word(what), {count_form(static_cast<std::int64_t>(value)), std::to_string(value), std::move(at)}});
  else
    table.rows.push_back({word(what), significant_cell(value, std::move(at))});
}

void add_run(ReportDocument& out, const read::Run& run, std::size_t index, bool several) {
  const std::string at = std::to_string(index);
  Table table = pairs(several ? fmt::format("Run {}", index + 1) : "Run");
  add_line(table, "file", run.file);
  add_line(table, "started", run.started);
  add_number(table, "seconds", run.seconds, at + "/seconds");
  add_line(table, "libmoe", run.version);
  add_line(table, "compiler", run.compiler);
  add_number(table, "numerics version", run.numerics_version, at + "/numerics_version");
  add_line(table, "instruction set", run.isa);
  add_number(table, "threads", run.threads, at + "/threads");
  if (run.peaks) {
    const std::string peaks = at + "/machine_peaks";
    table.rows.push_back({word("machine's peak, int8 GOPS"),
                          significant_cell(run.peaks->int8_ops, peaks + "/int8_operations_per_second", 1e-9)});
    table.rows.push_back({word("machine's peak, float32 GFLOPS"),
                          significant_cell(run.peaks->float_ops, peaks + "/float_operations_per_second", 1e-9)});
    table.rows.push_back({word("machine's peak, GB/s out of memory"),
                          significant_cell(run.peaks->read_bytes, peaks + "/read_bytes_per_second", 1e-9)});
  }
  table.rows.push_back({word("seed"), {std::to_string(run.seed), std::to_string(run.seed), at + "/seed"}});
  if (run.limit > 0) add_number(table, "limit", run.limit, at + "/limit");
  add_line(table, "baseline", run.baseline);
  add_line(table, "system instruction", run.system_instruction);
  add_line(table, "think end token", run.think_end);
  out.table(std::move(table));
  if (!run.command.empty()) out.add(Block::Kind::code, command_line(run.command));
}

void add_model(ReportDocument& out, const read::Model& model, const std::string& at) {
  Table table = pairs("Model " + model.name);
  add_line(table, "path", model.path);
  add_line(table, "hash", model.hash);
  add_line(table, "SHA-256 of its contents", model.content_hash);
  add_line(table, "family", model.family);
  add_line(table, "formats", model.formats);
  add_line(table, "experts per token", model.top_k_text == "0" ? "dense" : model.top_k_text);
  if (model.expert_mass) add_number(table, "expert mass", *model.expert_mass, at + "/expert_mass");
  add_line(table, "precision", model.precision);
  add_line(table, "key/value cache", model.kv);
  add_number(table, "longest context", model.max_length, at + "/max_length");
  add_line(table, "chat template", model.template_sha256.empty() ? "none" : "SHA-256 " + model.template_sha256);
  add_line(table, "notes", joined(model.notes));
  add_line(table, "keys that nothing read", joined(model.unread_keys));
  out.table(std::move(table));
}

// Every task file once.
void add_tasks(ReportDocument& out, const read::Run& run) {
  std::vector<std::string> known;
  for (const read::Model& model : run.models)
    for (const read::Task& task : model.tasks) {
      const std::string key = task.name + "\n" + task.hash;
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      known.push_back(key);
      Table table = pairs("Task " + task.name);
      add_line(table, "version", task.version);
      add_line(table, "questions", task.question_file);
      add_line(table, "SHA-256 of its definition", task.hash);
      out.table(std::move(table));
    }
}

}  // namespace

void add_checks(ReportDocument& out, const Section& section) {
  out.heading(3, "Not plainly asked and answered");
  Table table;
  table.caption = "Questions, none of them scored silently";
  table.columns = {{"model", false}};
  for (const Check& check : kChecks) table.columns.push_back({check.title});
  for (const ModelResult& r : section.results) {
    std::vector<Cell> row = {word(r.label)};
    for (std::size_t c = 0; c < std::size(kChecks); ++c) {
      row.push_back(count_cell(r.of_task->checks[c], r.at() + "/" + kChecks[c].key));
      if (kChecks[c].is_fault && r.of_task->checks[c] > 0) row.back().mark = "behind";
    }
    table.rows.push_back(std::move(row));
  }
  out.table(std::move(table));
  out.add(Block::Kind::small, kChecksMeaning);
}

void add_origin(ReportDocument& out, const std::vector<read::Run>& runs) {
  out.heading(2, "Where this comes from");
  for (std::size_t r = 0; r < runs.size(); ++r) {
    add_run(out, runs[r], r, runs.size() > 1);
    add_tasks(out, runs[r]);
    for (std::size_t m = 0; m < runs[r].models.size(); ++m)
      add_model(out, runs[r].models[m], fmt::format("{}/models/{}", r, m));
  }
}

}  // namespace moe::inline MOE_ABI::eval
