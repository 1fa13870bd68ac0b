#pragma once
// Checks a request's head before the parser. If two programs disagree about the end of a request, one request can be
// smuggled inside another (RFC 9112, section 11.2), so ambiguous requests are refused, never repaired.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve::http {

struct Fault {
  int status = 400;
  std::string message = {};
};

inline constexpr std::size_t kRequestLineBytes = 8 << 10;
inline constexpr std::size_t kHeadBytes = 32 << 10;
inline constexpr std::size_t kMostHeaders = 100;

/// Of what has arrived so far, with or without its end: a line or a head that is too long.
std::optional<Fault> check_size(std::string_view arrived);
/// Of a whole head, the empty line at its end included.
std::optional<Fault> check_head(std::string_view head);

/// What names of methods and headers consist of: RFC 9110, section 5.6.2.
bool is_token(std::string_view text);

/// "localhost:8080" -> "localhost", "[::1]:80" -> "[::1]"; nothing when it is not a host with or without a port.
std::optional<std::string_view> host_name(std::string_view host);

/// Follows the framing of a chunked body, byte by byte, and stops after its end.
class ChunkCheck {
 public:
  /// Looks at what arrived since the last call. False: the framing is not what it must be, wrong() says why.
  bool see(std::string_view bytes);
  bool is_done() const { return state_ == State::done; }
  std::string_view wrong() const { return wrong_; }

 private:
  enum class State { size, extension, size_end, data, data_return, data_end, last_return, last_end, done };
  bool step(char c);
  bool step_extension(char c);
  bool fault(std::string_view what) {
    wrong_ = what;
    return false;
  }
  State state_ = State::size;
  std::uint64_t left_ = 0;
  int digits_ = 0;
  int extension_bytes_ = 0;
  bool is_quoted_ = false, is_escaped_ = false;
  std::string_view wrong_;
};

}  // namespace moe::inline MOE_ABI::serve::http
