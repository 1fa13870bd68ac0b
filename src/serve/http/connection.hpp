#pragma once
// One client: reads a request, hands it on, writes its answer, and watches whether the client is still there.

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "serve/http/asio.hpp"
#include "serve/http/request_reader.hpp"
#include "serve/http/server.hpp"

namespace moe::inline MOE_ABI::serve::http {

class Connection;

/// A request's part of a total, as long as it lives.
class HeldBytes {
 public:
  explicit HeldBytes(std::atomic<std::size_t>& total) : total_(&total) {}
  ~HeldBytes() { set(0); }
  HeldBytes(HeldBytes&& other) noexcept : total_(other.total_), bytes_(std::exchange(other.bytes_, 0)) {}
  HeldBytes& operator=(HeldBytes&&) = delete;
  void set(std::size_t bytes) {
    *total_ += bytes - bytes_;  // modulo 2^64, so it may shrink
    bytes_ = bytes;
  }

 private:
  std::atomic<std::size_t>* total_;
  std::size_t bytes_ = 0;
};

/// What all connections share. I/O thread only, but for what requests hold: those are given up in any thread.
struct Shared {
  const Options& options;
  Handler& handler;
  asio::io_context& io;
  std::set<std::shared_ptr<Connection>> connections = {};
  std::size_t busy = 0;                      ///< connections with a request that is not answered
  std::size_t output_bytes = 0;              ///< waiting for clients to read
  std::atomic<std::size_t> input_bytes = 0;  ///< of requests that arrive or are worked on
  bool stopping = false;
  std::uint64_t next_id = 1;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// `is_loopback`: it came to an address that is.
  Connection(Shared& shared, tcp::socket socket, bool is_loopback);
  void start();
  /// There are too many: says so and closes.
  void start_refused();
  /// A request that is not answered ends with this error, and whoever works on it is told.
  void give_up(const Fault& why);
  /// The server ends: what was not written is lost.
  void drop() { close(); }

  // Of the answer number `exchange`; calls for another one are dropped.
  void answer(std::uint64_t exchange, Response response);
  void start_stream(std::uint64_t exchange, StreamHead head);
  void send(std::uint64_t exchange, std::string text);
  void finish(std::uint64_t exchange);
  void abort(std::uint64_t exchange);
  void listen(std::uint64_t exchange, ResponderEvents events);

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase { reading, handling, streaming, answered, closed };

  void read();
  void on_read(const ErrorOfSystem& error, std::size_t size);
  void advance();
  bool accept_head();
  void handle();
  void refuse(const Fault& fault);
  void give(Response response);

  void push(std::string bytes);
  void write();
  void on_written(const ErrorOfSystem& error, std::size_t size);
  void answer_written();
  void leave_exchange(int status);
  void client_gone();
  void linger();
  void close();

  bool is_full() const;
  std::size_t unread_limit() const;
  bool is_at_work() const { return phase_ == Phase::handling || phase_ == Phase::streaming; }
  void set_deadline(Clock::time_point& which, double seconds);
  void arm();
  void on_time();
  bool is_current(std::uint64_t exchange) const { return exchange == exchange_ && phase_ != Phase::closed; }

  Shared& shared_;
  tcp::socket socket_;
  const bool is_loopback_;
  asio::steady_timer timer_;
  RequestReader reader_;
  HeldBytes held_;
  Phase phase_ = Phase::reading;
  std::uint64_t exchange_ = 0;
  ResponderEvents events_;
  std::array<char, 16384> buffer_;
  std::deque<std::string> out_;
  std::size_t out_bytes_ = 0, front_written_ = 0, body_written_ = 0;
  int status_ = 0;
  std::string idle_text_;
  bool reading_ = false, writing_ = false, pressed_ = false, busy_ = false;
  bool close_after_ = false, head_only_ = false, chunked_ = false, lingering_ = false;
  static constexpr Clock::time_point kNever = Clock::time_point::max();
  Clock::time_point read_deadline_ = kNever, write_deadline_ = kNever, ping_at_ = kNever, answer_deadline_ = kNever;
  Clock::time_point armed_for_ = kNever;
  Clock::time_point body_began_ = {};
  bool head_begun_ = false;
};

/// What Responders hold: the way to a connection, for one answer.
class Responder::Target {
 public:
  /// `held`: what the request takes, until nobody works on it any more.
  Target(asio::io_context& io, std::weak_ptr<Connection> connection, std::uint64_t exchange, HeldBytes held)
      : io_(io), connection_(std::move(connection)), exchange_(exchange), held_(std::move(held)) {}
  /// A request whose responders are all gone is ended.
  ~Target();

  template <class Task>
  void run(Task task) {
    asio::dispatch(io_, [connection = connection_, exchange = exchange_, task = std::move(task)]() mutable {
      if (const auto alive = connection.lock()) task(*alive, exchange);
    });
  }
  /// As run(), but a connection that is no more has a client that is gone.
  void listen(ResponderEvents events) {
    asio::dispatch(io_, [connection = connection_, exchange = exchange_, events = std::move(events)]() mutable {
      if (const auto alive = connection.lock())
        alive->listen(exchange, std::move(events));
      else if (events.gone)
        events.gone();
    });
  }

 private:
  asio::io_context& io_;
  std::weak_ptr<Connection> connection_;
  std::uint64_t exchange_;
  HeldBytes held_;
};

}  // namespace moe::inline MOE_ABI::serve::http
