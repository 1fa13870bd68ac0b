#pragma once
// Selects the worked examples of a question.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/score/python_random.hpp"
#include "eval/tasks/question.hpp"
#include "eval/tasks/turns.hpp"
#include "moe/eval/task.hpp"

namespace moe::inline MOE_ABI::eval {

/// A worked example, rendered.
struct Shot {
  std::vector<Turn> turns;
  std::string match;  ///< value of FewshotSpec::match
  /// With FewshotSpec::spare: its line, which identifies the question, and the text that contains it.
  std::string_view json;
  std::shared_ptr<const std::string> file;
};

/// The examples of one subtask. The random rule has one generator whose state advances from question to question, as in
/// the reference harness: call it once per question, in order.
class MOE_API FewshotSampler {
 public:
  /// `pool` is borrowed. `count` examples precede each question.
  FewshotSampler(const FewshotSpec& spec, const std::vector<Shot>& pool, std::int64_t count, std::uint64_t seed);

  /// The examples for `question`, in their order; they live in the pool. Errors: bad_argument when there are too few.
  Result<std::vector<const Shot*>> before(const QuestionFields& question);

 private:
  const std::vector<std::size_t>& candidates(const std::string& match);

  const FewshotSpec& spec_;
  const std::vector<Shot>& pool_;
  std::size_t count_;
  PythonRandom random_;
  std::map<std::string, std::vector<std::size_t>> candidates_;  // by match value
};

/// The value of `field` in the question, empty when it has none.
MOE_API std::string field_of(const QuestionFields& question, const std::string& field);

}  // namespace moe::inline MOE_ABI::eval
