// Sizes and times as people write and read them.

#include "tools/common/memory_options.hpp"
#include "support/bytes_in_words.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <tuple>

#include "tools/common/fit_memory.hpp"

namespace memory_options_test {

TEST_CASE("sizes are numbers with a unit of 1024") {
  const std::pair<const char*, std::int64_t> good[] = {
      {"8G", std::int64_t{8} << 30}, {"8GiB", std::int64_t{8} << 30}, {"512M", 512 << 20}, {"17", 17}, {"3K", 3072},
      {"2T", std::int64_t{2} << 40}};
  for (const auto& [text, bytes] : good) {
    const std::string shown = text;
    CAPTURE(shown);
    const auto parsed = cli::parse_bytes(text);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == bytes);
  }
  for (const std::string text : {"", "G", "8g", "8GB", "8 G", "-8G", "0", "1.5G", "8iB", "0x8G", "99999999T", "8GG"}) {
    CAPTURE(text);
    const auto parsed = cli::parse_bytes(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().message.find("as in 8G") != std::string::npos);
  }
}

TEST_CASE("bytes and times in words") {
  CHECK(moe::bytes_in_words(17) == "17 bytes");
  CHECK(moe::bytes_in_words(1536) == "1.5 KiB");
  CHECK(moe::bytes_in_words(std::int64_t{8} << 30) == "8.0 GiB");
  CHECK(moe::bytes_in_words(std::int64_t{3} << 50) == "3072.0 TiB");
  CHECK(cli::time_in_words(0.04) == "0.0 s");
  CHECK(cli::time_in_words(12.4) == "12 s");
  CHECK(cli::time_in_words(245.0) == "4 min 5 s");
  CHECK(cli::time_in_words(12000.0) == "3 h 20 min");
  CHECK(cli::time_in_words(187200.0) == "2 d 4 h");
  CHECK(cli::time_in_words(std::numeric_limits<double>::infinity()) == "an unlimited time");
}

TEST_CASE("a launcher says how many processes it started on this machine") {
  using Variables = std::map<std::string, std::string>;
  const std::tuple<Variables, std::int32_t, const char*> cases[] = {
      {{}, 1, ""},
      {{{"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}, {"OMPI_COMM_WORLD_SIZE", "6"}}, 3, "OMPI_COMM_WORLD_LOCAL_SIZE"},
      {{{"MPI_LOCALNRANKS", "2"}}, 2, "MPI_LOCALNRANKS"},
      {{{"SLURM_NTASKS_PER_NODE", "4"}, {"SLURM_STEP_ID", "0"}}, 4, "SLURM_NTASKS_PER_NODE"},
      {{{"SLURM_NTASKS_PER_NODE", "4"}}, 1, ""},  // a batch script is one process
      {{{"SLURM_STEP_TASKS_PER_NODE", "8"}, {"SLURM_STEP_ID", "0"}}, 8, "SLURM_STEP_TASKS_PER_NODE"},
      {{{"SLURM_STEP_TASKS_PER_NODE", "3,4(x2),1"}, {"SLURM_NTASKS_PER_NODE", "6"}, {"SLURM_STEP_ID", "0"}},
       4,
       "SLURM_STEP_TASKS_PER_NODE"},
      {{{"SLURM_STEP_TASKS_PER_NODE", "8"}}, 1, ""},
      {{{"SLURM_STEP_TASKS_PER_NODE", "4(x2),"}, {"SLURM_STEP_ID", "0"}}, 1, ""},
      // A shell of one process, in a job of more.
      {{{"SLURM_STEP_TASKS_PER_NODE", "1"}, {"SLURM_NTASKS_PER_NODE", "6"}, {"SLURM_STEP_ID", "4294967290"}}, 1, ""},
      {{{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}, {"SLURM_NTASKS_PER_NODE", "6"}, {"SLURM_STEP_ID", "0"}}, 1, ""},
      {{{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}}, 1, ""},
      {{{"OMPI_COMM_WORLD_LOCAL_SIZE", "0"}}, 1, ""},
      {{{"OMPI_COMM_WORLD_LOCAL_SIZE", "2x"}}, 1, ""}};
  for (const auto& one : cases) {
    const Variables& variables = std::get<0>(one);
    const cli::LocalProcesses found = cli::local_processes([&](const char* name) {
      const auto at = variables.find(name);
      return at == variables.end() ? nullptr : at->second.c_str();
    });
    CHECK(found.count == std::get<1>(one));
    CHECK(found.variable == std::get<2>(one));
  }
}

}  // namespace memory_options_test
