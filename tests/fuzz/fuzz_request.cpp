// libFuzzer entry: any byte string as what a client of moe-serve sends: the reader of requests, whatever its bytes are cut
// into, then what their heads are answered with, then their bodies as every endpoint reads them, up to the model.
// seeds/request is a good start.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "entry.hpp"
#include "serve/api/api.hpp"
#include "serve/api/endpoints.hpp"
#include "serve/api/prompts.hpp"
#include "serve/api/reply_fields.hpp"
#include "serve/api/tables.hpp"
#include "serve/http/answer_head.hpp"
#include "serve/http/request_reader.hpp"

namespace {

using namespace moe::serve;
using moe_test::complain;

class NoQueue final : public JobQueue {
 public:
  moe::Result<void> check(const Job&) const override { return {}; }
  moe::Result<JobId> submit(Job, std::shared_ptr<JobSink>) override {
    return moe::fail(moe::ErrorCode::cancelled, "no queue");
  }
  void cancel(JobId) override {}
  void pause(JobId) override {}
  void resume(JobId) override {}
  Counters counters() const override { return {}; }
};

// A server but for its sockets and its model's steps.
struct Served {
  ServerOptions options;
  std::shared_ptr<const moe::Model> model;
  NoQueue queue;
  api::Metrics metrics;
  TaskThread intake, output;
  api::Context context;
  api::Api api;

  static Served& get() {
    static auto* served = new Served;  // its threads outlive the fuzzer's exit()
    return *served;
  }

 private:
  Served()
      : options(options_of()),
        model(load()),
        context{model, options, queue, metrics, intake, output, 1024, 0, "b"},
        api(
            options, metrics, [] {}, [] { return http::Gauges{}; }) {
    api.serve(context);
  }
  static ServerOptions options_of() {
    ServerOptions o;
    o.names = {"nano"};
    o.chat_template_text =
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ m | tojson }}\n{% endfor %}{{ tools }}{{ documents "
        "}}";
    return o;
  }
  static std::shared_ptr<const moe::Model> load() {
    auto model = moe::Model::load(MOE_SOURCE_DIR "/models/nano/nano-moe", {});
    if (!model) complain("the model: " + model.error().message);
    return *model;
  }
};

// What a client reads of a refusal: never its server's fault, with a message, in JSON.
template <class T>
bool is_taken(const api::Checked<T>& checked) {
  if (checked) return true;
  const api::ApiError& error = checked.error();
  if (error.status < 400 || error.status > 499) complain("a client's mistake is not 4xx: " + error.message);
  const auto json = nlohmann::json::parse(api::error_body(error), nullptr, false);
  if (json.is_discarded() || !json["error"]["message"].is_string() || error.message.empty())
    complain("an error is not readable: " + error.message);
  return false;
}

void check_completions(const api::Fields& fields, const api::Context& context) {
  const auto settings = api::read_reply_settings(fields, context, 16);
  if (!is_taken(settings)) return;
  if (settings->n < 1 || settings->n > 64) complain("n is out of its range");
  auto prompts = api::read_prompts(fields, context, settings->options.special_tokens);
  if (!is_taken(prompts)) return;
  for (api::PromptPart& part : *prompts) {
    if (part.ids.empty() || part.shown.size() != part.ids.size())
      complain("a prompt without tokens, or tokens without text");
    if (is_taken(api::fit_prompt(part.ids, *settings, context.context_tokens)) &&
        static_cast<std::int64_t>(part.ids.size()) > context.context_tokens)
      complain("a prompt beyond the context fits");
  }
}

void check_conversation(const api::Fields& fields, const api::Context& context) {
  (void)is_taken(api::read_reply_settings(fields, context, {}));
  const auto messages = fields.find("messages");
  if (!messages) return;
  const auto chat = api::read_chat(fields, *messages, context);
  if (!is_taken(chat)) return;
  const auto rendered = moe::encode_chat(*context.model, *chat);
  if (!rendered) (void)is_taken(api::Checked<void>(tl::unexpected<api::ApiError>(api::from_library(rendered.error()))));
}

void check_text(const api::Fields& fields, const api::Context& context) {
  for (const auto name : {"prompt", "content"})
    if (const auto text = fields.find(name); text && text->is_string())
      for (const auto special : {moe::SpecialText::parse, moe::SpecialText::plain})
        (void)is_taken(api::encode_text(context, fields.text(name), true, special));
}

void check_body(std::string_view body) {
  const auto document = api::read_body(body);
  if (!is_taken(document)) return;
  const api::Context& context = Served::get().context;
  const auto checked = [&](api::RequestTable table) {
    auto fields = api::Fields::check(document->root(), table, false);
    if (is_taken(fields))
      for (const char c : api::ignored_header(*fields))
        if (c < ' ' || c == 0x7F) complain("a header of the answer has a control character");
    return fields;
  };
  if (const auto fields = checked(api::completions_table())) check_completions(*fields, context);
  if (const auto fields = checked(api::chat_table())) check_conversation(*fields, context);
  if (const auto fields = checked(api::tokenize_table())) check_text(*fields, context);
  if (const auto fields = checked(api::detokenize_table()))
    if (const auto list = fields->find("tokens"))
      if (const auto ids = api::read_ids(*list, "tokens", context.tokenizer()); is_taken(ids))
        (void)context.tokenizer().decode(*ids);
}

// The answer's head has as many lines as it has headers: nothing of the request ends one.
void check_head(http::Request& request) {
  http::Options options;
  options.cors_origin = "http://a";
  request.id = http::request_id(request, 1);
  const auto refused = http::check_request(request, options, true, Served::get().api);
  const std::vector<http::Header> none;
  const auto head = http::answer_head(
      {refused ? refused->status : 200, "text/plain", refused ? &refused->headers : &none, true, std::size_t{0}, false},
      request, options);
  const auto lines = std::count(head.begin(), head.end(), '\n');
  if (lines > 16 || lines != std::count(head.begin(), head.end(), '\r') || !head.ends_with("\r\n\r\n"))
    complain("the head of an answer: " + head);
}

// The requests that are read: their bodies one after the other, and what ended it.
std::string read(std::string_view bytes, std::size_t step) {
  std::string out;
  http::RequestReader reader(1 << 16);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    reader.append(bytes.substr(at, step));
    for (;;) {
      if (const auto fault = reader.read()) return out + "!";
      if (reader.state() == http::RequestReader::State::head) break;
      reader.go_on();
      if (const auto fault = reader.read()) return out + "!";
      if (reader.state() != http::RequestReader::State::complete) break;
      out += reader.request().method + " " + reader.request().path + "\n" + reader.request().body;
      check_head(reader.request());
      check_body(reader.request().body);
      reader.next();
    }
  }
  return out;
}

}  // namespace

void moe_test::try_input(std::string_view input) {
  check_body(input);
  if (read(input, input.size() + 1) != read(input, 7)) complain("the requests depend on how their bytes were cut");
}
