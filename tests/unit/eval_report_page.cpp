// The report's three forms: contents, order, and escaping of untrusted text. Pictures by a gnuplot that is missing,
// fails, gives wrong output or hangs, and by the real one.

#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <sstream>

#include "eval/report/gnuplot.hpp"
#include "run_text.hpp"
#include "scratch_dir.hpp"

namespace eval_report_page_test {

namespace {

using moe_test::report_of;
using moe_test::run_json;
using moe_test::RunJson;
namespace eval = moe::eval;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_report") {}
  // A program of a few lines of shell.
  std::string program(const std::string& name, const std::string& body) const {
    const std::string path = write(name, "#!/bin/sh\n" + body + "\n");
    std::filesystem::permissions(path, std::filesystem::perms(0755));
    return path;
  }
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++out;
  return out;
}

bool has_gnuplot() {
  const int status = std::system("command -v gnuplot >/dev/null 2>&1");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Start and end tags pair up; gives how often each element is there.
std::map<std::string, std::size_t> elements(const std::string& html) {
  std::map<std::string, std::size_t> out;
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at)) {
    const std::size_t end = html.find('>', at);
    REQUIRE(end != std::string::npos);
    const std::string tag = html.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.starts_with('!') || tag.ends_with('/') || tag.starts_with("meta")) continue;
    const std::string name = tag.substr(tag.starts_with('/') ? 1 : 0, tag.find(' ') - (tag.starts_with('/') ? 1 : 0));
    if (tag.starts_with('/')) {
      REQUIRE_FALSE(open.empty());
      CHECK(open.back() == name);
      open.pop_back();
    } else {
      open.push_back(name);
      ++out[name];
    }
  }
  CHECK(open.empty());
  return out;
}

}  // namespace

TEST_CASE("the verdict comes first, then results, cost, gaps, subjects, experts, checks and the origin") {
  const auto got = report_of(run_json());
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  std::size_t last = 0;
  for (const char* part : {"<h1>", "first is best: 87.50 % of 200 questions. Its lead over second is real",
                           "This report has no pictures", ">Results<", "What it cost", "Is the difference real?",
                           "Subject by subject", "Experts as a dial", "Which experts are used",
                           "Not plainly asked and answered", "Where this comes from", "it&#39;\\&#39;&#39;s one"}) {
    CAPTURE(part);
    const std::size_t at = got->html.find(part);
    REQUIRE(at != std::string::npos);
    CHECK(at > last);
    last = at;
  }
  const auto found = elements(got->html);
  CHECK(found.contains("svg") == false);
  CHECK(found.at("table") >= 12);
  CHECK(found.at("table") == found.at("caption"));
  CHECK(found.contains("script") == false);
  // Every digit, and where it stands.
  CHECK(
      got->html.find("<data value=\"0.875\" data-at=\"0/models/0/tasks/0/accuracy\" data-scale=\"100\">87.50</data>") !=
      std::string::npos);
  CHECK(got->html.find("<data value=\"4321\" data-at=\"0/comparisons/0/by/subject/0/questions_needed\">4,321</data>") !=
        std::string::npos);
  CHECK(got->no_pictures == "they were not asked for");
  CHECK(got->verdict.starts_with("exam: first is best: "));
  CHECK(got->verdict.find("\n  first is better than second by 10.00 ± 1.23 points (95 % interval +7.60 to +12.40, p "
                          "0.0020).\n") != std::string::npos);
}

TEST_CASE("a run that stopped when it was known: its verdict, what it used and saved, and what its rows are worth") {
  const auto got = report_of(moe_test::stopped_json());
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  std::size_t last = 0;
  for (const char* part :
       {"first is better than second by 10.00 points (interval +1.25 to +18.75), known after 200 questions.",
        "200 of 1,000 questions were asked (20.00 %), with 4 looks; 2,000 GFLOPs spent, about 9,000 saved (82 %).",
        "All verdicts and intervals hold together with probability 95 %", "tend to be too large",
        "Rows by subject are partial", "&lt;b&gt;US (best: first) and CN (best: second) are not distinguishable",
        "On the 200 questions that were drawn", "Asked until it was known", "saved (estimate)", ">Families<",
        ">Results<"}) {
    CAPTURE(part);
    const std::size_t at = got->html.find(part);
    REQUIRE(at != std::string::npos);
    CHECK(at > last);
    last = at;
  }
  CHECK(got->html.find("<data value=\"0.004\" data-at=\"0/until_known/pairs/0/p_anytime\">0.0040</data>") !=
        std::string::npos);
  // A test for a number of questions that was fixed before is not made.
  for (const char* part : {"Is the difference real?", "was not compared", "is best"})
    CHECK_MESSAGE(got->html.find(part) == std::string::npos, part);
  CHECK(got->verdict.starts_with("first is better than second by 10.00 points"));
  CHECK(got->csv.find("until_known,run.json,first,,second,,a_better,accuracy,0.1,,0.0125,0.1875,200,") !=
        std::string::npos);
  CHECK(got->csv.find("family,run.json,<b>US,exam,CN,,,accuracy,-0.02,0.0125,-0.045,0.005,") != std::string::npos);
  CHECK(elements(got->html).at("table") == elements(got->html).at("caption"));
}

TEST_CASE("verdicts in words") {
  const auto headline = [](const RunJson& run) {
    const auto got = report_of(run);
    REQUIRE_MESSAGE(got.has_value(), got.error().message);
    return got->verdict;
  };
  RunJson tied = run_json();
  tied["comparisons"][0].update(moe_test::gap_json(0.003, false));
  CHECK(headline(tied).starts_with(
      "exam: first and second are not distinguishable: 87.50 % against 77.50 % of 200 questions."));
  CHECK(headline(tied).find("first and second are not distinguishable by 200 questions: +0.30 ± 1.23 points (95 % "
                            "interval \u22122.10 to +2.70, p 0.7000); ") != std::string::npos);
  CHECK(headline(tied).find("such an exam finds gaps from 3.45 points on; a gap of this size needs about 4,321 "
                            "questions.") != std::string::npos);
  // The cheaper one of a tie.
  tied["models"][0]["tasks"][0]["model_flops_per_question"] = 20e9;
  CHECK(headline(tied).find("second spends 25\u00A0% of its compute per question") != std::string::npos);
  RunJson unpaired = run_json();
  unpaired["comparisons"] = RunJson::array();
  CHECK(headline(unpaired).find("it was not compared question by question with second") != std::string::npos);
  RunJson guess = run_json();
  guess["models"].erase(1), guess["comparisons"] = RunJson::array();
  guess["models"][0]["tasks"][0]["interval_95"] = {0.2, 0.3};
  CHECK(headline(guess).starts_with(
      "exam: first answers 87.50 ± 3.00 % of 200 questions (95 % interval 20.00 to 30.00 %, guessing 25.00 %) at 2.500 "
      "GFLOPs each. That is not distinguishable from guessing.\n"));
  RunJson broken = run_json();
  broken["models"][1]["tasks"][0]["non_finite_questions"] = 17;
  CHECK(headline(broken).find("Not plainly asked and answered: second: 17 non-finite.") != std::string::npos);
  RunJson texts = run_json();
  for (RunJson& model : texts["models"]) model["tasks"][0]["accuracy"] = nullptr;
  texts["comparisons"] = RunJson::array();
  // A perplexity that is infinite.
  texts["models"][0]["tasks"][0]["rows"][0]["metrics"]["word_perplexity"] = {{"value", nullptr},
                                                                             {"standard_error", nullptr}};
  CHECK(headline(texts).starts_with("exam: No accuracy is measured; its metrics stand in the table.\n"));
  RunJson nothing = run_json();
  nothing["models"] = RunJson::array(), nothing["comparisons"] = RunJson::array();
  CHECK(headline(nothing) == "");
}

TEST_CASE("every block of the verdict names its task, and says where only some questions were asked") {
  RunJson run = run_json();
  for (RunJson& model : run["models"]) {
    RunJson other = model["tasks"][0];
    other["task"] = "other", other["skipped_questions"] = 1800;
    other["rows"].push_back(moe_test::row_json("part", false, 0.5));
    model["tasks"].push_back(other);
  }
  run["limit"] = 100.0;
  const auto got = report_of(run);
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  std::size_t blocks = 0;
  std::istringstream lines(got->verdict);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with(' ')) CHECK(line.starts_with(++blocks == 1 ? "exam: " : "other: "));
  CHECK(blocks == 2);
  const std::string said = "Only 200 of 2,000 questions were asked, the first of each subject (--limit 100).";
  CHECK(count(got->verdict, said) == 1);
  CHECK(count(got->html, said) == 1);
  CHECK(count(got->markdown, said) == 1);
  for (const std::string* text : {&got->html, &got->markdown}) {
    CHECK(count(*text, "200 of 2,000 questions, 5 shots; guessing gives 25.00 %") == 1);
    CHECK(count(*text, "200 questions, 5 shots; guessing gives 25.00 %") == 1);  // of the task that was asked whole
  }
  // Another number of questions that were left out is another exam.
  run["models"][1]["tasks"][1]["skipped_questions"] = 1801;
  CHECK(count(report_of(run)->html, "<h2 id=") == 3);
  run["models"][1]["tasks"][1]["skipped_questions"] = 9223372036854775807;
  const auto too_many = report_of(run);
  REQUIRE_FALSE(too_many.has_value());
  CHECK(too_many.error().message.find("skipped_questions is '9223372036854775807'") != std::string::npos);
}

TEST_CASE("foreign names are text in the page, in Markdown and in CSV") {
  const std::string a = "<script>alert(1)</script>", b = "=\"x\" 'y' | `z` \u202e\x1b[2J\n# h";
  RunJson run = run_json(a, b);
  run["command"] = {"moe-eval", "```\n<script>"};
  run["models"][0]["path"] = "</main>", run["models"][0]["notes"] = {"<img src=x>"};
  run["models"][0]["tasks"][0]["by"]["subject"][0]["name"] = "<b>";
  run["models"][0]["tasks"][0]["experts"]["subjects"]["</table>"] =
      run["models"][0]["tasks"][0]["experts"]["subjects"]["law"];
  const auto plain = report_of(run_json());
  const auto got = report_of(run);
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  const auto found = elements(got->html);
  for (const char* element : {"script", "img", "b"}) CHECK_FALSE(found.contains(element));
  CHECK(found.at("main") == 1);
  CHECK(found.at("table") == elements(plain->html).at("table"));
  for (const std::string* text : {&got->html, &got->markdown, &got->csv, &got->verdict})
    for (const char* no : {"\u202e", "\x1b"}) CHECK(text->find(no) == std::string::npos);
  // Tables of Markdown keep their columns, and no line is a heading that we did not write.
  CHECK(got->markdown.find("\n# h") == std::string::npos);
  CHECK(count(got->markdown, "\n|") == count(plain->markdown, "\n|") + 1);
  CHECK(got->markdown.find("````\nmoe-eval '```\\x0a<script>'\n````") != std::string::npos);
  // A line of CSV per line of the plain one, each with as many fields.
  CHECK(count(got->csv, "\r\n") == count(plain->csv, "\r\n"));
  CHECK(got->csv.find(",\"'=\"\"x\"\" 'y' | `z`") != std::string::npos);
}

TEST_CASE("CSV holds every digit, and the same number of fields in every line") {
  const auto got = report_of(run_json());
  REQUIRE(got.has_value());
  const auto fields =
      std::count(got->csv.begin(), got->csv.begin() + static_cast<std::ptrdiff_t>(got->csv.find('\r')), ',');
  std::size_t at = 0, lines = 0;
  while (at < got->csv.size()) {
    const std::size_t end = got->csv.find("\r\n", at);
    const std::string line = got->csv.substr(at, end - at);
    CHECK_MESSAGE(std::count(line.begin(), line.end(), ',') == fields, line);
    at = end + 2, ++lines;
  }
  // A head; per model a result, its multiplier, two metrics of one row and of two subjects; a gap, and two by subject.
  CHECK(lines == 1 + 2 * (1 + 1 + 2 + 4) + 1 + 2);
  CHECK(got->csv.find("result,run.json,first,exam,,,,accuracy,0.875,0.03,") != std::string::npos);
  CHECK(got->csv.find("gap,run.json,first,exam,second,subject,law,accuracy,-0.02,0.0123,") != std::string::npos);
}

TEST_CASE("CSV has the answers that came from the cache, and a page without the name of the accuracy takes the first") {
  RunJson run = run_json();
  run["models"][0]["tasks"][0]["stored_answers"] = 1234567;
  const auto got = report_of(run);
  REQUIRE(got.has_value());
  CHECK(got->csv.find(",1234567,") != std::string::npos);
  // Older files do not say which of a row's metrics the accuracy is.
  for (RunJson& model : run["models"]) model["tasks"][0].erase("accuracy_metric");
  const auto older = report_of(run);
  REQUIRE(older.has_value());
  CHECK(older->html.find("/rows/0/metrics/acc/value") == std::string::npos);
}

TEST_CASE("several runs: one section for the same questions, names that meet say their run") {
  RunJson other = run_json("first", "third");
  const std::vector<eval::RunText> both = {moe_test::run_text(run_json(), "a/run.json"),
                                           moe_test::run_text(other, "b/run.json")};
  const auto got = eval::render_run_report(both, {.gnuplot = ""});
  REQUIRE(got.has_value());
  CHECK(got->html.find("first (run 1)") != std::string::npos);
  CHECK(got->html.find("first (run 2)") != std::string::npos);
  CHECK(got->html.find("third (run") == std::string::npos);
  CHECK(count(got->html, "<h2 id=") == 1);
  CHECK(got->html.find("data-at=\"1/models/1/tasks/0/accuracy\"") != std::string::npos);
  // Other questions: a section of their own.
  for (RunJson& model : other["models"]) model["tasks"][0]["questions"] = 100;
  const std::vector<eval::RunText> apart = {both[0], moe_test::run_text(other, "b/run.json")};
  CHECK(count(eval::render_run_report(apart, {.gnuplot = ""})->html, "<h2 id=") == 2);
  // As many questions of a file of the same name, but others. Files of older versions do not say which.
  const auto sections = [](const std::string& a, const std::string& b) {
    std::vector<eval::RunText> texts;
    for (const std::string& hash : {a, b}) {
      RunJson run = run_json();
      for (RunJson& model : run["models"])
        if (!hash.empty()) model["tasks"][0]["questions_hash"] = hash;
      texts.push_back(moe_test::run_text(run, "run.json"));
    }
    return count(eval::render_run_report(texts, {.gnuplot = ""})->html, "<h2 id=");
  };
  CHECK(sections("one", "one") == 1);
  CHECK(sections("one", "two") == 2);
  CHECK(sections("one", "") == 1);
}

TEST_CASE("all metrics of a task are in its table, also those before the accuracy") {
  RunJson run = run_json();
  for (RunJson& model : run["models"]) {
    model["tasks"][0]["accuracy_metric"] = "acc";
    for (RunJson& row : model["tasks"][0]["rows"]) {
      RunJson metrics = {{"perplexity", {{"value", 12.75}, {"standard_error", 0.5}}}};
      metrics.update(row["metrics"]);
      row["metrics"] = metrics;
    }
  }
  const auto got = report_of(run);
  REQUIRE(got.has_value());
  CHECK(got->html.find("perplexity") != std::string::npos);
  CHECK(got->html.find("12.75") != std::string::npos);
  CHECK(got->html.find("/rows/0/metrics/acc/value") == std::string::npos);  // it is the accuracy
}

TEST_CASE("time and energy of answers from the cache are in no picture, and the page says which they are") {
  if (!has_gnuplot()) {
    std::puts("SKIPPED pictures of times: gnuplot is not installed");
    return;
  }
  RunJson run = run_json();
  const auto plain = report_of(run, "gnuplot");
  REQUIRE(plain.has_value());
  CHECK(plain->html.find("accuracy against time") != std::string::npos);
  CHECK(plain->html.find("from the cache") == std::string::npos);
  run["models"][0]["tasks"][0]["stored_answers"] = 1800;
  const auto got = report_of(run, "gnuplot");
  REQUIRE(got.has_value());
  CHECK(got->html.find("accuracy against compute") != std::string::npos);
  CHECK(got->html.find("accuracy against time") == std::string::npos);
  CHECK(got->html.find("accuracy against energy") == std::string::npos);
  CHECK(got->html.find("Answers from the cache, which took no time: first: 1,800.") != std::string::npos);
}

TEST_CASE("a gnuplot that is missing, fails, lies or hangs costs the pictures, never the report") {
  const Scratch s;
  const auto why = [&](const std::string& program) {
    const auto got = report_of(run_json(), program);
    REQUIRE_MESSAGE(got.has_value(), got.error().message);
    CHECK(got->html.find("<svg") == std::string::npos);
    CHECK(got->html.find("This report has no pictures: ") != std::string::npos);
    CHECK(got->html.find("87.50") != std::string::npos);
    return got->no_pictures;
  };
  CHECK(why(s / "absent").find("is not installed") != std::string::npos);
  CHECK(why(s.program("fails", "echo '<b>no' >&2; exit 3")).find("failed: '<b>no\\x0a'") != std::string::npos);
  CHECK(why(s.program("silent", "exit 0")).find("no whole drawing") != std::string::npos);
  CHECK(why(s.program("killed", "kill -9 $$")).find("failed") != std::string::npos);
  CHECK(why(s.program("lies", "echo '<svg viewBox=\"0 0 1 1\"><script>alert(1)</script></svg>'")).find("'script'") !=
        std::string::npos);
  CHECK(why(s.program("floods", "exec yes '<g>'")).find("more than 8 MiB") != std::string::npos);
  // No setting, argument or variable of the user's reaches it but PATH.
  const std::string seen = s / "seen";
  why(s.program("spy", "env >" + seen + "; echo \"args: $*\" >>" + seen + "; cat >/dev/null"));
  const std::string words = moe_test::read_file(seen);
  CHECK(words.find("args: -d\n") != std::string::npos);
  CHECK(words.find("HOME=") == std::string::npos);
}

TEST_CASE("Ctrl-C ends a drawing at once") {
  const Scratch s;
  const auto start = std::chrono::steady_clock::now();
  const auto got = eval::run_gnuplot(s.program("hangs", "exec sleep 600"), "plot", [&] {
    return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(50);
  });
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().code == moe::ErrorCode::cancelled);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  const moe::eval::RunText text = moe_test::run_text(run_json());
  const auto report = eval::render_run_report({&text, 1}, {.gnuplot = s / "hangs", .cancelled = [] { return true; }});
  REQUIRE_FALSE(report.has_value());
  CHECK(report.error().code == moe::ErrorCode::cancelled);
}

TEST_CASE("the real gnuplot: every picture, no name of ours in its script, foreign names as text") {
  if (!has_gnuplot()) return moe_test::report_skip("pictures of the report", "gnuplot is not installed");
  const auto got = report_of(run_json("<script>x</script>", "a'b\"\\n$(touch x)"), "gnuplot");
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  CHECK(got->no_pictures == "");
  const auto found = elements(got->html);
  // Compute, bytes, time, energy; gaps; one by subject; the sweep; two heat maps. Each for a page and for a phone.
  CHECK(found.at("svg") == 18);
  CHECK(found.at("figure") == 9);
  CHECK(count(got->html, "<div class=\"wide\"><svg viewBox=\"0 0 600 ") == 9);
  CHECK(count(got->html, "<div class=\"narrow\"><svg viewBox=\"0 0 328 ") == 9);
  CHECK_FALSE(found.contains("script"));
  for (const char* no : {"xlink", "id='gp", "rgb(", "font-family=\""}) CHECK(got->html.find(no) == std::string::npos);
  CHECK(got->html.find("<text>&lt;script&gt;x&lt;/script&gt;</text>") != std::string::npos);
  CHECK(got->html.find("var(--c3)") != std::string::npos);
  // As a file of its own.
  CHECK(got->svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 360\""));
  CHECK(got->svg.find("&lt;script&gt;x&lt;/script&gt;: 87.50 % at 2.500 GFLOPs per question.") != std::string::npos);
  CHECK_FALSE(elements(got->svg).contains("script"));
}

}  // namespace eval_report_page_test
