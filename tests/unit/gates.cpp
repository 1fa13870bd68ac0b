// Text, results and standard output are written by one function each. Code that bypasses them would bring back errors
// that they prevent, so the sources are searched for bypasses.

#include <algorithm>
#include <regex>

#include "support.hpp"

namespace gates_test {

namespace {

namespace fs = std::filesystem;

struct Gate {
  const char* way_past;              // must not occur in a line
  std::vector<const char*> folders;  // where
  std::vector<const char*> except;   // the gate itself
  const char* instead;
};

const std::vector<Gate> kGates = {
    {R"(\.dump\()",
     {"src", "tools", "bench"},
     {"src/common/support/json_text.hpp", "src/common/support/json.cpp"},
     "moe::json_text (support/json_text.hpp)"},
    {R"(\b(std::ofstream|std::fstream|O_CREAT|std::fopen|std::rename|fs::rename|filesystem::rename)\b)",
     {"src", "tools", "bench"},
     {"src/common/support/output_file.cpp"},
     "moe::OutputFile or moe::write_file (support/output_file.hpp)"},
    {R"(\b(std::cout|std::printf|std::puts|std::putchar|fmt::print|fmt::println|stdout)\b)",
     {"src", "tools", "bench"},
     {"src/common/support/output_file.cpp"},
     "cli::print (tools/common/standard_output.hpp)"},
    {R"(\bstd::(cerr|clog)\b)", {"src", "tools", "bench"}, {}, "cli::complain (tools/common/program.hpp)"},
    {R"(\bstderr\b)",
     {"src", "bench"},
     {"src/common/support/output_file.cpp"},
     "cli::complain or cli::ProgressLine (tools/common)"},
    {R"(\bsigaction\b|std::signal\b)",
     {"src", "tools", "bench"},
     {"tools/common/interrupt.cpp", "tools/common/program.cpp"},
     "cli::catch_interrupts (tools/common/interrupt.hpp)"},
};

std::string without_comment(const std::string& line) { return line.substr(0, line.find("//")); }

bool is_source(const fs::path& path) { return path.extension() == ".cpp" || path.extension() == ".hpp"; }

}  // namespace

TEST_CASE("nothing goes past the gates of text, files and standard output") {
  const fs::path root = MOE_SOURCE_DIR;
  std::size_t files = 0;
  for (const Gate& gate : kGates) {
    const std::regex way_past(gate.way_past);
    for (const char* folder : gate.folders)
      for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
        const std::string name = fs::relative(entry.path(), root).generic_string();
        const bool is_gate =
            std::any_of(gate.except.begin(), gate.except.end(), [&](const char* e) { return name == e; });
        // Google Benchmark's programs print by themselves.
        if (!entry.is_regular_file() || !is_source(entry.path()) || is_gate || name.starts_with("bench/micro/"))
          continue;
        ++files;
        const auto lines = moe_test::read_lines(entry.path());
        for (std::size_t i = 0; i < lines.size(); ++i) {
          const bool goes_past = std::regex_search(without_comment(lines[i]), way_past);
          if (goes_past)
            FAIL_CHECK(name << ":" << i + 1 << ": " << lines[i] << "\n  use " << std::string(gate.instead));
        }
      }
  }
  CHECK(files > 300);
}

}  // namespace gates_test
