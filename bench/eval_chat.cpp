#include "bench/eval_chat.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "support/show.hpp"
#include "tools/common/chat_template.hpp"
#include "tools/common/program.hpp"

namespace eval_chat {
namespace {

namespace eval = moe::eval;

bool bool_of(const std::string& name, const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  throw CLI::ValidationError(name + " '" + moe::printable(text) + "': expected true or false",
                             CLI::ExitCodes::ValidationError);
}

void add_bool(CLI::App& app, const std::string& name, std::optional<bool>& into, const std::string& help) {
  app.add_option_function<std::string>(
         name, [&into, name](const std::string& text) { into = bool_of(name, text); }, help)
      ->type_name("BOOL");
}

void usage_error(const std::string& message) { throw CLI::ValidationError(message, CLI::ExitCodes::ValidationError); }

// Whether prompts would be other ones on another day. A template may show the date in those without a system text alone:
// the first question of each subtask is looked at.
moe::Result<bool> shows_date(const eval::ChatSetting& setting, const moe::ChatTemplates& templates,
                             const eval::PreparedTask& task, const eval::PreparedTask& asked) {
  if (task.spec.kind == eval::TaskKind::rolling) return false;  // without a template
  eval::ChatSetting of_another_day = setting;
  of_another_day.options.date = "1999-12-31";
  const auto prompts = eval::ChatPrompts::create(templates, of_another_day);
  if (!prompts) return moe::forward(prompts);
  std::vector<eval::QuestionIndex> firsts;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) firsts.push_back({s, 0});
  const auto other = prompts->apply(eval::select_questions(task, firsts), cli::interrupted);
  if (!other) return moe::forward(other);
  for (std::size_t s = 0; s < task.subtasks.size(); ++s)
    if (other->subtasks[s].documents[0].contexts != asked.subtasks[s].documents[0].contexts) return true;
  return false;
}

}  // namespace

void add_options(CLI::App& app, Flags& flags) {
  app.add_option_function<std::vector<std::string>>(
         "--apply-chat-template",
         [&flags](const std::vector<std::string>& name) {
           flags.applied = true;
           if (!name.empty()) flags.reported_name = name.front();
         },
         "use the model's chat template. NAME as in lm-evaluation-harness: it must exist and is reported, but "
         "'default' writes the prompts")
      ->expected(0, 1)
      ->type_name("[NAME]");
  app.add_option_function<std::string>(
         "--chat-template",
         [&flags](const std::string& given) {
           if (given.empty()) throw CLI::ValidationError("--chat-template", "is empty, expected a path or a name");
           flags.applied = true;
           flags.given = given;
         },
         "use this template: a file that ends in .jinja or has a / in its path, or the NAME of one of the "
         "model's")
      ->type_name("FILE|NAME");
  add_bool(app, "--fewshot-as-multiturn", flags.multiturn,
           "worked examples as turns of the conversation (true, the default) or inside one message (false)");
  app.add_option("--chat-template-args", flags.variables,
                 "JSON object with variables of the template, as {\"enable_thinking\": false}")
      ->type_name("JSON");
  app.add_option("--chat-date", flags.date,
                 "day or time that the template sees, YYYY-MM-DD[THH:MM:SS] (default: today)")
      ->type_name("DATE");
  add_bool(app, "--enable-thinking", flags.enable_thinking,
           "variable of that name for the template; true needs --think-end-token and generation tasks");
  app.add_option("--think-end-token", flags.think_end,
                 "a reply's answer begins after the last of these texts, as '</think>'")
      ->type_name("TEXT");
}

moe::Result<Rows> rows_of(const Flags& flags, bool swept, const std::vector<std::string>& values,
                          const std::string& started) {
  Rows rows;
  rows.any =
      swept ? std::any_of(values.begin(), values.end(), [](const auto& v) { return v != "none"; }) : flags.applied;
  if (swept && flags.applied) usage_error("--sweep chat_template replaces --apply-chat-template and --chat-template");
  if (!flags.given.empty() && !flags.reported_name.empty())
    usage_error("--chat-template and a NAME behind --apply-chat-template say two things");
  if (!rows.any) {
    if (flags.multiturn.value_or(false)) usage_error("--fewshot-as-multiturn true needs --apply-chat-template");
    if (!flags.variables.empty()) usage_error("--chat-template-args needs --apply-chat-template");
    if (!flags.date.empty()) usage_error("--chat-date needs --apply-chat-template");
    if (flags.enable_thinking) usage_error("--enable-thinking needs --apply-chat-template");
    return rows;
  }
  if (flags.enable_thinking.value_or(false) && flags.think_end.empty())
    usage_error("--enable-thinking true needs --think-end-token");
  rows.conversations =
      flags.multiturn.value_or(true) ? eval::Conversations::multiturn : eval::Conversations::singleturn;
  rows.setting.reported_name = flags.reported_name;
  rows.setting.enable_thinking = flags.enable_thinking;
  rows.setting.options.variables = flags.variables;
  rows.setting.options.date = flags.date.empty() ? started.substr(0, 10) : flags.date;
  if (!flags.given.empty())
    if (auto ok = cli::use_chat_template(flags.given, rows.setting.options); !ok) return moe::forward(ok);
  return rows;
}

std::optional<eval::ChatSetting> swept_setting(const Rows& rows, const std::string& value) {
  if (value == "none") return {};
  eval::ChatSetting setting = rows.setting;
  setting.options.template_name = value == "default" ? "" : value;
  return setting;
}

Asked ask_plainly(const Flags& flags) {
  Asked out;
  out.digest = eval::chat_digest(nullptr, eval::Conversations::none, flags.think_end);
  return out;
}

moe::Result<Asked> ask_through(const eval::ChatSetting& setting, const Flags& flags, const Rows& rows,
                               const std::string& row, const moe::ChatTemplates& templates,
                               const std::vector<eval::PreparedTask>& tasks) {
  const auto about_row = [&](const moe::Error& error) { return moe::fail(error.code, row + ": " + error.message); };
  const auto prompts = eval::ChatPrompts::create(templates, setting);
  if (!prompts) return about_row(prompts.error());
  Asked out;
  for (const eval::PreparedTask& task : tasks) {
    auto asked = prompts->apply(task, cli::interrupted);
    if (!asked) return about_row(asked.error());
    if (asked->chat_retries > 0)
      cli::complain("moe-eval",
                    fmt::format("{}, {}: note: the chat template refuses a system text: {} prompts have none", row,
                                task.spec.name, asked->chat_retries));
    out.tasks.push_back(std::move(*asked));
  }
  for (std::size_t t = 0; t < tasks.size() && flags.date.empty() && !out.shows_date; ++t) {
    const auto shows = shows_date(setting, templates, tasks[t], out.tasks[t]);
    if (!shows) return about_row(shows.error());
    out.shows_date = *shows;
  }
  if (!setting.reported_name.empty())
    cli::complain("moe-eval",
                  row + (templates.are_named
                             ? ": note: as in the harness, 'default' writes the prompts and " +
                                   moe::in_quotes(setting.reported_name) + " is reported; --chat-template NAME uses it"
                             : ": note: the model has one chat template, which has no name"));
  out.use = eval::ChatUse{prompts->reported_text(), rows.conversations == eval::Conversations::multiturn,
                          setting.options.variables, setting.options.date, setting.enable_thinking};
  out.digest = eval::chat_digest(&*prompts, rows.conversations, flags.think_end);
  return out;
}

}  // namespace eval_chat
