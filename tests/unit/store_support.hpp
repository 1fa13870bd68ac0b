#pragma once
// What the tests of the run store share: a folder, an exam, a model that answers by counting.

#include <sqlite3.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "moe/eval/report.hpp"
#include "moe/eval/store.hpp"
#include "scratch_dir.hpp"

namespace moe_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace moe::eval;

struct Scratch : ScratchDir {
  Scratch() : ScratchDir("moe_eval_store") {}
};

inline PreparedTask exam(const Scratch& scratch, int count) {
  std::ofstream out(scratch / "exam.jsonl");
  for (int i = 0; i < count; ++i)
    out << Json{{"id", "q" + std::to_string(i)},
                {"question", "what is " + std::to_string(i) + "?"},
                {"choices", Json::array({"a", "a long answer", std::to_string(i + 1), "none"})},
                {"answer", i % 4}}
               .dump()
        << "\n";
  out.close();
  auto task = prepare(*load_task(scratch / "exam.jsonl"), {});
  REQUIRE(task.has_value());
  return std::move(*task);
}

/// Answers with numbers made from the texts, in steps of `step` requests.
class CountingModel : public LanguageModel {
 public:
  std::size_t asked = 0, step = 3;
  std::chrono::microseconds pause{0};
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks& hooks) override {
    std::vector<Score> out(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      ++asked;
      const std::size_t h =
          std::hash<std::string>()(std::string(requests[i].context) + "\n" + std::string(requests[i].continuation));
      out[i].log_likelihood = -static_cast<double>(h % 1000003) / 7.0;
      out[i].is_greedy = h % 3 == 0;
      out[i].context_tokens = static_cast<std::int32_t>(h % 97);
      out[i].continuation_tokens = 1 + static_cast<std::int32_t>(h % 5);
      out[i].pass_tokens = 100;
      out[i].pass = static_cast<std::int64_t>(h >> 1);
      if (hooks.on_score) hooks.on_score(static_cast<std::int64_t>(i), out[i]);
      if ((i + 1) % step != 0 && i + 1 < requests.size()) continue;
      if (hooks.on_progress)
        hooks.on_progress(static_cast<std::int64_t>(i + 1), static_cast<std::int64_t>(requests.size()));
      if (hooks.cancelled && hooks.cancelled()) return moe::fail(moe::ErrorCode::cancelled, "interrupted");
      std::this_thread::sleep_for(pause);
    }
    return out;
  }
  moe::Result<std::vector<Generation>> generate(std::span<const GenerateRequest> requests,
                                                const Hooks& hooks) override {
    std::vector<Generation> out(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      ++asked;
      out[i].text = std::string("reply\0to ", 9) + std::string(requests[i].context);
      out[i].finished = i % 2 == 0;
      out[i].context_tokens = 7, out[i].pass_tokens = 11, out[i].generated_tokens = 5;
      if (hooks.on_reply) hooks.on_reply(static_cast<std::int64_t>(i), out[i]);
      if (hooks.on_progress)
        hooks.on_progress(static_cast<std::int64_t>(i + 1), static_cast<std::int64_t>(requests.size()));
    }
    return out;
  }
};

inline const StoreSetting kSetting = {"hash", "4 q8_0", moe::Precision::automatic, moe::KvType::f16, 4, 256, 77};

inline std::unique_ptr<RunStore> open_store(const std::string& path) {
  auto store = RunStore::open(path);
  REQUIRE_MESSAGE(store.has_value(), store.error().message);
  return std::move(*store);
}

// Statements of another program.
inline void sql(const std::string& path, const std::string& text) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  sqlite3_exec(db, "PRAGMA synchronous = OFF", nullptr, nullptr, nullptr);
  char* error = nullptr;
  const int code = sqlite3_exec(db, text.c_str(), nullptr, nullptr, &error);
  CHECK_MESSAGE(code == SQLITE_OK, (error != nullptr ? error : ""));
  sqlite3_free(error);
  sqlite3_close(db);
}

inline std::string samples_of(const PreparedTask& task, LanguageModel& model, const fs::path& folder) {
  RunReport report;
  report.started = "now";
  report.tasks = {task};
  ModelRun& run = report.models.emplace_back();
  run.name = "m";
  auto outcome = evaluate(task, model);
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  run.outcomes.push_back(std::move(*outcome));
  fs::remove_all(folder);
  REQUIRE(write_harness_files(report, run, folder.string()).has_value());
  return moe_test::read_file(folder / "m" / "samples_exam_now.jsonl");
}

/// Counts what it is asked and answers nothing.
class RefusingModel : public LanguageModel {
 public:
  std::size_t asked = 0;
  moe::Result<std::vector<Score>> score(std::span<const ScoreRequest> requests, const Hooks&) override {
    asked += requests.size();
    return moe::fail(moe::ErrorCode::cancelled, "refused");
  }
};

// How many of the task's requests the store does not hold.
inline std::size_t missing_answers(const PreparedTask& task, const std::string& path,
                                   const StoreSetting& setting = kSetting) {
  const auto store = open_store(path);
  RefusingModel inner;
  StoredModel stored(inner, *store, setting);
  static_cast<void>(evaluate(task, stored));
  return inner.asked;
}

}  // namespace moe_test
