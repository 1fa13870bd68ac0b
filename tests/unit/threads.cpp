// Threads that cannot be created are an error of ours, or fewer workers; never the end of the process by OpenMP.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>

#include "../program.hpp"
#include "moe/parallel.hpp"
#include "moe/quantize.hpp"
#include "moe/session.hpp"
#include "support/thread_check.hpp"

extern "C" int moe_test_threads_alive();  // scarce_threads.cpp, which is linked into this program

namespace {

constexpr int kPlenty = 1 << 20;

/// What a child found wrong, a line each.
struct Findings {
  std::string lines;
  void expect(bool right, const std::string& what) {
    if (!right) lines += what + "\n";
  }
};

/// Calls body(Findings&) in a child process, whose OpenMP has no threads yet, while the system has `threads` more to
/// give. Returns the findings, and how the child ended where that was not its own doing.
template <class Body>
std::string in_child(int threads, Body&& body) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    setenv("MOE_TEST_THREADS", std::to_string(threads).c_str(), 1);
    Findings findings;
    body(findings);
    const bool written = write(ends[1], findings.lines.data(), findings.lines.size()) >= 0;
    _exit(written ? 0 : 99);
  }
  close(ends[1]);
  std::string found;
  char piece[512];
  for (ssize_t n = 0; (n = read(ends[0], piece, sizeof piece)) > 0;) found.append(piece, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) found += "killed by signal " + std::to_string(WTERMSIG(status)) + "\n";
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) found += "exit " + std::to_string(WEXITSTATUS(status)) + "\n";
  return found;
}

/// Runs `count` tasks: each exactly once, on workers below the pool's number of them; how many workers had one.
std::int32_t run_tasks(Findings& found, const moe::ParallelFor& pool, std::int64_t count) {
  std::vector<std::atomic<int>> times(static_cast<std::size_t>(count)), worker(static_cast<std::size_t>(count));
  moe::parallel_for(pool, count, [&](std::int64_t i, std::int32_t by) {
    ++times[static_cast<std::size_t>(i)];
    worker[static_cast<std::size_t>(i)] = by;
    std::this_thread::sleep_for(std::chrono::microseconds(100));  // every worker gets some
  });
  std::set<std::int32_t> workers;
  for (const auto& by : worker) workers.insert(by);
  for (const auto& n : times) found.expect(n == 1, "a task ran " + std::to_string(n) + " times");
  found.expect(*workers.begin() >= 0 && *workers.rbegin() < pool.worker_count, "a worker is out of range");
  return static_cast<std::int32_t>(workers.size());
}

const std::string kModel = std::string(MOE_SOURCE_DIR) + "/tests/data/golden/qwen3_moe";
const std::string kExam = std::string(MOE_SOURCE_DIR) + "/tests/data/stand_in_exam.jsonl";

#ifdef __clang__
constexpr bool kKeepsThreads = true;  // LLVM's OpenMP, and what its variables said at the first use
#else
constexpr bool kKeepsThreads = false;
#endif

}  // namespace

TEST_CASE("threads are started to see whether they can be, and end") {
  CHECK(in_child(3, [](Findings& found) {
          const auto none = moe::start_and_end_threads(0), all = moe::start_and_end_threads(3);
          const auto some = moe::start_and_end_threads(7), again = moe::start_and_end_threads(3);
          found.expect(none.count == 0 && none.error == 0, "0 of 0");
          found.expect(all.count == 3 && all.error == 0, "3 of 3");
          found.expect(some.count == 3 && some.error == EAGAIN, "3 of 7");
          found.expect(again.count == 3 && again.error == 0, "3 of 3 again");
          found.expect(moe_test_threads_alive() == 0, "all have ended");
        }) == "");
}

TEST_CASE("a pool runs all tasks, on fewer workers where the system has no more threads") {
  for (const int left : {0, 1, 2}) {
    CAPTURE(left);
    CHECK(in_child(left, [&](Findings& found) {
            found.expect(run_tasks(found, moe::openmp_pool(4), 40) <= left + 1, "4 workers");
            // A team that shrinks and grows again.
            found.expect(run_tasks(found, moe::openmp_pool(2), 10) <= 2, "2 workers");
            found.expect(run_tasks(found, moe::openmp_pool(8), 40) <= left + 1, "8 workers");
            found.expect(moe_test_threads_alive() <= left, "no more threads than there are");
          }) == "");
  }
  CHECK(in_child(kPlenty, [](Findings& found) {
          found.expect(run_tasks(found, moe::openmp_pool(4), 200) > 1, "one worker did everything");
        }) == "");
}

TEST_CASE("start_openmp_pool says how many threads the system starts") {
  CHECK(in_child(1, [](Findings& found) {
          const auto pool = moe::start_openmp_pool(4);
          found.expect(!pool.has_value(), "4 threads were started");
          if (pool) return;
          found.expect(pool.error().code == moe::ErrorCode::io, "another code");
          found.expect(pool.error().message.find("2 of 4 threads") != std::string::npos, pool.error().message);
          const auto fewer = moe::start_openmp_pool(2);
          found.expect(fewer.has_value() && fewer->worker_count == 2, "2 threads are not started");
          if (fewer) run_tasks(found, *fewer, 20);
        }) == "");
  CHECK(in_child(kPlenty, [](Findings& found) {
          const auto pool = moe::start_openmp_pool(3);
          found.expect(pool.has_value() && pool->worker_count == 3, "3 threads are not started");
          const int alive = moe_test_threads_alive();
          found.expect(alive >= 2, "OpenMP's own threads run");
          if (pool) run_tasks(found, *pool, 100);
          found.expect(moe_test_threads_alive() == alive, "work creates no more");
        }) == "");
}

TEST_CASE("end_openmp_threads leaves the threads of others and takes nothing for good") {
  CHECK(in_child(kPlenty, [](Findings& found) {
          const int before = moe_test_threads_alive();
          const auto pool = moe::start_openmp_pool(3);
          found.expect(pool.has_value(), "3 threads are not started");
          moe::end_openmp_threads();
          if (!kKeepsThreads) found.expect(moe_test_threads_alive() == before, "threads are left");
          if (pool) found.expect(run_tasks(found, *pool, 200) > 1, "one worker did everything");
          std::thread([&] {
            if (pool) run_tasks(found, *pool, 20);
            moe::end_openmp_threads();
          }).join();
          moe::end_openmp_threads();
          moe::end_openmp_threads();
        }) == "");
#ifndef __clang__
  // The system has room for two more threads: both are given back.
  CHECK(in_child(2, [](Findings& found) {
          found.expect(moe::start_openmp_pool(3).has_value(), "3 threads are not started");
          moe::end_openmp_threads();
          found.expect(moe::start_openmp_pool(3).has_value(), "3 threads are not started again");
        }) == "");
#endif
}

TEST_CASE("threads are tested with the stacks that OpenMP gives its own") {
  const std::map<std::string, std::size_t> sizes = {{"3", 3u << 10},    {" 16 K ", 16u << 10},
                                                    {"5b", 5},          {"2M", 2u << 20},
                                                    {"+1g", 1u << 30},  {"", 0},
                                                    {"M", 0},           {"-1", 0},
                                                    {"4 MB", 0},        {"1.5M", 0},
                                                    {"7 x", 0},         {"0", 0},
                                                    {"99999999999G", 0}};
  for (const auto& [size, bytes] : sizes)
    for (const char* name : {"OMP_STACKSIZE", "GOMP_STACKSIZE"}) {
      const std::string& text = size;  // clang 14 lets no structured binding into CAPTURE
      CAPTURE(text);
      setenv(name, text.c_str(), 1);
      CHECK(moe::openmp_stack_bytes() == bytes);
      unsetenv(name);
    }
  setenv("OMP_STACKSIZE", "none", 1), setenv("GOMP_STACKSIZE", "3M", 1);
  CHECK(moe::openmp_stack_bytes() == std::size_t{3} << 20);
  setenv("OMP_STACKSIZE", "2M", 1);
  CHECK(moe::openmp_stack_bytes() == std::size_t{2} << 20);
  unsetenv("OMP_STACKSIZE"), unsetenv("GOMP_STACKSIZE");
  CHECK(moe::openmp_stack_bytes() == 0);

  // More address space than there is.
  CHECK(in_child(kPlenty, [](Findings& found) {
          setenv("OMP_STACKSIZE", "1000000G", 1);
          const auto pool = moe::start_openmp_pool(2);
          found.expect(!pool.has_value(), "2 threads were started");
          if (pool) return;
          for (const char* part : {"1 of 2 threads", "with stacks of 1073741824000000 bytes", "OMP_STACKSIZE"})
            found.expect(pool.error().message.find(part) != std::string::npos, pool.error().message);
          found.expect(run_tasks(found, moe::openmp_pool(2), 10) == 1, "2 workers");
          if (kKeepsThreads) return;
          unsetenv("OMP_STACKSIZE");
          found.expect(moe::start_openmp_pool(2).has_value(), "2 threads are not started");
        }) == "");
}

TEST_CASE("counts of threads out of range") {
  for (const std::int32_t wrong : {-1, 1025, 100000}) {
    const auto pool = moe::start_openmp_pool(wrong);
    REQUIRE_FALSE(pool.has_value());
    CHECK(pool.error().code == moe::ErrorCode::bad_argument);
    CHECK(pool.error().message.find(std::to_string(wrong)) != std::string::npos);
  }
  CHECK(moe::openmp_pool(100000).worker_count == moe::kMaxThreads);
  CHECK(in_child(kPlenty, [](Findings& found) {
          unsetenv("MOE_THREADS");
          const std::int32_t processors = moe::openmp_pool().worker_count;
          for (const std::string wrong : {"abc", "-1", "1025", "2x", "0x2", " 2", "nan"}) {
            setenv("MOE_THREADS", wrong.c_str(), 1);
            const auto pool = moe::start_openmp_pool();
            found.expect(!pool && pool.error().message.find("MOE_THREADS is '" + wrong + "'") == 0, wrong);
            found.expect(moe::openmp_pool().worker_count == processors, wrong + ": another default");
            found.expect(moe::start_openmp_pool(1).has_value(), wrong + ": read although a number was given");
          }
          for (const std::string unset : {"", "0"}) {
            setenv("MOE_THREADS", unset.c_str(), 1);
            const auto pool = moe::start_openmp_pool();
            found.expect(pool && pool->worker_count == processors, "'" + unset + "'");
          }
          setenv("MOE_THREADS", "3", 1);
          const auto pool = moe::start_openmp_pool();
          found.expect(pool && pool->worker_count == 3, "3");
        }) == "");

  // A host's own pool.
  moe::ParallelFor pool;
  for (const std::int32_t wrong : {0, -1, 1025, -2147483647}) {
    pool.worker_count = wrong;
    const auto model = moe::Model::load(kModel, {.threads = pool});
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().code == moe::ErrorCode::bad_argument);
    moe::QuantizeOptions options;
    options.threads = pool;
    const auto report = moe::quantize(kModel, "/absent/never.gguf", options);
    REQUIRE_FALSE(report.has_value());
    CHECK(report.error().code == moe::ErrorCode::bad_argument);
  }
}

#ifdef MOE_BIN
TEST_CASE("programs test their threads before the work") {
  const moe_test::ScratchDir scratch("moe_threads");
  const std::string bin = MOE_BIN;
  const auto run = [&](const std::string& environment, const std::string& program,
                       const std::vector<std::string>& arguments) {
    // A sanitizer's runtime wants to be the first library.
    const std::string scarce = "ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=" MOE_SCARCE_THREADS " ";
    return moe_test::run_program(scratch, scarce + environment, bin + "/" + program, arguments);
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> programs = {
      {"moe-run", {"--model", kModel, "--tokens", "1 2", "--logits", scratch / "x.npy"}},
      {"moe-quantize", {kModel, scratch / "x.gguf"}},
      {"moe-eval", {"--model", kModel, "--tasks", kExam, "--out", scratch / "run", "--cache", scratch / "x.db"}},
      {"moe-bench", {"--model", kModel, "--pp", "4", "--tg", "1", "--reps", "1", "--json", scratch / "x.json"}},
      {"moe-inspect", {kModel, "--peaks", "measure"}}};
  for (const auto& each : programs) {
    const auto& [program, arguments] = each;
    CAPTURE(each.first);
    moe_test::check_one_line(run("MOE_THREADS=4 MOE_TEST_THREADS=1", program, arguments), 1, "2 of 4 threads");
    moe_test::check_one_line(run("MOE_THREADS=4 MOE_TEST_THREADS=0", program, arguments), 1, "1 of 4 threads");
    moe_test::check_one_line(run("MOE_THREADS=two", program, arguments), 2, "MOE_THREADS is 'two'");
    for (const char* made : {"x.npy", "x.gguf", "run", "x.db", "x.json"})
      CHECK_FALSE(std::filesystem::exists(scratch / made));
  }
  // Room for exactly as many as are asked for; --threads is asked before MOE_THREADS.
  const auto enough = run("MOE_THREADS=two MOE_TEST_THREADS=3", "moe-run",
                          {"--model", kModel, "--tokens", "1 2", "-n", "1", "--threads", "4"});
  CHECK_MESSAGE(enough.status == 0, enough.err);
}
#endif
