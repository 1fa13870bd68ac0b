#include "serve/api/api.hpp"

#include <fmt/format.h>

#include <charconv>

#include "serve/api/endpoints.hpp"
#include "serve/api/json_out.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

using Post = Checked<void> (*)(Arrival&);
struct Route {
  std::string_view path;
  std::string_view methods;
  Post post = nullptr;
};

// Every path exists with and without /v1, because base URLs differ.
constexpr Route kRoutes[] = {
    {"/", "GET"},
    {"/health", "GET"},
    {"/models", "GET"},
    {"/version", "GET"},
    {"/metrics", "GET"},
    {"/tokenizer_info", "GET"},
    {"/completions", "POST", completions},
    {"/chat/completions", "POST", chat_completions},
    {"/chat/completions/input_tokens", "POST", count_input_tokens},
    {"/apply-template", "POST", apply_template},
    {"/tokenize", "POST", tokenize},
    {"/detokenize", "POST", detokenize},
};
constexpr std::string_view kModel = "/models/";
constexpr std::string_view kBosShift =
    "log-probabilities of a text to which the tokenizer adds BOS: its list has an entry for BOS too, so a client that "
    "counts the text's own tokens (lm-eval with tokenized_requests=False) reads scores one token too early; send token "
    "ids, or add_special_tokens: false. Said once.";

std::string_view without_version(std::string_view path) {
  if (path.starts_with("/v1/")) path.remove_prefix(3);
  return path;
}

const Route* route_of(std::string_view path) {
  const auto plain = without_version(path);
  for (const Route& route : kRoutes)
    if (route.path == plain) return &route;
  return nullptr;
}

// Constant time for all wrong keys of the same length.
bool same_key(std::string_view sent, std::string_view key) {
  unsigned different = sent.size() == key.size() ? 0u : 1u;
  for (std::size_t i = 0; i < key.size(); ++i)
    different |= static_cast<unsigned char>(key[i]) ^
                 static_cast<unsigned>(static_cast<unsigned char>(sent.empty() ? '\0' : sent[i % sent.size()]));
  return different == 0;
}

std::string_view sent_key(const http::Request& request) {
  const std::string* header = request.header("authorization");
  if (header == nullptr || header->size() < 7 || !http::equal_ignoring_case(header->substr(0, 7), "Bearer ")) return {};
  return std::string_view(*header).substr(7);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

http::Response json_response(std::string body, int status = 200) {
  return {status, std::move(body), "application/json", {}};
}

}  // namespace

std::string_view Api::methods(std::string_view path) const {
  if (const Route* route = route_of(path)) return route->methods;
  return without_version(path).starts_with(kModel) ? "GET" : "";
}

std::optional<http::Response> Api::refuse(http::Request& request) {
  auto notes = std::make_shared<Notes>();
  request.notes = notes;
  const auto& keys = options_.api_keys;
  const auto path = without_version(request.path);
  if (keys.empty() || path == "/health" || path == "/") return {};
  const auto sent = sent_key(request);
  bool found = false;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (same_key(sent, keys[i])) {
      found = true;
      notes->owner = std::to_string(i);
    }
  if (found) return {};
  return refusal(
      {401, "the API key is missing or wrong: expected Authorization: Bearer KEY", {}, "invalid_api_key", {}});
}

// Does not depend on the model, so it also works before loading.
std::optional<http::Response> Api::answer_always(const http::Request& request) const {
  const auto path = without_version(request.path);
  if (path == "/") return http::Response{200, std::string(page()), "text/html; charset=utf-8", {}};
  if (path == "/health") return health();
  if (path == "/metrics" && !options_.metrics)
    return refusal({501, "the server was started without metrics", {}, "metrics_off", {}});
  if (path.starts_with(kModel))
    if (auto known = check_model_name(options_, percent_decoded(path.substr(kModel.size()))); !known)
      return refusal(known.error());
  return {};
}

http::Response Api::health() const {
  const auto why_not = unavailable();
  if (!why_not) return json_response(json_text({{"status", "ok"}}));
  http::Response response = error_response(*why_not);
  response.body = error_body(*why_not, why_not->code);
  return response;
}

http::Response Api::metrics(const Context& context) const {
  return {200,
          metrics_.text({context.queue.counters(), gauges_()}, context.name(), options_.metrics_alias),
          "text/plain; version=0.0.4; charset=utf-8",
          {{"Process-Start-Time-Unix", std::to_string(context.created)}}};
}

std::optional<http::Response> Api::answer_now(const http::Request& request, const Context& context) const {
  const auto path = without_version(request.path);
  if (path == "/models") return json_response(models_json(context));
  if (path == "/version") return json_response(version_json(context));
  if (path == "/tokenizer_info") return json_response(tokenizer_info_json(context));
  if (path == "/metrics") return metrics(context);
  if (path.starts_with(kModel)) return json_response(model_json(context, percent_decoded(path.substr(kModel.size()))));
  return {};
}

std::optional<ApiError> Api::unavailable() const {
  if (stopping_) return ApiError{503, "the server is shutting down", {}, "draining", {}};
  if (context_.load() == nullptr) return ApiError{503, "the model is being loaded", {}, "loading model", {}};
  return {};
}

void Api::handle(http::Request request, http::Responder responder) {
  if (auto always = answer_always(request)) return responder.answer(std::move(*always));
  const auto why_not = unavailable();
  const Context* context = context_.load();
  if (context == nullptr) return responder.answer(refusal(*why_not));
  if (auto now = answer_now(request, *context)) return responder.answer(std::move(*now));
  if (why_not) return responder.answer(refusal(*why_not));
  const Route* route = route_of(request.path);
  auto notes = std::static_pointer_cast<Notes>(request.notes);
  context->intake.post([this, context, route, request = std::move(request), responder = std::move(responder),
                        notes = std::move(notes)]() mutable {
    Arrival arrival{*context, std::move(request), std::move(responder), std::move(notes)};
    if (auto ok = route->post(arrival); !ok) arrival.responder.answer(refusal(ok.error()));
  });
}

http::Response Api::refusal(const ApiError& error) const {
  metrics_.count_refusal(error);
  return error_response(error);
}

ApiError Api::error_of(int status, std::string_view message) const {
  ApiError error{status, std::string(message), {}, {}, {}};
  if (status == 503) error.code = stopping_ ? "draining" : "overloaded";
  if (status == 504) error.code = "request_timeout";
  return error;
}

http::Response Api::error(int status, std::string_view message) const { return refusal(error_of(status, message)); }

std::string Api::stream_error(int status, std::string_view message) const {
  const ApiError error = error_of(status, message);
  metrics_.count_refusal(error);
  return "data: " + error_body(error) + "\n\n";
}

void Api::on_answered(const http::Record& record) {
  metrics_.count_answer(record.status);
  metrics_.observe(Metrics::Measure::request, record.seconds);
  if (!options_.log) return;
  Json line = {{"time", unix_now()},
               {"id", record.request->id},
               {"method", record.request->method.substr(0, 32)},
               {"path", record.request->path.substr(0, 200)},
               {"status", record.status},
               {"bytes", record.bytes},
               {"seconds", record.seconds}};
  bool warns = false;
  if (const auto notes = std::static_pointer_cast<Notes>(record.request->notes)) {
    const std::lock_guard lock(notes->mutex);
    if (notes->prompt_tokens >= 0) line["prompt_tokens"] = notes->prompt_tokens;
    if (notes->reply_tokens >= 0) line["reply_tokens"] = notes->reply_tokens;
    if (notes->first_token_seconds >= 0) line["first_token_seconds"] = notes->first_token_seconds;
    if (!notes->prompts.empty()) line["prompts"] = notes->prompts;
    if (!notes->replies.empty()) line["replies"] = notes->replies;
    warns = notes->has_scored_added_bos && !std::exchange(has_warned_, true);
  }
  options_.log(ascii_json_text(line));
  if (warns)
    options_.log(ascii_json_text(Json{{"time", unix_now()}, {"id", record.request->id}, {"warning", kBosShift}}));
}

void Api::on_stopping() {
  stopping_ = true;
  if (context_.load() != nullptr && on_stopping_) on_stopping_();
}

}  // namespace moe::inline MOE_ABI::serve::api
