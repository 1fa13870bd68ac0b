// The run store: killed at any moment, locked, damaged. Old results stay, resumed ones are the same.

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <set>
#include <thread>

#include "eval/report/forms.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/store.hpp"
#include "unit/store_support.hpp"

namespace eval_store_test {

using namespace moe_test;

TEST_CASE("what is known is not asked again, and comes back bit for bit") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 10);
  CountingModel plain;
  const std::string expected = samples_of(task, plain, scratch.dir / "out");
  for (int round = 0; round < 2; ++round) {
    const auto store = open_store(scratch / "runs.db");
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    CHECK(samples_of(task, stored, scratch.dir / "out") == expected);
    CHECK(inner.asked == (round == 0 ? 40u : 0u));
    CHECK(stored.stored_answers() == (round == 0 ? 0 : 40));
  }
  const auto store = open_store(scratch / "runs.db");
  CountingModel inner;
  StoredModel stored(inner, *store, kSetting);
  const std::vector<std::string> stop = {"\n"}, other = {"\n\n"};
  std::vector<GenerateRequest> requests = {{"one", stop, 5, "q"}, {"two", stop, 5, "q"}};
  const auto first = stored.generate(requests, {}), second = stored.generate(requests, {});
  CHECK(inner.asked == 2);
  REQUIRE(second.has_value());
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK((*second)[i].text == (*first)[i].text);
    CHECK((*second)[i].finished == (*first)[i].finished);
    CHECK((*second)[i].pass_tokens == (*first)[i].pass_tokens);
  }
  requests[0].stop = other, requests[1].max_tokens = 6;
  REQUIRE(stored.generate(requests, {}).has_value());
  CHECK(inner.asked == 4);
}

TEST_CASE("answers from the store have no speed: tables and run.json say how many there are") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 10);
  const auto store = open_store(scratch / "runs.db");
  CountingModel inner;
  // The first 3 questions were asked before.
  StoredModel before(inner, *store, kSetting);
  REQUIRE(answer(task, std::vector<QuestionIndex>{{0, 0}, {0, 1}, {0, 2}}, before));
  for (const std::int64_t known : {12, 40}) {
    StoredModel stored(inner, *store, kSetting);
    RunReport report;
    report.tasks = {task};
    report.models.emplace_back().name = "m";
    auto outcome = evaluate(task, stored);
    REQUIRE(outcome);
    CHECK(outcome->stored_answers == known);
    outcome->seconds = 2;
    report.models[0].outcomes = {*outcome};
    const std::string tables = render_tables(report);
    CHECK_MESSAGE(tables.find("m: " + std::to_string(known) + " answers are from the cache") != std::string::npos,
                  tables);
    CHECK(Json::parse(run_file_text(report))["models"][0]["tasks"][0]["stored_answers"] == known);
    // Only the last column differs.
    report.models[0].outcomes[0].stored_answers = 0;
    const std::string timed = render_tables(report);
    CHECK(timed.find("from the cache") == std::string::npos);
    CHECK(timed.find(scaled_form(static_cast<double>(outcome->pass_tokens) / 2)) != std::string::npos);
    CHECK(tables.find(scaled_form(static_cast<double>(outcome->pass_tokens) / 2)) == std::string::npos);
  }
}

TEST_CASE("another model, precision, cache type, tokenizer or version asks anew; so does another text") {
  const Scratch scratch;
  PreparedTask task = exam(scratch, 2);
  {
    const auto store = open_store(scratch / "runs.db");
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    REQUIRE(evaluate(task, stored).has_value());
  }
  CHECK(missing_answers(task, scratch / "runs.db") == 0);
  std::vector<StoreSetting> others(11, kSetting);
  others[0].model_hash = "other";
  others[1].formats = "4 q4_0";
  others[2].precision = moe::Precision::reference;
  others[3].kv = moe::KvType::f32;
  others[4].top_k = 3;
  others[5].max_length = 128;
  others[6].tokenizer = 78;
  others[7].numerics_version += 1;
  others[8].chat = "a template";
  others[9].experts = "top_k=2 expert_mass=0.9 plain";
  others[10].kv = moe::KvType::q8_0;
  for (std::size_t i = 0; i < others.size(); ++i) {
    CAPTURE(i);
    CHECK(missing_answers(task, scratch / "runs.db", others[i]) == 8);
  }
  task.subtasks[0].documents[0].contexts[0] += " ";
  CHECK(missing_answers(task, scratch / "runs.db") == 4);
}

TEST_CASE("killed at 20 random moments: what was done is kept, and the end is the same bytes") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 120);
  CountingModel plain;
  const std::string expected = samples_of(task, plain, scratch.dir / "out");
  auto* done = static_cast<std::atomic<std::int64_t>*>(
      mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(done != MAP_FAILED);
  std::mt19937 random(20);
  int killed_in_work = 0;
  bool fresh = true;
  for (int round = 0; round < 20; ++round) {
    const std::string path = scratch / "kill.db";
    if (fresh)
      for (const char* tail : {"", "-wal", "-shm"}) fs::remove(path + tail);
    *done = 0;
    auto victim = static_cast<int>(5 + random() % 470);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto store = RunStore::open(path);
      if (!store) _exit(3);
      CountingModel inner;
      inner.step = 1 + static_cast<std::size_t>(round) % 4;
      inner.pause = std::chrono::microseconds(100);
      StoredModel stored(inner, **store, kSetting);
      EvaluateOptions options;
      options.hooks.on_progress = [&](std::int64_t n, std::int64_t) { *done = n; };
      // The others at a random request, in the middle of a step: a busy machine cannot shift that.
      options.hooks.on_score = [&](std::int64_t, const Score&) {
        if (round % 2 == 0 && --victim == 0) kill(getpid(), SIGKILL);
      };
      _exit(evaluate(task, stored, options) ? 0 : 4);
    }
    // Every other one by the clock, which may hit any instruction.
    if (round % 2 == 1) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 120000));
      kill(child, SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) == 0);
    const std::int64_t kept = 480 - static_cast<std::int64_t>(missing_answers(task, path));
    CAPTURE(round);
    CHECK(kept >= *done);  // on_progress comes after the transaction
    killed_in_work += WIFSIGNALED(status) && kept > 0 && kept < 480;
    fresh = kept == 480 || round % 5 == 4;
    if (!fresh) continue;
    const auto store = open_store(path);
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    CHECK(samples_of(task, stored, scratch.dir / "out") == expected);
    CHECK(static_cast<std::int64_t>(inner.asked) == 480 - kept);
  }
  munmap(done, sizeof(std::atomic<std::int64_t>));
  CHECK(killed_in_work >= 5);
  MESSAGE(killed_in_work << " of 20 kills came between the first and the last request");
}

TEST_CASE("a locked store is one clear error") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 2);
  const std::string path = scratch / "locked.db";
  const auto store = open_store(path);
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  CountingModel inner;
  StoredModel stored(inner, *store, kSetting);
  const auto refused = evaluate(task, stored);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::io);
  CHECK(refused.error().message.find("locked.db is locked by another program") != std::string::npos);
  sqlite3_close(other);
  CHECK(evaluate(task, stored).has_value());
}

TEST_CASE("a store that another program makes at the same time is waited for") {
  const Scratch scratch;
  const std::string path = scratch / "new.db";
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    sqlite3_close(other);
  });
  const auto store = RunStore::open(path);
  end.join();
  CHECK_MESSAGE(store.has_value(), store.error().message);
}

TEST_CASE("what is damaged or no store is refused by name, and left as it is") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 60);
  const std::string good = scratch / "good.db";
  {
    const auto store = open_store(good);
    CountingModel inner;
    inner.step = 1000;
    StoredModel stored(inner, *store, kSetting);
    REQUIRE(evaluate(task, stored).has_value());
  }
  const std::string bytes = moe_test::read_file(good);
  REQUIRE(bytes.size() > 5 * 4096);
  std::string zeros = bytes, cut = bytes.substr(0, bytes.size() / 2), text = "no database at all\n", header = bytes;
  for (std::size_t i = 4096; i < bytes.size(); ++i) zeros[i] = '\xFF';
  header[17] = 3;  // the page size
  for (const std::string* content : {&zeros, &cut, &text, &header}) {
    const std::string path = scratch / "bad.db";
    for (const char* tail : {"", "-wal", "-shm"}) fs::remove(path + tail);
    std::ofstream(path, std::ios::binary) << *content;
    const auto store = RunStore::open(path);
    CAPTURE(content->size());
    CAPTURE(content->substr(0, 2));
    REQUIRE_FALSE(store.has_value());
    CHECK_MESSAGE(store.error().code == moe::ErrorCode::bad_file, store.error().message);
    CHECK(store.error().message.find("bad.db") != std::string::npos);
    CHECK(moe_test::read_file(path) == *content);
  }
  sql(scratch / "other.db", "CREATE TABLE t(x)");
  const std::string other = moe_test::read_file(scratch / "other.db");
  CHECK(RunStore::open(scratch / "other.db").error().message.find("of another program") != std::string::npos);
  CHECK(moe_test::read_file(scratch / "other.db") == other);
  CHECK(RunStore::open_read_only(scratch / "absent.db").error().code == moe::ErrorCode::not_found);
  CHECK(RunStore::open("/absent/folder/x.db").error().code == moe::ErrorCode::io);
  CHECK(RunStore::open("/absent/folder/x.db").error().message.find("/absent/folder/x.db") != std::string::npos);
  // A wrong number inside a valid file.
  sql(good, "UPDATE scores SET log_likelihood = log_likelihood + 1 WHERE key = (SELECT key FROM scores LIMIT 1)");
  const auto store = open_store(good);
  CountingModel inner;
  StoredModel stored(inner, *store, kSetting);
  const auto refused = evaluate(task, stored);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::bad_file);
}

TEST_CASE("stored answers are those of one task, and of the stores of the model behind") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 10);
  const auto store = open_store(scratch / "runs.db"), outer_store = open_store(scratch / "outer.db");
  CountingModel inner;
  StoredModel stored(inner, *store, kSetting);
  for (const std::int64_t known : {0, 40, 40}) CHECK(evaluate(task, stored)->stored_answers == known);
  CHECK(stored.stored_answers() == 80);
  StoredModel outer(stored, *outer_store, kSetting);
  CHECK(evaluate(task, outer)->stored_answers == 40);
  CHECK(outer.stored_answers() == 120);
}

TEST_CASE("the hash of questions knows their subjects, ids, prompts and answers") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 2);
  std::set<std::string> hashes = {hash_questions(task)};
  CHECK(hashes.count(hash_questions(exam(scratch, 2))) == 1);
  const auto changed = [&](const std::function<void(Subtask&, Document&)>& change) {
    PreparedTask other = task;
    change(other.subtasks[0], other.subtasks[0].documents[1]);
    return hashes.insert(hash_questions(other)).second;
  };
  CHECK(changed([](Subtask& s, Document&) { s.name += "x"; }));
  CHECK(changed([](Subtask&, Document& d) { d.question.id += "x"; }));
  CHECK(changed([](Subtask&, Document& d) { d.target += "x"; }));
  CHECK(changed([](Subtask&, Document& d) { d.contexts[0] += "x"; }));
  CHECK(changed([](Subtask&, Document& d) { d.continuations[3] += "x"; }));
  CHECK(changed([](Subtask& s, Document&) { s.documents.pop_back(); }));
}

TEST_CASE("runs and evaluations are numbered from 1, and found by their numbers") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 4);
  const auto store = open_store(scratch / "runs.db");
  CountingModel inner;
  const auto outcome = evaluate(task, inner);
  StoredRun run;
  run.setting = kSetting, run.task = "exam", run.questions_hash = hash_questions(task);
  for (const std::int64_t id : {1, 2, 3}) {
    run.model = "m" + std::to_string(id);
    CHECK(store->begin_run(run).value() == id);
    CHECK(store->add_evaluation("then", "run " + std::to_string(id)).value() == id);
  }
  run.model = "m2";
  CHECK(store->begin_run(run).value() == 2);
  run.questions_hash = "of others";
  CHECK(store->begin_run(run).value() == 4);
  REQUIRE(store->finish_run(2, "later", task, *outcome).has_value());
  const auto runs = store->runs().value();
  REQUIRE(runs.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(runs[i].id == static_cast<std::int64_t>(i) + 1);
    CHECK(runs[i].finished == (i == 1 ? "later" : ""));
    CHECK(store->answers(runs[i].id)->size() == (i == 1 ? 4u : 0u));
  }
  const auto evaluations = store->evaluations().value();
  REQUIRE(evaluations.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(evaluations[i].id == static_cast<std::int64_t>(i) + 1);
    const auto found = store->evaluation(evaluations[i].id);
    REQUIRE(found.has_value());
    CHECK(found->id == evaluations[i].id);
    CHECK(found->run_file == "run " + std::to_string(i + 1));
  }
  CHECK(store->evaluation(0).error().code == moe::ErrorCode::not_found);
  CHECK(store->evaluation(4).error().code == moe::ErrorCode::not_found);
  CHECK(store->answers(5).error().code == moe::ErrorCode::not_found);
}

TEST_CASE("runs are one line each: begun once, finished with their answers") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 4);
  const auto store = open_store(scratch / "runs.db");
  CountingModel inner;
  const auto outcome = evaluate(task, inner);
  StoredRun run;
  run.started = "2026-01-01T00:00:00", run.model = "m", run.setting = kSetting;
  run.task = "exam", run.task_hash = hash_task(task.spec), run.questions_hash = hash_questions(task);
  run.question_count = 4;
  const auto first = store->begin_run(run), again = store->begin_run(run);
  run.num_fewshot = 1;
  const auto other = store->begin_run(run);
  REQUIRE((first && again && other));
  CHECK(*first == *again);
  CHECK(*first != *other);
  REQUIRE(store->finish_run(*first, "2026-01-01T00:01:00", task, *outcome).has_value());
  const auto runs = store->runs();
  REQUIRE(runs->size() == 2);
  CHECK((*runs)[0].accuracy == accuracy_of(task, *outcome).value);
  CHECK((*runs)[0].setting.tokenizer == 77);
  CHECK((*runs)[0].finished == "2026-01-01T00:01:00");
  CHECK((*runs)[1].finished.empty());
  const auto answers = store->answers(*first);
  REQUIRE(answers->size() == 4);
  CHECK((*answers)[2].question.starts_with("q2 "));  // and what it is
  CHECK(store->answers(*other)->empty());
  // Another path is the same run, another name is a run of its own.
  run.path = "elsewhere";
  CHECK(*store->begin_run(run) == *other);
  run.model = "n";
  const auto named = store->begin_run(run);
  REQUIRE(named.has_value());
  REQUIRE(*named == 3);
  CHECK((*store->runs())[2].model == "n");
}

}  // namespace eval_store_test
