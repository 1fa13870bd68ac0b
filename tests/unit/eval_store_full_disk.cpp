// The run store on a full disk: one clear error; old results stay, and the run goes on later.

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "moe/eval/report.hpp"
#include "moe/eval/store.hpp"
#include "unit/store_support.hpp"

namespace eval_store_full_disk_test {

using namespace moe_test;

namespace {

constexpr int kCannotMount = 77;

// A tmpfs of its own at `folder`, seen by this process alone; false where the system does not allow it.
bool mount_small_disk(const fs::path& folder) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=400k") == 0;
}

// Leaves about `room` bytes of the disk free. False: the disk's size is not known.
bool fill_disk(const fs::path& folder, std::size_t room) {
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0) return false;
  const std::size_t free = disk.f_bavail * disk.f_frsize;
  std::ofstream(folder / "filler", std::ios::binary) << std::string(free > room ? free - room : 0, 'x');
  return true;
}

// In a child: the number of the first thing that is wrong, 0 when nothing is.
int use_full_disk(const fs::path& folder, const std::string& store_bytes, const PreparedTask& before,
                  const PreparedTask& task, std::size_t room) {
  if (!mount_small_disk(folder)) return kCannotMount;
  const std::string path = (folder / "full.db").string();
  std::ofstream(path, std::ios::binary) << store_bytes;
  std::ofstream(folder / "old.txt") << "old results";
  if (!fill_disk(folder, room)) return 70;
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

TEST_CASE("a full disk is one clear error; old results stay and the run goes on later") {
  const Scratch scratch;
  const PreparedTask task = exam(scratch, 120);
  CountingModel plain;
  const std::string expected = samples_of(task, plain, scratch.dir / "out");
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
    CHECK(missing_answers(before, path) == 0);
  }
  const auto store = open_store(path);
  CountingModel inner;
  StoredModel stored(inner, *store, kSetting);
  CHECK(samples_of(task, stored, scratch.dir / "out") == expected);
}

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

}  // namespace eval_store_full_disk_test
