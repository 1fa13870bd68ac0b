#pragma once
// What the tests of MOE_EVAL_CHAT_DIR share: its tokenizers and templates, and its tasks in our form.

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/chat_templates.hpp"
#include "moe/eval/chat_prompts.hpp"
#include "score/pair_encoder.hpp"
#include "support.hpp"

namespace harness_chat {

using Json = nlohmann::json;
using namespace moe::eval;
using moe::score::PairEncoder;
namespace fs = std::filesystem;
using Ids = std::vector<moe::TokenId>;

inline const fs::path kOwnTasks = fs::path(MOE_SOURCE_DIR) / "tests/data/harness/chat";

inline bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); }

inline std::string text_of(const Json& value) { return value.get<std::string>(); }

inline fs::path directory() { return moe_test::reference_dir("MOE_EVAL_CHAT_DIR", "../shared/data/harness_chat"); }

inline std::vector<Json> parse_lines(const fs::path& path) {
  std::vector<Json> out;
  for (const std::string& line : moe_test::read_lines(path))
    if (!line.empty()) out.push_back(Json::parse(line));
  return out;
}

/// A tokenizer directory of the reference: it has no weights, so it is no model.
struct Folder {
  std::shared_ptr<const moe::Tokenizer> tokenizer;
  moe::ChatTemplates templates;
  explicit Folder(const fs::path& dir) {
    const std::string json = moe_test::read_file(dir / "tokenizer.json"),
                      config = moe_test::read_file(dir / "tokenizer_config.json");
    auto built = moe::Tokenizer::create({.json = json, .config = config});
    REQUIRE_MESSAGE(built.has_value(), built.error().message);
    tokenizer = std::move(*built);
    templates = moe::checkpoint::read_hf_chat_templates(moe::checkpoint::TextFiles(dir.string(), nullptr));
  }
};

/// Task files are the harness's YAMLs in our form; fields that are Jinja there are placeholders here.
inline std::string as_placeholder(const std::string& jinja) {
  if (jinja == "question" || jinja == "{{ question }}") return "{question}";
  if (jinja == "{{ 'Answer to the question:' }}") return "Answer to the question:";
  return jinja;
}

inline TaskSpec spec_of(const std::string& subtask) {
  const bool llama = subtask.starts_with("mmlu_llama");
  const std::string name = llama ? "mmlu_llama" : subtask.starts_with("mmlu_") ? "mmlu" : subtask;
  const bool own = llama || name == "arc_challenge_chat";
  auto spec = load_task(own ? (kOwnTasks / (name + ".json")).string() : name);
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  return std::move(*spec);
}

inline const Subtask& subtask_of(const PreparedTask& task, const std::string& name) {
  for (const Subtask& s : task.subtasks)
    if (s.name == name) return s;
  FAIL("no subtask " << name);
  return task.subtasks.front();
}

inline Json messages_json(const Conversation& conversation) {
  Json out = Json::array();
  for (const moe::ChatMessage& m : conversation.messages) out.push_back({{"role", m.role}, {"content", m.content}});
  return out;
}

}  // namespace harness_chat
