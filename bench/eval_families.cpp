#include "bench/eval_families.hpp"

#include <algorithm>
#include <map>

#include "support/show.hpp"
#include "tools/common/program.hpp"

namespace eval_families {
namespace {

namespace eval = moe::eval;

template <typename... Parts>
tl::unexpected<moe::Error> wrong(const std::string& family, const Parts&... parts) {
  return moe::fail(moe::ErrorCode::bad_argument, ("--families " + moe::printable(family) + ": " + ... + parts));
}

// Splits at commas, except those inside brackets: "a,b[top_k=4,4,3]" are two names.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out(1);
  int depth = 0;
  for (const char c : list) {
    depth += (c == '[') - (c == ']');
    if (c == ',' && depth <= 0)
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + moe::printable(name);
  return out;
}

}  // namespace

void add_options(CLI::App& app, Flags& flags) {
  app.add_option("--families", flags.families,
                 "NAME=MODEL,MODEL: the best of this family is compared with the best of each other; repeat it")
      ->allow_extra_args(false)
      ->type_name("NAME=MODELS");
  app.add_option("--reference", flags.reference,
                 "MODEL,MODEL: models whose front compute multipliers refer to (default: all others)")
      ->type_name("MODELS");
}

namespace {

moe::Result<void> set_reference(const Flags& flags, const std::vector<std::string>& rows, eval::RunReport& report) {
  if (flags.reference.empty()) return {};
  for (const std::string& name : split(flags.reference)) {
    const auto row = std::find(rows.begin(), rows.end(), name);
    const auto problem = [&](const std::string& what) {
      return moe::fail(moe::ErrorCode::bad_argument, "--reference " + moe::printable(flags.reference) + ": " + what);
    };
    if (row == rows.end()) return problem("no model '" + moe::printable(name) + "'; there are " + listed(rows));
    const auto index = static_cast<std::size_t>(row - rows.begin());
    if (std::find(report.reference.begin(), report.reference.end(), index) != report.reference.end())
      return problem("model '" + moe::printable(name) + "' is given twice");
    report.reference.push_back(index);
  }
  return {};
}

}  // namespace

moe::Result<void> set(const Flags& flags, const std::vector<std::string>& rows, eval::RunReport& report) {
  std::map<std::string, std::string> family_of;
  for (const std::string& text : flags.families) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) return wrong(text, "expected NAME=MODEL,MODEL");
    eval::Family family{text.substr(0, equals), {}};
    for (const eval::Family& before : report.families)
      if (before.name == family.name) return wrong(text, "family '", moe::printable(family.name), "' is named twice");
    for (const std::string& name : split(text.substr(equals + 1))) {
      const auto row = std::find(rows.begin(), rows.end(), name);
      if (row == rows.end()) return wrong(text, "no model '", moe::printable(name), "'; there are ", listed(rows));
      const auto [known, is_new] = family_of.emplace(name, family.name);
      if (!is_new)
        return wrong(text, "model '", moe::printable(name), "' stands in family '", moe::printable(known->second),
                     "' already");
      family.models.push_back(static_cast<std::size_t>(row - rows.begin()));
    }
    report.families.push_back(std::move(family));
  }
  if (report.families.size() == 1)
    return wrong(flags.families[0], "one family alone; name another that it is compared with");
  return set_reference(flags, rows, report);
}

moe::Result<void> compare(eval::RunReport& report) {
  cli::ProgressLine line("comparing models");
  auto multipliers = eval::multipliers_of(report, {.seed = report.seed, .cancelled = cli::interrupted});
  if (!multipliers) return moe::forward(multipliers);
  report.multipliers = std::move(*multipliers);
  if (report.families.empty()) return {};
  auto gaps = eval::compare_families(report, {.seed = report.seed, .cancelled = cli::interrupted});
  line.clear();
  if (!gaps) return moe::forward(gaps);
  report.family_gaps = std::move(*gaps);
  return {};
}

}  // namespace eval_families
