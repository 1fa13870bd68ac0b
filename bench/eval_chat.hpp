#pragma once
// moe-eval's chat templates: options, and the prompts of rows with a template.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "moe/eval/chat_prompts.hpp"
#include "moe/eval/report.hpp"

namespace eval_chat {

/// The options as given on the command line.
struct Flags {
  bool applied = false;       // --apply-chat-template, or --chat-template
  std::string reported_name;  // --apply-chat-template NAME
  std::string given;          // --chat-template FILE|NAME
  std::string variables, date, think_end;
  std::optional<bool> multiturn, enable_thinking;
};
void add_options(CLI::App& app, Flags& flags);

/// Templates of the rows.
struct Rows {
  bool any = false;  // at least one row has a template
  moe::eval::ChatSetting setting;
  moe::eval::Conversations conversations = moe::eval::Conversations::none;
};
/// `swept`: --sweep chat_template replaces the options, with `values`; "none" is a row without a template.
/// `started`: ISO 8601 time, whose day is the date for templates that use one. Throws CLI::ValidationError for options
/// that contradict each other. Errors: those of --chat-template.
moe::Result<Rows> rows_of(const Flags& flags, bool swept, const std::vector<std::string>& values,
                          const std::string& started);

/// The setting of a row of --sweep chat_template=VALUE; none for "none".
std::optional<moe::eval::ChatSetting> swept_setting(const Rows& rows, const std::string& value);

/// The prompts of one row.
struct Asked {
  std::vector<moe::eval::PreparedTask> tasks;
  std::optional<moe::eval::ChatUse> use;
  std::string digest;       // StoreSetting::chat
  bool shows_date = false;  // the template shows today, which --chat-date did not give: tomorrow's prompts are others
};
Asked ask_plainly(const Flags& flags);
/// `row` names the model in errors and in notes on stderr.
moe::Result<Asked> ask_through(const moe::eval::ChatSetting& setting, const Flags& flags, const Rows& rows,
                               const std::string& row, const moe::ChatTemplates& templates,
                               const std::vector<moe::eval::PreparedTask>& tasks);

}  // namespace eval_chat
