// Replies: one at a time, or many in full batches.

#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "generate_options.hpp"
#include "model.hpp"
#include "prompt.hpp"

namespace moe_python {
namespace {

using moe::Generation;

Generation generate(const ModelHandle& model, nb::handle prompt, const Keywords& keywords) {
  const moe::Prompt asked = prompt_of(prompt);
  moe::GenerateOptions options = generate_options(keywords);
  Watch watch;
  options.cancelled = [&] { return watch.cancelled(); };
  Lease<moe::Generator> lease(model, &LoadedModel::generators);
  lease.serve(watch);
  return unwrap(watch.run([&] { return lease.worker().generate(asked, options); }));
}

/// [prompt][reply]
std::vector<std::vector<Generation>> generate_many(const ModelHandle& model, const AnyList& prompts,
                                                   const Keywords& keywords, std::int64_t replies) {
  moe::GenerateOptions options = generate_options(keywords);
  options.replies = replies;
  Watch watch;
  options.cancelled = [&] { return watch.cancelled(); };
  std::vector<moe::GenerateRequest> requests;
  for (nb::handle prompt : prompts) requests.push_back({prompt_of(prompt), options});
  Lease<moe::Generator> lease(model, &LoadedModel::generators);
  lease.serve(watch);
  return unwrap(watch.run([&] { return lease.worker().generate(requests); }));
}

nb::object log_probabilities(const Generation& g) {
  if (g.log_probabilities.empty()) return nb::none();
  nb::list out;
  for (const moe::PositionLogProbabilities& position : g.log_probabilities) {
    nb::list best;
    for (const moe::TokenLogProbability& b : position.best) best.append(nb::make_tuple(b.token, b.log_probability));
    out.append(nb::make_tuple(position.chosen.token, position.chosen.log_probability, best));
  }
  return out;
}

nb::str repr(const Generation& g) {
  const nb::str text = text_of(g.text);
  nb::object shown = nb::len(text) <= 60 ? nb::object(text) : text[nb::slice(0, 57)] + nb::str("...");
  if (g.error) return nb::str("Generation({!r}, error={!r})").format(shown, g.error->message);
  return nb::str("Generation({!r}, tokens={}, end={!r})").format(shown, g.tokens.size(), std::string(name_of(g.end)));
}

}  // namespace

void add_generation(nb::module_& m) {
  nb::class_<Generation>(m, "Generation", "A reply; str() of it is its text.")
      .def_prop_ro(
          "text", [](const Generation& g) { return text_of(g.text); }, "without the stop text")
      .def_prop_ro(
          "end", [](const Generation& g) { return std::string(name_of(g.end)); },
          "'end_token', 'stop_text', 'max_tokens' or 'cancelled'")
      .def_ro("stop", &Generation::stop, "the stop text that ended it")
      .def_ro("tokens", &Generation::tokens, "ids, the end token included")
      .def_prop_ro("logprobs", log_probabilities,
                   nb::sig("def logprobs(self) -> list[tuple[int, float, list[tuple[int, float]]]] | None"),
                   "(token, its log-probability, the best ones) of each position; None unless asked for")
      .def_ro("prompt_tokens", &Generation::prompt_tokens)
      .def_ro("reused_tokens", &Generation::reused_tokens, "of the prompt, found in the cache")
      .def_ro("flops", &Generation::flops, "executed for this reply, exact")
      .def_ro("seed", &Generation::seed)
      .def_ro("prompt_seconds", &Generation::prompt_seconds, "until the first token")
      .def_ro("reply_seconds", &Generation::reply_seconds, "from there to the last one")
      .def_prop_ro(
          "error", [](const Generation& g) { return g.error ? exception_of(*g.error) : nb::none(); },
          nb::sig("def error(self) -> Exception | None"),
          "why this reply of a batch could not be finished; None where it could")
      .def("__str__", [](const Generation& g) { return text_of(g.text); })
      .def("__repr__", repr);
  m.def("generate", generate, "model"_a, "prompt"_a, "keywords"_a);
  m.def("generate_many", generate_many, "model"_a, "prompts"_a, "keywords"_a, "replies"_a);
}

}  // namespace moe_python
