#include "eval/report/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"
#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

bool same_questions(const read::Task& a, const read::Task& b) {
  const bool is_known = !a.questions_hash.empty() && !b.questions_hash.empty();
  return (!is_known || a.questions_hash == b.questions_hash) && a.name == b.name && a.hash == b.hash &&
         a.questions == b.questions && a.shots == b.shots && a.checks[kSkipped] == b.checks[kSkipped];
}

std::string label_of(const std::vector<read::Run>& runs, std::size_t run, const std::string& name) {
  const auto has = [&](const read::Run& one) {
    return std::any_of(one.models.begin(), one.models.end(), [&](const read::Model& m) { return m.name == name; });
  };
  const bool several = std::count_if(runs.begin(), runs.end(), has) > 1;
  return several ? fmt::format("{} (run {})", name, run + 1) : name;
}

// The front and compute multipliers among the results with an accuracy.
void compare_costs(Section& section) {
  std::vector<ModelResult*> results;
  std::vector<double> cost, accuracy;
  for (ModelResult& r : section.results)
    if (r.of_task->accuracy && r.of_task->flops_per_question > 0) results.push_back(&r);
  std::stable_sort(results.begin(), results.end(), [](const ModelResult* a, const ModelResult* b) {
    return a->of_task->flops_per_question < b->of_task->flops_per_question;
  });
  for (const ModelResult* r : results)
    cost.push_back(r->of_task->flops_per_question), accuracy.push_back(*r->of_task->accuracy);
  const std::vector<bool> front = pareto_front(cost, accuracy);
  const auto multipliers = compute_multipliers(cost, accuracy);
  // A run has compared its own models, with intervals and against the reference that was asked for.
  const bool is_one_run = std::all_of(results.begin(), results.end(), [&](const ModelResult* r) {
    return r->run == results[0]->run && r->of_task->multiplier;
  });
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i]->front = front[i];
    results[i]->multiplier = is_one_run ? *results[i]->of_task->multiplier : ComputeMultiplier{.value = multipliers[i]};
  }
}

const ModelResult* best_of(const Section& section) {
  const ModelResult* best = nullptr;
  for (const ModelResult& r : section.results)
    if (r.of_task->accuracy && (best == nullptr || *r.of_task->accuracy > *best->of_task->accuracy)) best = &r;
  return best;
}

std::string percent_of(const read::Task& task) { return percent_form(*task.accuracy) + " %"; }

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 6;
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i)
    out += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return names.size() > kMost ? fmt::format("{} and {} more", out, names.size() - kMost) : out;
}

std::string alone(const Section& section, const ModelResult& r) {
  const read::Task& task = *r.of_task;
  const std::string out = answer_sentence({.name = r.label,
                                           .accuracy = *task.accuracy,
                                           .standard_error = task.standard_error,
                                           .interval = task.interval,
                                           .questions = section.questions,
                                           .chance = task.chance,
                                           .flops_per_question = task.flops_per_question}) +
                          ".";
  const bool is_guess =
      task.interval && task.chance > 0 && task.interval->first <= task.chance && task.chance <= task.interval->second;
  return is_guess ? out + " That is not distinguishable from guessing." : out;
}

// The models whose gap to the best is small enough to be chance, those that were not compared with it, and how many are
// behind for sure.
struct Field {
  std::vector<const ModelResult*> tied, unknown, behind;
};

Field field_of(const Section& section, const ModelResult& best) {
  Field out;
  for (const ModelResult& r : section.results) {
    if (&r == &best || !r.of_task->accuracy) continue;
    const auto pair = std::find_if(section.pairs.begin(), section.pairs.end(), [&](const PairFinding& p) {
      return p.run == r.run && r.run == best.run &&
             ((p.a == r.label && p.b == best.label) || (p.b == r.label && p.a == best.label));
    });
    auto& list = pair == section.pairs.end() ? out.unknown : pair->gap->distinguishable ? out.behind : out.tied;
    list.push_back(&r);
  }
  return out;
}

std::vector<std::string> labels_of(const std::vector<const ModelResult*>& results) {
  std::vector<std::string> out;
  for (const ModelResult* r : results) out.push_back(r->label);
  return out;
}

std::string ranking(const Section& section, const ModelResult& best, const Field& field) {
  const std::string share = fmt::format("{} of {}", percent_of(*best.of_task), questions_form(section.questions));
  if (!field.tied.empty())
    return field.tied.size() == 1 && section.results.size() == 2
               ? fmt::format("{} and {} are not distinguishable: {} against {} of {}.", best.label,
                             field.tied[0]->label, percent_of(*best.of_task), percent_of(*field.tied[0]->of_task),
                             questions_form(section.questions))
               : fmt::format("{} answers the most, {}, but is not distinguishable from {}.", best.label, share,
                             listed(labels_of(field.tied)));
  if (!field.behind.empty() && field.unknown.empty())
    return fmt::format("{} is best: {}. {}, larger than chance explains.", best.label, share,
                       field.behind.size() == 1
                           ? "Its lead over " + field.behind[0]->label + " is real"
                           : fmt::format("Its lead over each of the {} others is real", field.behind.size()));
  return fmt::format("{} has the highest accuracy, {}; it was not compared question by question with {}.", best.label,
                     share, listed(labels_of(field.unknown)));
}

std::string cost(const Section& section, const ModelResult& best, const Field& field) {
  const ModelResult* cheapest = &best;
  for (const ModelResult* r : field.tied)
    if (r->of_task->flops_per_question < cheapest->of_task->flops_per_question) cheapest = r;
  const double own = cheapest->of_task->flops_per_question;
  if (cheapest != &best && own > 0)
    return fmt::format("{} spends {:.0f}\u00A0% of its compute per question and is not distinguishable from it.",
                       cheapest->label, 100 * own / best.of_task->flops_per_question);
  double least = own, most = own;
  for (const ModelResult& r : section.results) {
    if (!r.of_task->accuracy) continue;
    least = std::min(least, r.of_task->flops_per_question);
    most = std::max(most, r.of_task->flops_per_question);
  }
  if (!(least > 0) || most / least < 1.005) return "All spend the same compute per question.";
  if (own == least)
    return fmt::format("{} also spends the least compute, {} GFLOPs per question; the most is {} times as much.",
                       cheapest->label, significant_form(own / 1e9), significant_form(most / own));
  return fmt::format("{} spends {} GFLOPs per question, {} times as much as the cheapest.", cheapest->label,
                     significant_form(own / 1e9), significant_form(own / least));
}

std::string pair_sentence(const PairFinding& pair) {
  const read::Comparison& gap = *pair.gap;
  return gap_sentence({.a = pair.a,
                       .b = pair.b,
                       .gap = gap.gap,
                       .standard_error = gap.standard_error,
                       .interval = gap.interval,
                       .p = gap.p_holm,
                       .distinguishable = gap.distinguishable,
                       .questions = gap.questions,
                       .mde = gap.mde,
                       .questions_needed = gap.questions_needed}) +
         ".";
}

// Questions with problems that may have affected the numbers.
std::string honesty(const Section& section) {
  std::string out;
  for (const ModelResult& r : section.results)
    for (std::size_t c = 0; c < std::size(kChecks); ++c)
      if (kChecks[c].is_fault && r.of_task->checks[c] > 0)
        out += fmt::format("{}{}: {} {}", out.empty() ? "" : "; ", r.label, count_form(r.of_task->checks[c]),
                           kChecks[c].title);
  return out.empty() ? "Every question fitted the model, and every answer was a number."
                     : "Not plainly asked and answered: " + out + ".";
}

// The first questions of an exam are not a random sample.
std::string limited(const Section& section, const read::Run& run) {
  const std::string count = questions_form(section.questions, section.of_all);
  const bool has_subjects = section.results[0].of_task->rows.size() > 1;
  return (has_subjects ? fmt::format("Only {} were asked, the first of each subject", count)
                       : fmt::format("Only the first {} were asked", count)) +
         (run.limit > 0 ? fmt::format(" (--limit {}).", run.limit) : ".");
}

void put_in_words(Section& section, const std::vector<read::Run>& runs) {
  const ModelResult* best = best_of(section);
  constexpr std::size_t kMostPairs = 6;
  if (section.is_part && best != nullptr) {
    // The ranking was determined above, accounting for early stopping; another one here could contradict it.
    std::vector<std::string> shares;
    for (const ModelResult& r : section.results)
      if (r.of_task->accuracy) shares.push_back(r.label + " " + percent_of(*r.of_task));
    section.headline = fmt::format("On the {} that were drawn: {}.", questions_form(section.questions), listed(shares));
  } else if (best == nullptr) {
    section.headline = "No accuracy is measured; its metrics stand in the table.";
  } else if (section.results.size() == 1) {
    section.headline = alone(section, *best);
  } else {
    const Field field = field_of(section, *best);
    section.headline = ranking(section, *best, field);
    section.details.push_back(cost(section, *best, field));
    // If there are many, only gaps to the best model, which determine the headline.
    std::vector<const PairFinding*> pairs;
    for (const PairFinding& p : section.pairs)
      if (section.pairs.size() <= kMostPairs || p.a == best->label || p.b == best->label) pairs.push_back(&p);
    if (pairs.size() > kMostPairs) pairs.resize(kMostPairs);
    for (const PairFinding* pair : pairs) section.details.push_back(pair_sentence(*pair));
    if (pairs.size() < section.pairs.size())
      section.details.push_back(fmt::format("{} more gaps are in the table.", section.pairs.size() - pairs.size()));
  }
  section.details.push_back(honesty(section));
  if (section.of_all > section.questions)
    section.details.insert(section.details.begin(), limited(section, runs[section.results[0].run]));
}

}  // namespace

std::string ModelResult::at() const { return fmt::format("{}/models/{}/tasks/{}", run, model, task); }
std::string ModelResult::model_at() const { return fmt::format("{}/models/{}", run, model); }
std::string PairFinding::at() const { return fmt::format("{}/comparisons/{}", run, comparison); }

bool Section::has_accuracy() const { return best_of(*this) != nullptr; }

std::string verdict_of(const read::Gap& gap, const std::string& a, const std::string& b) {
  return gap.distinguishable ? (gap.gap > 0 ? a : b) + " is better" : "not distinguishable";
}

std::vector<Section> find_sections(const std::vector<read::Run>& runs) {
  std::vector<Section> out;
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (std::size_t m = 0; m < runs[r].models.size(); ++m)
      for (std::size_t t = 0; t < runs[r].models[m].tasks.size(); ++t) {
        const read::Model& model = runs[r].models[m];
        const read::Task& task = model.tasks[t];
        auto section = std::find_if(out.begin(), out.end(), [&](const Section& s) {
          return same_questions(*s.results[0].of_task, task) && s.is_part == runs[r].until_known.has_value();
        });
        if (section == out.end()) {
          Section& added = out.emplace_back();
          added.task = added.title = task.name;
          added.is_part = runs[r].until_known.has_value();
          added.questions = task.questions, added.shots = task.shots, added.chance = task.chance;
          // With early stopping, run.json does not say how many questions each task has.
          added.of_all = task.questions + (added.is_part ? 0 : task.checks[kSkipped]);
          section = std::prev(out.end());
        }
        section->results.push_back({r, m, t, label_of(runs, r, model.name), &model, &task, false, {}});
      }
  for (Section& section : out) {
    std::set<std::pair<std::size_t, std::string>> here;
    for (const ModelResult& result : section.results) here.insert({result.run, result.of_model->name});
    for (std::size_t r = 0; r < runs.size(); ++r)
      for (std::size_t c = 0; c < runs[r].comparisons.size(); ++c) {
        const read::Comparison& gap = runs[r].comparisons[c];
        if (gap.task == section.task && here.contains({r, gap.a}) && here.contains({r, gap.b}))
          section.pairs.push_back({r, c, label_of(runs, r, gap.a), label_of(runs, r, gap.b), &gap});
      }
    if (std::count_if(out.begin(), out.end(), [&](const Section& s) { return s.task == section.task; }) > 1)
      section.title += fmt::format(" ({} questions, {} shots)", count_form(section.questions), section.shots);
    compare_costs(section);
    put_in_words(section, runs);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval
