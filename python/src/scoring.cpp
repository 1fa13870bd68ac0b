// Log-likelihoods of continuations and texts, and the best of several labels.

#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "model.hpp"

namespace moe_python {
namespace {

using moe::Choice;
using moe::Score;
using Requests = std::vector<std::pair<std::string, std::vector<std::string>>>;

std::vector<moe::ScoreRequest> requests_of(const Requests& given) {
  std::vector<moe::ScoreRequest> requests;
  for (const auto& [context, continuations] : given) requests.push_back({context, continuations});
  return requests;
}

template <class Work>
auto with_scorer(const ModelHandle& model, Work&& work) {
  Watch watch;
  Lease<moe::Scorer> lease(model, &LoadedModel::scorers);
  lease.serve(watch);
  return unwrap(watch.run([&] { return work(lease.worker()); }));
}

std::vector<std::vector<Score>> score(const ModelHandle& model, const Requests& given) {
  const auto requests = requests_of(given);
  return with_scorer(model, [&](moe::Scorer& scorer) { return scorer.score(requests); });
}

std::vector<Choice> choose(const ModelHandle& model, const Requests& given, const std::string& by) {
  const auto compare = enum_of("by", by, {moe::CompareBy::log_likelihood, moe::CompareBy::per_token});
  const auto requests = requests_of(given);
  return with_scorer(model, [&](moe::Scorer& scorer) { return scorer.choose(requests, compare); });
}

std::vector<Score> score_texts(const ModelHandle& model, const std::vector<std::string>& texts) {
  return with_scorer(model, [&](moe::Scorer& scorer) { return scorer.score_texts(texts); });
}

template <class T>
nb::object error_of(const T& value) {
  return value.error ? exception_of(*value.error) : nb::none();
}

}  // namespace

void add_scoring(nb::module_& m) {
  nb::class_<Score>(m, "Score", "How likely a model finds a continuation or a text.")
      .def_ro("log_likelihood", &Score::log_likelihood, "natural logarithm, summed over the tokens")
      .def_ro("is_greedy", &Score::is_greedy, "greedy generation would write exactly this")
      .def_ro("tokens", &Score::tokens, "that were scored")
      .def_ro("flops", &Score::flops, "executed for it, exact; what scores share counts for the first of them")
      .def_prop_ro("perplexity", &Score::perplexity, "exp(-log_likelihood / tokens)")
      .def_prop_ro("error", error_of<Score>, nb::sig("def error(self) -> Exception | None"),
                   "why there is no score; None where there is one")
      .def("__repr__", [](const Score& s) {
        return nb::str("Score(log_likelihood={!r}, is_greedy={!r}, tokens={})")
            .format(s.log_likelihood, s.is_greedy, s.tokens);
      });
  nb::class_<Choice>(m, "Choice", "Which of several labels follows a context best.")
      .def_ro("best", &Choice::best, "index of the first of the most likely labels")
      .def_ro("probabilities", &Choice::probabilities, "of each label, given that it is one of them")
      .def_ro("scores", &Choice::scores, "of each label")
      .def_ro("flops", &Choice::flops, "executed for all labels, exact")
      .def_prop_ro("error", error_of<Choice>, nb::sig("def error(self) -> Exception | None"))
      .def("__repr__", [](const Choice& c) {
        return nb::str("Choice(best={}, probabilities={})").format(c.best, nb::cast(c.probabilities));
      });
  m.def("score", score, "model"_a, "requests"_a);
  m.def("choose", choose, "model"_a, "requests"_a, "by"_a);
  m.def("score_texts", score_texts, "model"_a, "texts"_a);
}

}  // namespace moe_python
