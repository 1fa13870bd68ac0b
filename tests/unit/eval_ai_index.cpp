// The AI-Index view: the published table as untrusted input, derived figures compared with independently computed
// values, gaps in words, and measured models separate from published ones.

#include "moe/eval/ai_index.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "eval/report/ai_index_document.hpp"
#include "moe/flops.hpp"
#include "published.hpp"
#include "run_text.hpp"
#include "support/show.hpp"

namespace eval_ai_index_test {

namespace {

namespace eval = moe::eval;
namespace index = moe::eval::ai_index;
using moe_test::RunJson;

const std::string kHeader =
    "model,org,country,release,kind,total_b,active_b_published,gflops_per_token,mmlu,protocol,source,note,status,"
    "reference\n";
const std::string kRow = "one,org,US,2024-09,base,7,7,14.00,60.0,5-shot,blog,,on_disk,\n";

eval::RunText built_in() {
  return {"ai_index.csv", moe_test::read_file(std::string(MOE_SOURCE_DIR) + "/bench/ai_index.csv")};
}

std::vector<index::Row> rows() {
  auto got = index::read_rows(built_in());
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  return *got;
}

const index::Row& row_of(const std::vector<index::Row>& rows, const std::string& model) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const index::Row& r) { return r.model == model; });
  REQUIRE_MESSAGE(found != rows.end(), model);
  return *found;
}

std::string error_of(const std::string& text) {
  const auto got = index::read_rows({"t.csv", text});
  return got ? "" : got.error().message;
}

// A run of the two models of run_text.hpp on a task of this name.
RunJson run_of(const std::string& task) {
  RunJson run = moe_test::run_json("mine", "yours");
  for (RunJson& model : run["models"]) model["tasks"][0]["task"] = task;
  run["comparisons"] = RunJson::array();
  return run;
}

eval::AiIndexTexts index_of(const std::vector<eval::RunText>& runs,
                            const eval::AiIndexOptions& options = {.gnuplot = ""},
                            const eval::RunText& table = built_in()) {
  const auto got = eval::render_ai_index(table, runs, options);
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  return *got;
}

std::string refusal_of(const RunJson& run) {
  const eval::RunText text = moe_test::run_text(run, "r.json");
  const auto got = eval::render_ai_index(built_in(), {&text, 1}, {.gnuplot = ""});
  return got ? "" : got.error().message;
}

bool has_gnuplot() {
  const int status = std::system("command -v gnuplot >/dev/null 2>&1");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++out;
  return out;
}

// 2 x the matmul parameters of a dense model.
double dense_gflops(double layers, double width, double heads, double kv_heads, double head, double inner,
                    double vocabulary) {
  const double layer = 2 * width * heads * head + 2 * width * kv_heads * head + 3 * width * inner;
  return 2 * (layers * layer + vocabulary * width) / 1e9;
}

}  // namespace

TEST_CASE("the published table has 52 rows whose compute is the closed form of their configurations") {
  const std::vector<index::Row> all = rows();
  CHECK(all.size() == 52);
  CHECK(std::count_if(all.begin(), all.end(), [](const index::Row& r) { return !r.is_verified(); }) == 13);
  // As this table was handed over: its own sum of scores.
  double sum = 0;
  for (const index::Row& r : all) sum += 100 * r.accuracy;
  CHECK(sum == doctest::Approx(3782.54));
  std::size_t compared = 0;
  for (const index::Row& r : all) {
    CAPTURE(r.model);
    CHECK(r.gflops_per_token.has_value() == (r.model != "GPT-4o-0513" && r.model != "Claude-3.5-Sonnet-1022"));
    for (const char* ending : {"", "-Base", " (chat)", "-Instruct"}) {
      if (!r.model.ends_with(ending)) continue;
      const std::string name = r.model.substr(0, r.model.size() - std::string(ending).size());
      const std::string path = std::string(MOE_SOURCE_DIR) + "/tests/data/published/" + name + "/config.json";
      if (!std::filesystem::exists(path)) continue;
      const auto config = moe_test::shapes_of(nlohmann::json::parse(moe_test::read_file(path)));
      CHECK(std::abs(*r.gflops_per_token - static_cast<double>(moe::weight_flops_per_token(config)) / 1e9) < 0.00501);
      ++compared;
    }
  }
  CHECK(compared >= 30);
  const auto gflops = [&](const char* model) {
    return doctest::Approx(*row_of(all, model).gflops_per_token).epsilon(1e-3);
  };
  CHECK(dense_gflops(30, 4096, 32, 32, 128, 11008, 102400) == gflops("DeepSeek-7B"));
  CHECK(dense_gflops(95, 8192, 64, 8, 128, 22016, 102400) == gflops("DeepSeek-67B"));
  CHECK(dense_gflops(32, 4096, 32, 32, 128, 11008, 151936) == gflops("Qwen1.5-7B"));
  CHECK(dense_gflops(64, 5120, 40, 8, 128, 27392, 152064) == gflops("Qwen1.5-32B"));
  CHECK(dense_gflops(80, 8192, 64, 8, 128, 29568, 152064) == gflops("Qwen2-72B"));
  CHECK(dense_gflops(26, 2304, 8, 4, 256, 9216, 256000) == gflops("Gemma-2-2.6B"));
}

TEST_CASE("the fit is that of the normal equations in forty digits") {
  const std::vector<index::Row> all = rows();
  const auto fit = index::fit_reference(all);
  REQUIRE(fit);
  CHECK(fit->family == "Qwen2.5 dense");
  CHECK(fit->points == 7);
  CHECK(fit->intercept == doctest::Approx(-0.03544470452681690).epsilon(1e-12));
  CHECK(fit->slope == doctest::Approx(0.3931122342288499).epsilon(1e-12));
  CHECK(fit->residual == doctest::Approx(0.07188523723335418).epsilon(1e-10));
  CHECK(fit->accuracy_at(fit->gflops_at(0.7)) == doctest::Approx(0.7));
  const auto multiplier = [&](const std::string& model) {
    const index::Row& r = row_of(all, model);
    return index::multiplier_of(*fit, r.accuracy, *r.gflops_per_token);
  };
  struct Expected {
    const char* model;
    double value;
    bool is_extrapolated;
  };
  constexpr Expected kExpected[] = {
      {"Qwen3-30B-A3B-Base", 7.6675509826282, false}, {"Qwen3-235B-A22B-Base", 3.8520425261057967, true},
      {"Llama-4-Maverick", 3.091754377350399, false}, {"Kimi-K2-Base", 2.616108639955596, true},
      {"DeepSeek-V3-Base", 1.9242107701353823, true}, {"Moonlight-16B-A3B", 1.8304950035066725, false},
      {"OLMoE-1B-7B", 0.7044240333148171, false},     {"Llama-3.1-405B", 0.11634774155273163, false},
  };
  for (const Expected& expected : kExpected) {
    CAPTURE(expected.model);
    const auto got = multiplier(expected.model);
    REQUIRE(got);
    CHECK(got->value == doctest::Approx(expected.value).epsilon(1e-10));
    CHECK(got->is_extrapolated == expected.is_extrapolated);
  }
  CHECK_FALSE(index::multiplier_of(*fit, 0, 1));
  CHECK_FALSE(index::multiplier_of(*fit, 1, 1));
  // Too few rows, or none that rises: no reference.
  CHECK_FALSE(index::fit_reference({all.data(), 1}));
  std::vector<index::Row> flat(3, row_of(all, "Qwen2.5-7B"));
  CHECK_FALSE(index::fit_reference(flat));
}

TEST_CASE("the Pareto front is that of the starred rows") {
  const std::vector<index::Row> all = rows();
  const std::vector<bool> front = index::base_front(all), verified = index::base_front(all, true);
  std::set<std::string> got;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (front[i]) got.insert(all[i].model);
    CHECK_FALSE((verified[i] && !all[i].is_verified()));
  }
  CHECK(got == std::set<std::string>{"Qwen2.5-0.5B", "OLMoE-1B-7B", "Qwen2.5-1.5B", "Qwen1.5-MoE-A2.7B",
                                     "Moonlight-16B-A3B", "Qwen3-30B-A3B-Base", "Llama-4-Maverick",
                                     "Qwen3-235B-A22B-Base"});
}

TEST_CASE("17.5 points are real, 0.3 points are not distinguishable") {
  const auto gaps = index::reported_gaps(rows());
  CHECK(gaps[0].is_real());
  CHECK(gaps[1].is_open());
  // sqrt(2 * 0.25 / 14042), and the sizes by (1.960 + 0.842)^2 * variance / gap^2.
  CHECK(gaps[1].widest.standard_error == doctest::Approx(0.0059672).epsilon(1e-4));
  CHECK(*gaps[1].widest.questions_needed == 436045);
  CHECK(*gaps[1].narrowest.questions_needed == 159063);
  CHECK(index::words(gaps[0]).find("17.5 points, real:") != std::string::npos);
  CHECK(index::words(gaps[1]).find("0.3 points, not distinguishable:") != std::string::npos);
  CHECK(index::words(gaps[1]).find("159,063 to 436,045 questions") != std::string::npos);
  CHECK(index::headline(gaps).find("17.5 points (end of 2023) are real, 0.3 points (end of 2024) are not "
                                   "distinguishable") != std::string::npos);
  // A size that hangs on the two scores is neither.
  const index::ReportedGap between{"then", 0.01, 0.9, index::judge(0.505, 0.495), index::judge(0.9, 0.89)};
  CHECK_FALSE(between.is_real());
  CHECK_FALSE(between.is_open());
  CHECK(index::words(between).find("depending on the two scores") != std::string::npos);
  const index::Judgement equal = index::judge(0.5, 0.5), sure = index::judge(1, 0);
  CHECK(equal.p == 1);
  CHECK_FALSE(equal.questions_needed);
  CHECK(sure.is_real());
  CHECK(index::verdict_of(index::judge(0.6, 0.7)) == "real: CN ahead");
}

TEST_CASE("the gap by year: all rows, base rows, one table") {
  const std::vector<index::Row> all = rows();
  const auto gaps = index::gaps_by_year(all);
  REQUIRE(gaps.size() == 5);
  CHECK(gaps[0].year == 2023);
  CHECK(gaps[1].year == 2024);
  CHECK(gaps[1].us->model == "Llama-3.1-405B-Instruct");
  CHECK(gaps[1].cn->model == "DeepSeek-V3 (chat)");
  CHECK(gaps[1].is_one_table());
  CHECK_FALSE(gaps[1].judgement.is_real());
  // sqrt((0.886 * 0.114 + 0.885 * 0.115) / 14042).
  CHECK(gaps[1].judgement.standard_error == doctest::Approx(0.0037987).epsilon(1e-4));
  CHECK(index::words(gaps[1]).find("not distinguishable; a gap of this size needs about 1,591,588 questions") !=
        std::string::npos);
  CHECK(index::words(gaps[1]).find("both from DeepSeek-V3 README chat table, EM") != std::string::npos);
  CHECK(index::words(gaps[0]).find("Grok-1 \u2020 (US)") != std::string::npos);
  // A table of its own that all rows do not lead to; of two the one whose weaker side is the stronger.
  const auto got = index::read_rows({"t.csv", kHeader + "a,o,US,2024-01,base,,,,90,5-shot,card,,on_disk,\n"
                                                        "b,o,US,2024-01,base,,,,70,5-shot,blog,,on_disk,\n"
                                                        "c,o,CN,2024-01,base,,,,80,5-shot,blog,,on_disk,\n"
                                                        "d,o,US,2024-01,base,,,,60,5-shot,other,,on_disk,\n"
                                                        "e,o,CN,2024-01,base,,,,85,5-shot,other,,on_disk,\n"
                                                        "f,o,US,2022-01,base,,,,85,5-shot,other,,on_disk,\n"});
  REQUIRE(got);
  const auto few = index::gaps_by_year(*got);
  REQUIRE(few.size() == 2);
  CHECK(few[0].us->model == "a");
  CHECK(few[0].cn->model == "e");
  CHECK_FALSE(few[0].is_one_table());
  CHECK(few[1].among == index::YearGap::Among::one_table);
  CHECK(few[1].us->model == "b");
  CHECK(few[1].cn->model == "c");
}

TEST_CASE("a row that is wrong is named with what was found and what was expected") {
  CHECK(error_of(kHeader + kRow).empty());
  CHECK(error_of("") == "t.csv: holds no rows, expected a header and one or more");
  CHECK(error_of(kHeader) == "t.csv: holds no rows, expected a header and one or more");
  CHECK(error_of("model,org\n").find("t.csv:1: the header has 2 columns, expected 14") == 0);
  CHECK(error_of("x" + kHeader + kRow).find("t.csv:1: column 1 is 'xmodel', expected model") == 0);
  CHECK(error_of(kHeader + "one,org,US\n") == "t.csv:2: 'one' has 3 columns, expected 14");
  CHECK(error_of(kHeader + kRow + kRow) ==
        "t.csv:3: 'one': model is 'one', expected a name of its own: an earlier row has it");
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string row = kRow;
    row.replace(row.find(from), from.size(), to);
    return error_of(kHeader + row);
  };
  CHECK(changed("US", "XX").find("t.csv:2: 'one': country is 'XX', expected one of AE, CA, CN") == 0);
  CHECK(changed("2024-09", "2024-13") == "t.csv:2: 'one': release is '2024-13', expected a month as 2024-12");
  CHECK(changed("2024-09", "24-09").find("release is '24-09'") != std::string::npos);
  CHECK(changed("base", "Base") == "t.csv:2: 'one': kind is 'Base', expected one of base, chat, instruct, reasoning");
  CHECK(changed("60.0", "100.1") == "t.csv:2: 'one': mmlu is '100.1', expected a number from 0 to 100");
  for (const char* bad : {"-1", "", "nan", "inf", "6o", "60 ", "1e999"}) {
    CAPTURE(bad);
    CHECK(changed("60.0", bad).find("mmlu is") != std::string::npos);
  }
  for (const char* bad : {"-7", "0", "nan", "1e9", "x"}) {
    CAPTURE(bad);
    CHECK(changed(",7,7,", std::string(",") + bad + ",7,").find("total_b is") != std::string::npos);
    CHECK(changed("14.00", bad).find("gflops_per_token is") != std::string::npos);
  }
  CHECK(changed(",7,7,", ",7,8,").find("active_b_published is '8', expected at most total_b, 7") != std::string::npos);
  CHECK(changed(",7,7,", ",7,,").find("active_b_published is empty, expected both sizes") != std::string::npos);
  CHECK(changed(",7,7,", ",,,").find("gflops_per_token is '14.00', expected nothing where") != std::string::npos);
  CHECK(changed("on_disk", "true") == "t.csv:2: 'one': status is 'true', expected one of on_disk, secondary, recalled");
  CHECK(changed("5-shot", "").find("protocol is empty") != std::string::npos);
  CHECK(changed("blog", std::string(201, 'x')).find("source is 'xxx") != std::string::npos);
  CHECK(error_of(kHeader + "one,org,US,2024-09,base,7,7,14,60,5-shot,blog,,on_disk,a\n" +
                 "two,org,US,2024-09,base,7,7,14,60,5-shot,blog,,on_disk,b\n") ==
        "t.csv:3: 'two': reference is 'b', expected one family in all rows, 'a'");
  CHECK(error_of(kHeader + "\"one").find("t.csv:2: a quote is never closed") == 0);
  std::string many = kHeader;
  for (int i = 0; i <= 1000; ++i) many += "m" + std::to_string(i) + kRow.substr(3);
  CHECK(error_of(many) == "t.csv:1002: 'm1000' is row 1001, expected at most 1000 rows");
}

TEST_CASE("measured models stand apart, with their error; other tasks are refused by name") {
  const eval::AiIndexTexts without = index_of({}), with = index_of({moe_test::run_text(run_of("mmlu"), "r.json")});
  CHECK(without.text.find("Measured by moe-eval") == std::string::npos);
  const std::size_t at = with.text.find("\nMeasured by moe-eval\n");
  REQUIRE(at != std::string::npos);
  const std::string section = with.text.substr(at, with.text.find("The gap between") - at);
  CHECK(section.find("mine") != std::string::npos);
  CHECK(section.find("87.50  3.00") != std::string::npos);
  CHECK(section.find("0.0008000") != std::string::npos);  // 800,000 FLOPs per token
  CHECK(with.text.substr(0, at).find("mine") == std::string::npos);
  CHECK(with.html.find("data-at=\"0/models/1/tasks/0/accuracy\"") != std::string::npos);
  CHECK(with.html.find("<data value=\"800000\" data-at=\"0/models/0/weight_flops_per_token\" data-scale=\"1e-09\">") !=
        std::string::npos);

  CHECK(refusal_of(run_of("arc_easy"))
            .find("r.json: the run asked 'arc_easy', expected a task whose name begins with "
                  "mmlu") == 0);
  CHECK(refusal_of(run_of("cmmlu")).find("the run asked 'cmmlu'") != std::string::npos);
  CHECK(refusal_of(run_of("mmlu_continuation")).empty());
  RunJson none = run_of("mmlu");
  none["models"] = RunJson::array();
  CHECK(refusal_of(none).find("the run asked no task, expected") != std::string::npos);
  RunJson no_accuracy = run_of("mmlu_x");
  no_accuracy["models"][1]["tasks"][0]["accuracy"] = nullptr;
  CHECK(refusal_of(no_accuracy).find("r.json: models[1].tasks[0]: task 'mmlu_x' has no accuracy, expected") == 0);
  RunJson free = run_of("mmlu");
  free["models"][0]["weight_flops_per_token"] = 0;
  CHECK(refusal_of(free).find("weight_flops_per_token is 0") != std::string::npos);
  // Beside an MMLU task the others are left out, and it is said.
  RunJson both = run_of("mmlu");
  both["models"][0]["tasks"].push_back(moe_test::task_json("arc_easy", 0.4, 1e9));
  CHECK(index_of({moe_test::run_text(both, "r.json")}).text.find("r.json: 'arc_easy' left out, not MMLU.") !=
        std::string::npos);
  // Names that are there twice.
  const eval::RunText text = moe_test::run_text(run_of("mmlu"), "r.json");
  CHECK(index_of({text, text}).text.find("mine (2)") != std::string::npos);
}

TEST_CASE("at 100 and at 80 columns no line is longer; unverified rows are marked in every form") {
  const std::vector<eval::RunText> runs = {moe_test::run_text(run_of("mmlu"), "r.json")};
  for (const std::size_t columns : {std::size_t{100}, std::size_t{80}}) {
    const eval::AiIndexTexts got =
        index_of(runs, {.gnuplot = "", .terminal = {.columns = columns, .verbose = columns == 100}});
    for (std::size_t begin = 0; begin < got.text.size();) {
      const std::size_t end = got.text.find('\n', begin);
      CHECK(moe::display_width(got.text.substr(begin, end - begin)) <= columns);
      begin = end + 1;
    }
    for (const std::string* form : {&got.text, &got.html, &got.markdown})
      for (const index::Row& row : rows()) {
        CAPTURE(row.model);
        CHECK((form->find(row.model + " \u2020") != std::string::npos) == !row.is_verified());
      }
    CHECK((got.text.find("DeepSeek-V3 README/report base table") != std::string::npos) == (columns == 100));
    CHECK(got.html.find("DeepSeek-V3 README/report base table") != std::string::npos);
  }
}

TEST_CASE("foreign text stays text; without gnuplot there are tables and a word") {
  const std::string hostile =
      kHeader + "<b>x</b>\x1b[2J,\"o\",US,2024-09,base,7,7,14,60,\"5-shot | `a`\",\"<script>\",,recalled,\n" + kRow;
  const eval::AiIndexTexts got = index_of({}, {.gnuplot = "", .terminal = {.verbose = true}}, {"<i>\x07.csv", hostile});
  CHECK(got.no_pictures == "they were not asked for");
  CHECK(got.html.find("This page has no picture: they were not asked for.") != std::string::npos);
  CHECK(got.html.find("<script") == std::string::npos);
  CHECK(got.html.find("<b>") == std::string::npos);
  CHECK(got.html.find("<i>") == std::string::npos);
  CHECK(got.html.find("moe-eval index") != std::string::npos);
  CHECK(got.markdown.find("<b>") == std::string::npos);
  CHECK(got.markdown.find("5-shot \\| \\`a\\`") != std::string::npos);
  for (const std::string* form : {&got.text, &got.html, &got.markdown}) {
    CHECK(form->find('\x1b') == std::string::npos);
    CHECK(form->find('\x07') == std::string::npos);
  }
  CHECK(got.text.find("Reference: none.") != std::string::npos);
  CHECK(got.text.find("No year of this table has rows of both countries.") != std::string::npos);
  const auto missing = index_of({}, {.gnuplot = "/nonexistent/gnuplot"});
  CHECK(missing.no_pictures == "/nonexistent/gnuplot is not installed");
  CHECK(missing.svg.empty());
  CHECK(missing.text == index_of({}).text);
}

TEST_CASE("the picture: circles, triangles for the unverified, squares for the measured") {
  if (!has_gnuplot()) {
    MESSAGE("gnuplot is not installed");
    return;
  }
  const eval::AiIndexTexts without = index_of({}, {}), with = index_of({moe_test::run_text(run_of("mmlu"))}, {});
  CHECK(without.no_pictures.empty());
  const std::string square = "<path d=\"M-1,-1 H1 V1 H-1 Z\"", triangle = "<path d=\"M0,-1.2 L1.1,0.8 H-1.1 Z\"";
  CHECK(count(without.svg, square) == 0);
  CHECK(count(with.svg, square) == 2);
  CHECK(count(without.svg, triangle) == 13);
  CHECK(count(without.svg, "scale(4.05)") == 52 - 2);  // all marks
  CHECK(with.svg.find(">mine</text>") != std::string::npos);
  CHECK(without.svg.find("Qwen3-30B-A3B-Base \u2020") != std::string::npos);
  CHECK(with.html.find("<figure>") != std::string::npos);
  CHECK(with.html.find("<desc>") == std::string::npos);
  CHECK(with.svg.find("<desc>MMLU against GFLOPs per token. Pareto front") != std::string::npos);
}

}  // namespace eval_ai_index_test
