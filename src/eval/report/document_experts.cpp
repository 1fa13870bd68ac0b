// MoE models: accuracy by number of experts per token, and use of experts.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Variants of one model: same contents, same everything else.
std::string variant_key(const ModelResult& r) {
  const read::Model& m = *r.of_model;
  return fmt::format("{}\n{}\n{}\n{}\n{}", m.content_hash.empty() ? m.path : m.content_hash, m.precision, m.kv,
                     m.template_sha256, r.run);
}

// The part of a row's name before the sweep's value.
std::string base_name(const std::string& label) { return label.substr(0, label.find('[')); }

using ValueOf = std::optional<double> (*)(const read::Model&);

std::vector<Series> sweep_of(const Section& section, ValueOf value) {
  std::map<std::string, Series> found;
  for (const ModelResult& r : section.results) {
    const auto x = value(*r.of_model);
    if (!x || !r.of_task->accuracy) continue;
    Series& series = found[variant_key(r)];
    if (series.label.empty()) series.label = base_name(r.label);
    const double y = *r.of_task->accuracy;
    const auto [low, high] = r.of_task->interval.value_or(std::pair{y, y});
    const bool is_there =
        std::any_of(series.points.begin(), series.points.end(), [&](const Point& p) { return p.x == *x; });
    if (!is_there) series.points.push_back({r.label, *x, y, low, high, false});
  }
  std::vector<Series> out;
  for (auto& [key, series] : found) {
    if (series.points.size() < 2) continue;
    std::sort(series.points.begin(), series.points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
    out.push_back(std::move(series));
  }
  return out;
}

// Counts relative to an even load.
std::vector<double> relative(const std::vector<std::int64_t>& counts) {
  double total = 0;
  for (const std::int64_t c : counts) total += static_cast<double>(c);
  std::vector<double> out;
  for (const std::int64_t c : counts)
    out.push_back(total > 0 ? static_cast<double>(c) * static_cast<double>(counts.size()) / total : 0);
  return out;
}

// Half the sum of the differences between two distributions: 0 the same, 1 nothing in common.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) sum += std::abs(a[i] - b[i]);
  return a.empty() ? 0 : sum / 2 / static_cast<double>(a.size());
}

Table layer_table(const ModelResult& r, const read::Experts& experts) {
  Table table;
  table.caption = fmt::format("{}: expert load by layer", r.label);
  table.columns = {{"layer", false}, {"experts"}, {"unused"}, {"busiest"}, {"its load \xC3\x97"}};
  if (!experts.entropy_bits.empty()) table.columns.push_back({"entropy, bits"});
  table.columns.push_back({"most possible"});
  for (std::size_t l = 0; l < experts.layers.size(); ++l) {
    const auto& counts = experts.all.counts[l];
    const std::vector<double> loads = relative(counts);
    const auto busiest = std::max_element(loads.begin(), loads.end());
    const auto unused = std::count(counts.begin(), counts.end(), 0);
    std::vector<Cell> row = {word(std::to_string(experts.layers[l])), word(std::to_string(counts.size())),
                             word(std::to_string(unused)), word(std::to_string(busiest - loads.begin())),
                             word(significant_form(*busiest))};
    if (!experts.entropy_bits.empty())
      row.push_back(significant_cell(experts.entropy_bits[l], fmt::format("{}/experts/entropy_bits/{}", r.at(), l)));
    row.push_back(word(significant_form(std::log2(static_cast<double>(counts.size())))));
    table.rows.push_back(std::move(row));
  }
  return table;
}

// The distance of each subject's expert use from that of all questions, and the layer where it is largest.
Table subject_table(const ModelResult& r, const read::Experts& experts) {
  Table table;
  table.caption = fmt::format("{}: which subjects use which experts", r.label);
  table.columns = {{"subject", false}, {"tokens"}, {"distance"}, {"favourites", false}};
  for (const read::Experts::Load& subject : experts.subjects) {
    double far = 0;
    struct Favourite {
      double times;
      std::int64_t layer;
      std::size_t expert;
    };
    std::vector<Favourite> favourites;
    for (std::size_t l = 0; l < experts.layers.size(); ++l) {
      const auto all = relative(experts.all.counts[l]), own = relative(subject.counts[l]);
      far += distance(all, own);
      for (std::size_t e = 0; e < own.size(); ++e)
        // Excludes rarely used experts, which would win by chance.
        if (own[e] >= 1 && all[e] > 0) favourites.push_back({own[e] / all[e], experts.layers[l], e});
    }
    std::stable_sort(favourites.begin(), favourites.end(),
                     [](const Favourite& a, const Favourite& b) { return a.times > b.times; });
    std::string text;
    for (std::size_t i = 0; i < favourites.size() && i < 3; ++i)
      text += fmt::format("{}layer {} expert {} (\xC3\x97{:.1f})", i == 0 ? "" : ", ", favourites[i].layer,
                          favourites[i].expert, favourites[i].times);
    const double mean = experts.layers.empty() ? 0 : far / static_cast<double>(experts.layers.size());
    table.rows.push_back(
        {word(subject.name),
         count_cell(subject.tokens, fmt::format("{}/experts/subjects/{}/tokens", r.at(), pointer_step(subject.name))),
         word(fmt::format("{:.3f}", mean)), word(text)});
  }
  return table;
}

// The layer in which subjects differ most, subject by subject.
std::optional<HeatMap> subject_map(const read::Experts& experts, std::int64_t& layer) {
  double most = -1;
  std::size_t at = 0;
  for (std::size_t l = 0; l < experts.layers.size(); ++l) {
    double far = 0;
    for (const auto& subject : experts.subjects)
      far += distance(relative(experts.all.counts[l]), relative(subject.counts[l]));
    if (far > most) most = far, at = l;
  }
  if (experts.subjects.size() < 2 || experts.layers.empty()) return std::nullopt;
  layer = experts.layers[at];
  HeatMap map{"subject", "expert", {}, {}};
  for (const auto& subject : experts.subjects) {
    map.row_labels.push_back(subject.name);
    map.loads.push_back(relative(subject.counts[at]));
  }
  return map;
}

void add_one(ReportDocument& out, const ModelResult& r, const read::Experts& experts, Painter& painter, bool is_drawn) {
  out.heading(4, r.label);
  std::string text = fmt::format("{} tokens", count_form(experts.all.tokens));
  if (experts.mean_experts_per_token)
    text += fmt::format(", {} experts per token and layer", significant_form(*experts.mean_experts_per_token));
  out.add(Block::Kind::text, text + ".");
  if (is_drawn) {
    HeatMap map{"layer", "expert", {}, {}};
    for (std::size_t l = 0; l < experts.layers.size(); ++l) {
      map.row_labels.push_back(std::to_string(experts.layers[l]));
      map.loads.push_back(relative(experts.all.counts[l]));
    }
    const std::size_t before = out.blocks.size();
    out.picture(painter.heat_map(r.label + ": load of each expert", map),
                r.label + ": load of each expert, layer by layer; 1 is an equal share.");
    std::int64_t layer = 0;
    if (const auto by_subject = subject_map(experts, layer))
      out.picture(painter.heat_map(fmt::format("{}: experts of layer {} by subject", r.label, layer), *by_subject),
                  fmt::format("{}: experts of layer {}, where subjects differ most.", r.label, layer));
    if (out.blocks.size() > before) out.add(Block::Kind::legend, "");
  }
  out.table(layer_table(r, experts));
  out.table(subject_table(r, experts));
}

}  // namespace

void add_sweeps(ReportDocument& out, const Section& section, Painter& painter) {
  struct Dial {
    const char *title, *x_title;
    ValueOf value;
  };
  const Dial dials[] = {
      {"experts per token", "experts per token (top_k)", [](const read::Model& m) { return m.top_k; }},
      {"expert mass", "expert mass p", [](const read::Model& m) { return m.expert_mass; }}};
  bool has_heading = false;
  for (const Dial& dial : dials) {
    const std::vector<Series> series = sweep_of(section, dial.value);
    if (series.empty()) continue;
    if (!std::exchange(has_heading, true)) out.heading(3, "Experts as a dial");
    std::string caption = fmt::format("Accuracy over {}", dial.title);
    for (const Series& s : series) {
      const auto best =
          std::max_element(s.points.begin(), s.points.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
      caption += fmt::format("; {} is highest at {} ({} %)", s.label, exact_form(best->x), percent_form(best->y));
    }
    caption += ". Bars are 95 % intervals; the gaps above say which of them differ.";
    auto picture = painter.curves(fmt::format("{}: accuracy over {}", section.title, dial.title), dial.x_title, series);
    if (picture)
      out.picture(std::move(picture), caption);
    else
      out.add(Block::Kind::text, caption);
  }
}

void add_experts(ReportDocument& out, const Section& section, Painter& painter) {
  constexpr std::size_t kDrawn = 4;
  std::size_t count = 0;
  for (const ModelResult& r : section.results) {
    if (!r.of_task->experts) continue;
    if (count == 0) out.heading(3, "Which experts are used");
    add_one(out, r, *r.of_task->experts, painter, count < kDrawn);
    ++count;
  }
  if (count > 0)
    out.add(Block::Kind::small,
            "Load \xC3\x97: tokens of an expert over an equal share. Distance: how much of a subject's load would have "
            "to move to match that of all questions, 0 to 1. Favourites: experts that a subject uses so many times as "
            "often as all questions do.");
}

}  // namespace moe::inline MOE_ABI::eval
