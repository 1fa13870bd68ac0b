#include "serve/http/connection.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "serve/http/answer_head.hpp"

namespace moe::inline MOE_ABI::serve::http {
namespace {

// Replies pause when a client has this much unread (less when memory is short) and continue at a quarter of it.
constexpr std::size_t kPressedBytes = 256 << 10, kPressedWhenFull = 16 << 10;
// Additional kernel buffer for a client that does not read.
constexpr int kSendBufferBytes = 128 << 10;
constexpr double kLingerSeconds = 2;

}  // namespace

Connection::Connection(Shared& shared, tcp::socket socket, bool is_loopback)
    : shared_(shared),
      socket_(std::move(socket)),
      is_loopback_(is_loopback),
      timer_(shared.io),
      reader_(shared.options.max_body),
      held_(shared.input_bytes) {
  ErrorOfSystem ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::send_buffer_size(kSendBufferBytes), ignored);
}

void Connection::start() {
  guard([this] {
    set_deadline(read_deadline_, shared_.options.idle_seconds);
    read();
  });
}

void Connection::start_refused() {
  guard([this] {
    close_after_ = true;
    give(shared_.handler.error(503, "there are too many connections"));
  });
}

void Connection::read() {
  if (reading_ || phase_ == Phase::closed) return;
  // Beyond this, pipelined requests wait in the kernel.
  if (phase_ != Phase::reading && !lingering_ && reader_.waiting_bytes() > kHeadBytes) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](const ErrorOfSystem& error, std::size_t size) {
                            self->reading_ = false;
                            self->guard([&] { self->on_read(error, size); });
                          });
}

void Connection::on_read(const ErrorOfSystem& error, std::size_t size) {
  if (phase_ == Phase::closed) return;
  if (lingering_) return error ? close() : read();
  if (error) {
    if (is_at_work()) return client_gone();
    close_after_ = true;
    return phase_ == Phase::reading ? close() : void();
  }
  reader_.append({buffer_.data(), size});
  if (phase_ == Phase::reading) advance();
  read();
}

void Connection::advance() {
  if (!head_begun_ && reader_.waiting_bytes() > 0) {
    head_begun_ = true;
    set_deadline(read_deadline_, shared_.options.head_seconds);
  }
  if (auto fault = reader_.read()) return refuse(*fault);
  if (reader_.state() == RequestReader::State::head) return;
  if (exchange_ == 0 && !accept_head()) return;
  if (auto fault = reader_.read()) return refuse(*fault);
  held_.set(reader_.head_bytes() + reader_.body_bytes());
  if (reader_.has_body() && shared_.input_bytes > shared_.options.buffer_bytes)
    return refuse({503, "the requests at work hold all the memory that there is for them"});
  if (reader_.state() == RequestReader::State::complete) return handle();
  pace_.see(reader_.body_bytes(), Clock::now());
  read_deadline_ = pace_.deadline();
  arm();
}

// The head is there: false when the request was answered by it alone.
bool Connection::accept_head() {
  exchange_ = shared_.next_id++;
  pace_ = BodyPace(Clock::now());
  Request& request = reader_.request();
  request.id = request_id(request, exchange_);
  head_only_ = request.method == "HEAD";
  close_after_ = !reader_.keeps_alive() || shared_.stopping;
  if (auto refusal = check_request(request, shared_.options, is_loopback_, shared_.handler)) {
    if (reader_.state() != RequestReader::State::complete) close_after_ = true;  // nobody reads the body
    give(std::move(*refusal));
    return false;
  }
  reader_.go_on();
  const std::string* expect = request.header("expect");
  if (expect != nullptr && reader_.state() == RequestReader::State::body && request.is_http_1_1)
    push("HTTP/1.1 100 Continue\r\n\r\n");
  return true;
}

void Connection::handle() {
  phase_ = Phase::handling;
  read_deadline_ = kNever;
  busy_ = true;
  ++shared_.busy;
  if (shared_.options.request_seconds > 0) set_deadline(answer_deadline_, shared_.options.request_seconds);
  auto target = std::make_shared<Responder::Target>(shared_.io, weak_from_this(), exchange_, std::move(held_));
  std::string body = std::exchange(reader_.request().body, {});  // not copied: it may be large
  Request copy = reader_.request();
  copy.body = std::move(body);
  if (head_only_) copy.method = "GET";
  shared_.handler.handle(std::move(copy), Responder(std::move(target)));
}

void Connection::refuse(const Fault& fault) {
  if (exchange_ == 0) {
    exchange_ = shared_.next_id++;
    reader_.request().id = request_id(reader_.request(), exchange_);
  }
  close_after_ = true;
  give(shared_.handler.error(fault.status, fault.message));
}

void Connection::give(Response response) {
  phase_ = Phase::answered;
  read_deadline_ = kNever;
  status_ = response.status;
  if (shared_.stopping) close_after_ = true;
  const auto size = head_only_ || status_ == 204 ? 0 : response.body.size();
  std::string bytes =
      answer_head({status_, response.type, &response.headers, close_after_, response.body.size(), false},
                  reader_.request(), shared_.options);
  if (size > 0) bytes += response.body;
  body_written_ = size;
  push(std::move(bytes));
}

void Connection::answer(std::uint64_t exchange, Response response) {
  if (!is_current(exchange) || phase_ != Phase::handling) return;
  if (response.body.size() > kPressedWhenFull &&
      shared_.output_bytes + response.body.size() > shared_.options.buffer_bytes)
    response = shared_.handler.error(503, "the answers that wait for their readers hold all the memory for them");
  give(std::move(response));
}

void Connection::start_stream(std::uint64_t exchange, StreamHead head) {
  if (!is_current(exchange) || phase_ != Phase::handling) return;
  phase_ = Phase::streaming;
  status_ = 200;
  chunked_ = reader_.request().is_http_1_1;
  if (!chunked_) close_after_ = true;
  idle_text_ = std::move(head.idle_text);
  body_written_ = 0;
  push(answer_head({200, head.type, &head.headers, close_after_, {}, chunked_}, reader_.request(), shared_.options));
}

void Connection::send(std::uint64_t exchange, std::string text) {
  if (!is_current(exchange) || phase_ != Phase::streaming || text.empty()) return;
  body_written_ += text.size();
  push(chunked_ ? fmt::format("{:x}\r\n{}\r\n", text.size(), text) : std::move(text));
}

void Connection::finish(std::uint64_t exchange) {
  if (!is_current(exchange) || phase_ != Phase::streaming) return;
  phase_ = Phase::answered;
  ping_at_ = kNever;
  if (chunked_) push("0\r\n\r\n");
  if (out_.empty() && !writing_) answer_written();
}

void Connection::abort(std::uint64_t exchange) {
  if (!is_current(exchange)) return;
  if (phase_ == Phase::handling) return give(shared_.handler.error(500, "the request was lost"));
  if (phase_ != Phase::streaming) return;
  phase_ = Phase::answered;
  close_after_ = true;
  ping_at_ = kNever;
  if (out_.empty() && !writing_) answer_written();
}

void Connection::give_up(const Fault& why) {
  if (!is_at_work()) return;
  const auto self = shared_from_this();
  const auto events = std::exchange(events_, {});
  if (phase_ == Phase::handling) {
    give(shared_.handler.error(why.status, why.message));
  } else {
    send(exchange_, shared_.handler.stream_error(why.status, why.message));
    abort(exchange_);
  }
  if (events.gone) events.gone();
}

// Too late: the request was given up, or the client has disconnected.
void Connection::listen(std::uint64_t exchange, ResponderEvents events) {
  if (is_current(exchange) && is_at_work())
    events_ = std::move(events);
  else if (events.gone)
    events.gone();
}

bool Connection::is_full() const { return shared_.output_bytes > shared_.options.buffer_bytes; }
std::size_t Connection::unread_limit() const { return is_full() ? kPressedWhenFull : kPressedBytes; }

void Connection::push(std::string bytes) {
  if (phase_ == Phase::closed) return;
  out_bytes_ += bytes.size();
  shared_.output_bytes += bytes.size();
  out_.push_back(std::move(bytes));
  if (phase_ == Phase::streaming) set_deadline(ping_at_, shared_.options.ping_seconds);
  if (!pressed_ && out_bytes_ > unread_limit() && phase_ == Phase::streaming) {
    pressed_ = true;
    if (events_.pressure) events_.pressure(true);
  }
  write();
}

void Connection::write() {
  if (writing_ || out_.empty() || phase_ == Phase::closed) return;
  writing_ = true;
  set_deadline(write_deadline_, shared_.options.stall_seconds);
  socket_.async_write_some(asio::buffer(out_.front().data() + front_written_, out_.front().size() - front_written_),
                           [self = shared_from_this()](const ErrorOfSystem& error, std::size_t size) {
                             self->writing_ = false;
                             self->guard([&] { self->on_written(error, size); });
                           });
}

void Connection::on_written(const ErrorOfSystem& error, std::size_t size) {
  if (phase_ == Phase::closed) return;
  if (error) return client_gone();
  out_bytes_ -= size;
  shared_.output_bytes -= size;
  front_written_ += size;
  if (front_written_ == out_.front().size()) {
    out_.pop_front();
    front_written_ = 0;
  }
  write_deadline_ = kNever;
  if (pressed_ && out_bytes_ < unread_limit() / 4) {
    pressed_ = false;
    if (events_.pressure) events_.pressure(false);
  }
  if (!out_.empty()) return write();
  if (phase_ == Phase::answered) answer_written();
}

void Connection::leave_exchange(int status) {
  if (std::exchange(exchange_, 0) == 0) return;
  events_ = {};
  answer_deadline_ = kNever;
  held_.set(0);  // of a request that was never handled
  if (std::exchange(busy_, false)) --shared_.busy;
  const auto since = reader_.request().arrived;
  const double seconds =
      since == Clock::time_point() ? 0.0 : std::chrono::duration<double>(Clock::now() - since).count();
  try {
    shared_.handler.on_answered({&reader_.request(), status, body_written_, seconds});
  } catch (const std::exception&) {
    // Out of memory: the log has no line of it, but the connection can end.
  }
}

void Connection::answer_written() {
  leave_exchange(status_);
  if (close_after_ || shared_.stopping) return linger();
  reader_.next();
  phase_ = Phase::reading;
  pressed_ = head_begun_ = head_only_ = chunked_ = false;
  set_deadline(read_deadline_, shared_.options.idle_seconds);
  advance();
  read();
}

void Connection::client_gone() {
  const auto events = std::move(events_);
  leave_exchange(499);
  close();
  if (events.gone) events.gone();
}

// Out of memory: nothing more can be sent.
void Connection::break_off() {
  try {
    client_gone();
  } catch (const std::exception&) {
    close();
  }
}

// Unread data would make the kernel send a reset, which can overtake the answer.
void Connection::linger() {
  ErrorOfSystem ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  lingering_ = true;
  set_deadline(read_deadline_, kLingerSeconds);
  read();
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  leave_exchange(499);
  phase_ = Phase::closed;
  held_.set(0);
  shared_.output_bytes -= out_bytes_;
  out_bytes_ = 0;
  timer_.cancel();
  ErrorOfSystem ignored;
  socket_.close(ignored);
  shared_.connections.erase(shared_from_this());
}

void Connection::set_deadline(Clock::time_point& which, double seconds) {
  which = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  arm();
}

// A running timer fires early and checks again, which is cheaper than setting it for every token.
void Connection::arm() {
  const auto next = std::min({read_deadline_, write_deadline_, ping_at_, answer_deadline_});
  if (phase_ == Phase::closed || next >= armed_for_) return;
  armed_for_ = next;
  timer_.expires_at(next);
  timer_.async_wait([self = shared_from_this()](const ErrorOfSystem& error) {
    if (!error) self->guard([&] { self->on_time(); });
  });
}

void Connection::on_time() {
  armed_for_ = kNever;
  const auto now = Clock::now();
  if (phase_ == Phase::closed) return;
  if (write_deadline_ <= now) return client_gone();
  if (read_deadline_ <= now) {
    if (lingering_ || !head_begun_) return close();
    refuse({408, "the request took too long to arrive"});
    return arm();  // a blocked "100 Continue" may be what is being written
  }
  if (answer_deadline_ <= now) {
    answer_deadline_ = kNever;
    give_up({504, fmt::format("the request took longer than {} s", shared_.options.request_seconds)});
  }
  if (ping_at_ <= now) {
    ping_at_ = kNever;
    if (!idle_text_.empty() && phase_ == Phase::streaming) send(exchange_, idle_text_);
  }
  arm();
}

}  // namespace moe::inline MOE_ABI::serve::http
