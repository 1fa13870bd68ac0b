#include "eval/tasks/task_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "eval/score/metric_names.hpp"
#include "eval/tasks/template.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {

std::optional<std::int64_t> whole_number(JsonValue value, std::int64_t least, std::int64_t most) {
  const auto n = value.get<std::int64_t>();
  // Above 2^63 - 1 it wraps round to below 0.
  const bool fits = value.is_number_integer() && n >= least && n <= most && (n >= 0 || !value.is_number_unsigned());
  return fits ? std::optional(n) : std::nullopt;
}

Error TaskReader::error() const { return {ErrorCode::bad_file, fmt::format("{}: {}", file_, problem_)}; }

void TaskReader::problem(std::string text) {
  if (problem_.empty()) problem_ = std::move(text);
}

void TaskReader::text(JsonValue object, const char* key, std::string& out, bool required) {
  const auto found = object.find(key);
  if (!found) {
    if (required) problem(fmt::format("key '{}' is missing", key));
  } else if (!found->is_string()) {
    problem(fmt::format("key '{}' is {}, expected text", key, found->type_name()));
  } else {
    out = found->text();
  }
}

void TaskReader::count(JsonValue object, const char* key, std::int64_t& out, std::int64_t least) {
  const auto found = object.find(key);
  if (!found) return;
  constexpr std::int64_t kMost = 1 << 20;
  const auto value = whole_number(*found, least, kMost);
  if (!value)
    return problem(fmt::format("key '{}' is {}, expected a whole number from {} to {}", key,
                               in_quotes(found->in_ascii(80)), least, kMost));
  out = *value;
}

void TaskReader::flag(JsonValue object, const char* key, bool& out) {
  const auto found = object.find(key);
  if (!found) return;
  if (!found->is_boolean())
    return problem(fmt::format("key '{}' is {}, expected true or false", key, found->type_name()));
  out = found->get<bool>();
}

void TaskReader::only(JsonValue object, const std::vector<std::string_view>& keys, std::string_view where) {
  for (const auto& [key, value] : object.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      return problem(fmt::format("{}unknown key {} (known: {})", where, in_quotes(key), fmt::join(keys, ", ")));
}

bool TaskReader::fits(std::string_view what, std::size_t count, std::size_t most) {
  if (count > most) problem(fmt::format("{} has {} entries, expected at most {}", what, count, most));
  return count <= most;
}

void TaskReader::texts(JsonValue object, const char* key, std::vector<std::string>& out, std::size_t most) {
  const auto found = object.find(key);
  if (!found) return;
  if (!found->is_array())
    return problem(fmt::format("key '{}' is {}, expected a list of texts", key, found->type_name()));
  if (!fits(fmt::format("key '{}'", key), found->size(), most)) return;
  for (const JsonValue item : *found) {
    if (!item.is_string()) return problem(fmt::format("key '{}' holds {}, expected texts only", key, item.type_name()));
    out.emplace_back(item.text());
  }
}

void TaskReader::different(const char* key, const std::vector<std::string>& items) {
  for (std::size_t i = 0; i < items.size(); ++i)
    if (std::find(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(i), items[i]) !=
        items.begin() + static_cast<std::ptrdiff_t>(i))
      problem(fmt::format("{} names {} twice", key, in_quotes(items[i])));
}

void TaskReader::metrics(JsonValue object, const char* key, const TaskSpec& task, std::vector<MetricColumn>& out) {
  std::vector<std::string> names;
  texts(object, key, names, std::size(kMetricNames));
  different(key, names);
  for (const FilterSpec& filter : task.filters)
    for (const std::string& name : names) {
      const auto* known = std::find(std::begin(kMetricNames), std::end(kMetricNames), name);
      if (known == std::end(kMetricNames))
        return problem(
            fmt::format("{}: unknown metric {} (known: {})", key, in_quotes(name), fmt::join(kMetricNames, ", ")));
      out.emplace_back(static_cast<Metric>(known - std::begin(kMetricNames)), filter.name);
    }
}

void TaskReader::checked_template(const char* key, const std::string& source) {
  if (const auto parsed = Template::parse(source); !parsed) problem(fmt::format("{}: {}", key, parsed.error().message));
}

}  // namespace moe::inline MOE_ABI::eval
