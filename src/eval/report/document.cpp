#include "eval/report/document.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

bool is_share(const std::string& key) { return key.starts_with("acc") || key.starts_with("exact_match"); }

std::string number_word(std::int64_t n, const char* word) { return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s"); }

std::string anchor_of(std::size_t section) { return fmt::format("task-{}", section + 1); }

std::string subtitle(const std::vector<read::Run>& runs) {
  std::size_t models = 0;
  for (const read::Run& run : runs) models += run.models.size();
  std::string out = number_word(static_cast<std::int64_t>(models), "model");
  if (runs.size() > 1) out += fmt::format(" in {} runs", runs.size());
  if (!runs.empty()) out += ", started " + runs[0].started.substr(0, 16);
  return out;
}

// The first sentence large, the others below it.
void add_lead(ReportDocument& out, const std::vector<std::string>& sentences) {
  if (sentences.empty()) return;
  out.add(Block::Kind::lead, sentences[0]);
  Block rest{Block::Kind::list};
  rest.items.assign(sentences.begin() + 1, sentences.end());
  if (!rest.items.empty()) out.blocks.push_back(std::move(rest));
}

void add_section(ReportDocument& out, const Section& section, std::size_t index, Painter& painter) {
  out.heading(2, section.title, anchor_of(index));
  std::string what = questions_form(section.questions, section.of_all) + ", " + number_word(section.shots, "shot");
  if (section.chance > 0) what += fmt::format("; guessing gives {} %", percent_form(section.chance));
  out.add(Block::Kind::text, what + ".");
  add_results(out, section);
  add_costs(out, section, painter);
  add_gaps(out, section, painter);
  add_subjects(out, section, painter);
  add_sweeps(out, section, painter);
  add_experts(out, section, painter);
  add_checks(out, section);
}

}  // namespace

void ReportDocument::heading(int level, std::string text, std::string anchor) {
  Block block{Block::Kind::heading, level, std::move(text)};
  block.anchor = std::move(anchor);
  blocks.push_back(std::move(block));
}

void ReportDocument::table(Table table) {
  if (table.rows.empty()) return;
  Block block{Block::Kind::table};
  block.table = std::move(table);
  blocks.push_back(std::move(block));
}

void ReportDocument::picture(std::optional<Picture> picture, std::string caption) {
  if (!picture) return;
  Block block{Block::Kind::picture, 2, std::move(caption)};
  block.picture = std::move(*picture);
  blocks.push_back(std::move(block));
}

Cell word(std::string text) { return {std::move(text)}; }
Cell nothing() { return {"\xE2\x80\x93"}; }
Cell percent_cell(double share, std::string at) { return {percent_form(share), exact_form(share), std::move(at), 100}; }
Cell points_cell(double share, std::string at) { return {points_form(share), exact_form(share), std::move(at), 100}; }
Cell count_cell(std::int64_t value, std::string at) {
  return {count_form(value), std::to_string(value), std::move(at)};
}
Cell significant_cell(double value, std::string at, double scale) {
  return {significant_form(value * scale), exact_form(value), std::move(at), scale};
}
Cell significant_cell(std::int64_t value, std::string at, double scale) {
  return {significant_form(static_cast<double>(value) * scale), std::to_string(value), std::move(at), scale};
}
Cell p_cell(double p, std::string at) { return {p_form(p), exact_form(p), std::move(at)}; }
Cell interval_cell(const read::Interval& interval, std::string at, bool is_signed) {
  if (!interval) return nothing();
  const auto form = [&](double end) { return is_signed ? points_form(end) : percent_form(end); };
  return {form(interval->first) + " to " + form(interval->second),
          exact_form(interval->first) + " " + exact_form(interval->second), std::move(at), 100};
}

Cell metric_cell(const std::string& key, const std::optional<double>& value, std::string at) {
  if (!value) return nothing();
  return is_share(key) ? percent_cell(*value, std::move(at)) : significant_cell(*value, std::move(at));
}

std::string metric_title(const std::string& key, const std::string& what) {
  return key + what + (is_share(key) ? ", %" : "");
}

std::string pointer_step(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          std::string_view("_-.,").find(c) != std::string_view::npos;
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

ReportDocument make_document(const std::vector<read::Run>& runs, const std::vector<Section>& sections,
                             Painter& painter) {
  ReportDocument out;
  std::vector<std::string> tasks;
  for (const Section& section : sections)
    if (std::find(tasks.begin(), tasks.end(), section.task) == tasks.end()) tasks.push_back(section.task);
  for (std::size_t i = 0; i < tasks.size() && i < 3; ++i) out.title += (i > 0 ? ", " : "") + tasks[i];
  if (tasks.size() > 3) out.title += fmt::format(" and {} more", tasks.size() - 3);
  if (sections.empty()) out.title = "No results";
  out.subtitle = subtitle(runs);
  for (const read::Run& run : runs) {
    add_lead(out, stopped_sentences(run));
    add_lead(out, family_sentences(run));
  }
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (sections.size() > 1) out.heading(3, sections[i].title);
    out.add(Block::Kind::lead, sections[i].headline);
    Block details{Block::Kind::list};
    details.items = sections[i].details;
    out.blocks.push_back(std::move(details));
  }
  const std::size_t verdicts = out.blocks.size();
  add_stopped(out, runs);
  add_families(out, runs);
  for (std::size_t i = 0; i < sections.size(); ++i) add_section(out, sections[i], i, painter);
  add_origin(out, runs);
  if (painter.failure())
    out.blocks.insert(out.blocks.begin() + static_cast<std::ptrdiff_t>(verdicts),
                      {Block::Kind::small, 2, "This report has no pictures: " + painter.failure()->message + "."});
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
