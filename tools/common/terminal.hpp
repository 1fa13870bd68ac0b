#pragma once
// Properties of standard output.

#include <cstddef>

namespace cli {

struct Terminal {
  bool is_terminal = false;
  std::size_t columns = 100;  ///< of the terminal, from 40 to 160; 100 for a file or a pipe
  bool colour = false;        ///< a terminal that has colours, and NO_COLOR (no-color.org) is not set
};
Terminal standard_output();

}  // namespace cli
