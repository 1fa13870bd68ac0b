#pragma once
// Names of result files and folders, derived from names of models and tasks.

#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

inline constexpr const char* kRunFile = "run.json";
/// Beside it, for people.
inline constexpr const char* kReportFiles[] = {"report.html", "report.md", "report.csv"};
/// Of the AI-Index view.
inline constexpr const char* kIndexFiles[] = {"index.html", "index.md"};

/// As in the reference harness: "org/name" is org__name.
std::string model_folder(std::string_view model);
std::string samples_file(std::string_view subtask, std::string_view time);
std::string results_file(std::string_view time);
/// RunReport::started as it stands in names of files.
std::string file_time(std::string started);

/// Creates the folder and its parents. Errors: io, also if it is not writable.
Result<void> make_folder(const std::string& path);

}  // namespace moe::inline MOE_ABI::eval
