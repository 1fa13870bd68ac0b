// Sessions: sequences, their cache, and the logits of each step.

#include <nanobind/ndarray.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "ids.hpp"
#include "model.hpp"
#include "session_settings.hpp"

namespace moe_python {
namespace {

using LogitsArray = nb::ndarray<nb::numpy, const float, nb::ndim<2>>;

// Rows of a step as a numpy array, which holds the buffer; the session then uses a new one for its next step.
LogitsArray array_of(const moe::StepOutput& out, std::int64_t first, std::int64_t rows, bool padded) {
  using Buffer = std::shared_ptr<const float[]>;
  static constexpr float kNothing = 0.0f;
  const nb::capsule owner(new Buffer(out.logits), [](void* p) noexcept { delete static_cast<Buffer*>(p); });
  const float* data = rows > 0 ? out.logits.get() + first * out.vocab_size : &kNothing;
  const std::int64_t columns = padded ? out.vocab_size : out.token_count;
  return LogitsArray(data, {static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)}, owner,
                     {out.vocab_size, std::int64_t{1}});
}

moe::Logits logits_of(const std::string& name) {
  return enum_of("logits", name, {moe::Logits::none, moe::Logits::last, moe::Logits::all});
}

class PySession {
 public:
  PySession(ModelHandle model, const SessionSettings& settings, bool record_routing) : model_(std::move(model)) {
    check_process();
    moe::SessionOptions options = session_options(settings);
    options.threads = model_->threads;
    options.record_routing = record_routing;
    options.cancelled = [this] { return watch_ != nullptr && watch_->cancelled(); };
    session_ = unwrap(moe::Session::create(model_->model, options));
  }

  LogitsArray step(moe::Sequence sequence, nb::handle tokens, const std::string& logits, bool padded) {
    const std::vector<moe::TokenId> ids = ids_of(tokens);
    const moe::BatchItem item{sequence, ids, logits_of(logits)};
    const moe::StepOutput out = run({&item, 1});
    return array_of(out, 0, out.row_count, padded);
  }

  std::vector<LogitsArray> step_batch(const nb::list& items, const std::string& logits, bool padded) {
    const moe::Logits wanted = logits_of(logits);
    std::vector<std::pair<moe::Sequence, std::vector<moe::TokenId>>> given;
    for (nb::handle item : items) {
      const auto pair = nb::borrow<nb::tuple>(item);
      given.emplace_back(nb::cast<moe::Sequence>(pair[0]), ids_of(pair[1]));
    }
    std::vector<moe::BatchItem> batch;
    for (const auto& [sequence, ids] : given) batch.push_back({sequence, ids, wanted});
    const moe::StepOutput out = run(batch);
    std::vector<LogitsArray> arrays;
    std::int64_t first = 0;
    for (const moe::BatchItem& item : batch) {
      const auto all = static_cast<std::int64_t>(item.tokens.size());
      const std::int64_t rows = wanted == moe::Logits::all ? all : wanted == moe::Logits::last && all > 0 ? 1 : 0;
      arrays.push_back(array_of(out, first, rows, padded));
      first += rows;
    }
    return arrays;
  }

  moe::Session& idle() {
    check_process();
    if (watch_ != nullptr)
      raise(moe::ErrorCode::bad_argument, "this session is computing in another thread: each thread needs its own");
    return *session_;
  }

  nb::list routing() {
    nb::list layers;
    for (const auto& layer : idle().routing()) {
      nb::list tokens;
      for (const moe::TokenRouting& token : layer) tokens.append(nb::make_tuple(token.experts, token.weights));
      layers.append(tokens);
    }
    return layers;
  }

  const ModelHandle& model() const { return model_; }

 private:
  moe::StepOutput run(moe::Batch batch) {
    Watch watch;
    moe::Session& session = idle();  // no Python code runs from here to the step: another thread would get its turn
    struct Serving {                 // also when an exception passes
      Watch*& place;
      ~Serving() { place = nullptr; }
    } serving{watch_};
    watch_ = &watch;
    return unwrap(watch.run([&] { return session.step(batch); }));
  }

  ModelHandle model_;
  Watch* watch_ = nullptr;  // of the step in progress; changed with the GIL held
  std::unique_ptr<moe::Session> session_;
};

void add_settings(nb::module_& m) {
  nb::class_<SessionSettings>(m, "SessionSettings")
      .def(
          "__init__",
          [](SessionSettings* self, std::string precision, std::string kv, std::int64_t cache_tokens,
             std::int64_t state_bytes, std::int64_t checkpoint_tokens) {
            new (self)
                SessionSettings{std::move(precision), std::move(kv), cache_tokens, state_bytes, checkpoint_tokens};
            static_cast<void>(session_options(*self));
          },
          "precision"_a, "kv"_a, "cache_tokens"_a, "state_bytes"_a, "checkpoint_tokens"_a)
      .def_ro("precision", &SessionSettings::precision)
      .def_ro("kv", &SessionSettings::kv)
      .def_ro("cache_tokens", &SessionSettings::cache_tokens)
      .def_ro("state_bytes", &SessionSettings::state_bytes)
      .def_ro("checkpoint_tokens", &SessionSettings::checkpoint_tokens);
}

}  // namespace

void add_session(nb::module_& m) {
  add_settings(m);
  using Self = PySession;
  constexpr const char* kArray = "numpy.typing.NDArray[numpy.float32]";
  const std::string step_signature =
      std::string("def step(self, sequence: int, tokens: object, logits: str, padded: bool) -> ") + kArray;
  const std::string batch_signature =
      std::string("def step_batch(self, items: list[typing.Any], logits: str, padded: bool) -> list[") + kArray + "]";
  nb::class_<Self>(m, "ModelSession", "The compiled part of libmoe.Session.")
      .def(nb::init<ModelHandle, const SessionSettings&, bool>(), "model"_a, "settings"_a, "record_routing"_a)
      .def("open", [](Self& self) { return unwrap(self.idle().open()); })
      .def(
          "fork", [](Self& self, moe::Sequence parent) { return unwrap(self.idle().fork(parent)); }, "parent"_a)
      .def(
          "rewind",
          [](Self& self, moe::Sequence sequence, std::int64_t length) { unwrap(self.idle().rewind(sequence, length)); },
          "sequence"_a, "length"_a)
      .def(
          "close", [](Self& self, moe::Sequence sequence) { unwrap(self.idle().close(sequence)); }, "sequence"_a)
      .def(
          "length", [](Self& self, moe::Sequence sequence) { return unwrap(self.idle().length(sequence)); },
          "sequence"_a)
      .def_prop_ro("free_tokens", [](Self& self) { return self.idle().free_tokens(); })
      .def("step", &Self::step, "sequence"_a, "tokens"_a.none(), "logits"_a, "padded"_a,
           nb::sig(step_signature.c_str()))
      .def("step_batch", &Self::step_batch, "items"_a, "logits"_a, "padded"_a, nb::sig(batch_signature.c_str()))
      .def_prop_ro("routing", &Self::routing, nb::sig("def routing(self) -> list[list[tuple[list[int], list[float]]]]"))
      .def_prop_ro("executed", [](Self& self) { return self.idle().executed(); })
      .def_prop_ro("path", [](const Self& self) { return self.model()->path; });
}

}  // namespace moe_python
