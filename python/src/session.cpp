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

// Rows of a step as numpy sees them. The array holds the buffer: the session takes a new one for its next step then.
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
      if (!nb::isinstance<nb::tuple>(item) || nb::len(item) != 2)
        raise_type_error("step_batch: expected pairs (sequence, token ids)");
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
    moe::Session& session = idle();
    Watch watch;
    struct Serving {  // also when an exception passes
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
          [](SessionSettings* self, std::string precision, std::string kv, std::int64_t cache_tokens) {
            new (self) SessionSettings{std::move(precision), std::move(kv), cache_tokens};
            static_cast<void>(session_options(*self));
          },
          "precision"_a, "kv"_a, "cache_tokens"_a)
      .def_ro("precision", &SessionSettings::precision)
      .def_ro("kv", &SessionSettings::kv)
      .def_ro("cache_tokens", &SessionSettings::cache_tokens);
}

}  // namespace

void add_session(nb::module_& m) {
  add_settings(m);
  using Self = PySession;
  constexpr const char* kArray = "numpy.typing.NDArray[numpy.float32]";
  const std::string step_signature = std::string(
                                         "def step(self, sequence: int, tokens: collections.abc.Iterable[int] | "
                                         "numpy.typing.NDArray[numpy.integer[typing.Any]], logits: "
                                         "typing.Literal['none', 'last', 'all'] = 'last', padded: bool = False) -> ") +
                                     kArray;
  const std::string batch_signature =
      std::string(
          "def step_batch(self, items: list[tuple[int, collections.abc.Iterable[int]]], logits: "
          "typing.Literal['none', 'last', 'all'] = 'last', padded: bool = False) -> list[") +
      kArray + "]";
  nb::class_<Self>(
      m, "Session",
      "Sequences over one model with their key/value cache; Model.session() makes one. One thread at a time.")
      .def(nb::init<ModelHandle, const SessionSettings&, bool>(), "model"_a, "settings"_a, "record_routing"_a)
      .def(
          "open", [](Self& self) { return unwrap(self.idle().open()); }, "A new empty sequence; gives its number.")
      .def(
          "fork", [](Self& self, moe::Sequence parent) { return unwrap(self.idle().fork(parent)); }, "parent"_a,
          "A new sequence that starts with all tokens of `parent`; the cached prefix is shared, not copied.")
      .def(
          "rewind",
          [](Self& self, moe::Sequence sequence, std::int64_t length) { unwrap(self.idle().rewind(sequence, length)); },
          "sequence"_a, "length"_a, "Drops the tail so that `length` tokens stay.")
      .def(
          "close", [](Self& self, moe::Sequence sequence) { unwrap(self.idle().close(sequence)); }, "sequence"_a,
          "Gives a sequence's room in the cache back.")
      .def(
          "length", [](Self& self, moe::Sequence sequence) { return unwrap(self.idle().length(sequence)); },
          "sequence"_a, "Tokens that the sequence holds.")
      .def_prop_ro(
          "free_tokens", [](Self& self) { return self.idle().free_tokens(); }, "room left in the cache")
      .def(
          "step", &Self::step, "sequence"_a, "tokens"_a, "logits"_a = "last", "padded"_a = false,
          nb::sig(step_signature.c_str()),
          "Appends tokens [T] and computes logits.\n\n"
          "Returns float32 [1, V] for 'last', [T, V] for 'all', [0, V] for 'none': a read-only view of the step's own\n"
          "buffer, which lives as long as the array does. V is the number of tokens; with `padded`, that of the rows "
          "of\n"
          "the model's head.\n\n"
          "Errors: ArgumentError (sequence, token id), OutOfMemoryError (cache full), Error 'non_finite'. The "
          "sequence\n"
          "is then as before, also after Ctrl-C.")
      .def("step_batch", &Self::step_batch, "items"_a, "logits"_a = "last", "padded"_a = false,
           nb::sig(batch_signature.c_str()),
           "step() of several sequences at a time, as (sequence, tokens); gives an array for each. The bits are those "
           "of\n"
           "steps one by one.")
      .def_prop_ro("routing", &Self::routing, nb::sig("def routing(self) -> list[list[tuple[list[int], list[float]]]]"),
                   "(experts, weights) of each token of the last step by layer, with record_routing; dense layers are\n"
                   "empty")
      .def_prop_ro(
          "executed", [](Self& self) { return self.idle().executed(); }, "Work done since the session was made")
      .def("__repr__", [](Self& self) {
        return "<libmoe.Session of " + nb::cast<std::string>(nb::repr(nb::str(self.model()->path.c_str()))) + ">";
      });
}

}  // namespace moe_python
