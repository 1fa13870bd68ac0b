#include "eval/report/until_known_reader.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::eval::read {
namespace {

constexpr std::size_t kMostPairs = 1 << 20, kMostFamilies = 4096;

// The model of that name, which stands at `place`[key].
std::size_t model_of(MemberReader& reader, const Place& place, const std::string& key, const Run& run) {
  const std::string name = reader.text(place, key);
  for (std::size_t m = 0; m < run.models.size(); ++m)
    if (run.models[m].name == name) return m;
  reader.expected(MemberReader::name_of(place, key), place.value.find(key), "the name of a model of this file");
  return 0;
}

// Two numbers, the lower one first.
std::pair<double, double> ends_of(MemberReader& reader, const Place& place, const char* key) {
  std::vector<double> ends;
  for (const Place& end : reader.list(place, key, 2))
    if (end.value.is_number()) ends.push_back(end.value.get<double>());
  if (ends.size() == 2 && ends[0] >= -1 && ends[0] <= ends[1] && ends[1] <= 1) return {ends[0], ends[1]};
  reader.expected(MemberReader::name_of(place, key), place.value.find(key),
                  "two numbers from -1 to 1, the lower one first");
  return {0, 0};
}

Verdict verdict_at(MemberReader& reader, const Place& place) {
  const std::string text = reader.text(place, "verdict");
  for (const Verdict verdict : {Verdict::open, Verdict::a_better, Verdict::b_better, Verdict::equal})
    if (name_of(verdict) == text) return verdict;
  reader.expected(MemberReader::name_of(place, "verdict"), place.value.find("verdict"),
                  "open, a_better, b_better or equal");
  return Verdict::open;
}

PairVerdict pair_at(MemberReader& reader, const Place& place, const Run& run) {
  PairVerdict pair;
  pair.a = model_of(reader, place, "a", run), pair.b = model_of(reader, place, "b", run);
  pair.verdict = verdict_at(reader, place);
  pair.gap = reader.number(place, "gap", -1, 1);
  std::tie(pair.lower, pair.upper) = ends_of(reader, place, "interval");
  pair.p_value = reader.number(place, "p_anytime", 0, 1);
  pair.questions = reader.count(place, "questions");
  pair.only_a = reader.count(place, "only_a"), pair.only_b = reader.count(place, "only_b");
  return pair;
}

}  // namespace

void read_until_known(MemberReader& reader, const Place& root, Run& run) {
  const auto found = root.value.find("until_known");
  if (!found || found->is_null()) return;
  const Place place{*found, "until_known"};
  if (!found->is_object()) return reader.expected(place.at, found, "an object");
  UntilKnown known;
  known.alpha = reader.number(place, "alpha", 0, 1), known.pair_alpha = reader.number(place, "pair_alpha", 0, 1);
  known.margin = reader.number(place, "margin", 0, 1);
  const auto seed = found->find("seed");
  if (seed && seed->is_number_unsigned())
    known.seed = seed->get<std::uint64_t>();
  else
    reader.expected("until_known.seed", seed, "a whole number from 0 on");
  known.asked = reader.count(place, "questions", 1);
  known.question_count = reader.count(place, "questions_of_all", known.asked);
  known.cluster_count = reader.count(place, "clusters_of_all", 1);
  known.largest_cluster = reader.count(place, "largest_cluster", 1);
  known.looks = reader.count(place, "looks", 1);
  for (const Place& pair : reader.objects(place, "pairs", kMostPairs))
    known.pairs.push_back(pair_at(reader, pair, run));
  for (const Place& model : reader.objects(place, "models", kMostFamilies)) {
    // They are those of the run, in its order.
    if (model_of(reader, model, "name", run) != known.models.size())
      reader.expected(model.at + ".name", model.value.find("name"), "the models in their order");
    ModelUse use;
    use.questions = reader.count(model, "questions", 1);
    use.model_flops = reader.count(model, "model_flops");
    use.unasked_flops = reader.number(model, "saved_model_flops_estimate", 0, kMostNumber);
    use.executed_flops = reader.count(model, "executed_flops");
    known.models.push_back(use);
  }
  if (known.models.size() != run.models.size())
    reader.expected("until_known.models", found->find("models"), fmt::format("{} models", run.models.size()));
  run.until_known = std::move(known);
}

void read_families(MemberReader& reader, const Place& root, Run& run) {
  for (const Place& place : reader.list(root, "family_gaps", kMostPairs, false)) {
    if (!place.value.is_object()) return reader.expected(place.at, place.value, "an object");
    FamilyFinding out;
    out.task = reader.text(place, "task");
    out.a = reader.text(place, "a"), out.b = reader.text(place, "b");
    out.gap.best_a = model_of(reader, place, "best_a", run), out.gap.best_b = model_of(reader, place, "best_b", run);
    out.gap.gap = reader.number(place, "gap", -1, 1);
    std::tie(out.gap.low, out.gap.high) = ends_of(reader, place, "interval_95");
    out.gap.standard_error = reader.number(place, "standard_error", 0, 1);
    out.gap.replicates = reader.count(place, "replicates", 2);
    out.models_a = reader.texts(place, "models_a", kMostFamilies);
    out.models_b = reader.texts(place, "models_b", kMostFamilies);
    if (reader.flag(place, "distinguishable") != out.gap.distinguishable())
      reader.expected(place.at + ".distinguishable", place.value.find("distinguishable"),
                      "whether 0 lies outside of interval_95");
    run.family_gaps.push_back(std::move(out));
  }
}

}  // namespace moe::inline MOE_ABI::eval::read
