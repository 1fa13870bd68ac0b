// Listing a store needs no write permission and creates no files, in any state of the store.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>

#include "unit/store_support.hpp"

namespace eval_store_read_only_test {

using namespace moe_test;

namespace {

constexpr int kNotPossible = 77;

StoredRun run_named(const std::string& model) {
  StoredRun run;
  run.started = "2026-01-01T00:00:00", run.model = model, run.setting = kSetting, run.task = "exam";
  run.task_hash = "hash for " + model;  // the name makes no run another one
  return run;
}

void begin(RunStore& store, const std::string& model) { REQUIRE(store.begin_run(run_named(model)).has_value()); }

// Names, sizes and times of the files in a folder; of SQLite's index of the log the name alone, which holds the locks.
std::map<std::string, std::string> look(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    out[name] = name.ends_with("-shm") ? "" : read_file(entry.path());
  }
  return out;
}

// A store of two runs in the folder; the returned program still works on it, if any does.
std::unique_ptr<RunStore> make(const fs::path& folder, const std::string& state) {
  const std::string path = (folder / "runs.db").string();
  auto store = open_store(path);
  begin(*store, "first");
  store = nullptr;
  if (state == "at rest" || state == "killed" || state == "log without index") {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto killed = RunStore::open(path);
      if (!killed || !(*killed)->begin_run(run_named("second"))) _exit(1);
      if (state == "at rest") killed->reset();
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(fs::exists(path + "-wal") == (state != "at rest"));
    if (state == "log without index") fs::remove(path + "-shm");
    return nullptr;
  }
  store = open_store(path);
  begin(*store, "second");
  return store;
}

// 0 when the store lists both runs.
int list(const std::string& path) {
  const auto store = RunStore::open_read_only(path);
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().message.c_str());
    return 1;
  }
  const auto runs = (*store)->runs();
  if (!runs) {
    std::fprintf(stderr, "%s\n", runs.error().message.c_str());
    return 2;
  }
  return runs->size() == 2 && (*runs)[1].model == "second" && (*store)->answers(2) ? 0 : 3;
}

// 0 when a run is refused in a line that says why.
int refuse_run(const std::string& path) {
  const auto store = RunStore::open(path);
  if (store) return 4;
  const std::string& message = store.error().message;
  const bool clear = message.find(path) != std::string::npos && (message.find("read-only") != std::string::npos ||
                                                                 message.find("cannot be opened") != std::string::npos);
  if (!clear) std::fprintf(stderr, "%s\n", message.c_str());
  return clear && store.error().code == moe::ErrorCode::io ? 0 : 5;
}

int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// In a child: gives up the right to write what others own.
bool become_nobody() {
  if (geteuid() != 0) return true;  // an owner without permission is refused as well
  return setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0;
}

// In a child: sees the folder on a file system that cannot be written.
bool mount_read_only(const fs::path& folder) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
         mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
}

std::unique_ptr<RunStore> open_to_list(const std::string& path) {
  auto store = RunStore::open_read_only(path);
  REQUIRE_MESSAGE(store.has_value(), store.error().message);
  return std::move(*store);
}

std::size_t run_count(const RunStore& store) {
  const auto runs = store.runs();
  REQUIRE_MESSAGE(runs.has_value(), runs.error().message);
  return runs->size();
}

template <class T>
void check_refused(const moe::Result<T>& result, const std::string& says) {
  REQUIRE_FALSE(result.has_value());
  CHECK_MESSAGE(result.error().code == moe::ErrorCode::io, result.error().message);
  CHECK_MESSAGE(result.error().message.find(says) != std::string::npos, result.error().message);
}

// Calls `body` with the folder of a store in each state, until one says that this cannot be tried here.
void in_every_state(const std::function<bool(const fs::path& folder)>& body) {
  const Scratch scratch;
  for (const std::string state : {"at rest", "killed", "log without index", "in use"}) {
    CAPTURE(state);
    const fs::path folder = scratch.dir / state;
    fs::create_directory(folder);
    const auto user = make(folder, state);
    if (!body(folder)) return;
  }
}

}  // namespace

TEST_CASE("listing leaves no file behind and changes none") {
  in_every_state([](const fs::path& folder) {
    const auto before = look(folder);
    CHECK(in_child([&] { return list((folder / "runs.db").string()); }) == 0);
    CHECK(look(folder) == before);
    // A run goes on from there.
    CHECK(run_count(*open_store((folder / "runs.db").string())) == 2);
    return true;
  });
}

TEST_CASE("a store without permission to write can be listed, and a run says that it cannot be written") {
  in_every_state([](const fs::path& folder) {
    const auto before = look(folder);
    for (const auto& entry : fs::directory_iterator(folder)) fs::permissions(entry.path(), fs::perms(0444));
    fs::permissions(folder, fs::perms(0555));
    const std::string path = (folder / "runs.db").string();
    const int listed = in_child([&] {
      if (!become_nobody() || access(folder.c_str(), X_OK) != 0 || access(folder.c_str(), W_OK) == 0)
        return kNotPossible;
      const int result = list(path);
      return result != 0 ? result : refuse_run(path);
    });
    fs::permissions(folder, fs::perms(0755));
    if (listed == kNotPossible) {
      report_skip("stores without permission to write", "another user cannot be tried here, or reach " + path);
      return false;
    }
    CHECK(listed == 0);
    CHECK(look(folder) == before);
    return true;
  });
}

TEST_CASE("a store on a read-only file system can be listed, and a run says that it cannot be written") {
  in_every_state([](const fs::path& folder) {
    const std::string path = (folder / "runs.db").string();
    const int listed = in_child([&] {
      if (!mount_read_only(folder)) return kNotPossible;
      const int result = list(path);
      return result != 0 ? result : refuse_run(path);
    });
    if (listed == kNotPossible) {
      report_skip("stores on a read-only file system", "a folder cannot be mounted here (root may)");
      return false;
    }
    CHECK(listed == 0);
    return true;
  });
}

TEST_CASE("a store at rest that is written to while it is listed is an error, not a mixture") {
  const Scratch scratch;
  const std::string path = scratch / "runs.db";
  make(scratch.dir, "at rest");
  const auto listed = open_to_list(path);
  CHECK(run_count(*listed) == 2);
  begin(*open_store(path), "third");
  check_refused(listed->runs(), "runs.db was written to while it was read");
  check_refused(listed->answers(1), "runs.db was written to while it was read");
  CHECK(run_count(*open_to_list(path)) == 3);
  // Where a program works on it, its locks are used: the listing goes on.
  const auto writer = open_store(path);
  begin(*writer, "fourth");
  const auto beside = open_to_list(path);
  CHECK(run_count(*beside) == 4);
  begin(*writer, "fifth");
  CHECK(run_count(*beside) == 5);
  check_refused(beside->begin_run(run_named("sixth")), "runs.db is read-only");
}

TEST_CASE("any path may name a store that is listed; what is no regular file is refused at once") {
  const Scratch scratch;
  for (const char* name : {"a b?mode=memory#%41.db", "file:x.db", "\xC3\xA4&=+.db"}) {
    CAPTURE(name);
    const std::string path = scratch / name;
    begin(*open_store(path), "first");
    CHECK(run_count(*open_to_list(path)) == 1);
  }
  // The log is next to the target of the link.
  const fs::path folder = scratch.dir / "elsewhere";
  fs::create_directory(folder);
  make(folder, "log without index");
  fs::create_symlink(folder / "runs.db", scratch.dir / "link.db");
  CHECK(list(scratch / "link.db") == 0);

  std::ofstream(scratch / "empty.db");
  fs::create_directory(scratch.dir / "folder.db");
  REQUIRE(mkfifo((scratch / "fifo.db").c_str(), 0600) == 0);
  for (const auto& [name, says] : std::map<std::string, std::string>{{"empty.db", "is empty"},
                                                                     {"folder.db", "is no regular file"},
                                                                     {"fifo.db", "is no regular file"},
                                                                     {"absent.db", "there is no store"}}) {
    const auto refused = RunStore::open_read_only(scratch / name);
    REQUIRE_FALSE(refused.has_value());
    CHECK_MESSAGE(refused.error().message.find(says) != std::string::npos, refused.error().message);
    CHECK(refused.error().message.find(name) != std::string::npos);
    if (!fs::is_regular_file(scratch / name) && fs::exists(scratch / name))
      CHECK(RunStore::open(scratch / name).error().message == refused.error().message);
  }
  CHECK(RunStore::open("/dev/null").error().message == "store /dev/null is no regular file");
  CHECK_FALSE(RunStore::open("").has_value());
}

TEST_CASE("no name is special to a store: what it holds is in a file of that name") {
  const Scratch scratch;
  const fs::path before = fs::current_path();
  fs::current_path(scratch.dir);
  for (const char* name : {":memory:", "file:x?mode=memory", "file::memory:?cache=shared", "-"}) {
    CAPTURE(name);
    begin(*open_store(name), "first");
    CHECK(fs::is_regular_file(scratch / name));
    CHECK(run_count(*open_to_list(name)) == 1);
  }
  fs::current_path(before);
}

}  // namespace eval_store_read_only_test
