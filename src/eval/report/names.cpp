#include "eval/report/names.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <system_error>

#include "moe/eval/report.hpp"
#include "support/json_text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Detects collisions of names: keys of result files, files and folders.
class Names {
 public:
  /// `who` is for the error: "subject 's1' of task 'm'".
  Result<void> take(const std::string& name, const std::string& file, const std::string& who) {
    for (auto& [names, key, what] : {Use{names_, json_text(nlohmann::json(name)), "name"}, Use{files_, file, "file"}}) {
      if (key.empty()) continue;
      const auto [before, is_new] = names.emplace(key, who);
      if (!is_new)
        return fail(ErrorCode::bad_argument, fmt::format("{} and {} have one {} in the results, {}: rename one of them",
                                                         before->second, who, what, in_quotes(name)));
    }
    return {};
  }

 private:
  struct Use {
    std::map<std::string, std::string>& names;
    std::string key;
    const char* what;
  };
  std::map<std::string, std::string> names_, files_;
};

Result<void> take_names(const PreparedTask& task, Names& names) {
  const std::string of = "of task " + in_quotes(task.spec.name);
  for (const Subtask& subtask : task.subtasks) {
    const std::string who = task.spec.subtask_name.empty() ? "task " + in_quotes(task.spec.name)
                                                           : "subject " + in_quotes(subtask.subject) + " " + of;
    if (auto ok = names.take(subtask.name, samples_file(subtask.name, ""), who); !ok) return ok;
  }
  if (task.spec.subtask_name.empty()) return {};
  for (const GroupSpec& group : task.spec.groups)
    if (auto ok = names.take(group.name, "", "group " + in_quotes(group.name) + " " + of); !ok) return ok;
  return names.take(task.spec.name, "", "task " + in_quotes(task.spec.name));
}

}  // namespace

std::string model_folder(std::string_view model) {
  std::string name(model);
  for (std::size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 2)) name.replace(at, 1, "__");
  return file_name_of(name);
}

std::string samples_file(std::string_view subtask, std::string_view time) {
  return fmt::format("samples_{}_{}.jsonl", file_name_of(subtask), time);
}

std::string results_file(std::string_view time) { return fmt::format("results_{}.json", time); }

std::string file_time(std::string started) {
  std::replace(started.begin(), started.end(), ':', '-');
  return file_name_of(started);
}

Result<void> make_folder(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (!failed && !std::filesystem::is_directory(path, failed) && !failed)
    failed = std::make_error_code(std::errc::not_a_directory);
  if (!failed && ::access(path.c_str(), W_OK | X_OK) != 0) failed = std::error_code(errno, std::generic_category());
  if (failed) return fail(ErrorCode::io, fmt::format("{}: cannot write there: {}", path, failed.message()));
  return {};
}

Result<void> check_names(std::span<const PreparedTask> tasks, std::span<const std::string> models) {
  Names names;
  for (const PreparedTask& task : tasks)
    if (auto ok = take_names(task, names); !ok) return ok;
  Names folders;
  if (auto ok = folders.take(kRunFile, kRunFile, "the file of the whole run"); !ok) return ok;
  for (const char* file : kReportFiles)
    if (auto ok = folders.take(file, file, "the report of the whole run"); !ok) return ok;
  for (const std::string& model : models)
    if (auto ok = folders.take(model, model_folder(model), "model " + in_quotes(model)); !ok) return ok;
  return {};
}

std::vector<std::string> output_files(std::span<const PreparedTask> tasks, std::span<const std::string> models,
                                      const std::string& directory, const std::string& started) {
  const std::filesystem::path out(directory);
  const std::string time = file_time(started);
  std::vector<std::string> files = {(out / kRunFile).string()};
  for (const char* file : kReportFiles) files.push_back((out / file).string());
  for (const std::string& model : models) {
    const std::filesystem::path folder = out / model_folder(model);
    files.push_back((folder / results_file(time)).string());
    for (const PreparedTask& task : tasks)
      for (const Subtask& subtask : task.subtasks)
        files.push_back((folder / samples_file(subtask.name, time)).string());
  }
  return files;
}

Result<void> make_output_folders(const std::string& directory, std::span<const std::string> models) {
  const std::filesystem::path out(directory);
  if (auto ok = make_folder(directory); !ok) return ok;
  for (const std::string& model : models)
    if (auto ok = make_folder((out / model_folder(model)).string()); !ok) return ok;
  std::error_code ignored;
  for (const char* file : {kRunFile, kReportFiles[0], kReportFiles[1], kReportFiles[2]})
    if (std::filesystem::is_directory(out / file, ignored))
      return fail(ErrorCode::io, fmt::format("{}: is a directory", (out / file).string()));
  return {};
}

}  // namespace moe::inline MOE_ABI::eval
