#include "tools/common/standard_output.hpp"

#include <unistd.h>

#include <cerrno>
#include <span>

#include "support/output_file.hpp"
#include "tools/common/interrupt.hpp"

namespace cli {

moe::Result<void> print(std::string_view text) {
  const int error = moe::write_all(STDOUT_FILENO, std::as_bytes(std::span(text)), interrupted);
  if (error != 0) return tl::unexpected<moe::Error>(moe::standard_output_error(error));
  return {};
}

moe::Result<void> finish_output() {
  const int copy = ::dup(STDOUT_FILENO);
  if (copy >= 0 && ::close(copy) != 0 && errno != EINTR)
    return tl::unexpected<moe::Error>(moe::standard_output_error(errno));
  return {};
}

bool is_broken_pipe(const moe::Error& error) { return error.message == moe::standard_output_error(EPIPE).message; }

}  // namespace cli
