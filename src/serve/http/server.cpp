#include "serve/http/server.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <exception>
#include <vector>

#include "serve/http/connection.hpp"

namespace moe::inline MOE_ABI::serve::http {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kTick = std::chrono::milliseconds(100), kLastWords = std::chrono::milliseconds(1000);
// Beyond the connection limit, this many get an error at a time; others are just closed.
constexpr std::size_t kRefusedAtOnce = 5;
// Standard streams, epoll, its timer and wake-up, and some for files.
constexpr std::size_t kOtherDescriptors = 16;

Error io_error(const std::string& host, std::uint16_t port, const std::string& what) {
  return {ErrorCode::io, fmt::format("cannot listen on {}, port {}: {}", host, port, what)};
}

// How many connections the process may have, at most as many as asked for.
std::size_t connection_limit(std::size_t asked, std::size_t listeners) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return asked;
  const std::size_t others = kRefusedAtOnce + kOtherDescriptors + listeners;
  const std::size_t wanted = asked + others;
  if (files.rlim_cur < wanted && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = std::min<rlim_t>(wanted, files.rlim_max);
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur >= wanted) return asked;
  const auto room = static_cast<std::size_t>(files.rlim_cur);
  return room > others ? room - others : 1;
}

struct Listener {
  explicit Listener(asio::io_context& io) : acceptor(io) {}
  tcp::acceptor acceptor;
  bool is_loopback = false;
  bool is_waiting = false;  // for the next connection
};

class AsioServer final : public Server {
 public:
  AsioServer(const Options& options, Handler& handler)
      : options_(options), shared_{options_, handler, io_}, tick_(io_), port_(options.port) {}

  Result<void> listen() {
    for (const std::string& host : options_.hosts)
      if (auto ok = listen_on(host); !ok) return ok;
    limit_ = connection_limit(options_.max_connections, listeners_.size());
    return {};
  }

  std::uint16_t port() const override { return port_; }
  void post(std::function<void()> task) override { asio::post(io_, std::move(task)); }
  void stop() override {
    asio::post(io_, [this] { begin_to_stop(); });
  }
  Gauges gauges() const override { return {shared_.connections.size(), shared_.input_bytes, shared_.output_bytes}; }
  bool is_stopping() const override { return shared_.stopping; }

  Result<void> run(double drain_seconds) override {
    drain_ = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(drain_seconds));
    tick();
    // Only bad_alloc is possible. Connections catch their own; after one of accept() or tick(), the next tick goes on.
    for (bool running = true; running;) {
      try {
        io_.run();
        running = false;
      } catch (const std::exception&) {
        continue;
      }
    }
    while (!shared_.connections.empty()) (*shared_.connections.begin())->drop();
    io_.restart();
    io_.poll();
    return {};
  }

 private:
  Result<void> listen_on(const std::string& host) {
    ErrorOfSystem error;
    tcp::resolver resolver(io_);
    const auto found =
        resolver.resolve(host, std::to_string(port_), tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty()) return tl::unexpected<Error>(io_error(host, port_, error.message()));
    const tcp::endpoint endpoint = found.begin()->endpoint();
    Listener& listener = listeners_.emplace_back(io_);
    tcp::acceptor& acceptor = listener.acceptor;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    // Alone, :: includes 0.0.0.0; with other addresses it would occupy their port.
    if (!error && options_.hosts.size() > 1 && endpoint.address().is_v6())
      acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return tl::unexpected<Error>(io_error(host, port_, error.message()));
    port_ = acceptor.local_endpoint(error).port();
    listener.is_loopback = endpoint.address().is_loopback();
    return {};
  }

  void accept(Listener& at) {
    at.acceptor.async_accept([this, &at](const ErrorOfSystem& error, tcp::socket socket) {
      at.is_waiting = false;
      // Without descriptors, retrying at once would only waste CPU time: the next tick does.
      if (error || !at.acceptor.is_open()) return;
      take(std::move(socket), at.is_loopback);
      accept(at);
    });
    at.is_waiting = true;
  }

  void take(tcp::socket socket, bool is_loopback) {
    const std::size_t count = shared_.connections.size();
    if (count >= limit_ + kRefusedAtOnce) return;
    auto connection = std::make_shared<Connection>(shared_, std::move(socket), is_loopback);
    shared_.connections.insert(connection);
    if (count >= limit_)
      connection->start_refused();
    else
      connection->start();
  }

  void tick() {
    // First: what follows may throw.
    tick_.expires_after(shared_.stopping ? kTick / 10 : kTick);
    tick_.async_wait([this](const ErrorOfSystem& error) {
      if (!error) tick();
    });
    if (options_.stopping && options_.stopping()) begin_to_stop();
    if (shared_.stopping && Clock::now() >= give_up_at_) {
      if (std::exchange(has_given_up_, true)) return end();
      give_up_all();
    }
    if (shared_.stopping && shared_.busy == 0) return end();
    for (Listener& listener : listeners_)
      if (!listener.is_waiting && listener.acceptor.is_open()) accept(listener);
  }

  void end() {
    tick_.cancel();
    io_.stop();
  }

  // Running requests end with an error, and get a little time to read it.
  void give_up_all() {
    give_up_at_ = Clock::now() + kLastWords;
    const std::vector<std::shared_ptr<Connection>> all(shared_.connections.begin(), shared_.connections.end());
    for (const auto& connection : all)
      connection->guard([&] { connection->give_up({503, "the server is shutting down"}); });
  }

  void begin_to_stop() {
    if (std::exchange(shared_.stopping, true)) return;
    give_up_at_ = Clock::now() + drain_;
    ErrorOfSystem ignored;
    for (Listener& listener : listeners_) listener.acceptor.close(ignored);
    shared_.handler.on_stopping();
  }

  Options options_;
  asio::io_context io_{1};
  Shared shared_;
  std::deque<Listener> listeners_;
  asio::steady_timer tick_;
  std::uint16_t port_;
  std::size_t limit_ = 1;
  Clock::duration drain_ = {};
  Clock::time_point give_up_at_ = {};
  bool has_given_up_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::create(const Options& options, Handler& handler) {
  auto server = std::make_unique<AsioServer>(options, handler);
  if (auto ok = server->listen(); !ok) return forward(ok);
  return std::unique_ptr<Server>(std::move(server));
}

Responder::Target::~Target() {
  try {
    run([](Connection& c, std::uint64_t e) { c.abort(e); });
  } catch (const std::exception&) {
    // Out of memory: the request ends when its client leaves, or with Options::request_seconds.
  }
}

void Responder::answer(Response response) const {
  target_->run(
      [response = std::move(response)](Connection& c, std::uint64_t e) mutable { c.answer(e, std::move(response)); });
}
void Responder::start(StreamHead head) const {
  target_->run(
      [head = std::move(head)](Connection& c, std::uint64_t e) mutable { c.start_stream(e, std::move(head)); });
}
void Responder::send(std::string text) const {
  target_->run([text = std::move(text)](Connection& c, std::uint64_t e) mutable { c.send(e, std::move(text)); });
}
void Responder::finish() const {
  target_->run([](Connection& c, std::uint64_t e) { c.finish(e); });
}
void Responder::when_sent(std::function<void()> done) const {
  target_->run([done = std::move(done)](Connection&, std::uint64_t) { done(); });
}
void Responder::abort() const {
  target_->run([](Connection& c, std::uint64_t e) { c.abort(e); });
}
void Responder::listen(ResponderEvents events) const { target_->listen(std::move(events)); }

}  // namespace moe::inline MOE_ABI::serve::http
