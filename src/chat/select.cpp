#include "chat/select.hpp"

#include <fmt/format.h>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

constexpr const char* kUsual = "default";

tl::unexpected<Error> missing(const ChatTemplates& templates, const std::string& what) {
  if (!templates.error.empty())
    return fail(ErrorCode::not_found, fmt::format("{}: {}; --chat-template FILE gives one", what, templates.error));
  if (templates.texts.empty())
    return fail(ErrorCode::not_found, what + ": the model has none; the text of one can be given instead");
  std::string names;
  for (const auto& [name, text] : templates.texts) names += (names.empty() ? "" : ", ") + in_quotes(name);
  return fail(ErrorCode::not_found, fmt::format("{}: the model has {}", what, names));
}

}  // namespace

Result<Selected> select_template(const ChatTemplates& templates, const ChatOptions& options) {
  if (!options.template_text.empty()) return Selected{"given", options.template_text};
  std::string name = options.template_name;
  const bool is_named = !name.empty();
  if (!is_named) name = !options.tools.empty() && templates.texts.contains("tool_use") ? "tool_use" : kUsual;
  if (const auto found = templates.texts.find(name); found != templates.texts.end())
    return Selected{found->first, found->second};
  return missing(templates,
                 is_named ? fmt::format("no chat template {}", in_quotes(name)) : std::string("no chat template"));
}

}  // namespace moe::inline MOE_ABI::chat
