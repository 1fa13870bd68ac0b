#include "bench/eval_outputs.hpp"

#include <algorithm>
#include <filesystem>

#include "moe/eval/report.hpp"
#include "support/same_file.hpp"

namespace eval_outputs {
namespace {

moe::Result<void> refuse(const std::string& option, const std::string& file, const std::string& what) {
  return moe::fail(moe::ErrorCode::bad_argument, option + " " + file + " is " + what + ": name another");
}

// The store's file and SQLite's auxiliary files.
std::vector<std::string> store_files(const std::string& cache) {
  std::vector<std::string> files = {cache};
  std::error_code failed;
  const std::string file = std::filesystem::canonical(cache, failed).string();
  for (const char* suffix : {"-wal", "-shm", "-journal"}) files.push_back((failed ? cache : file) + suffix);
  return files;
}

// Task and question files.
std::vector<std::string> inputs(const Plan& plan) {
  std::vector<std::string> files = plan.tasks;
  for (const moe::eval::PreparedTask& task : plan.prepared) {
    files.push_back(task.data_path);
    if (task.spec.fewshot.is_path) files.push_back(task.spec.fewshot.examples);
  }
  std::erase(files, "-");
  return files;
}

moe::Result<void> check_cache(const Plan& plan, const std::vector<std::string>& outputs) {
  for (const std::string& file : store_files(plan.cache)) {
    for (const std::string& output : outputs)
      if (moe::same_file(file, output)) return refuse("--cache", file, "an output of --out, " + output);
    for (const std::string& input : inputs(plan))
      if (moe::same_file(file, input)) return refuse("--cache", file, "read as well");
    for (const std::string& model : plan.paths)
      if (auto ok = moe::check_not_of_model(file, model); !ok)
        return moe::fail(ok.error().code, "--cache: " + ok.error().message);
  }
  return {};
}

moe::Result<void> check_out(const Plan& plan, const std::vector<std::string>& outputs,
                            const std::vector<std::string>& folders) {
  for (const std::string& output : outputs)
    for (const std::string& input : inputs(plan))
      if (moe::same_file(output, input)) return refuse("--out", output, "read as well");
  for (const std::string& model : plan.paths) {
    for (const std::string& folder : folders)
      if (moe::same_file(folder, model)) return refuse("--out", folder, "the model's folder");
    if (auto ok = moe::check_not_of_model(outputs.front(), model); !ok)
      return moe::fail(ok.error().code, "--out: " + ok.error().message);
  }
  return {};
}

}  // namespace

moe::Result<void> check(const Plan& plan) {
  std::vector<std::string> outputs, folders;
  if (!plan.out.empty()) {
    outputs = moe::eval::output_files(plan.prepared, plan.models, plan.out, plan.started);
    folders.push_back(plan.out);
    for (const std::string& file : outputs)
      if (const auto folder = std::filesystem::path(file).parent_path().string(); folder != folders.back())
        folders.push_back(folder);
    if (auto ok = check_out(plan, outputs, folders); !ok) return ok;
  }
  if (plan.cache.empty()) return {};
  outputs.insert(outputs.end(), folders.begin(), folders.end());
  return check_cache(plan, outputs);
}

}  // namespace eval_outputs
