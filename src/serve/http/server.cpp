#include "serve/http/server.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <exception>
#include <vector>

#include "serve/http/connection.hpp"

namespace moe::inline MOE_ABI::serve::http {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kTick = std::chrono::milliseconds(100), kLastWords = std::chrono::milliseconds(1000);
// Beyond the most connections, so many are told so at a time; others are closed without a word.
constexpr std::size_t kRefusedAtOnce = 5;
// Standard streams, the listener, epoll, its timer and wake-up, and some for files.
constexpr std::size_t kOtherDescriptors = 16;

Error io_error(const Options& options, const std::string& what) {
  return {ErrorCode::io, fmt::format("cannot listen on {}, port {}: {}", options.host, options.port, what)};
}

// How many connections the process may have, at most as many as asked for.
std::size_t connection_limit(std::size_t asked) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return asked;
  const std::size_t wanted = asked + kRefusedAtOnce + kOtherDescriptors;
  if (files.rlim_cur < wanted && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = std::min<rlim_t>(wanted, files.rlim_max);
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur >= wanted) return asked;
  const auto room = static_cast<std::size_t>(files.rlim_cur);
  return room > kRefusedAtOnce + kOtherDescriptors ? room - kRefusedAtOnce - kOtherDescriptors : 1;
}

class AsioServer final : public Server {
 public:
  AsioServer(const Options& options, Handler& handler)
      : options_(options), shared_{options_, handler, io_}, acceptor_(io_), tick_(io_), retry_(io_) {}

  Result<void> listen() {
    ErrorOfSystem error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                        tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty()) return tl::unexpected<Error>(io_error(options_, error.message()));
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return tl::unexpected<Error>(io_error(options_, error.message()));
    port_ = acceptor_.local_endpoint(error).port();
    shared_.host_is_loopback = endpoint.address().is_loopback();
    limit_ = connection_limit(options_.max_connections);
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
    accept();
    tick();
    // What a handler throws (only bad_alloc can be) costs its own connection.
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
  void accept() {
    acceptor_.async_accept([this](const ErrorOfSystem& error, tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      if (error == asio::error::operation_aborted) return;
      if (error) return accept_later();
      take(std::move(socket));
      accept();
    });
  }

  // No descriptors: asking again at once would only heat the processor.
  void accept_later() {
    retry_.expires_after(kTick);
    retry_.async_wait([this](const ErrorOfSystem& error) {
      if (!error && acceptor_.is_open()) accept();
    });
  }

  void take(tcp::socket socket) {
    const std::size_t count = shared_.connections.size();
    if (count >= limit_ + kRefusedAtOnce) return;
    auto connection = std::make_shared<Connection>(shared_, std::move(socket));
    shared_.connections.insert(connection);
    if (count >= limit_)
      connection->start_refused();
    else
      connection->start();
  }

  void tick() {
    if (options_.stopping && options_.stopping()) begin_to_stop();
    if (shared_.stopping && Clock::now() >= give_up_at_) {
      if (std::exchange(has_given_up_, true)) return io_.stop();
      give_up_all();
    }
    if (shared_.stopping && shared_.busy == 0) return io_.stop();
    tick_.expires_after(shared_.stopping ? kTick / 10 : kTick);
    tick_.async_wait([this](const ErrorOfSystem& error) {
      if (!error) tick();
    });
  }

  // What still runs gets an error for its end, and a little time to read it.
  void give_up_all() {
    give_up_at_ = Clock::now() + kLastWords;
    const std::vector<std::shared_ptr<Connection>> all(shared_.connections.begin(), shared_.connections.end());
    for (const auto& connection : all) connection->give_up({503, "the server is shutting down"});
  }

  void begin_to_stop() {
    if (std::exchange(shared_.stopping, true)) return;
    give_up_at_ = Clock::now() + drain_;
    ErrorOfSystem ignored;
    acceptor_.close(ignored);
    shared_.handler.on_stopping();
  }

  Options options_;
  asio::io_context io_{1};
  Shared shared_;
  tcp::acceptor acceptor_;
  asio::steady_timer tick_, retry_;
  std::uint16_t port_ = 0;
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
  asio::dispatch(io_, [connection = connection_, exchange = exchange_] {
    if (const auto alive = connection.lock()) alive->abort(exchange);
  });
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
void Responder::abort() const {
  target_->run([](Connection& c, std::uint64_t e) { c.abort(e); });
}
void Responder::listen(ResponderEvents events) const { target_->listen(std::move(events)); }

}  // namespace moe::inline MOE_ABI::serve::http
