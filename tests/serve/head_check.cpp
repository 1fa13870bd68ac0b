// What of a request's head and of a chunked body is let through to the parser. tests/serve/check_http.py has the rules
// over a socket; here are the places where bytes may be cut.

#include "serve/http/head_check.hpp"

#include <doctest/doctest.h>

#include <string>

#include "serve/http/body_pace.hpp"
#include "serve/http/request_reader.hpp"

using namespace moe::serve::http;

namespace {

const std::string kHead = "POST /x?y=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kChunks = "3;a=\"b\"\r\nabc\r\n0002\r\nde\r\n0\r\n\r\n";

// The result for bytes that arrive `step` at a time: the body, or the status of the refusal.
std::string read_in_steps(const std::string& bytes, std::size_t step) {
  RequestReader reader(1000);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    reader.append(std::string_view(bytes).substr(at, step));
    if (const auto fault = reader.read()) return std::to_string(fault->status);
    if (reader.state() == RequestReader::State::head) continue;
    reader.go_on();
    if (const auto fault = reader.read()) return std::to_string(fault->status);
  }
  return reader.state() == RequestReader::State::complete ? reader.request().body : "unfinished";
}

}  // namespace

TEST_CASE("a request is the same wherever its bytes are cut") {
  for (std::size_t step = 1; step <= 120; ++step) {
    CAPTURE(step);
    CHECK(read_in_steps(kHead + kChunks, step) == "abcde");
    CHECK(read_in_steps(kHead + kChunks.substr(0, kChunks.size() - 1), step) == "unfinished");
    CHECK(read_in_steps(kHead + "3\r\nabcd\r\n", step) == "400");
    CHECK(read_in_steps(kHead + "1\r\na\r\n11111111111111111\r\n", step) == "400");
  }
}

TEST_CASE("requests that arrive together are read one after the other") {
  RequestReader reader(1000);
  reader.append(
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET /c "
      "HTTP/1.1\r\n");
  REQUIRE(!reader.read());
  CHECK(reader.state() == RequestReader::State::complete);
  CHECK(reader.request().path == "/a");
  CHECK(!reader.has_body());
  reader.next();
  REQUIRE(!reader.read());
  CHECK(reader.request().path == "/b");
  CHECK(reader.state() == RequestReader::State::body);  // not before go_on()
  reader.go_on();
  REQUIRE(!reader.read());
  CHECK(reader.request().body == "hi");
  REQUIRE(!reader.read());  // the parser is gone
  CHECK(reader.request().body == "hi");
  CHECK(reader.has_body());
  CHECK(reader.keeps_alive());
  reader.next();
  REQUIRE(!reader.read());
  CHECK(reader.state() == RequestReader::State::head);
}

TEST_CASE("a body may pause for ten seconds, however fast it came before") {
  using std::chrono::seconds;
  const BodyPace::Clock::time_point began(seconds(1000));
  BodyPace pace(began);
  CHECK(pace.deadline() == began + seconds(10));
  // At once: no credit.
  pace.see(16 << 20, began);
  CHECK(pace.deadline() == began + seconds(10));
  // 1 KiB in three seconds brings one second.
  pace.see((16 << 20) + 1024, began + seconds(3));
  CHECK(pace.deadline() == began + seconds(11));
  // Nothing brings nothing.
  pace.see((16 << 20) + 1024, began + seconds(10));
  CHECK(pace.deadline() == began + seconds(11));
  // 4 KiB bring four, and much more as many as there may be.
  pace.see((16 << 20) + 5 * 1024, began + seconds(10));
  CHECK(pace.deadline() == began + seconds(15));
  pace.see(17 << 20, began + seconds(11));
  CHECK(pace.deadline() == began + seconds(21));
}

TEST_CASE("a client that sends 1 KiB/s is never too slow, one that sends less is in the end") {
  using std::chrono::seconds;
  const BodyPace::Clock::time_point began(seconds(1000));
  for (const std::size_t each : {std::size_t{1024}, std::size_t{512}}) {
    BodyPace pace(began);
    int second = 1;
    for (; second <= 100 && began + seconds(second) <= pace.deadline(); ++second)
      pace.see(each * static_cast<std::size_t>(second), began + seconds(second));
    CHECK((second > 100) == (each == 1024));
  }
}

TEST_CASE("path and query, headers in any case") {
  RequestReader reader(1000);
  reader.append("GET /a%20b?c=d?e HTTP/1.0\r\nX-One:  two words \r\n\r\n");
  REQUIRE(!reader.read());
  CHECK(reader.request().path == "/a%20b");
  CHECK(reader.request().query == "c=d?e");
  REQUIRE(reader.request().header("x-ONE") != nullptr);
  CHECK(*reader.request().header("x-ONE") == "two words");
  CHECK(reader.request().header("x-two") == nullptr);
  CHECK(!reader.keeps_alive());
}

TEST_CASE("names of headers") {
  for (const char* name : {"x-stainless-arch", "A", "!#$%&'*+-.^_`|~09azAZ"}) CHECK(is_token(name));
  for (const char* wrong : {"", "a b", "a,b", "a:b", "a\r", "a\"", "\xC3\xA9", "(a)"}) {
    CAPTURE(wrong);
    CHECK(!is_token(wrong));
  }
}

TEST_CASE("hosts with and without ports") {
  CHECK(host_name("localhost") == "localhost");
  CHECK(host_name("localhost:80") == "localhost");
  CHECK(host_name("[::1]:8080") == "[::1]");
  CHECK(host_name("localhost:") == "localhost");
  for (const char* wrong : {"", ":80", "a b", "a:80x", "a:123456", "[::1", "[::1]x", "a/b", "a,b"}) {
    CAPTURE(wrong);
    CHECK(!host_name(wrong));
  }
}
