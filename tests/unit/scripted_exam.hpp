#pragma once
// An exam, and models whose answers to it are written down.

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "moe/eval/evaluate.hpp"

namespace moe_test {

using Random = std::mt19937_64;
/// In [0, 1): the same on every standard library, as its distributions are not.
inline double uniform(Random& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

/// Question by question: whether it is answered correctly.
using Answers = std::vector<bool>;

/// A model that gives its answers by the question's number.
class ScriptedModel : public moe::eval::LanguageModel {
 public:
  explicit ScriptedModel(Answers right) : right_(std::move(right)) {}
  moe::Result<std::vector<moe::eval::Score>> score(std::span<const moe::eval::ScoreRequest> requests,
                                                   const moe::eval::Hooks&) override {
    std::vector<moe::eval::Score> out;
    for (const moe::eval::ScoreRequest& r : requests) {
      const bool is_first = r.continuation == " a";
      moe::eval::Score s;
      s.log_likelihood = is_first == right_[static_cast<std::size_t>(std::stoi(std::string(r.question)))] ? -1 : -2;
      s.pass_tokens = 10, s.pass = 1, s.continuation_tokens = 1;
      out.push_back(s);
    }
    return out;
  }
  moe::Work pass_work(std::int64_t tokens, std::int64_t, std::int64_t) const override {
    moe::Work work;
    work.head = tokens;
    return work;
  }

 private:
  Answers right_;
};

/// The right answer is the first; `cluster` questions in a row share a text. Question i of subject i * subjects / count.
inline moe::eval::PreparedTask exam(int count, int cluster = 1, int subjects = 1) {
  using namespace moe::eval;
  PreparedTask task;
  task.spec.name = "exam";
  task.spec.metrics = {Metric::acc}, task.spec.group_metrics = {Metric::acc};
  if (subjects > 1) task.spec.subtask_name = "exam_{subject}";
  for (int i = 0; i < count; ++i) {
    const auto subject = static_cast<std::size_t>(static_cast<std::int64_t>(i) * subjects / count);
    if (subject == task.subtasks.size()) {
      const std::string name = "subject" + std::to_string(subject);
      task.subtasks.push_back({name, name, name, {}, 0, {}});
    }
    Document d;
    d.question.id = std::to_string(i), d.question.answer = 0;
    d.contexts = {"q"}, d.continuations = {" a", " b"};
    d.lengths = {1, 1}, d.byte_lengths = {1, 1};
    if (cluster > 1) d.cluster = std::to_string(i / cluster);
    ++task.subtasks.back().original_count;
    task.subtasks.back().documents.push_back(std::move(d));
  }
  return task;
}

inline Answers answers(int count, double accuracy, std::uint64_t seed) {
  Random random(seed);
  Answers out;
  for (int i = 0; i < count; ++i) out.push_back(uniform(random) < accuracy);
  return out;
}

}  // namespace moe_test
