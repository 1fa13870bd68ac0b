#pragma once
// One client connection: reads a request, passes it on, writes its answer, and detects disconnection.

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "serve/http/asio.hpp"
#include "serve/http/body_pace.hpp"
#include "serve/http/request_reader.hpp"
#include "serve/http/server.hpp"

namespace moe::inline MOE_ABI::serve::http {

class Connection;

/// A request's share of a memory total, for its lifetime.
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

/// State shared by all connections. I/O thread only, except the memory of requests, which any thread may release.
struct Shared {
  const Options& options;
  Handler& handler;
  asio::io_context& io;
  std::set<std::shared_ptr<Connection>> connections = {};
  std::size_t busy = 0;                      ///< connections with a request that is not answered
  std::size_t output_bytes = 0;              ///< waiting for clients to read
  std::atomic<std::size_t> input_bytes = 0;  ///< of requests being received or processed
  bool stopping = false;
  std::uint64_t next_id = 1;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// `is_loopback`: it came to an address that is.
  Connection(Shared& shared, tcp::socket socket, bool is_loopback);
  void start();
  /// Too many connections: answers so and closes.
  void start_refused();
  /// An unanswered request ends with this error, and its worker is notified.
  void give_up(const Fault& why);
  /// The server ends: unwritten data is lost.
  void drop() { close(); }
  /// Runs a task of this connection. Only bad_alloc is possible: it ends this connection and its request, no others.
  template <class Task>
  void guard(Task task) {
    try {
      task();
    } catch (const std::exception&) {
      break_off();
    }
  }

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
  void break_off();
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
  BodyPace pace_;
  bool head_begun_ = false;
};

/// Held by Responders: access to a connection for one answer.
class Responder::Target {
 public:
  /// `held`: memory of the request, until processing ends.
  Target(asio::io_context& io, std::weak_ptr<Connection> connection, std::uint64_t exchange, HeldBytes held)
      : io_(io), connection_(std::move(connection)), exchange_(exchange), held_(std::move(held)) {}
  /// A request whose responders are all gone is ended.
  ~Target();

  template <class Task>
  void run(Task task) {
    asio::dispatch(io_, [connection = connection_, exchange = exchange_, task = std::move(task)]() mutable {
      if (const auto alive = connection.lock()) alive->guard([&] { task(*alive, exchange); });
    });
  }
  /// As run(); if the connection is gone, so is the client.
  void listen(ResponderEvents events) {
    asio::dispatch(io_, [connection = connection_, exchange = exchange_, events = std::move(events)]() mutable {
      if (const auto alive = connection.lock())
        alive->guard([&] { alive->listen(exchange, std::move(events)); });
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
