#include "tools/common/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace cli {

Terminal standard_output() {
  Terminal out;
  out.is_terminal = isatty(STDOUT_FILENO) == 1;
  if (!out.is_terminal) return out;
  if (winsize size{}; ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    out.columns = std::clamp<std::size_t>(size.ws_col, 40, 160);
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  out.colour = (no_color == nullptr || *no_color == '\0') && term != nullptr && std::string_view(term) != "dumb";
  return out;
}

}  // namespace cli
