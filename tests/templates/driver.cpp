// Renders templates for against_jinja2.py: one JSON object per line on stdin, {"template", "variables", "now"}, and one per line
// on stdout, {"text", "content"} or {"fault", "exception", "message", "line"}.

#include <iostream>
#include <nlohmann/json.hpp>

#include "chat/template.hpp"

namespace {

using moe::chat::Fault;
using Json = nlohmann::ordered_json;

Json refusal(const Fault& fault) {
  static constexpr const char* kKinds[] = {"syntax", "refused", "python", "limit", "unsupported"};
  return {{"fault", kKinds[static_cast<int>(fault.kind)]},
          {"exception", fault.exception},
          {"message", fault.message},
          {"line", fault.line}};
}

Json answer(const Json& question) {
  const auto chat = moe::chat::ChatTemplate::parse(question.at("template").get<std::string>());
  if (!chat) return refusal(chat.error());
  moe::chat::Variables variables;
  for (const auto& [name, value] : question.at("variables").items()) {
    auto converted = moe::chat::from_json(value, moe::chat::Origin::from_content);
    if (!converted) return {{"fault", "argument"}, {"message", converted.error().message}};
    variables[name] = std::move(*converted);
  }
  const auto now = question.value("now", std::vector<int>{2026, 7, 4, 9, 5, 3});
  const auto rendered = chat->render(variables, moe::chat::DateTime{now[0], now[1], now[2], now[3], now[4], now[5], 0});
  if (!rendered) return refusal(rendered.error());
  Json spans = Json::array();
  for (const auto& span : rendered->content) spans.push_back({span.begin, span.end});
  return {{"text", rendered->text}, {"content", spans}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(Json::parse(line)).dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  return 0;
}
