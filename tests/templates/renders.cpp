// Chat templates against what the reference made of them: every NAME.jinja with NAME.jsonl of the directory.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "chat/template.hpp"
#include "support.hpp"

namespace {

using namespace moe;
using Json = nlohmann::ordered_json;

chat::Variables variables_of(const Json& kwargs) {
  chat::Variables variables;
  for (const auto& [name, value] : kwargs.items()) {
    const bool content = name == "messages" || name == "tools" || name == "documents";
    auto converted = chat::from_json(value, content ? chat::Origin::from_content : chat::Origin::from_template);
    REQUIRE_MESSAGE(converted, converted.error().message);
    variables[name] = *converted;
  }
  return variables;
}

// strftime_now told the reference the day on which it ran. The expected text names it.
std::vector<chat::DateTime> days_named_by(const std::string& text) {
  static const std::string months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::vector<chat::DateTime> days;
  const std::regex iso("([0-9]{4})-([0-9]{2})-([0-9]{2})"), words("([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4})");
  for (std::sregex_iterator it(text.begin(), text.end(), iso), end; it != end; ++it)
    days.push_back({std::stoi((*it)[1]), std::stoi((*it)[2]), std::stoi((*it)[3])});
  for (std::sregex_iterator it(text.begin(), text.end(), words), end; it != end; ++it)
    if (const std::size_t at = months.find((*it)[2]); at != std::string::npos)
      days.push_back({std::stoi((*it)[3]), static_cast<int>(at / 3) + 1, std::stoi((*it)[1])});
  std::erase_if(days, [](const chat::DateTime& d) { return d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31; });
  return days;
}

// Empty when our interpreter does as the reference did.
std::string complaint(const chat::ChatTemplate& chat, const Json& one) {
  const chat::Variables variables = variables_of(one.at("kwargs"));
  auto rendered = chat.render(variables, chat::DateTime{});
  if (one.contains("error")) {
    if (rendered) return "rendered, but the reference refuses: " + one.at("error").get<std::string>();
    const auto kind = rendered.error().kind;
    const bool same = kind == chat::FaultKind::refused || kind == chat::FaultKind::python;
    return same ? "" : "refused for another reason: " + rendered.error().message;
  }
  const auto expected = one.at("expected").get<std::string>();
  if (rendered && rendered->text == expected) return "";
  for (const chat::DateTime& day : days_named_by(expected)) {
    rendered = chat.render(variables, day);
    if (rendered && rendered->text == expected) return "";
  }
  if (!rendered) return as_error(rendered.error(), "").message;
  const auto& text = rendered->text;
  const auto at = std::mismatch(text.begin(), text.end(), expected.begin(), expected.end()).first - text.begin();
  return "another text from byte " + std::to_string(at) + " on: " + text.substr(static_cast<std::size_t>(at), 80);
}

}  // namespace

TEST_CASE("chat templates give the reference's text or refuse as it does") {
  const auto directory = moe_test::reference_dir("MOE_TEMPLATE_DIR", "../shared/templates", "templates");
  if (directory.empty()) return moe_test::report_skip("chat templates", "no directory");
  int templates = 0, cases = 0, passed = 0;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().extension() == ".jinja") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    auto with_cases = file;
    with_cases.replace_extension(".jsonl");
    if (!std::filesystem::exists(with_cases)) {
      moe_test::report_skip(file.filename().string(), "no cases beside it");
      continue;
    }
    ++templates;
    const auto chat = chat::ChatTemplate::parse(moe_test::read_file(file));
    for (const std::string& line : moe_test::read_lines(with_cases)) {
      if (line.empty()) continue;
      const Json one = Json::parse(line);
      CAPTURE(file.filename().string());
      CAPTURE(one.value("name", ""));
      ++cases;
      const std::string found = chat ? complaint(*chat, one) : as_error(chat.error(), file.filename().string()).message;
      CHECK_MESSAGE(found.empty(), found);
      passed += found.empty() ? 1 : 0;
    }
  }
  MESSAGE(templates << " templates, " << passed << " of " << cases << " renders as the reference");
  CHECK_MESSAGE(cases > 0, "no case in " << directory.string());
}
