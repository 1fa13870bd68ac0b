// The evaluator's interface to a model, request by request, for libmoe.lm_eval.

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "model.hpp"
#include "moe/eval/session_model.hpp"
#include "session_settings.hpp"

namespace moe_python {
namespace {

namespace eval = moe::eval;

/// One answer of the harness's loglikelihood().
struct HarnessScore {
  double log_likelihood = 0;
  bool is_greedy = false, truncated = false;
  std::string failure;  // empty: none
};
struct HarnessReply {
  std::string text;
  bool truncated = false;
  std::string failure;
};

std::string failure_of(eval::Failure failure) {
  return failure == eval::Failure::none ? std::string() : std::string(name_of(failure));
}

HarnessScore score_of(const eval::Score& s) {
  return {s.log_likelihood, s.is_greedy, s.truncated, failure_of(s.failure)};
}

class Harness {
  // Before its uses: its type is deduced.
  template <class Call>
  auto ask(nb::object progress, const Call& call) {
    Watch watch(std::move(progress));
    // No Python code runs between this look and the call: another thread would get its turn.
    if (is_asked_)
      raise(moe::ErrorCode::bad_argument, "this model is answering another call: each thread needs its own");
    struct Asking {  // also when an exception passes
      bool& place;
      explicit Asking(bool& p) : place(p) { place = true; }
      ~Asking() { place = false; }
    } asking(is_asked_);
    eval::Hooks hooks;
    hooks.cancelled = [&watch] { return watch.cancelled(); };
    hooks.on_progress = [&watch](std::int64_t done, std::int64_t total) { watch.report(done, total); };
    return unwrap(watch.run([&] { return call(hooks); }));
  }

 public:
  Harness(ModelHandle model, std::int64_t max_length) : model_(std::move(model)) {
    check_process();
    eval::SessionModelOptions options;
    options.precision = model_->session.precision;
    options.kv = model_->session.kv;
    options.threads = model_->threads;
    options.max_length = max_length;
    asked_ = unwrap(eval::SessionModel::create(model_->model, options));
  }

  std::vector<HarnessScore> score(const std::vector<std::pair<std::string, std::string>>& pairs, nb::object progress) {
    std::vector<eval::ScoreRequest> requests;
    for (const auto& [context, continuation] : pairs)
      requests.push_back({.context = context, .continuation = continuation});
    return converted(ask(std::move(progress), [&](const eval::Hooks& h) { return asked_->score(requests, h); }));
  }

  std::vector<HarnessScore> score_texts(const std::vector<std::string>& texts, nb::object progress) {
    std::vector<eval::TextRequest> requests;
    for (const std::string& text : texts) requests.push_back({.text = text});
    return converted(ask(std::move(progress), [&](const eval::Hooks& h) { return asked_->score_texts(requests, h); }));
  }

  std::vector<HarnessReply> generate(
      const std::vector<std::tuple<std::string, std::vector<std::string>, std::int64_t>>& given,
      const std::string& think_end, nb::object progress) {
    std::vector<eval::GenerateRequest> requests;
    for (const auto& [context, stop, max_tokens] : given)
      requests.push_back({.context = context, .stop = stop, .max_tokens = max_tokens, .think_end = think_end});
    const auto replies = ask(std::move(progress), [&](const eval::Hooks& h) { return asked_->generate(requests, h); });
    std::vector<HarnessReply> out;
    for (const eval::Generation& r : replies) out.push_back({r.text, r.truncated, failure_of(r.failure)});
    return out;
  }

  std::int64_t max_length() const { return asked_->max_length(); }
  moe::Work executed() const { return asked_->executed(); }

 private:
  static std::vector<HarnessScore> converted(const std::vector<eval::Score>& scores) {
    std::vector<HarnessScore> out;
    for (const eval::Score& s : scores) out.push_back(score_of(s));
    return out;
  }

  ModelHandle model_;
  std::unique_ptr<eval::SessionModel> asked_;
  bool is_asked_ = false;  // changed with the GIL held
};

}  // namespace

void add_harness(nb::module_& m) {
  nb::class_<HarnessScore>(m, "HarnessScore")
      .def_ro("log_likelihood", &HarnessScore::log_likelihood)
      .def_ro("is_greedy", &HarnessScore::is_greedy)
      .def_ro("truncated", &HarnessScore::truncated)
      .def_ro("failure", &HarnessScore::failure);
  nb::class_<HarnessReply>(m, "HarnessReply")
      .def_ro("text", &HarnessReply::text)
      .def_ro("truncated", &HarnessReply::truncated)
      .def_ro("failure", &HarnessReply::failure);
  nb::class_<Harness>(m, "Harness", "The compiled part of libmoe.lm_eval: answers are moe-eval's.")
      .def(nb::init<ModelHandle, std::int64_t>(), "model"_a, "max_length"_a)
      .def("score", &Harness::score, "pairs"_a, "progress"_a.none())
      .def("score_texts", &Harness::score_texts, "texts"_a, "progress"_a.none())
      .def("generate", &Harness::generate, "requests"_a, "think_end"_a, "progress"_a.none())
      .def_prop_ro("max_length", &Harness::max_length)
      .def_prop_ro("executed", &Harness::executed);
}

}  // namespace moe_python
