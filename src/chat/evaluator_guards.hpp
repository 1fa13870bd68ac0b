#pragma once
// Guards that restore the evaluator's state at the end of an expression or a function.

#include <utility>

#include "chat/evaluator.hpp"

namespace moe::inline MOE_ABI::chat {

/// One level of the evaluator's own recursion.
class Evaluator::Deeper {
 public:
  explicit Deeper(Evaluator& evaluator) : evaluator_(evaluator) {
    if (++evaluator_.depth_ > evaluator_.run_.limits.depth)
      evaluator_.run_.fail(FaultKind::limit, {}, "the template's statements and macros are nested too deep");
  }
  ~Deeper() { --evaluator_.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Evaluator& evaluator_;
};

/// A function of the template is being executed: its variables, its own output, one call more.
class Evaluator::Inside {
 public:
  Inside(Evaluator& evaluator, ActivationPtr variables, TextBuilder* out)
      : evaluator_(evaluator), out_(evaluator.out_), writes_(out != nullptr), variables_(std::move(variables)) {
    evaluator_.variables_.swap(variables_);
    if (out != nullptr) evaluator_.out_ = out;
    if (++evaluator_.calls_ > evaluator_.run_.limits.calls)
      evaluator_.run_.fail(FaultKind::limit, {},
                           fmt::format("more than {} macros call each other", evaluator_.run_.limits.calls));
  }
  ~Inside() {
    --evaluator_.calls_;
    evaluator_.out_ = out_;
    evaluator_.variables_.swap(variables_);
    // If a macro, a loop or an iterator inside keeps the variables, they live until the end of the run.
    // Those of a loop's filter belong to its iterator.
    if (writes_ && variables_.use_count() > 1) evaluator_.run_.keep(variables_);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Evaluator& evaluator_;
  TextBuilder* out_;
  bool writes_;
  ActivationPtr variables_;
};

}  // namespace moe::inline MOE_ABI::chat
