#include "serve/http/head_check.hpp"

#include <algorithm>

#include "serve/http/message.hpp"

namespace moe::inline MOE_ABI::serve::http {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<Fault> check_request_line(std::string_view line) {
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Fault{400, "the request line has not three parts"};
  const auto method = line.substr(0, first), target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (!is_token(method)) return Fault{400, "the method is no token"};
  if (target.empty() || (target.front() != '/' && target != "*"))
    return Fault{400, "the target of the request does not begin with /"};
  for (const char c : target)
    if (c <= ' ' || c >= 0x7F) return Fault{400, "the target of the request has a byte that must be percent-encoded"};
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    if (version.starts_with("HTTP/") && version.size() == 8) return Fault{505, "expected HTTP/1.1"};
    return Fault{400, "the request line does not end with a version of HTTP"};
  }
  return {};
}

// Headers that determine the end of a request, its target and its origin.
struct Framing {
  int hosts = 0, lengths = 0, codings = 0, credentials = 0;

  std::optional<Fault> see(std::string_view name, std::string_view value) {
    if (equal_ignoring_case(name, "host")) {
      ++hosts;
      if (!host_name(value)) return Fault{400, "Host is no name with or without a port"};
    }
    if (equal_ignoring_case(name, "authorization")) ++credentials;
    if (equal_ignoring_case(name, "content-length")) {
      ++lengths;
      if (value.empty() || value.size() > 18 || !std::all_of(value.begin(), value.end(), is_digit))
        return Fault{400, "Content-Length is no decimal number"};
    }
    if (equal_ignoring_case(name, "transfer-encoding")) {
      ++codings;
      if (!equal_ignoring_case(value, "chunked"))
        return Fault{400, "Transfer-Encoding is not chunked, the only one known"};
    }
    return {};
  }
  std::optional<Fault> check(bool is_1_1) const {
    if (hosts > 1) return Fault{400, "there are two Host headers"};
    if (hosts == 0 && is_1_1) return Fault{400, "there is no Host header"};
    if (credentials > 1) return Fault{400, "there are two Authorization headers"};
    if (lengths > 1) return Fault{400, "there are two Content-Length headers"};
    if (codings > 1) return Fault{400, "there are two Transfer-Encoding headers"};
    if (codings > 0 && lengths > 0) return Fault{400, "there are Content-Length and Transfer-Encoding"};
    if (codings > 0 && !is_1_1) return Fault{400, "Transfer-Encoding in a request of HTTP/1.0"};
    return {};
  }
};

std::optional<Fault> check_field(std::string_view line, Framing& framing) {
  if (line.front() == ' ' || line.front() == '\t') return Fault{400, "a header is folded over several lines"};
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    return Fault{400, "a header's name is no token in front of a colon"};
  return framing.see(line.substr(0, colon), trimmed(line.substr(colon + 1)));
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::optional<Fault> check_size(std::string_view arrived) {
  const std::size_t line = arrived.find("\r\n");
  if (std::min(line, arrived.size()) > kRequestLineBytes) return Fault{414, "the request line is longer than 8 KiB"};
  if (std::min(arrived.find("\r\n\r\n"), arrived.size()) > kHeadBytes)
    return Fault{431, "the headers are longer than 32 KiB"};
  return {};
}

std::optional<Fault> check_head(std::string_view head) {
  Framing framing;
  bool is_1_1 = true;
  std::size_t count = 0;
  for (std::size_t at = 0, line_number = 0; at < head.size(); ++line_number) {
    const std::size_t end = head.find('\n', at);
    if (end == std::string_view::npos || end == at || head[end - 1] != '\r')
      return Fault{400, "a line of the head does not end with CR LF"};
    const auto line = head.substr(at, end - 1 - at);
    at = end + 1;
    if (std::any_of(line.begin(), line.end(), is_control)) return Fault{400, "the head has a control character"};
    std::optional<Fault> fault;
    if (line_number == 0) {
      fault = check_request_line(line);
      is_1_1 = line.ends_with("1.1");
    } else if (!line.empty()) {
      if (++count > kMostHeaders) return Fault{431, "there are more than 100 headers"};
      fault = check_field(line, framing);
    }
    if (fault) return fault;
  }
  return framing.check(is_1_1);
}

std::optional<std::string_view> host_name(std::string_view host) {
  std::size_t end = host.find(':');
  if (host.starts_with('[')) {
    end = host.find(']');
    if (end == std::string_view::npos) return {};
    ++end;
  }
  const auto name = host.substr(0, std::min(end, host.size()));
  const auto port = end < host.size() ? host.substr(end) : std::string_view();
  if (!port.empty() && (port.front() != ':' || port.size() > 6 || !std::all_of(port.begin() + 1, port.end(), is_digit)))
    return {};
  for (const char c : name)
    if (!is_token(std::string_view(&c, 1)) && c != '[' && c != ']' && c != ':') return {};
  if (name.empty()) return {};
  return name;
}

bool ChunkCheck::see(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size() && state_ != State::done; ++i) {
    if (state_ == State::data) {
      const auto skip = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - i));
      left_ -= skip;
      if (left_ == 0) state_ = State::data_return;
      i += skip - 1;
    } else if (!step(bytes[i])) {
      return false;
    }
  }
  return true;
}

// Beast searches the end of a quoted text beyond the end of the line, unlike other parsers.
bool ChunkCheck::step_extension(char c) {
  if (c == '\r') {
    if (is_quoted_) return fault("a quoted text in a chunk's extension does not end");
    state_ = State::size_end;
    return true;
  }
  if (is_control(c) || ++extension_bytes_ > 4096)
    return fault("a chunk's extension is too long or has a control character");
  if (is_escaped_)
    is_escaped_ = false;
  else if (c == '"')
    is_quoted_ = !is_quoted_;
  else
    is_escaped_ = is_quoted_ && c == '\\';
  return true;
}

bool ChunkCheck::step(char c) {
  switch (state_) {
    case State::size:
      if (const int digit = hex_digit(c); digit >= 0) {
        if (++digits_ > 16) return fault("a chunk's size has more than 16 digits");
        left_ = left_ << 4 | static_cast<std::uint64_t>(digit);
        return true;
      }
      if (digits_ == 0 || (c != ';' && c != '\r')) return fault("a chunk's size is no hexadecimal number");
      state_ = c == ';' ? State::extension : State::size_end;
      return true;
    case State::extension: return step_extension(c);
    case State::size_end:
      state_ = left_ > 0 ? State::data : State::last_return;
      digits_ = 0;
      return c == '\n' || fault("a chunk's size does not end with CR LF");
    case State::data_return: state_ = State::data_end; return c == '\r' || fault("a chunk does not end with CR LF");
    case State::data_end: state_ = State::size; return c == '\n' || fault("a chunk does not end with CR LF");
    case State::last_return:
      state_ = State::last_end;
      return c == '\r' || fault("there are trailers after the last chunk");
    case State::last_end: state_ = State::done; return c == '\n' || fault("the last chunk does not end with CR LF");
    case State::data:
    case State::done: return true;
  }
  return true;
}

}  // namespace moe::inline MOE_ABI::serve::http
