// The run store: killed at any moment, on a full disk, locked, damaged. Old results stay, resumed ones are the same.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "moe/eval/report.hpp"
#include "moe/eval/store.hpp"
#include "unit/store_support.hpp"

namespace eval_store_test {

using namespace moe_test;

namespace {

std::string samples(const PreparedTask& task, LanguageModel& model, const fs::path& folder) {
  RunReport report;
  report.started = "now";
  report.tasks = {task};
  ModelRun& run = report.models.emplace_back();
  run.name = "m";
  auto outcome = evaluate(task, model);
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  run.outcomes.push_back(std::move(*outcome));
  fs::remove_all(folder);
  REQUIRE(write_harness_files(report, run, folder.string()).has_value());
  return moe_test::read_file(folder / "m" / "samples_exam_now.jsonl");
}

/// Counts what it is asked and answers nothing.
class RefusingModel : public LanguageModel {
 public:
  std::size_t asked = 0;
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
    asked += requests.size();
    return moe::fail(moe::ErrorCode::cancelled, "refused");
  }
};

// How many of the task's requests the store does not hold.
std::size_t missing(const PreparedTask& task, const std::string& path, const StoreSetting& setting = kSetting) {
  const auto store = open_store(path);
  RefusingModel inner;
  StoredModel stored(inner, *store, setting);
  static_cast<void>(evaluate(task, stored));
  return inner.asked;
}

}  // namespace

TEST_CASE("what is known is not asked again, and comes back bit for bit") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 10);
  CountingModel plain;
  const std::string expected = samples(task, plain, scratch.dir / "out");
  for (int round = 0; round < 2; ++round) {
    const auto store = open_store(scratch / "runs.db");
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    CHECK(samples(task, stored, scratch.dir / "out") == expected);
    CHECK(inner.asked == (round == 0 ? 40u : 0u));
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

TEST_CASE("another model, precision, cache type, tokenizer or version asks anew; so does another text") {
  const Scratch scratch;
  PreparedTask task = exam(scratch, 2);
  {
    const auto store = open_store(scratch / "runs.db");
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    REQUIRE(evaluate(task, stored).has_value());
  }
  CHECK(missing(task, scratch / "runs.db") == 0);
  std::vector<StoreSetting> others(10, kSetting);
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
  for (std::size_t i = 0; i < others.size(); ++i) {
    CAPTURE(i);
    CHECK(missing(task, scratch / "runs.db", others[i]) == 8);
  }
  task.subtasks[0].documents[0].contexts[0] += " ";
  CHECK(missing(task, scratch / "runs.db") == 4);
}

TEST_CASE("killed at 20 random moments: what was done is kept, and the end is the same bytes") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 120);
  CountingModel plain;
  const std::string expected = samples(task, plain, scratch.dir / "out");
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
    const std::int64_t kept = 480 - static_cast<std::int64_t>(missing(task, path));
    CAPTURE(round);
    CHECK(kept >= *done);  // on_progress comes after the transaction
    killed_in_work += WIFSIGNALED(status) && kept > 0 && kept < 480;
    fresh = kept == 480 || round % 5 == 4;
    if (!fresh) continue;
    const auto store = open_store(path);
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    CHECK(samples(task, stored, scratch.dir / "out") == expected);
    CHECK(static_cast<std::int64_t>(inner.asked) == 480 - kept);
  }
  munmap(done, sizeof(std::atomic<std::int64_t>));
  CHECK(killed_in_work >= 5);
  MESSAGE(killed_in_work << " of 20 kills came between the first and the last request");
}

TEST_CASE("a full disk is one clear error; old results stay and the run goes on later") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 120);
  CountingModel plain;
  const std::string expected = samples(task, plain, scratch.dir / "out");
  const std::string path = scratch / "full.db";
  const PreparedTask before = exam(scratch, 5);
  {
    const auto store = open_store(path);
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    REQUIRE(evaluate(before, stored).has_value());
  }
  for (rlim_t room : {rlim_t{4096}, rlim_t{20000}, rlim_t{60000}}) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{room, room};
      setrlimit(RLIMIT_FSIZE, &limit);
      auto store = RunStore::open(path);
      moe::Result<TaskOutcome> outcome = moe::fail(moe::ErrorCode::io, "");
      if (store) {
        CountingModel inner;
        StoredModel stored(inner, **store, kSetting);
        outcome = evaluate(task, stored);
      } else {
        outcome = moe::forward(store);
      }
      const bool clear = !outcome && outcome.error().code == moe::ErrorCode::io &&
                         outcome.error().message.find("full.db cannot be written") != std::string::npos;
      _exit(clear ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CAPTURE(room);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    CHECK(missing(before, path) == 0);
  }
  const auto store = open_store(path);
  CountingModel inner;
  StoredModel stored(inner, *store, kSetting);
  CHECK(samples(task, stored, scratch.dir / "out") == expected);
}

namespace {

constexpr int kCannotMount = 77;

// A tmpfs of its own at `folder`, seen by this process alone; false where the system does not allow it.
bool mount_small_disk(const fs::path& folder) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=400k") == 0;
}

// Leaves about `room` bytes of the disk free.
void fill_disk(const fs::path& folder, std::size_t room) {
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0) return;
  const std::size_t free = disk.f_bavail * disk.f_frsize;
  std::ofstream(folder / "filler", std::ios::binary) << std::string(free > room ? free - room : 0, 'x');
}

// In a child: the number of the first thing that is wrong, 0 when nothing is.
int use_full_disk(const fs::path& folder, const std::string& store_bytes, const PreparedTask& before,
                  const PreparedTask& task, std::size_t room) {
  if (!mount_small_disk(folder)) return kCannotMount;
  const std::string path = (folder / "full.db").string();
  std::ofstream(path, std::ios::binary) << store_bytes;
  std::ofstream(folder / "old.txt") << "old results";
  fill_disk(folder, room);
  const auto run = [&](const PreparedTask& what, LanguageModel& inner) -> moe::Result<TaskOutcome> {
    auto store = RunStore::open(path);
    if (!store) return moe::forward(store);
    StoredModel stored(inner, **store, kSetting);
    return evaluate(what, stored);
  };
  CountingModel model;
  const auto refused = run(task, model);
  if (refused) return 1;
  const std::string& message = refused.error().message;
  if (refused.error().code != moe::ErrorCode::io || message.find("full.db cannot be written") == std::string::npos) {
    std::fprintf(stderr, "%s\n", message.c_str());
    return 2;
  }
  // Result files appear whole or not at all.
  RunReport report;
  report.started = "now";
  report.tasks = {task};
  ModelRun& row = report.models.emplace_back();
  row.name = "m";
  CountingModel fresh;
  row.outcomes.push_back(*evaluate(task, fresh));
  fill_disk(folder, 0);
  const auto written = write_harness_files(report, row, folder.string());
  if (written || written.error().code != moe::ErrorCode::io) return 3;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().filename().string().starts_with("samples_")) return 4;
  if (moe_test::read_file(folder / "old.txt") != "old results") return 5;
  // With room again, what was known still is, and the rest comes.
  fs::remove(folder / "filler");
  if (mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=16m") != 0) return 6;
  RefusingModel nothing;
  if (!run(before, nothing) || nothing.asked != 0) return 7;
  CountingModel rest;
  const auto done = run(task, rest);
  if (!done) return 8;
  for (std::size_t d = 0; d < done->documents[0].size(); ++d)
    for (std::size_t i = 0; i < 4; ++i) {
      const Score &a = done->documents[0][d].scores[i], &b = row.outcomes[0].documents[0][d].scores[i];
      if (std::memcmp(&a.log_likelihood, &b.log_likelihood, sizeof(double)) != 0) return 9;
    }
  return 0;
}

}  // namespace

TEST_CASE("the disk of a real file system is full: one clear error, whole files only, old results stay") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 1500), before = exam(scratch, 5);
  {
    const auto store = open_store(scratch / "full.db");
    CountingModel inner;
    StoredModel stored(inner, *store, kSetting);
    REQUIRE(evaluate(before, stored).has_value());
  }
  const std::string bytes = moe_test::read_file(scratch / "full.db");
  fs::create_directory(scratch.dir / "disk");
  for (std::size_t room : {0, 8192, 40000, 120000, 200000}) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) _exit(use_full_disk(scratch.dir / "disk", bytes, before, task, room));
    int status = 0;
    waitpid(child, &status, 0);
    CAPTURE(room);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == kCannotMount)
      return moe_test::report_skip("full disk of a real file system", "a tmpfs cannot be mounted here (root may)");
    CHECK(WEXITSTATUS(status) == 0);
  }
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
  CHECK(RunStore::open(scratch / "other.db").error().message.find("of another program") != std::string::npos);
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
  CHECK((*answers)[2].question == "q2");
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
