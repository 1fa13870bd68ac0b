// Outputs with unusual names: tables, result files, and colliding names.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "eval/report/chart.hpp"
#include "moe/eval/report.hpp"
#include "scratch_dir.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"
#include "unit/fake_model.hpp"

namespace eval_output_test {

using moe::TextTable;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace moe::eval;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_output") {}
};

// A task whose questions have these subjects, and what a scripted model answered.
struct Exam {
  PreparedTask task;
  TaskOutcome outcome;
};

Exam exam(const Scratch& s, const Json& spec, const std::vector<std::string>& subjects) {
  std::ofstream questions(s.dir / "q.jsonl");
  for (std::size_t i = 0; i < subjects.size(); ++i)
    questions << Json{{"id", std::to_string(i)},
                      {"question", "q" + std::to_string(i)},
                      {"choices", {"x", "y"}},
                      {"answer", 0},
                      {"subject", subjects[i]}}
              << "\n";
  questions.close();
  std::ofstream(s.dir / "task.json") << spec;
  const auto found = load_task((s.dir / "task.json").string());
  REQUIRE_MESSAGE(found.has_value(), found.error().message);
  auto task = prepare(*found, {});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  moe_test::FakeModel model;
  auto outcome = evaluate(*task, model);
  REQUIRE(outcome.has_value());
  return {std::move(*task), std::move(*outcome)};
}

Json subjects_task(const std::string& task, const std::string& name) {
  return {{"task", task},           {"questions", "./q.jsonl"}, {"metrics", {"acc"}},
          {"prompt", "{question}"}, {"version", "1"},           {"subtasks", {{"name", name}, {"alias", "{subject}"}}}};
}

RunReport report_of(const std::vector<Exam>& exams, const std::vector<std::string>& models) {
  RunReport report;
  report.started = "2026-01-02T03:04:05.000006";
  for (const Exam& e : exams) report.tasks.push_back(e.task);
  for (const std::string& name : models) {
    ModelRun& run = report.models.emplace_back();
    run.name = name, run.path = "/models/" + name;
    for (const Exam& e : exams) run.outcomes.push_back(e.outcome);
  }
  return report;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

const std::vector<std::string> kBadNames = {"/../../../up",
                                            "..",
                                            "Business/Economics",
                                            "Business_Economics",
                                            std::string(300, 'l'),
                                            std::string(300, 'l') + "2",
                                            "\xE4\xB8\xAD\xE6\x96\x87\xE5\xAD\xA6",
                                            "a\nb\x1b[31m\r\x07",
                                            "\xE2\x80\xAE"
                                            "desrever",
                                            std::string("nul\0byte", 8),
                                            ""};

}  // namespace

TEST_CASE("every subject's samples lie in the model's folder, one file each, whatever it is called") {
  const Scratch s;
  const Exam e = exam(s, subjects_task("t", "s_{subject}"), kBadNames);
  const std::vector<std::string> models = {"m\xE9", "org/name", "..", "x/../../y", "\x1b[2J", std::string(400, 'm')};
  const RunReport report = report_of({e}, models);
  const std::string out = (s.dir / "deep/er/out").string();
  REQUIRE(check_names(report.tasks, models).has_value());
  REQUIRE(make_output_folders(out, models).has_value());
  for (const ModelRun& run : report.models) {
    const auto written = write_harness_files(report, run, out);
    REQUIRE_MESSAGE(written.has_value(), written.error().message);
  }
  REQUIRE(write_run_file(report, out).has_value());
  std::size_t folders = 0;
  for (const auto& model : fs::directory_iterator(out)) {
    if (!model.is_directory()) continue;
    ++folders;
    std::size_t samples = 0;
    Json results;
    std::map<std::string, std::size_t> count;
    for (const auto& file : fs::directory_iterator(model.path())) {
      const std::string name = file.path().filename().string(), text = moe_test::read_file(file.path());
      REQUIRE(name.size() < 256);
      if (name.starts_with("results_")) {
        results = Json::parse(text);
        continue;
      }
      ++samples;
      CHECK(name.ends_with("_2026-01-02T03-04-05.000006.jsonl"));
      CHECK(std::count(text.begin(), text.end(), '\n') == 1);
      count[name] = 1;
      CHECK(Json::parse(text).is_object());
    }
    CHECK(samples == kBadNames.size());
    CHECK(results["results"].size() == kBadNames.size() + 1);
    // Where the file's name is not the subject's, the results say which one it is.
    CHECK(static_cast<std::ptrdiff_t>(results["libmoe_sample_files"].size()) ==
          std::count_if(kBadNames.begin(), kBadNames.end(),
                        [](const std::string& n) { return moe::file_name_of("s_" + n) != "s_" + n; }));
    for (const auto& [subtask, file] : results["libmoe_sample_files"].items())
      CHECK(count.contains(file.get<std::string>()));
  }
  CHECK(folders == models.size());
  CHECK(fs::exists(s.dir / "deep/er/out/org__name"));  // as the reference harness calls it
  CHECK(Json::parse(moe_test::read_file(s.dir / "deep/er/out/run.json"))["models"].size() == models.size());
  // Nothing went anywhere else: q.jsonl, task.json, deep.
  CHECK(std::distance(fs::directory_iterator(s.dir), fs::directory_iterator{}) == 3);
  CHECK(std::distance(fs::directory_iterator(s.dir / "deep/er"), fs::directory_iterator{}) == 1);
}

TEST_CASE("names that would meet are refused, and both are named") {
  const Scratch s;
  const auto refusal = [](const std::vector<PreparedTask>& tasks, const std::vector<std::string>& models) {
    const auto ok = check_names(tasks, models);
    if (ok) return std::string();
    CHECK(ok.error().code == moe::ErrorCode::bad_argument);
    return ok.error().message;
  };
  const Exam one = exam(s, subjects_task("t", "same"), {"s1", "s2"});
  CHECK(refusal({one.task}, {"m"}).find("subject 's1' of task 't' and subject 's2' of task 't'") == 0);
  const RunReport report = report_of({one}, {"m"});
  CHECK_FALSE(write_harness_files(report, report.models[0], (s.dir / "out").string()).has_value());
  CHECK_FALSE(fs::exists(s.dir / "out"));
  // Across tasks, and a subject against a group or the whole task.
  const Exam a = exam(s, subjects_task("a", "s_{subject}"), {"x", "y"}),
             b = exam(s, subjects_task("b", "s_{subject}"), {"z", "y"}),
             c = exam(s, subjects_task("c", "{subject}"), {"c", "d"});
  CHECK(refusal({a.task, b.task}, {"m"}).find("'s_y'") != std::string::npos);
  CHECK(refusal({c.task}, {"m"}).find("task 'c'") != std::string::npos);
  Json grouped = subjects_task("g", "{subject}");
  grouped["groups"] = {{{"name", "d"}, {"subjects", {"c", "d"}}}};
  CHECK(refusal({exam(s, grouped, {"c", "d"}).task}, {"m"}).find("group 'd' of task 'g'") != std::string::npos);
  CHECK(refusal({a.task, c.task}, {"m"}) != "");
  CHECK(refusal({a.task}, {"m"}) == "");
  // Models: one name, one folder, one name once it is JSON, the run's own file.
  CHECK(refusal({a.task}, {"m", "n", "m"}).find("model 'm'") == 0);
  CHECK(refusal({a.task}, {"org/m", "org__m"}).find("one file") != std::string::npos);
  CHECK(refusal({a.task}, {"m\xE9", "m\xE8"}).find("one name") != std::string::npos);
  CHECK(refusal({a.task}, {"run.json"}).find("whole run") != std::string::npos);
  CHECK(refusal({a.task}, {"org/m", "org/n", "m[top_k=1]"}) == "");
}

TEST_CASE("the built-in tasks can be asked in one run") {
  std::vector<PreparedTask> tasks;
  for (const std::string& name : builtin_task_names()) {
    auto spec = load_task(name);
    REQUIRE(spec.has_value());
    PreparedTask& task = tasks.emplace_back();
    for (const auto& [subject, title] : spec->subjects) {
      Subtask& subtask = task.subtasks.emplace_back();
      subtask.subject = subject;
      // The templates of the built-in subtasks hold the subject alone.
      std::string text = spec->subtask_name;
      if (const std::size_t at = text.find("{subject}"); at != std::string::npos) text.replace(at, 9, subject);
      subtask.name = text;
    }
    if (task.subtasks.empty()) task.subtasks.push_back({spec->name, spec->alias, {}, {}, 0});
    task.spec = std::move(*spec);
  }
  const std::vector<std::string> models = {"m"};
  const auto ok = check_names(tasks, models);
  CHECK_MESSAGE(ok.has_value(), ok.error().message);
}

TEST_CASE("a file that cannot be written does not cost the others") {
  const Scratch s;
  const Exam e = exam(s, subjects_task("t", "s_{subject}"), {"a", "b", "c"});
  const RunReport report = report_of({e}, {"m"});
  const fs::path out = s.dir / "out", folder = out / "m";
  fs::create_directories(folder / "samples_s_a_2026-01-02T03-04-05.000006.jsonl");
  // The second one: a link to a full device, where one can be made, else to nowhere.
  const std::string full = moe_test::full_device(s.dir);
  fs::create_symlink(full.empty() ? "/absent/x" : full, folder / "samples_s_c_2026-01-02T03-04-05.000006.jsonl");
  const auto written = write_harness_files(report, report.models[0], out.string());
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().message.find("samples_s_a_") != std::string::npos);
  CHECK(written.error().message.find("and 1 more") != std::string::npos);
  CHECK(moe_test::read_file(folder / "samples_s_b_2026-01-02T03-04-05.000006.jsonl").find("\"q1\"") !=
        std::string::npos);
  CHECK(Json::parse(moe_test::read_file(folder / "results_2026-01-02T03-04-05.000006.json"))["results"].size() == 4);
  // Known before the first question: a folder that cannot be one, a run.json that is one.
  std::ofstream(out / "n") << "a file";
  CHECK_FALSE(make_output_folders(out.string(), std::vector<std::string>{"m", "n"}).has_value());
  fs::create_directory(out / "run.json");
  CHECK_FALSE(make_output_folders(out.string(), std::vector<std::string>{"m"}).has_value());
}

TEST_CASE("tables show any name on one line, aligned, and cut where it is long") {
  const Scratch s;
  Json spec = subjects_task("t\x1b[2J\nEVIL", "{subject}");
  spec["group_by"] = {"subject"};
  spec["groups"] = {{{"name", "g\nEVIL"}, {"alias", "\x1b]0;x\x07"}, {"subjects", {kBadNames[2], kBadNames[7]}}}};
  const RunReport report = report_of({exam(s, spec, kBadNames)}, {"m\nEVIL", "\xE6\xA8\xA1\xE5\x9E\x8B", "\x1b[31m"});
  const std::string text = render_tables(report, {.columns = 300, .verbose = true});
  for (const char c : text) CHECK((c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)));
  CHECK(text.find("\xE2\x80\xAE") == std::string::npos);
  std::size_t aligned = 0;
  const auto lines = lines_of(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK_FALSE(lines[i].starts_with("EVIL"));
    CHECK(moe::display_width(lines[i]) < 300);
    // Under a header stands a line as wide as the table; the last column is flush with its end.
    if (lines[i].empty() || lines[i].find_first_not_of('-') != std::string::npos) continue;
    for (std::size_t r = i + 1; r < lines.size() && lines[r].find("  ") != std::string::npos; ++r, ++aligned)
      CHECK(moe::display_width(lines[r]) <= moe::display_width(lines[i]));
  }
  CHECK(aligned > 10);
  // A column of numbers ends at the same place in each row, wide characters or not.
  std::vector<std::size_t> ends;
  for (const std::string& line : lines)
    if (line.find("\xE4\xB8\xAD\xE6\x96\x87\xE5\xAD\xA6 ") != std::string::npos ||
        line.find("Business/Economics ") != std::string::npos)
      ends.push_back(moe::display_width(line));
  REQUIRE(ends.size() >= 2);
  for (const std::size_t end : ends) CHECK(end == ends.front());
}

TEST_CASE("tables are as wide as they may be, and lose no column") {
  const Scratch s;
  Json spec = subjects_task("t", "{subject}");
  const RunReport report =
      report_of({exam(s, spec, kBadNames)}, {std::string(90, 'm'), "\xE6\xA8\xA1\xE5\x9E\x8B", std::string(70, 'n')});
  for (const std::size_t columns : {40, 60, 80, 100, 200})
    for (const bool is_terminal : {false, true}) {
      CAPTURE(columns);
      const std::string text = render_tables(report, {.columns = columns, .verbose = true, .is_terminal = is_terminal});
      for (const std::string& line : lines_of(text)) CHECK_MESSAGE(moe::display_width(line) <= columns, line);
      for (const char* head : {"acc %", "GFLOPs/question", "front", "tokens/s", "points/GFLOP", "resident B", "reuse",
                               "truncated", "tokens computed", "p (McNemar)", "verdict"})
        CHECK_MESSAGE(text.find(head) != std::string::npos, head);
      CHECK((text.find("\u2588") != std::string::npos) == (is_terminal && columns == 200));
      CHECK(text.find('\x1b') == std::string::npos);
    }
  CHECK(render_tables(report, {.colour = true}).find("\x1b[1m") != std::string::npos);
}

TEST_CASE("a group may have fewer metrics than its questions, in any order") {
  const Scratch s;
  for (const bool grouped : {true, false})
    for (const std::vector<std::string>& metrics :
         {std::vector<std::string>{"acc"}, {"acc_norm"}, {"acc_norm", "acc"}}) {
      Json spec = subjects_task("t", "{subject}");
      spec["metrics"] = {"acc", "acc_norm"};
      spec["group_metrics"] = metrics;
      if (!grouped) spec.erase("subtasks"), spec.erase("groups");
      const std::string text =
          render_tables(report_of({exam(s, spec, {"law", "art"})}, {"m", "n"}), {.columns = 200, .verbose = true});
      const auto lines = lines_of(text);
      const auto head = std::find_if(lines.begin(), lines.end(), [](const auto& l) { return l.starts_with("model "); });
      REQUIRE_MESSAGE(head != lines.end(), text);
      CHECK_MESSAGE(head->find("acc %") != std::string::npos, *head);
      // What the whole task has beside the accuracy: of its subtasks what the file says, alone all.
      const bool has_more = !grouped || metrics.front() == "acc_norm";
      CHECK_MESSAGE((head->find("acc_norm %") != std::string::npos) == has_more, *head);
      for (auto row = head + 2; row != lines.end() && !row->empty(); ++row)
        if (row->starts_with("m ") || row->starts_with("n "))
          CHECK_MESSAGE(moe::display_width(*row) <= moe::display_width(*(head + 1)), *row);
    }
}

TEST_CASE("run.json names the metric that is the accuracy, and the questions that were asked") {
  const Scratch s;
  const auto task_of = [&](const std::vector<std::string>& metrics, const std::vector<std::string>& subjects) {
    Json spec = subjects_task("t", "{subject}");
    spec["metrics"] = metrics;
    return Json::parse(run_file_text(report_of({exam(s, spec, subjects)}, {"m"})))["models"][0]["tasks"][0];
  };
  CHECK(task_of({"acc"}, {"law"})["accuracy_metric"] == "acc");
  const Json both = task_of({"acc_norm", "acc"}, {"law", "art"}), other = task_of({"acc"}, {"law", "law"});
  CHECK(both["accuracy_metric"] == "acc");
  CHECK(both["accuracy"] == both["rows"][0]["metrics"]["acc"]["value"]);
  CHECK(task_of({"acc_norm"}, {"law"})["accuracy_metric"] == "acc_norm");
  CHECK(both["questions_hash"].get<std::string>().size() == 64);
  CHECK(both["questions_hash"] == task_of({"acc"}, {"law", "art"})["questions_hash"]);
  CHECK(both["questions_hash"] != other["questions_hash"]);
  RunReport report = report_of({exam(s, subjects_task("t", "{subject}"), {"law", "art"})}, {"m"});
  const auto hash = [&] { return Json::parse(run_file_text(report))["models"][0]["tasks"][0]["questions_hash"]; };
  CHECK(hash() == both["questions_hash"]);
  report.tasks[0].subtasks[1].documents[0].question.json = "{}";
  CHECK(hash() != both["questions_hash"]);
}

TEST_CASE("of a task with no accuracy run.json names no metric as one") {
  const Scratch s;
  std::ofstream(s.dir / "texts.jsonl") << Json{{"id", "t"}, {"text", "some words"}} << "\n";
  std::ofstream(s.dir / "texts.json") << Json{{"task", "texts"},
                                              {"questions", "./texts.jsonl"},
                                              {"type", "rolling"},
                                              {"continuation", "{text}"},
                                              {"metrics", {"byte_perplexity"}}};
  const auto spec = load_task((s.dir / "texts.json").string());
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  auto task = prepare(*spec, {});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  moe_test::FakeModel model;
  auto outcome = evaluate(*task, model);
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  const Json text = Json::parse(run_file_text(report_of({{*task, *outcome}}, {"m"})));
  CHECK(text["models"][0]["tasks"][0]["accuracy_metric"].is_null());
}

TEST_CASE("counters of a run have the answers from the store") {
  const Scratch s;
  RunReport report = report_of({exam(s, subjects_task("t", "{subject}"), {"law", "art"})}, {"m"});
  report.models[0].outcomes[0].stored_answers = 1234567;
  const std::string text = render_tables(report, {.columns = 200, .verbose = true});
  CHECK_MESSAGE(text.find(" 1234567 ") != std::string::npos, text);
}

TEST_CASE("what was found stands first, in words") {
  const Scratch s;
  Json spec = subjects_task("t", "{subject}");
  const RunReport two = report_of({exam(s, spec, kBadNames)}, {"a", "b"});
  CHECK_MESSAGE(render_tables(two).starts_with("t: a and b are not distinguishable by "), render_tables(two));
  const RunReport one = report_of({exam(s, spec, kBadNames)}, {"a"});
  CHECK_MESSAGE(render_tables(one).starts_with("t: a answers "), render_tables(one));
  // Two models that answer nothing alike differ.
  RunReport apart = two;
  for (auto& subtask : apart.models[0].outcomes[0].documents)
    for (auto& document : subtask) document.metrics[0] = 1;
  for (auto& subtask : apart.models[1].outcomes[0].documents)
    for (auto& document : subtask) document.metrics[0] = 0;
  CHECK_MESSAGE(render_tables(apart).starts_with("t: a is better than b by 100.00 ± "), render_tables(apart));
}

TEST_CASE("a text is wrapped between words, and colours take no columns") {
  CHECK(moe::wrapped("one two three four", 9) == "one two\n  three\n  four\n");
  CHECK(moe::wrapped("one \x1b[1mtwo\x1b[0m three", 9) == "one \x1b[1mtwo\x1b[0m\n  three\n");
  CHECK(moe::wrapped("abcdefghijklm no", 10) == "abcd...m\n  no\n");
  CHECK(moe::wrapped("", 9) == "\n");
}

TEST_CASE("a table and a chart are gates of their own") {
  TextTable table({"n\name", "x"});
  table.add({"\x1b[2J\xE4\xB8\xAD", "1"});
  table.add({std::string(1000, 'l'), "22"});
  const auto lines = lines_of(table.render());
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].starts_with("n\\x0aame "));
  CHECK(lines[2].starts_with("\\x1b[2J\xE4\xB8\xAD "));
  for (const std::string& line : lines) CHECK(moe::display_width(line) == moe::display_width(lines[1]));
  CHECK(moe::display_width(lines[1]) < 150);
  TextTable words({"a", "b"}, TextTable::Align::words);
  words.add({"1", "second\r"});
  words.add({"longer", "x"});
  CHECK(words.render() == "a       b\n1       second\\x0d\nlonger  x\n");
  const std::string chart =
      render_chart({{"m\nEVIL\x1b[31m", 1e9, 0.5, {}, true}, {std::string(500, 'n'), 2e9, 0.6, {}, true}});
  for (const std::string& line : lines_of(chart)) {
    CHECK_FALSE(line.starts_with("EVIL"));
    CHECK(line.find('\x1b') == std::string::npos);
    CHECK(moe::display_width(line) < 100);
  }
}

}  // namespace eval_output_test
