#include "chat/template.hpp"

#include "chat/evaluator.hpp"
#include "chat/parser.hpp"
#include "chat/token.hpp"

namespace moe::inline MOE_ABI::chat {

tl::expected<ChatTemplate, Fault> ChatTemplate::parse(std::string_view source, const Limits& limits) {
  auto tokens = tokenize(source, limits);
  if (!tokens) return tl::unexpected(tokens.error());
  auto tree = parse_template(std::move(*tokens), limits);
  if (!tree) return tl::unexpected(tree.error());
  if (auto resolved = resolve_names(*tree); !resolved) return tl::unexpected(resolved.error());
  return ChatTemplate(std::make_shared<const Tree>(std::move(*tree)), limits);
}

tl::expected<Rendered, Fault> ChatTemplate::render(const Variables& variables, std::optional<DateTime> now) const {
  Run run(limits_);
  run.now = now ? &*now : nullptr;
  Context context(variables);
  Evaluator evaluator(run, *tree_, context);
  run.evaluator = &evaluator;
  TextBuilder out(run);
  evaluator.render(out);
  out.all_text();
  if (run.fault()) return tl::unexpected(*run.fault());
  return Rendered{std::move(out.bytes()), std::move(out.content())};
}

}  // namespace moe::inline MOE_ABI::chat
