#pragma once
// Paths to endpoints, keys, the log of requests.

#include <atomic>
#include <functional>
#include <optional>

#include "serve/api/context.hpp"
#include "serve/http/server.hpp"

namespace moe::inline MOE_ABI::serve::api {

class Api final : public http::Handler {
 public:
  /// `on_stopping` is called when shutdown begins, `gauges` by the I/O thread. Both must outlive this.
  Api(const ServerOptions& options, Metrics& metrics, std::function<void()> on_stopping,
      std::function<http::Gauges()> gauges)
      : options_(options), metrics_(metrics), on_stopping_(std::move(on_stopping)), gauges_(std::move(gauges)) {}

  /// Sets the model; before that, endpoints that need it return 503. Any thread; `context` must outlive this.
  void serve(const Context& context) { context_ = &context; }

  std::string_view methods(std::string_view path) const override;
  std::optional<http::Response> refuse(http::Request& request) override;
  void handle(http::Request request, http::Responder responder) override;
  http::Response error(int status, std::string_view message) const override;
  std::string stream_error(int status, std::string_view message) const override;
  void on_answered(const http::Record& record) override;
  void on_stopping() override;

 private:
  std::optional<http::Response> answer_always(const http::Request& request) const;
  http::Response health() const;
  /// Endpoints that the I/O thread answers directly.
  std::optional<http::Response> answer_now(const http::Request& request, const Context& context) const;
  http::Response metrics(const Context& context) const;
  /// Why requests are refused now: the model is loading, or the server is shutting down.
  std::optional<ApiError> unavailable() const;
  http::Response refusal(const ApiError& error) const;
  ApiError error_of(int status, std::string_view message) const;

  const ServerOptions& options_;
  Metrics& metrics_;
  std::atomic<const Context*> context_ = nullptr;
  std::function<void()> on_stopping_;
  std::function<http::Gauges()> gauges_;
  bool stopping_ = false, has_warned_ = false;
};

}  // namespace moe::inline MOE_ABI::serve::api
