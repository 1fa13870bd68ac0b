// A server that has no model yet: it listens, says so, and answers once it has one.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "golden/generator_support.hpp"
#include "moe/serve.hpp"

using moe::serve::Server;

namespace {

std::string ask(std::uint16_t port, const std::string& path) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::send(client, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size())) {
    char part[4096];
    for (ssize_t n = 0; (n = ::recv(client, part, sizeof part, 0)) > 0;)
      answer.append(part, static_cast<std::size_t>(n));
  }
  ::close(client);
  return answer;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("without a model: 503 loading model; with one: answers; a second one is refused") {
  auto server = Server::listen({.port = 0, .names = {"nano"}});
  REQUIRE_MESSAGE(server.has_value(), server.error().message);
  CHECK(server->context_tokens() == 0);
  moe::Result<void> done;
  std::thread io([&] { done = server->run(); });
  const std::string health = ask(server->port(), "/health");
  CHECK_MESSAGE((health.starts_with("HTTP/1.1 503 ") && has(health, R"({"status":"loading model","error":{)")), health);
  CHECK(has(health, "Retry-After: 1\r\n"));
  for (const char* path : {"/v1/models", "/v1/models/nano", "/metrics", "/version", "/tokenizer_info"}) {
    const std::string answer = ask(server->port(), path);
    CHECK_MESSAGE((answer.starts_with("HTTP/1.1 503 ") && has(answer, "loading model")), answer);
  }
  // What no model would change is answered as ever.
  CHECK(ask(server->port(), "/nothing").starts_with("HTTP/1.1 404 "));
  const std::string stranger = ask(server->port(), "/v1/models/other");
  CHECK_MESSAGE((stranger.starts_with("HTTP/1.1 404 ") && has(stranger, "expected one of: nano")), stranger);
  CHECK(ask(server->port(), "/").starts_with("HTTP/1.1 200 "));
  const auto model = moe_test::load("models/nano/nano-moe");
  const auto served = server->serve(model);
  CHECK_MESSAGE(served.has_value(), served.error().message);
  CHECK(ask(server->port(), "/health").starts_with("HTTP/1.1 200 "));
  CHECK(has(ask(server->port(), "/v1/models"), R"("id":"nano")"));
  CHECK(!server->serve(model));
  server->stop();
  io.join();
  CHECK(done.has_value());
}

TEST_CASE("without metrics /metrics is 501 before there is a model as well, and 401 without the key") {
  auto server = Server::listen({.port = 0, .names = {"nano"}, .metrics = false});
  REQUIRE(server.has_value());
  std::thread io([&] { static_cast<void>(server->run()); });
  const std::string answer = ask(server->port(), "/metrics");
  CHECK_MESSAGE((answer.starts_with("HTTP/1.1 501 ") && has(answer, "metrics_off")), answer);
  CHECK(!has(answer, "Retry-After"));
  server->stop();
  io.join();
  auto locked = Server::listen({.port = 0, .names = {"nano"}, .api_keys = {"key"}, .metrics = false});
  REQUIRE(locked.has_value());
  std::thread locked_io([&] { static_cast<void>(locked->run()); });
  CHECK(ask(locked->port(), "/metrics").starts_with("HTTP/1.1 401 "));
  CHECK(ask(locked->port(), "/v1/models/other").starts_with("HTTP/1.1 401 "));
  locked->stop();
  locked_io.join();
}

TEST_CASE("a server that never gets a model ends when it is asked to") {
  auto server = Server::listen({.port = 0, .names = {"nano"}});
  REQUIRE(server.has_value());
  std::thread io([&] { static_cast<void>(server->run()); });
  CHECK(ask(server->port(), "/health").starts_with("HTTP/1.1 503 "));
  server->stop();
  io.join();
}
