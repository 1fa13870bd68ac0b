// Packed files that are half written, or that several processes want.

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>

#include "moe/unfinished_files.hpp"
#include "pack/pack_path.hpp"
#include "program.hpp"
#include "unit/packed_model.hpp"

namespace pack_processes_test {

namespace {

using namespace moe_test;
namespace fs = std::filesystem;
using moe::ErrorCode;

/// Runs it in a process of its own; its status as from waitpid().
int in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("a packed file that is not finished leaves nothing behind") {
  const Packed packed;
  const fs::path folder = packed.scratch.dir / "cache";
  fs::create_directory(folder);
  int calls = 0;
  const auto cancelled = packed.load({.cancelled = [&] { return ++calls > 3; }, .pack = folder.string()});
  REQUIRE(!cancelled.has_value());
  CHECK(cancelled.error().code == ErrorCode::cancelled);
  CHECK(files_in(folder) == 0);

  // What a program does at Ctrl-C.
  const auto stop = [&](const std::function<void()>& how) {
    return in_child([&] {
      int asked = 0;
      const auto ignored = packed.load({.cancelled =
                                            [&] {
                                              if (++asked > 3) how();
                                              return false;
                                            },
                                        .pack = folder.string()});
      ::_exit(ignored ? 1 : 2);
    });
  };
  CHECK(stop([] { moe::remove_unfinished_files(), ::_exit(7); }) == 7 << 8);
  CHECK(files_in(folder) == 0);
  CHECK(stop([] { ::raise(SIGKILL); }) == SIGKILL);
  REQUIRE(files_in(folder) == 1);
  const std::string pack = moe::packed_path(folder.string(), packed.model).value_or(""),
                    left = fs::directory_iterator(folder)->path().string();
  REQUIRE(left.starts_with(pack + ".part"));
  // What may be of a process that lives, and other names, stay.
  const std::vector<std::string> others = {pack + ".part" + std::to_string(::getppid()), pack + ".part", left + ".x",
                                           left + "-", packed.path + left.substr(pack.size())};
  for (const std::string& other : others) overwrite(other, "x");
  overwrite(left + "-1", "x");
  overwrite(pack + ".part" + std::to_string(::getpid()), "x");  // numbers come again
  CHECK(packed.load({.pack = folder.string()}).has_value());
  CHECK(fs::exists(pack));
  CHECK(files_in(folder) == others.size());  // the packed file, and all but the last of them
  for (const std::string& other : others) CHECK(fs::exists(other));
  CHECK(moe::write_pack(packed.model, packed.path).has_value());
  CHECK(!fs::exists(others.back()));
}

TEST_CASE("the host is asked whether to go on while the rest of the files is hashed") {
  const Packed packed;
  int asked = 0, most = 1 << 20;
  const auto write = [&](moe::ContentHash hash) {
    asked = 0;
    return moe::write_pack(packed.model, packed.path,
                           {.cancelled = [&] { return ++asked == most; }, .content_hash = hash});
  };
  REQUIRE(write(nullptr).has_value());
  const int without = asked;
  REQUIRE(write(moe::sha256).has_value());
  CHECK(asked > without);
  most = asked;  // the last time
  const auto stopped = write(moe::sha256);
  REQUIRE(!stopped.has_value());
  CHECK(stopped.error().code == ErrorCode::cancelled);
}

TEST_CASE("no packed file is written while another process makes one in that folder") {
  const Packed packed;
  const auto lock = moe::pack::FolderLock::take(packed.path, {});
  REQUIRE(lock.has_value());
  const std::size_t before = files_in(packed.scratch.dir);
  int asked = 0;
  std::size_t meanwhile = 0;
  const auto waited = moe::write_pack(packed.model, packed.path, {.cancelled = [&] {
                                        meanwhile = std::max(meanwhile, files_in(packed.scratch.dir));
                                        return ++asked == 2;
                                      }});
  REQUIRE(!waited.has_value());
  CHECK(waited.error().code == ErrorCode::cancelled);
  CHECK(meanwhile == before);
}

TEST_CASE("a full disk is an error") {
  const Packed packed;
  const fs::path folder = packed.scratch.dir / "cache";
  fs::create_directory(folder);
  const int status = in_child([&] {
    const rlimit small{65536, 65536};
    if (std::signal(SIGXFSZ, SIG_IGN) == SIG_ERR || ::setrlimit(RLIMIT_FSIZE, &small) != 0) ::_exit(3);
    const auto got = packed.load({.pack = folder.string()});
    ::_exit(!got && got.error().code == ErrorCode::io && got.error().message.find("cache") != std::string::npos ? 0
                                                                                                                : 4);
  });
  CHECK(status == 0);
  CHECK(files_in(folder) == 0);
}

TEST_CASE("processes that start together make one packed file") {
  const Packed packed;
  const fs::path folder = packed.scratch.dir / "cache";
  const auto inode_of_pack = [&] {
    struct stat status {};
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".moepack" && ::stat(entry.path().c_str(), &status) == 0) return status.st_ino;
    return ino_t{0};
  };
  constexpr int kProcesses = 4;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const bool loaded = packed.load({.pack = folder.string(), .pack_use = moe::PackUse::map}).has_value();
      std::ofstream(packed.scratch / std::to_string(i)) << inode_of_pack();
      ::_exit(loaded ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  for (int i = 0; i < kProcesses; ++i)
    CHECK(read_file(packed.scratch / std::to_string(i)) == std::to_string(inode_of_pack()));
  CHECK(files_in(folder) == 1);
  CHECK((fs::status(folder).permissions() & fs::perms::mask) == fs::perms(0700));
}

#if defined(__linux__)
// KiB of the mappings of packed files in this process, by the names that smaps gives them.
std::int64_t mapped_kib(const std::string& kind) {
  std::ifstream smaps("/proc/self/smaps");
  std::int64_t sum = 0;
  bool is_pack = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') < line.find(' ')) is_pack = line.ends_with(".moepack");  // "address-address ... path"
    if (is_pack && line.starts_with(kind + ":")) sum += std::stoll(line.substr(kind.size() + 1));
  }
  return sum;
}

TEST_CASE("processes that map a packed file share one copy of its pages") {
  const Packed packed;
  const fs::path folder = packed.scratch.dir / "cache";
  const moe::LoadOptions options{.pack = folder.string(), .pack_use = moe::PackUse::map};
  REQUIRE(packed.load(options).has_value());  // makes it
  const auto here = packed.load(options);
  REQUIRE(here.has_value());
  const std::int64_t alone = mapped_kib("Rss");
  CHECK(alone > 0);
  const int status = in_child([&] {
    const auto there = packed.load(options);
    // Pages of the header may be mapped in one process only.
    const bool shared = there && mapped_kib("Shared_Clean") * 10 >= alone * 9 &&
                        mapped_kib("Private_Dirty") + mapped_kib("Shared_Dirty") == 0;
    if (!shared)
      std::printf("Rss %lld of %lld KiB, shared %lld\n", static_cast<long long>(mapped_kib("Rss")),
                  static_cast<long long>(alone), static_cast<long long>(mapped_kib("Shared_Clean")));
    std::fflush(stdout);
    ::_exit(shared ? 0 : 1);
  });
  CHECK(status == 0);
}
#endif

#if defined(MOE_QUANTIZE) && defined(MOE_RUN)
TEST_CASE("programs make packed files and load through them") {
  const Packed packed;
  const ScratchDir printed("moe_packs_printed");
  const auto quantize = [&](const std::vector<std::string>& arguments) {
    return run_program(printed, "MOE_THREADS=1", MOE_QUANTIZE, arguments);
  };
  const auto done = quantize({"--pack", packed.model + "/"});
  CHECK(done.status == 0);
  CHECK(done.out.find("routed experts") != std::string::npos);
  const std::string without_gates = std::string(MOE_SOURCE_DIR) + "/tests/data/shapes/nemotron_h";
  CHECK(quantize({"--pack", without_gates, packed.scratch / "n.moepack"}).out.find("32 of them of 16 routed experts") !=
        std::string::npos);
  CHECK(fs::exists(packed.model + ".moepack"));
  check_one_line(quantize({"--pack", packed.model, "--type", "q8_0"}), 2, "--type");
  check_one_line(quantize({"--pack", packed.model, packed.scratch / "x.gguf"}), 1, "x.gguf");
  check_one_line(quantize({"--pack", packed.model, "/absent/x.moepack"}), 1, "/absent");

  const auto run = [&](std::vector<std::string> more) {
    for (const char* argument : {"--model", packed.model.c_str(), "--tokens", "1,2,3", "-n", "4"})
      more.emplace_back(argument);
    return run_program(printed, "MOE_THREADS=1", MOE_RUN, more);
  };
  const auto plain = run({});
  CHECK(plain.status == 0);
  const std::string folder = packed.scratch / "cache";
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--pack-cache", folder},
                                               {"--pack-cache", folder},
                                               {"--pack-cache", folder, "--pack-map"},
                                               {"--pack-cache", packed.model + ".moepack"}}) {
    const auto got = run(more);
    CHECK(got.status == 0);
    CHECK(got.out == plain.out);
  }
  CHECK(files_in(folder) == 1);
  check_one_line(run({"--pack-map"}), 2, "--pack-cache");
  check_one_line(run({"--pack-cache", ""}), 2, "--pack-cache");
  overwrite(packed.path, packed.bytes.substr(0, 5000));
  check_one_line(run({"--pack-cache", packed.path}), 1, packed.path);
}
#endif

}  // namespace pack_processes_test
