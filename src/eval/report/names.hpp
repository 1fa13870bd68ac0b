#pragma once
// Names of result files and folders, made of names that models and task files choose.

#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

inline constexpr const char* kRunFile = "run.json";
/// Beside it, for people.
inline constexpr const char* kReportFiles[] = {"report.html", "report.md", "report.csv"};

/// As the reference harness calls it: "org/name" is org__name.
std::string model_folder(std::string_view model);
std::string samples_file(std::string_view subtask, std::string_view time);
std::string results_file(std::string_view time);
/// RunReport::started as it stands in names of files.
std::string file_time(std::string started);

/// The folder and those above it, where they are not there yet. Errors: io, also when nothing can be written there.
Result<void> make_folder(const std::string& path);

}  // namespace moe::inline MOE_ABI::eval
