// OutputFile: complete or not at all, through links, and to other outputs than regular files.

#include "support/output_file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "moe/unfinished_files.hpp"
#include "scratch_dir.hpp"

namespace output_file_test {

namespace {

namespace fs = std::filesystem;
using moe::ErrorCode;
using moe::OutputFile;
using moe::write_file;
using moe_test::read_file;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_output") {}
  std::ptrdiff_t entries() const { return std::distance(fs::directory_iterator(dir), fs::directory_iterator{}); }
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode;
}

// Runs `body` in a child; what it returns is the status.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(body());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("a regular file is replaced when it is complete, keeps its permissions and leaves nothing beside it") {
  const Scratch s;
  const std::string path = s / "out.json";
  REQUIRE(write_file(path, "first").has_value());
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  {
    auto file = OutputFile::create(path);
    REQUIRE(file.has_value());
    CHECK(file->write("sec").has_value());
    CHECK(read_file(path) == "first");
    CHECK(s.entries() == 2);
  }  // never finished
  CHECK(read_file(path) == "first");
  CHECK(s.entries() == 1);
  REQUIRE(write_file(path, "second").has_value());
  CHECK(read_file(path) == "second");
  CHECK((mode_of(path) & 0777) == 0640);
  CHECK(s.entries() == 1);
  // A name as long as names can be has room for what is written beside it.
  REQUIRE(write_file(s / std::string(255, 'n'), "x").has_value());
  CHECK(s.entries() == 2);
}

TEST_CASE("what cannot be written is named, with the system's reason") {
  const Scratch s;
  const auto error = [](const std::string& path, moe::OutputOptions options = {}) {
    const auto done = write_file(path, "x", std::move(options));
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().message.find(path) != std::string::npos);
    return done.error();
  };
  CHECK(error(s / "absent/x").code == ErrorCode::io);
  CHECK(error(s.dir.string()).message.find("directory") != std::string::npos);
  CHECK_FALSE(write_file("", "x").has_value());
  REQUIRE(write_file(s / "taken", "x").has_value());
  CHECK(error(s / "taken", {.replace = false}).code == ErrorCode::bad_argument);
  REQUIRE(mkfifo((s / "fifo").c_str(), 0600) == 0);
  CHECK(error(s / "fifo", {.streams = false}).code == ErrorCode::bad_argument);
  REQUIRE(symlink("loop", (s / "loop").c_str()) == 0);
  CHECK(error(s / "loop").code == ErrorCode::io);
  CHECK(s.entries() == 3);
  const std::string full = moe_test::full_device(s.dir);
  if (full.empty()) return moe_test::report_skip("a device that is full", "none can be made here");
  CHECK(error(full).message.find("No space left") != std::string::npos);
  CHECK(error(full).code == ErrorCode::io);
  CHECK(S_ISCHR(mode_of(full)));
}

TEST_CASE("a disk that is full while a file is written leaves the old one") {
  const Scratch s;
  REQUIRE(write_file(s / "out", "old").has_value());
  const int status = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit most{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &most);
    const auto done = write_file(s / "out", std::string(5000, 'x'));
    return !done && done.error().message.find("out: cannot be written") != std::string::npos ? 0 : 1;
  });
  CHECK(status == 0);
  CHECK(read_file(s / "out") == "old");
  CHECK(s.entries() == 1);
}

TEST_CASE("a file or folder that is protected from its user stays as it is") {
  const Scratch s;
  REQUIRE(chmod(s.dir.c_str(), 0777) == 0);
  REQUIRE(write_file(s / "readonly", "old").has_value());
  REQUIRE(chmod((s / "readonly").c_str(), 0444) == 0);
  REQUIRE(mkdir((s / "folder").c_str(), 0555) == 0);
  const int status = in_child([&] {
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) return 2;
    const auto file = write_file(s / "readonly", "new"), inside = write_file(s / "folder/x", "new");
    if (file || inside) return 1;
    return file.error().message.find("Permission denied") != std::string::npos &&
                   inside.error().message.find("Permission denied") != std::string::npos
               ? 0
               : 3;
  });
  CHECK(status == 0);
  CHECK(read_file(s / "readonly") == "old");
}

TEST_CASE("symbolic links stay, and the file they lead to is written") {
  const Scratch s;
  REQUIRE(mkdir((s / "far").c_str(), 0777) == 0);
  REQUIRE(write_file(s / "far/real", "old").has_value());
  REQUIRE(symlink("far/real", (s / "link").c_str()) == 0);
  REQUIRE(symlink("link", (s / "link2").c_str()) == 0);
  REQUIRE(symlink((s / "far/new").c_str(), (s / "dangling").c_str()) == 0);
  REQUIRE(write_file(s / "link2", "new").has_value());
  REQUIRE(write_file(s / "dangling", "made").has_value());
  for (const char* link : {"link", "link2", "dangling"}) CHECK(S_ISLNK(mode_of(s / link)));
  CHECK(S_ISREG(mode_of(s / "far/real")));
  CHECK(read_file(s / "far/real") == "new");
  CHECK(read_file(s / "far/new") == "made");
  CHECK(s.entries() == 4);
  CHECK(std::distance(fs::directory_iterator(s.dir / "far"), fs::directory_iterator{}) == 2);
  // Two names of one file are one output.
  const auto a = OutputFile::create(s / "link"), b = OutputFile::create(s / "far/../far/real"),
             c = OutputFile::create(s / "far/new");
  REQUIRE((a.has_value() && b.has_value() && c.has_value()));
  CHECK(a->is_same(*b));
  CHECK_FALSE(a->is_same(*c));
}

TEST_CASE("a FIFO stays one: it is waited for, its reader gets the bytes, and one that goes is no signal") {
  const Scratch s;
  const std::string fifo = s / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  std::string big(300000, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7);
  std::string received;
  std::thread reader([&] { received = read_file(fifo); });
  CHECK(write_file(fifo, big).has_value());
  reader.join();
  CHECK(received == big);
  CHECK(S_ISFIFO(mode_of(fifo)));
  CHECK(s.entries() == 1);
  // Nobody reads: the wait can be ended.
  int asked = 0;
  const auto nobody = write_file(fifo, "x", {.cancelled = [&] { return ++asked > 3; }});
  REQUIRE_FALSE(nobody.has_value());
  CHECK(nobody.error().code == ErrorCode::cancelled);
  // A reader that opens and does not read.
  const int idle = open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(idle >= 0);
  asked = 0;
  const auto stuck = write_file(fifo, big, {.cancelled = [&] { return ++asked > 3; }});
  REQUIRE_FALSE(stuck.has_value());
  CHECK(stuck.error().code == ErrorCode::cancelled);
  // One that goes: SIGPIPE would end this test.
  auto file = OutputFile::create(fifo);
  REQUIRE(file.has_value());
  close(idle);
  const auto gone = file->write(big);
  REQUIRE_FALSE(gone.has_value());
  CHECK(gone.error().message.find("Broken pipe") != std::string::npos);
  sigset_t pending;
  sigpending(&pending);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
}

TEST_CASE("names of descriptors are written to, not replaced: what the shell opened stays open") {
  const Scratch s;
  const std::string target = s / "redirected";
  const int file = open(target.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  REQUIRE(file >= 0);
  REQUIRE(symlink("/dev/stdout", (s / "link").c_str()) == 0);
  const int status = in_child([&] {
    dup2(file, STDOUT_FILENO);
    if (::write(STDOUT_FILENO, "printed ", 8) != 8) return 1;
    for (const std::string& name : {std::string("-"), std::string("/dev/stdout"), std::string("/dev/fd/1"),
                                    std::string("/proc/self/fd/1"), s / "link"})
      if (const auto done = write_file(name, "x"); !done) return 2;
    const auto closed = write_file("/dev/fd/99", "x");
    if (closed || closed.error().code != ErrorCode::io) return 3;
    return ::write(STDOUT_FILENO, " after", 6) == 6 ? 0 : 4;
  });
  close(file);
  CHECK(status == 0);
  CHECK(read_file(target) == "printed xxxxx after");
}

TEST_CASE("a program that ends at once can remove what it was writing") {
  const Scratch s;
  REQUIRE(write_file(s / "kept", "old").has_value());
  const int status = in_child([&] {
    auto a = OutputFile::create(s / "a"), b = OutputFile::create(s / "kept"), done = OutputFile::create(s / "done");
    if (!a || !b || !done || !a->write("half").has_value() || !done->finish().has_value()) return 1;
    moe::remove_unfinished_files();
    _exit(0);
  });
  CHECK(status == 0);
  CHECK(read_file(s / "kept") == "old");
  CHECK(fs::exists(s / "done"));
  CHECK(s.entries() == 2);
  // There is room for more files than any program writes at a time, and none is claimed for ever.
  for (int i = 0; i < 100; ++i) CHECK(write_file(s / "many", "x").has_value());
  const int slot = moe::note_unfinished(s / "x");
  CHECK(slot >= 0);
  moe::note_finished(slot);
}

}  // namespace output_file_test
