#pragma once
// Chat templates: Jinja, as transformers sets it up, from a conversation to the text that a model reads.
//
//   const auto chat = ChatTemplate::parse(text);          // once per model
//   Variables variables;                                  // messages, tools, add_generation_prompt, bos_token, ...
//   variables["messages"] = *from_json(messages, Origin::from_content);
//   const auto rendered = chat->render(variables);
//
// The same text and the same refusals as jinja2 3.1.6's ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks,
// break and continue, the tag generation, and transformers' tojson, raise_exception, strftime_now. What is missing is
// refused by name (FaultKind::unsupported), never guessed.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/context.hpp"
#include "chat/datetime.hpp"
#include "chat/fault.hpp"
#include "chat/json.hpp"
#include "chat/limits.hpp"

namespace moe::inline MOE_ABI::chat {

struct Tree;

/// The text for the model.
struct Rendered {
  std::string text;
  /// Bytes that came from values marked Origin::from_content, in rising order, none adjacent. A control token with a
  /// byte in one of them was spelled by a user and must be encoded as plain text.
  std::vector<Span> content;
};

class ChatTemplate {
 public:
  /// Faults: syntax, limit, unsupported.
  static tl::expected<ChatTemplate, Fault> parse(std::string_view source, const Limits& limits = {});

  /// May be called from several threads at once. `now` is the local time that strftime_now tells.
  /// Faults: refused where the template raises or uses what is undefined (a caller may try again with other messages),
  /// python where Python would raise another exception, limit, unsupported.
  tl::expected<Rendered, Fault> render(const Variables& variables, std::optional<DateTime> now = std::nullopt) const;

 private:
  ChatTemplate(std::shared_ptr<const Tree> tree, const Limits& limits) : tree_(std::move(tree)), limits_(limits) {}
  std::shared_ptr<const Tree> tree_;
  Limits limits_;
};

}  // namespace moe::inline MOE_ABI::chat
