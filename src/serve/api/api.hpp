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
  /// `on_stopping`: what else begins to end then. `gauges` is asked by the I/O thread.
  Api(const Context& context, std::function<void()> on_stopping, std::function<http::Gauges()> gauges)
      : context_(context), on_stopping_(std::move(on_stopping)), gauges_(std::move(gauges)) {}

  std::string_view methods(std::string_view path) const override;
  std::optional<http::Response> refuse(http::Request& request) override;
  void handle(http::Request request, http::Responder responder) override;
  http::Response error(int status, std::string_view message) const override;
  void on_answered(const http::Record& record) override;
  void on_stopping() override;

 private:
  /// What is answered at once by the I/O thread.
  std::optional<http::Response> answer_now(const http::Request& request) const;
  const Context& context_;
  std::function<void()> on_stopping_;
  std::function<http::Gauges()> gauges_;
  bool stopping_ = false;
};

}  // namespace moe::inline MOE_ABI::serve::api
