// moe-eval --shard and moe-eval merge, as scripts and launchers of processes see them.

#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"

namespace eval_shard_programs_test {

namespace {

namespace fs = std::filesystem;
using moe_test::check_one_line;
using moe_test::ProgramOutcome;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_shard_programs") {}
};

const std::string kNano = std::string(MOE_SOURCE_DIR) + "/models/nano/";

ProgramOutcome asked(const Scratch& s, const std::vector<std::string>& more,
                     const std::string& environment = "MOE_THREADS=1") {
  std::vector<std::string> all = {
      "--model", "nano=" + kNano + "nano-moe", "--tasks", kNano + "nano_exam.jsonl", "--limit", "10"};
  all.insert(all.end(), more.begin(), more.end());
  return moe_test::run_program(s, environment, MOE_EVAL, all);
}

std::string samples(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder / "nano"))
    if (entry.path().filename().string().starts_with("samples_")) return moe_test::read_file(entry.path());
  return "no samples";
}

}  // namespace

TEST_CASE("the samples of three shards are those of one process, whoever deals them") {
  const Scratch s;
  REQUIRE(asked(s, {"--out", s / "plain"}).status == 0);
  const std::string expected = samples(s.dir / "plain");
  const std::vector<std::string> launchers = {"", "OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=",
                                              "PMI_SIZE=3 PMI_RANK=", "SLURM_STEP_ID=0 SLURM_NTASKS=3 SLURM_PROCID=",
                                              "SLURM_STEP_ID=0 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=3 SLURM_PROCID="};
  for (std::size_t l = 0; l < launchers.size(); ++l) {
    CAPTURE(launchers[l]);
    const std::string all = s / ("all" + std::to_string(l) + ".db");
    std::vector<std::string> parts;
    for (int i = 0; i < 3; ++i) {
      parts.push_back(s / ("part" + std::to_string(l) + std::to_string(i) + ".db"));
      const bool named = launchers[l].empty();
      const ProgramOutcome part =
          named ? asked(s, {"--cache", parts.back(), "--shard", std::to_string(i + 1) + "/3"})
                : asked(s, {"--cache", parts.back()}, "MOE_THREADS=1 " + launchers[l] + std::to_string(i));
      CAPTURE(part.err);
      CHECK(part.status == 0);
      CHECK(part.out.find("shard " + std::to_string(i + 1) + "/3: nano has answered ") != std::string::npos);
      CHECK((part.err.find("note: shard " + std::to_string(i + 1) + "/3, as ") != std::string::npos) == !named);
    }
    std::vector<std::string> arguments = {"merge", all};
    arguments.insert(arguments.end(), parts.begin(), parts.end());
    const ProgramOutcome merged = moe_test::run_program(s, "", MOE_EVAL, arguments);
    CAPTURE(merged.err);
    CHECK(merged.status == 0);
    CHECK(std::count(merged.out.begin(), merged.out.end(), '\n') == 3);
    const fs::path out = s / ("out" + std::to_string(l));
    REQUIRE(asked(s, {"--cache", all, "--out", out.string()}).status == 0);
    CHECK(samples(out) == expected);
    const auto run = nlohmann::json::parse(moe_test::read_file(out / "run.json"));
    CHECK(run["models"][0]["tasks"][0]["executed"]["total"] == 0);
  }
}

TEST_CASE("what no shard can do is said before anything is asked") {
  const Scratch s;
  const std::string cache = s / "part.db";
  check_one_line(asked(s, {"--shard", "1/3"}), 1, "a shard needs --cache FILE");
  check_one_line(asked(s, {"--shard", "4/3", "--cache", cache}), 2, "--shard: '4/3' is no shard, expected I/N");
  check_one_line(asked(s, {"--shard", "", "--cache", cache}), 2, "--shard: '' is no shard, expected I/N");
  const std::vector<std::vector<std::string>> of_results = {{"--out", s / "out"}, {"--verbose"},
                                                            {"--peaks"},          {"--baseline", "nano"},
                                                            {"--until-known"},    {"--reference", "nano"}};
  for (const auto& more : of_results) {
    std::vector<std::string> all = {"--shard", "1/3", "--cache", cache};
    all.insert(all.end(), more.begin(), more.end());
    check_one_line(asked(s, all), 1, more[0] + " belongs to the run without --shard");
  }
  check_one_line(asked(s, {}, "PMI_RANK=1 PMI_SIZE=2"), 1,
                 "a shard needs --cache FILE, which keeps its answers (shard 2/2, as PMI_RANK=1 and PMI_SIZE=2 say");
  check_one_line(asked(s, {"--cache", cache}, "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=2"), 1,
                 "OMPI_COMM_WORLD_RANK is '2', expected a whole number from 0 to 1");
  check_one_line(asked(s, {"--cache", cache}, "PMI_RANK=0 PMI_SIZE=many"), 1, "PMI_SIZE is 'many'");
  check_one_line(moe_test::run_program(s, "", MOE_EVAL, {"merge", s / "all.db"}), 2, "IN");
  check_one_line(moe_test::run_program(s, "", MOE_EVAL, {"merge", s / "all.db", s / "none.db"}), 1, "none.db");
  CHECK(!fs::exists(s / "all.db"));
  CHECK(!fs::exists(cache));
}

TEST_CASE("a database of another program is refused and stays as it is") {
  const Scratch s;
  REQUIRE(asked(s, {"--cache", s / "own.db", "--shard", "1/1"}).status == 0);
  const std::string path = s / "other.db";
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "CREATE TABLE t(x)", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  const std::string before = moe_test::read_file(path);
  check_one_line(moe_test::run_program(s, "", MOE_EVAL, {"merge", path, s / "own.db"}), 1,
                 "other.db is a database of another program");
  CHECK(moe_test::read_file(path) == before);
  check_one_line(asked(s, {"--cache", path}), 1, "other.db is a database of another program");
  CHECK(moe_test::read_file(path) == before);
  CHECK(!fs::exists(path + "-wal"));
}

TEST_CASE("merge keeps what it has made: a store that is refused leaves a new one, a full output merges the rest") {
  const Scratch s;
  const std::vector<std::string> parts = {s / "part1.db", s / "part2.db"};
  REQUIRE(asked(s, {"--cache", parts[0], "--shard", "1/2"}).status == 0);
  REQUIRE(asked(s, {"--cache", parts[1], "--shard", "2/2"}).status == 0);
  const std::string all = s / "all.db", bad = s / "bad.db";
  const auto merge = [&](const std::vector<std::string>& from) {
    std::vector<std::string> arguments = {"merge", all};
    arguments.insert(arguments.end(), from.begin(), from.end());
    return moe_test::run_program(s, "", MOE_EVAL, arguments);
  };
  fs::copy_file(parts[0], bad);
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(bad.c_str(), &db) == SQLITE_OK);
  const char* change = "UPDATE scores SET pass_tokens = 99 WHERE key = (SELECT max(key) FROM scores)";
  REQUIRE(sqlite3_exec(db, change, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
  check_one_line(merge({bad}), 1, bad);
  // Without a row: another process may be merging into it.
  REQUIRE(fs::exists(all));
  CHECK(moe_test::run_program(s, "", MOE_EVAL, {"history", "--cache", all}).status == 0);

  const ProgramOutcome full = moe_test::run_program(
      s, "", "/bin/sh", {"-c", "exec \"$@\" >/dev/full", "sh", MOE_EVAL, "merge", all, parts[0], parts[1]});
  check_one_line(full, 1, "standard output: cannot be written: No space left on device");
  const ProgramOutcome again = merge(parts);
  CHECK_MESSAGE(again.status == 0, again.err);
  for (const std::string& part : parts) CHECK(again.out.find(part + ": 0 new answers, ") != std::string::npos);
  CHECK(again.out.find(" 0 known before") == std::string::npos);
}

TEST_CASE("a process that is alone, or told so, asks everything") {
  const Scratch s;
  const std::vector<std::string> environments = {"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1",
                                                 "SLURM_PROCID=0 SLURM_NTASKS=4",  // a batch script, no step
                                                 "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_STEP_ID=4294967290 "
                                                 "SLURM_STEP_NUM_TASKS=1"};  // the shell of salloc
  for (const std::string& environment : environments) {
    CAPTURE(environment);
    const ProgramOutcome alone = asked(s, {}, environment);
    CHECK(alone.status == 0);
    CHECK(alone.out.find("questions, 0 shots") != std::string::npos);
  }
  const ProgramOutcome told = asked(s, {"--shard", "1/1"}, "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=3");
  CHECK(told.status == 0);
  CHECK(told.out.find("questions, 0 shots") != std::string::npos);
}

}  // namespace eval_shard_programs_test
