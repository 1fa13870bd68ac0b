// --memory of programs: the least that an error names works, and results are those of a model in memory.

#include <cstdio>
#include <nlohmann/json.hpp>

#include "memory_runs.hpp"

namespace memory_programs_test {

namespace {

using namespace memory_runs;

ProgramOutcome replied(const Scratch& s, const std::vector<std::string>& more) {
  std::vector<std::string> all = {"--model", kNano + "nano-moe", "--prompt", "In which month", "-n", "12"};
  all.insert(all.end(), more.begin(), more.end());
  return run_program(s, "MOE_THREADS=2", MOE_RUN, all);
}

bool write_line(const fs::path& file, const std::string& line) {
  std::ofstream out(file);
  out << line << std::flush;
  return static_cast<bool>(out);
}

/// A control group whose processes may take so much memory, of version 1 or 2; removed at the end.
class MemoryGroup {
 public:
  explicit MemoryGroup(std::int64_t bytes) {
    const std::string name = "/moe_test_" + std::to_string(getpid());
    for (const auto& [root, limit] :
         {std::pair{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, std::pair{"/sys/fs/cgroup", "memory.max"}}) {
      folder_ = root + name;
      std::error_code failed;
      if (!fs::create_directory(folder_, failed)) continue;
      if (fs::exists(folder_ / limit) && write_line(folder_ / limit, std::to_string(bytes))) return;
      fs::remove(folder_, failed);
    }
    folder_.clear();
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  ~MemoryGroup() {
    // A process that ended may be counted for a moment.
    for (int i = 0; !folder_.empty() && rmdir(folder_.c_str()) != 0 && i < 100; ++i) usleep(10000);
  }
  explicit operator bool() const { return !folder_.empty(); }

  ProgramOutcome replied_inside(const Scratch& s, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"-c",
                                    "echo $$ >\"$0\" && exec \"$@\"",
                                    folder_ / "cgroup.procs",
                                    MOE_RUN,
                                    "--model",
                                    kNano + "nano-moe",
                                    "--prompt",
                                    "In which month",
                                    "-n",
                                    "12"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(s, "MOE_THREADS=2", "/bin/sh", all);
  }

 private:
  fs::path folder_;
};

}  // namespace

#if !defined(__SANITIZE_ADDRESS__)  // which has memory of its own
TEST_CASE("in a container, experts stay in the file if they do not fit, and too little is said before it is taken") {
  const Scratch s;
  const std::int64_t least = std::stoll(least_of(replied(s, {"--memory", "1M", "--pack-cache", s / "packs"})));
  const ProgramOutcome whole = replied(s, {"--pack-cache", s / "packs"});
  REQUIRE(whole.status == 0);
  const MemoryGroup enough(least / 8 * 10 + (1 << 18));
  if (!enough) {
    std::puts("SKIPPED control groups: none with a limit of memory can be made here");
    return;
  }
  const ProgramOutcome streamed = enough.replied_inside(s, {"--pack-cache", s / "packs"});
  CAPTURE(streamed.err);
  REQUIRE(streamed.status == 0);
  CHECK(streamed.err.find("experts: ") != std::string::npos);
  CHECK(streamed.out == whole.out);
}

TEST_CASE("in a container that is too small, the default limit is named") {
  const Scratch s;
  REQUIRE(replied(s, {"--pack-cache", s / "packs"}).status == 0);
  const MemoryGroup small(40 << 20);
  if (!small) {
    std::puts("SKIPPED control groups: none with a limit of memory can be made here");
    return;
  }
  check_one_line(small.replied_inside(s, {"--pack-cache", s / "packs"}), 3,
                 "80 % of what is free, or of a container's");
}
#endif

TEST_CASE("--memory without a packed file names what works without one, and what works with one") {
  const Scratch s;
  const ProgramOutcome refused = replied(s, {"--memory", "1M"});
  check_one_line(refused, 3, "if its experts stay in a packed file (--pack-cache DIR)");
  const std::string least = least_of(refused);
  CHECK(replied(s, {"--memory", least}).status == 0);
  CHECK(least_of(replied(s, {"--memory", std::to_string(std::stoll(least) - 1)})) == least);
  std::smatch found;
  REQUIRE(std::regex_search(refused.err, found, std::regex(", or ([0-9]+) ")));
  CHECK(replied(s, {"--memory", found[1], "--pack-cache", s / "packs"}).status == 0);
}

TEST_CASE("what the rows of an evaluation need is said before the first one runs, for the row that needs the most") {
  const Scratch s;
  const auto with = [&](const std::string& limit, bool packed) {
    std::vector<std::string> more = {
        "--model",       "dense=" + kNano + "nano-dense-flops", "--sweep", "kv=f16,f32", "--memory", limit, "--cache",
        s / "answers.db"};
    if (packed) more.insert(more.end(), {"--pack-cache", s / "packs"});
    return asked(s, more);
  };
  for (const bool packed : {false, true}) {
    const ProgramOutcome refused = with("1M", packed);
    check_one_line(refused, 3, "memory are allowed, expected at least ");
    const std::int64_t least = std::stoll(least_of(refused));
    const ProgramOutcome too_little = with(std::to_string(least - 1), packed);
    CHECK(too_little.out.empty());
    CHECK(least_of(too_little) == std::to_string(least));
    CHECK(with(std::to_string(least), packed).status == 0);
  }
  std::smatch found;
  const ProgramOutcome refused = with("1M", false);
  REQUIRE(std::regex_search(refused.err, found, std::regex(", or ([0-9]+) .* if experts stay in packed files")));
  CHECK(with(found[1], true).status == 0);
}

TEST_CASE("moe-run with the least memory replies as with all of it, and stays within it") {
  const Scratch s;
  const ProgramOutcome refused = replied(s, {"--memory", "1M", "--pack-cache", s / "packs"});
  check_one_line(refused, 3, "nano-moe: 1048576 bytes");
  const std::string least = least_of(refused);
  const ProgramOutcome streamed = replied(s, {"--memory", least, "--pack-cache", s / "packs"});
  CAPTURE(streamed.err);
  REQUIRE(streamed.status == 0);
  CHECK(std::regex_search(streamed.err, std::regex("experts: [0-9]+ hits, [1-9][0-9]* misses, .* read")));
  const ProgramOutcome whole = replied(s, {});
  REQUIRE(whole.status == 0);
  CHECK(whole.err.find("experts:") == std::string::npos);
  CHECK(streamed.out == whole.out);
}

TEST_CASE("an exam answered with the least memory has the samples of one in memory") {
  const Scratch s;
  REQUIRE(asked(s, {"--out", s / "whole"}).status == 0);
  const ProgramOutcome refused = asked(s, {"--memory", "1M", "--pack-cache", s / "packs"});
  const ProgramOutcome streamed =
      asked(s, {"--memory", least_of(refused), "--pack-cache", s / "packs", "--out", s / "streamed"});
  CAPTURE(streamed.err);
  REQUIRE(streamed.status == 0);
  CHECK(samples(s.dir / "streamed") == samples(s.dir / "whole"));
  CHECK(samples(s.dir / "whole").size() > 1000);
  // What was read is told, on the terminal and in the file.
  CHECK(std::regex_search(streamed.err, std::regex("nano: experts: [0-9]+ hits, [1-9][0-9]* misses, .* read")));
  const auto traffic_of = [&](const char* folder) {
    return nlohmann::json::parse(moe_test::read_file(s.dir / folder / "run.json"))["models"][0]["expert_traffic"];
  };
  CHECK(traffic_of("whole").is_null());
  const nlohmann::json traffic = traffic_of("streamed");
  for (const char* count : {"misses", "read_bytes", "read_seconds", "memory_bytes"})
    CHECK_MESSAGE(traffic[count].get<double>() > 0.0, count);
  CHECK(traffic["read_bytes"].get<std::int64_t>() >= traffic["unused_bytes"].get<std::int64_t>());
  // What it holds includes the memory of experts.
  const auto run = nlohmann::json::parse(moe_test::read_file(s.dir / "streamed" / "run.json"));
  CHECK(run["models"][0]["resident_bytes"].get<std::int64_t>() > traffic["memory_bytes"].get<std::int64_t>());
}

TEST_CASE("each cache type of a sweep has a plan of its own within the least memory") {
  const Scratch s;
  const std::vector<std::string> sweep = {"--sweep", "kv=q8_0,f32"};
  const auto both = [&](std::vector<std::string> more) {
    more.insert(more.end(), sweep.begin(), sweep.end());
    return asked(s, more);
  };
  REQUIRE(both({"--out", s / "whole"}).status == 0);
  // What is enough for the first row is too little for the second, whose cache is larger.
  const std::string first = least_of(asked(s, {"--sweep", "kv=q8_0", "--memory", "1M", "--pack-cache", s / "packs"}));
  const std::string least = least_of(both({"--memory", first, "--pack-cache", s / "packs", "--out", s / "first"}));
  CHECK(std::stoll(least) > std::stoll(first));
  const ProgramOutcome streamed = both({"--memory", least, "--pack-cache", s / "packs", "--out", s / "streamed"});
  CAPTURE(streamed.err);
  REQUIRE(streamed.status == 0);
  for (const char* row : {"nano[kv=q8_0]", "nano[kv=f32]"}) {
    CHECK(samples(s.dir / "streamed", row) == samples(s.dir / "whole", row));
    CHECK(samples(s.dir / "whole", row).size() > 1000);
  }
}

TEST_CASE("more experts per token need more memory: of a run, of its plan, and of all rows of a sweep") {
  const Scratch s;
  const auto asked_within = [&](const std::string& memory, std::vector<std::string> more) {
    more.insert(more.end(), {"--memory", memory, "--pack-cache", s / "packs"});
    return asked(s, more);
  };
  const auto least = [&](const std::vector<std::string>& more) {
    return std::stoll(least_of(asked_within("1M", more)));
  };
  const std::int64_t few = least({}), many = least({"--top-k", "32"}), both = least({"--sweep", "top_k=4,32"});
  // Two rows keep the answers of two.
  const std::int64_t answers = least({"--sweep", "top_k=2,4"}) - few;
  CHECK(many > few);
  CHECK(answers >= 0);
  CHECK(both == many + answers);
  CHECK(least({"--plan", "--top-k", "32"}) == many);
  CHECK(least({"--plan", "--sweep", "top_k=4,32"}) == both);
  const ProgramOutcome swept = asked_within(std::to_string(both), {"--sweep", "top_k=4,32"});
  CAPTURE(swept.err);
  CHECK(swept.status == 0);
}

TEST_CASE("experts that do not fit need a packed file, and the error says so") {
  const Scratch s;
  const std::string least = least_of(replied(s, {"--memory", "1M", "--pack-cache", s / "packs"}));
  check_one_line(replied(s, {"--memory", least}), 3, "--pack-cache DIR");
  check_one_line(replied(s, {"--memory", "8Q"}), 2, "as in 8G");
}

TEST_CASE("moe-serve plans the cache that it makes, and one context where that does not fit") {
#ifndef MOE_SERVE
  std::puts("SKIPPED moe-serve's plan: this build has no moe-serve");
#else
  const Scratch s;
  const auto least = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--model",      kNano + "nano-moe", "--port",   "0",
                                    "--pack-cache", s / "packs",        "--memory", "1M"};
    all.insert(all.end(), more.begin(), more.end());
    return std::stoll(least_of(run_program(s, "MOE_THREADS=2", MOE_SERVE, all)));
  };
  const std::int64_t usual = least({});
  CHECK(least({"--ctx", "64"}) < usual);
  CHECK(least({"--cache-tokens", "1088"}) == usual);  // its context and a page
  CHECK(least({"--cache-tokens", "8256"}) > usual);   // its default, which was tried first
  CHECK(least({"--logit-memory", "1"}) < usual);
  // What it says when it serves. It runs until it does.
  const auto served = [&](std::int64_t bytes) {
    const char* script =
        "rm -f line; \"$0\" \"$@\" >line & pid=$!; while kill -0 $pid 2>/dev/null && ! grep -qs serves line; do sleep "
        "0.05; done; "
        "kill -INT $pid; wait $pid; cat line";
    const std::vector<std::string> all = {
        "-c", script,     MOE_SERVE,      "--model",   kNano + "nano-moe", "--port",
        "0",  "--no-log", "--pack-cache", s / "packs", "--memory",         std::to_string(bytes)};
    return run_program(s, "cd " + s.dir.string() + " && MOE_THREADS=2", "sh", all).out;
  };
  CHECK(served(usual).find("0.3 MB cache of 1088 tokens") != std::string::npos);
  CHECK(served(least({"--cache-tokens", "8256"})).find("2.0 MB cache of 8256 tokens") != std::string::npos);
#endif
}

}  // namespace memory_programs_test
