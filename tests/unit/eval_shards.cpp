// Questions dealt to shards, and stores merged: every shard's answers together are those of one process.

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "eval/store/run_rows.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/shard.hpp"
#include "unit/store_support.hpp"

namespace eval_shards_test {

using namespace moe_test;

namespace {

// Subjects of very different sizes with worked examples; in the last one four questions each share a long passage.
PreparedTask subjects() {
  PreparedTask task;
  task.spec.name = "subjects", task.spec.subtask_name = "subjects_{subject}";
  const int sizes[] = {3, 40, 400, 1, 64};
  for (int s = 0; s < 5; ++s) {
    Subtask& subtask = task.subtasks.emplace_back();
    subtask.name = "s" + std::to_string(s), subtask.original_count = sizes[s];
    for (int d = 0; d < sizes[s]; ++d) {
      Document& document = subtask.documents.emplace_back();
      document.question.id = std::to_string(s) + "." + std::to_string(d);
      document.contexts = {std::string(900, static_cast<char>('a' + s)) +
                           (s == 4
                                ? std::string(500, static_cast<char>('A' + d / 4))
                                : "question " + std::to_string(d) + std::string(static_cast<std::size_t>(d % 7), '?'))};
      document.continuations = {"yes", "no", std::to_string(d)};
    }
  }
  return task;
}

std::vector<QuestionIndex> dealt(const PreparedTask& task, Shard shard) {
  auto questions = questions_of(task, shard);
  REQUIRE_MESSAGE(questions.has_value(), questions.error().message);
  return std::move(*questions);
}

class RefusingModel : public LanguageModel {
 public:
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest>, const Hooks&) override {
    return moe::fail(moe::ErrorCode::cancelled, "asked");
  }
};

// A model of a machine that computes one answer in seven wrongly.
class BrokenModel : public CountingModel {
 public:
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks) override {
    Hooks wrong = hooks;
    wrong.on_score = [&](std::int64_t i, const Score& right) {
      Score score = right;
      if (i % 7 == 0) score.log_likelihood = std::nextafter(score.log_likelihood, 0.0);
      hooks.on_score(i, score);
    };
    return CountingModel::score(requests, wrong);
  }
};

StoredRun record(const std::string& name = "m") {
  StoredRun run;
  run.model = name, run.path = "path", run.setting = kSetting;
  return run;
}

std::string samples(const PreparedTask& task, const TaskOutcome& outcome, const fs::path& folder) {
  RunReport report;
  report.started = "now";
  report.tasks = {task};
  ModelRun& run = report.models.emplace_back();
  run.name = "m";
  run.outcomes = {outcome};
  REQUIRE(write_harness_files(report, run, folder.string()).has_value());
  return moe_test::read_file(folder / "m" / "samples_exam_now.jsonl");
}

MergedCounts merge(const std::string& into, const std::string& from) {
  const auto counts = merge_store(into, from);
  REQUIRE_MESSAGE(counts.has_value(), counts.error().message);
  return *counts;
}

void check_refused(const moe::Result<MergedCounts>& merged, moe::ErrorCode code,
                   const std::vector<std::string>& named) {
  REQUIRE(!merged.has_value());
  CHECK(merged.error().code == code);
  for (const std::string& name : named) {
    CAPTURE(merged.error().message);
    CAPTURE(name);
    CHECK(merged.error().message.find(name) != std::string::npos);
  }
}

// Writes the only run of a store again, with right checksums, as another machine might have written it.
void rewrite(const std::string& path, const std::function<void(StoredRun&, std::vector<StoredAnswer>&)>& change) {
  sqlite3* handle = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
  const Database database(handle, path);
  RowReader row(database, "runs", "");
  REQUIRE(row.next().value_or(false));
  StoredRun run = read_run(row);
  const std::string key = key_column(row);
  auto answers = answers_of(database, run.id, answers_column(row));
  REQUIRE(answers.has_value());
  row.reset();
  change(run, *answers);
  const auto sum = replace_answers(database, run.id, *answers);
  REQUIRE(sum.has_value());
  REQUIRE(write_run(database, key, run, *sum).has_value());
}

}  // namespace

TEST_CASE("every question is in one shard, in file order, whatever the number of shards") {
  const PreparedTask task = subjects();
  for (const int count : {1, 2, 3, 5, 8, 100, 508, 600, 65536}) {
    CAPTURE(count);
    std::set<QuestionIndex> seen;
    for (int i = 1; i <= std::min(count, 700); ++i) {
      const auto questions = dealt(task, {i, count});
      CHECK(std::is_sorted(questions.begin(), questions.end()));
      for (const QuestionIndex& q : questions) CHECK(seen.insert(q).second);
    }
    CHECK(seen.size() == 508);
  }
}

TEST_CASE("shards are of one size, and the same prompt is in one of them") {
  const PreparedTask task = subjects();
  for (const int count : {2, 3, 5}) {
    CAPTURE(count);
    std::vector<std::size_t> bytes;
    std::map<std::string, int> shard_of_prompt;
    for (int i = 1; i <= count; ++i) {
      std::set<std::string> prompts;  // in order: a prompt costs what it adds to the one before
      bytes.push_back(0);
      for (const QuestionIndex& q : dealt(task, {i, count})) {
        const Document& document = task.subtasks[q.subtask].documents[q.document];
        CHECK(shard_of_prompt.try_emplace(document.contexts[0], i).first->second == i);
        prompts.insert(document.contexts[0]);
        for (const std::string& continuation : document.continuations) bytes.back() += continuation.size();
      }
      std::string before;
      for (const std::string& prompt : prompts) {
        const auto same = std::mismatch(prompt.begin(), prompt.end(), before.begin(), before.end()).first;
        bytes.back() += static_cast<std::size_t>(prompt.end() - same);
        before = prompt;
      }
    }
    const std::size_t least = *std::min_element(bytes.begin(), bytes.end());
    const std::size_t most = *std::max_element(bytes.begin(), bytes.end());
    CAPTURE(least);
    CAPTURE(most);
    CHECK(most < least + least / 2);
  }
  // A task whose questions all have one prompt has one shard that works.
  PreparedTask one = exam(Scratch(), 12);
  for (Document& document : one.subtasks[0].documents) document.contexts = {"the same"};
  std::size_t busy = 0;
  for (int i = 1; i <= 4; ++i) busy += dealt(one, {i, 4}).empty() ? 0 : 1;
  CHECK(busy == 1);
  CHECK(dealt(PreparedTask{}, {1, 3}).empty());
}

TEST_CASE("a shard is named by two numbers") {
  for (const auto& [text, shard] :
       {std::pair{"1/1", Shard{1, 1}}, {"2/3", Shard{2, 3}}, {"65536/65536", {65536, 65536}}}) {
    const auto read = parse_shard(text);
    REQUIRE(read.has_value());
    CHECK(*read == shard);
    CHECK(to_string(*read) == text);
  }
  for (const char* text : {"", "/", "1", "1/", "/3", "0/3", "4/3", "-1/3", "1/65537", "1/3/5", " 1/3", "1 / 3", "1/3 ",
                           "a/b", "1.0/3", "99999999999999999999/3", "0x1/3", "1/0"}) {
    const auto read = parse_shard(text);
    CAPTURE(text);
    REQUIRE(!read.has_value());
    CHECK(read.error().message.find("expected I/N with 1 <= I <= N") != std::string::npos);
  }
  for (const Shard shard : {Shard{0, 1}, Shard{2, 1}, Shard{1, 0}, Shard{-1, -1}, Shard{1, 65537}})
    CHECK(!questions_of(subjects(), shard).has_value());
}

TEST_CASE("shards merged are one process, also after one of them was stopped") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 60);
  CountingModel plain;
  const std::string expected = samples(task, *evaluate(task, plain), scratch.dir / "plain");
  for (const int count : {1, 2, 3, 5}) {
    CAPTURE(count);
    const std::string name = std::to_string(count);
    std::int64_t questions = 0;
    std::size_t asked = 0;
    for (int i = 1; i <= count; ++i) {
      const std::string file = scratch / (name + "." + std::to_string(i));
      if (i == 2) {  // stopped after its second step, then told again
        CountingModel model;
        int steps = 0;
        Hooks hooks;
        hooks.cancelled = [&] { return ++steps > 2; };
        REQUIRE(!answer_shard(task, {i, count}, model, *open_store(file), record(), hooks).has_value());
        asked += model.asked;
      }
      CountingModel model;
      const auto answered = answer_shard(task, {i, count}, model, *open_store(file), record());
      REQUIRE_MESSAGE(answered.has_value(), answered.error().message);
      questions += *answered, asked += model.asked;
    }
    CHECK(questions == 60);
    CHECK(asked == 240);
    std::int64_t added = 0;
    for (int i = count; i >= 1; --i) {
      const MergedCounts counts = merge(scratch / name, scratch / (name + "." + std::to_string(i)));
      added += counts.added;
      CHECK(counts.known == 0);
      CHECK(counts.runs == (i == count ? 1 : 0));
    }
    CHECK(added == 240);
    const auto store = open_store(scratch / name);
    CHECK((*store->runs())[0].finished.empty());
    RefusingModel nobody;
    const auto outcome = evaluate_stored(task, nobody, *store, record());
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    CHECK(samples(task, *outcome, scratch.dir / ("out" + name)) == expected);
    CHECK(store->runs()->size() == 1);
    CHECK(store->verify().has_value());
  }
}

TEST_CASE("two answers to one question are an error that names both, and nothing is merged") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 10);
  CountingModel right;
  BrokenModel broken;
  REQUIRE(answer_shard(task, {1, 2}, right, *open_store(scratch / "a"), record()).has_value());
  REQUIRE(answer_shard(task, {1, 1}, broken, *open_store(scratch / "b"), record()).has_value());
  const auto before = open_store(scratch / "a")->runs()->size();
  const auto merged = merge_store(scratch / "a", scratch / "b");
  check_refused(merged, moe::ErrorCode::bad_file,
                {scratch / "a", scratch / "b", "in two ways: log-likelihood -", "; log-"});
  check_refused(merge_store(scratch / "b", scratch / "a"), moe::ErrorCode::bad_file, {scratch / "a", scratch / "b"});
  const auto store = open_store(scratch / "a");
  CHECK(store->verify().has_value());
  CHECK(store->runs()->size() == before);
}

TEST_CASE("replies, finished runs and evaluations are merged as well") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 8);
  const std::vector<std::string> stop = {"\n"};
  const std::vector<GenerateRequest> requests = {{"one", stop, 5, "q"}, {"two", stop, 5, "q"}};
  for (const char* name : {"a", "b"}) {
    const auto store = open_store(scratch / name);
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    REQUIRE(stored.generate(std::span(requests).first(name[0] == 'a' ? 1 : 2)).has_value());
    REQUIRE(evaluate_stored(task, inner, *store, record(std::string("model ") + name)).has_value());
    if (name[0] == 'b') REQUIRE(evaluate_stored(task, inner, *store, record("model a")).has_value());
    REQUIRE(store->add_evaluation(std::string("then ") + name, "{}").has_value());
  }
  const MergedCounts counts = merge(scratch / "a", scratch / "b");
  CHECK(counts.added == 1);
  CHECK(counts.known == 33);
  CHECK(counts.runs == 1);
  CHECK(counts.evaluations == 1);
  const auto store = open_store(scratch / "a");
  CHECK(store->verify().has_value());
  const auto runs = store->runs();
  REQUIRE(runs->size() == 2);
  CHECK((*runs)[1].model == "model b");
  CHECK(store->answers(2)->size() == 8);
  CHECK((*store->answers(2))[7].question.starts_with("q7 "));
  CHECK(store->evaluations()->size() == 2);
  // Again: nothing is new.
  const MergedCounts again = merge(scratch / "a", scratch / "b");
  CHECK(again.added + again.runs + again.evaluations == 0);
  CHECK(again.known == 34);
}

TEST_CASE("a store that lost a run is merged with none, on either side") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 4);
  CountingModel model;
  for (const char* name : {"whole", "lost"}) {
    const auto store = open_store(scratch / name);
    for (const char* run : {"one", "two"}) REQUIRE(evaluate_stored(task, model, *store, record(run)).has_value());
  }
  sql(scratch / "lost", "DELETE FROM runs WHERE id = 1; DELETE FROM answers WHERE run = 1");
  check_refused(merge_store(scratch / "whole", scratch / "lost"), moe::ErrorCode::bad_file, {"lost is damaged"});
  check_refused(merge_store(scratch / "lost", scratch / "whole"), moe::ErrorCode::bad_file, {"lost is damaged"});
}

TEST_CASE("one run finished on two machines is the same if answers and FLOPs are, whatever order sums were added in") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 8);
  CountingModel model;
  for (const char* name : {"a", "b"})
    REQUIRE(evaluate_stored(task, model, *open_store(scratch / name), record()).has_value());
  const auto merge_changed = [&](const std::function<void(StoredRun&, std::vector<StoredAnswer>&)>& change) {
    rewrite(scratch / "b", change);
    REQUIRE(open_store(scratch / "b")->verify().has_value());
    return merge_store(scratch / "a", scratch / "b");
  };
  const auto other_sum = merge_changed([](StoredRun& run, std::vector<StoredAnswer>&) {
    REQUIRE(run.standard_error.has_value());
    run.standard_error = std::nextafter(*run.standard_error, 1.0);
  });
  REQUIRE_MESSAGE(other_sum.has_value(), other_sum.error().message);
  CHECK(other_sum->runs == 0);
  const auto other_answer = merge_changed(
      [](StoredRun&, std::vector<StoredAnswer>& answers) { answers[3].correct = 1.0 - answers[3].correct; });
  check_refused(other_answer, moe::ErrorCode::bad_file,
                {scratch / "a", scratch / "b", "answers to the questions differ, first to '"});
  const auto other_flops = merge_changed([](StoredRun& run, std::vector<StoredAnswer>& answers) {
    answers[3].correct = 1.0 - answers[3].correct;
    run.model_flops += 1;
  });
  check_refused(other_flops, moe::ErrorCode::bad_file, {scratch / "a", scratch / "b", " FLOPs"});
  CHECK(other_flops.error().message.find("differ") == std::string::npos);
}

TEST_CASE("a store that is missing, damaged or the same is refused, and the other one stays") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 10);
  CountingModel model;
  REQUIRE(answer_shard(task, {1, 2}, model, *open_store(scratch / "a"), record()).has_value());
  REQUIRE(answer_shard(task, {2, 2}, model, *open_store(scratch / "b"), record()).has_value());
  check_refused(merge_store(scratch / "a", scratch / "a"), moe::ErrorCode::bad_argument, {"with itself"});
  check_refused(merge_store(scratch / "a", scratch / "none"), moe::ErrorCode::not_found, {scratch / "none"});
  check_refused(merge_store(scratch / "new", scratch / "none"), moe::ErrorCode::not_found, {scratch / "none"});
  CHECK(!fs::exists(scratch / "new"));
  check_refused(merge_store(scratch / "a", scratch / "exam.jsonl"), moe::ErrorCode::bad_file, {scratch / "exam.jsonl"});
  check_refused(merge_store(scratch / "exam.jsonl", scratch / "a"), moe::ErrorCode::bad_file, {scratch / "exam.jsonl"});
  const auto cancelled = merge_store(scratch / "a", scratch / "b", {.cancelled = [] { return true; }});
  check_refused(cancelled, moe::ErrorCode::cancelled, {"is as it was"});
  sql(scratch / "b", "UPDATE scores SET pass_tokens = 99 WHERE key = (SELECT max(key) FROM scores)");
  check_refused(merge_store(scratch / "a", scratch / "b"), moe::ErrorCode::bad_file, {scratch / "b", "checksum"});
  // All or nothing: the rows before the damaged one were not kept.
  const auto store = open_store(scratch / "a");
  CHECK(store->verify().has_value());
  CountingModel counting;
  StoredModel stored(counting, *store, kSetting);
  REQUIRE(evaluate(task, stored).has_value());
  CHECK(counting.asked == 4 * dealt(task, {2, 2}).size());
}

}  // namespace eval_shards_test
