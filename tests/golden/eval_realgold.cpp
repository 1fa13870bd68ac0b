// Real models on real questions: log-likelihoods against float32 references, and against llama.cpp's distance from
// them. MOE_REALGOLD_DIR, MOE_MODEL_DIR (default models/real); 40 questions, all of them with MOE_TEST_FULL=1.

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "moe/eval/session_model.hpp"
#include "support.hpp"

namespace eval_realgold_test {

using Json = nlohmann::json;
using namespace moe::eval;

namespace {

// The .gguf below the model directory whose name contains the reference's model name.
std::filesystem::path find_model(const std::filesystem::path& folder, const std::string& name) {
  if (folder.empty()) return {};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::string file = entry.path().filename().string();
    std::transform(file.begin(), file.end(), file.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (file.ends_with(".gguf") && file.find(name) != std::string::npos) return entry.path();
  }
  return {};
}

std::map<std::string, std::vector<Json>> read_cases(const std::filesystem::path& folder) {
  std::map<std::string, std::vector<Json>> rows;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (const std::string f = entry.path().filename().string();
        f.ends_with(".jsonl.gz") && !f.starts_with("tokenizer_"))
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files)
    for (const std::string& line : moe_test::read_lines(file)) {
      Json row = Json::parse(line);
      rows[row["model"].get<std::string>()].push_back(std::move(row));
    }
  return rows;
}

// Evenly over all files, rows with llama.cpp's numbers first: they serve both checks.
std::vector<Json> sample(const std::vector<Json>& rows, std::size_t count) {
  std::vector<Json> out;
  std::map<std::string, std::vector<const Json*>> by_task;
  for (const Json& row : rows)
    if (row.contains("llama_cpp"))
      by_task[row["task"].get<std::string>() + std::to_string(row["shots"].get<int>())].push_back(&row);
  for (std::size_t round = 0; out.size() < count; ++round) {
    const std::size_t before = out.size();
    for (const auto& [task, list] : by_task)
      if (round < list.size() && out.size() < count) out.push_back(*list[round]);
    if (out.size() == before) break;
  }
  return out;
}

std::vector<std::vector<Score>> run(const std::shared_ptr<const moe::Model>& model, const std::vector<Json>& rows,
                                    moe::Precision precision, moe::KvType kv) {
  SessionModelOptions options;
  options.precision = precision;
  options.kv = kv;
  options.threads = moe::openmp_pool();
  auto scorer = SessionModel::create(model, options);
  REQUIRE_MESSAGE(scorer.has_value(), scorer.error().message);
  std::vector<ScoreRequest> requests;
  for (const Json& row : rows)
    for (const Json& continuation : row["conts"])
      requests.push_back({*row["ctx"].get_ptr<const std::string*>(), *continuation.get_ptr<const std::string*>(),
                          *row["id"].get_ptr<const std::string*>()});
  const auto scores = (*scorer)->score(requests, {});
  REQUIRE_MESSAGE(scores.has_value(), scores.error().message);
  std::vector<std::vector<Score>> out;
  std::size_t next = 0;
  for (const Json& row : rows) {
    auto& of_row = out.emplace_back();
    for (std::size_t i = 0; i < row["conts"].size(); ++i) of_row.push_back((*scores)[next++]);
  }
  return out;
}

double tolerance(double ll) { return std::max(1e-3, 1e-4 * std::abs(ll)); }

// The decision may differ only where the reference's best two are closer than twice the tolerance.
bool decision_differs(const std::vector<double>& reference, const std::vector<Score>& got) {
  std::size_t best = 0, own = 0;
  for (std::size_t i = 1; i < reference.size(); ++i) {
    if (reference[i] > reference[best]) best = i;
    if (got[i].log_likelihood > got[own].log_likelihood) own = i;
  }
  return best != own && reference[best] - reference[own] > 2 * tolerance(reference[best]);
}

// Mean |delta| and mean |delta - mean delta of the question|: the part that can change a decision.
struct Distance {
  double sum = 0, centred_sum = 0;
  std::size_t count = 0, centred_count = 0;
  void add(const std::vector<double>& reference, const std::vector<double>& got) {
    double mean = 0;
    for (std::size_t i = 0; i < got.size(); ++i) mean += (got[i] - reference[i]) / static_cast<double>(got.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      sum += std::abs(got[i] - reference[i]), ++count;
      if (got.size() > 1) centred_sum += std::abs(got[i] - reference[i] - mean), ++centred_count;
    }
  }
  double mean() const { return sum / static_cast<double>(count); }
  double centred() const { return centred_sum / static_cast<double>(std::max<std::size_t>(centred_count, 1)); }
};

void check_reference(const std::shared_ptr<const moe::Model>& model, const std::vector<Json>& rows) {
  const auto scores = run(model, rows, moe::Precision::reference, moe::KvType::f32);
  double worst = 0;
  std::size_t outside = 0, different = 0, wrong_tokens = 0, wrong_greedy = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto reference = rows[r]["ll"].get<std::vector<double>>();
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const Score& s = scores[r][i];
      const double delta = std::abs(s.log_likelihood - reference[i]);
      worst = std::max(worst, delta / tolerance(reference[i]));
      outside += delta > tolerance(reference[i]);
      wrong_tokens += static_cast<std::size_t>(s.context_tokens) != rows[r]["ctx_tok"].size() ||
                      static_cast<std::size_t>(s.continuation_tokens) != rows[r]["cont_tok"][i].size();
      wrong_greedy += s.is_greedy != rows[r]["is_greedy"][i].get<bool>();
    }
    different += decision_differs(reference, scores[r]);
  }
  MESSAGE("reference precision: " << rows.size() << " questions, largest |delta| / tolerance " << worst
                                  << ", greedy different " << wrong_greedy);
  CHECK(outside == 0);
  CHECK(different == 0);
  CHECK(wrong_tokens == 0);
  CHECK(wrong_greedy <= rows.size() / 100);
}

void check_automatic(const std::shared_ptr<const moe::Model>& model, const std::vector<Json>& all, bool is_sample) {
  std::vector<Json> rows;
  for (const Json& row : all)
    if (row.contains("llama_cpp")) rows.push_back(row);
  if (rows.empty()) return moe_test::report_skip("automatic precision", "no llama.cpp figures among the cases");
  const auto scores = run(model, rows, moe::Precision::automatic, moe::KvType::f16);
  Distance ours, theirs;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto reference = rows[r]["ll"].get<std::vector<double>>();
    std::vector<double> got;
    for (const Score& s : scores[r]) got.push_back(s.log_likelihood);
    ours.add(reference, got);
    theirs.add(reference, rows[r]["llama_cpp"]["ll"].get<std::vector<double>>());
  }
  MESSAGE("automatic precision: " << rows.size() << " questions, mean |delta ll| " << ours.mean() << " (llama.cpp "
                                  << theirs.mean() << "), centred " << ours.centred() << " (llama.cpp "
                                  << theirs.centred() << ")");
  // Twenty questions are noisy; the full run is decisive.
  const double allowed = is_sample ? 1.5 : 1.1;
  CHECK(ours.mean() <= allowed * theirs.mean());
  CHECK(ours.centred() <= allowed * theirs.centred());
}

}  // namespace

TEST_CASE("log-likelihoods of real models") {
  const auto folder = moe_test::reference_dir("MOE_REALGOLD_DIR", "../shared/realgold");
  const auto models = moe_test::reference_dir("MOE_MODEL_DIR", "models/real");
  if (folder.empty()) return moe_test::report_skip("realgold", "no reference directory");
  const bool full = std::getenv("MOE_TEST_FULL") != nullptr;
  const auto cases = read_cases(folder);
  CHECK(!cases.empty());
  for (const auto& [key, rows] : cases) {
    const std::string& name = key;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(name);
    const auto path = find_model(models, name);
    if (path.empty()) {
      moe_test::report_skip("realgold of " + name, "no model file (scripts/get-models brings it)");
      continue;
    }
    const auto model = moe::Model::load(path.string(), {.threads = moe::openmp_pool()});
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    const std::vector<Json> chosen = full ? rows : sample(rows, 40 / cases.size());
    MESSAGE(name);
    check_reference(*model, chosen);
    check_automatic(*model, chosen, !full);
  }
}

}  // namespace eval_realgold_test
