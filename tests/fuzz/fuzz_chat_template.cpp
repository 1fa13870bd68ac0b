// libFuzzer entry: any byte string as a chat template, rendered over one conversation.
// tests/data/templates is a good start.

#include <nlohmann/json.hpp>

#include "chat/template.hpp"
#include "entry.hpp"
#include "support/utf8.hpp"

namespace {

moe::chat::Variables conversation() {
  const auto json = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "system", "content": "α <|x|>"}, {"role": "user", "content": "b\n c", "n": 1},
                 {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, null]}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "n": 3, "s": "Text ΣΑΣ", "x": [3, "a", 1.5]
  })");
  moe::chat::Variables variables;
  for (const auto& [name, value] : json.items())
    variables[name] = *moe::chat::from_json(value, moe::chat::Origin::from_content);
  return variables;
}

}  // namespace

void moe_test::try_input(std::string_view input) {
  using namespace moe::chat;
  static const Variables variables = conversation();
  // Small, so that the fuzzer does not spend its time on templates that merely take long.
  const Limits limits{.steps = 20'000, .text_bytes = 1 << 16, .value_bytes = 1 << 20};
  allow_memory(limits.value_bytes + limits.text_bytes);
  const auto chat = ChatTemplate::parse(input, limits);
  if (!chat) {
    if (chat.error().message.empty()) complain("a fault without a message");
    return;
  }
  const auto rendered = chat->render(variables, DateTime{2026, 7, 4, 9, 5, 3, 0});
  if (!rendered) return;
  if (rendered->text.size() > limits.text_bytes) complain("more text than allowed");
  if (!moe::is_valid_utf8(rendered->text)) complain("the text is not UTF-8");
  std::size_t last = 0;
  for (const Span& span : rendered->content) {
    if (span.begin >= span.end || span.end > rendered->text.size() || (last > 0 && span.begin <= last))
      complain("the marks are out of order");
    last = span.end;
  }
}
