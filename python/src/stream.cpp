#include "stream.hpp"

#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "errors.hpp"
#include "generate_options.hpp"
#include "prompt.hpp"

namespace moe_python {

namespace {

// No exception may leave a thread. The texts are short enough to need no memory.
moe::Result<moe::Generation> written(moe::Generator& generator, const moe::Prompt& prompt,
                                     const moe::GenerateOptions& options) {
  try {
    return generator.generate(prompt, options);
  } catch (const std::bad_alloc&) {
    return moe::fail(moe::ErrorCode::out_of_memory, "out of memory");
  } catch (const std::exception&) {
    return moe::fail(moe::ErrorCode::internal, "exception");
  }
}

}  // namespace

Stream::Stream(ModelHandle model, moe::Prompt prompt, moe::GenerateOptions options) {
  check_process();
  lease_ = std::make_unique<Lease<moe::Generator>>(std::move(model), &LoadedModel::generators);
  options.on_piece = [shared = shared_.get()](const moe::Piece& piece) {
    const std::lock_guard lock(shared->mutex);
    shared->pieces.push_back({std::string(piece.text), {piece.tokens.begin(), piece.tokens.end()}});
    shared->changed.notify_one();
  };
  options.cancelled = [shared = shared_.get()] {
    return shared->stop.load(std::memory_order_relaxed) || process_is_ending();
  };
  // Counted here and not in the thread, which may not start before the interpreter ends.
  auto in_flight = std::make_unique<InFlight>();
  try {
    thread_ = std::make_unique<std::thread>([shared = shared_, generator = &lease_->worker(), asked = std::move(prompt),
                                             how = std::move(options), counted = std::move(in_flight)] {
      auto outcome = written(*generator, asked, how);
      const std::lock_guard lock(shared->mutex);
      shared->outcome.emplace(std::move(outcome));
      shared->changed.notify_one();
    });
  } catch (const std::system_error& error) {
    raise(moe::ErrorCode::io, std::string("stream: no thread could be started: ") + error.what());
  }
}

Stream::~Stream() {
  close();
  if (forks_ == fork_count()) return;
  // In a child of os.fork() the thread does not exist, and its locks are in an unknown state.
  static_cast<void>(thread_.release());
  if (lease_) lease_->abandon();
  static_cast<void>(new std::shared_ptr<Shared>(shared_));
}

void Stream::join() {
  // Of several threads that iterate or close, the first one joins: the GIL is held here.
  if (const auto thread = std::move(thread_)) {
    if (process_is_ending()) {
      thread->join();  // it is ending, and does not need the GIL
    } else {
      const InFlight in_flight;
      const nb::gil_scoped_release released;
      thread->join();
    }
    lease_.reset();
  }
  const std::lock_guard lock(shared_->mutex);
  if (!result_ && shared_->outcome && *shared_->outcome) result_ = std::move(**shared_->outcome);
}

void Stream::close() {
  if (forks_ != fork_count()) return;  // there is no thread to wait for
  shared_->stop.store(true);
  join();
}

std::optional<StreamPiece> Stream::next() {
  if (forks_ != fork_count())
    raise(moe::ErrorCode::unsupported, "this stream was made before os.fork(): its thread did not come along");
  check_process();
  while (true) {
    std::optional<StreamPiece> piece;
    bool ended = false;
    {
      const InFlight in_flight;
      const nb::gil_scoped_release released;
      std::unique_lock lock(shared_->mutex);
      shared_->changed.wait_for(lock, kSignalPeriod,
                                [&] { return !shared_->pieces.empty() || shared_->outcome.has_value(); });
      if (!shared_->pieces.empty()) {
        piece = std::move(shared_->pieces.front());
        shared_->pieces.pop_front();
      }
      ended = shared_->outcome.has_value();
    }
    if (piece) return piece;
    if (ended) break;
    if (PyErr_CheckSignals() != 0) {
      nb::python_error interrupted;
      close();
      throw interrupted;
    }
  }
  const bool first = !std::exchange(has_ended_, true);
  join();
  if (first && !*shared_->outcome) raise(shared_->outcome->error());
  return std::nullopt;
}

namespace {

std::unique_ptr<Stream> open(ModelHandle model, nb::handle prompt, const Keywords& keywords) {
  return std::make_unique<Stream>(std::move(model), prompt_of(prompt), generate_options(keywords));
}

StreamPiece next(Stream& self) {
  auto piece = self.next();
  if (!piece) throw nb::stop_iteration();
  return std::move(*piece);
}

}  // namespace

void add_stream(nb::module_& m) {
  nb::class_<StreamPiece>(m, "Piece", "A stretch of a reply; str() of it is its text.")
      .def_prop_ro(
          "text", [](const StreamPiece& p) { return text_of(p.text); }, "whole characters, maybe none")
      .def_ro("tokens", &StreamPiece::tokens, "ids drawn since the piece before")
      .def("__str__", [](const StreamPiece& p) { return text_of(p.text); })
      .def("__repr__", [](const StreamPiece& p) {
        return nb::str("Piece({!r}, tokens={})").format(text_of(p.text), nb::cast(p.tokens));
      });
  nb::class_<Stream>(m, "Stream",
                     "A reply while it is written: an iterator of Piece. A thread of its own computes; closing it, or\n"
                     "dropping it, ends the reply.")
      .def(nb::new_(&open), "model"_a, "prompt"_a, "keywords"_a)
      .def(
          "__iter__", [](nb::handle self) { return nb::borrow(self); }, nb::sig("def __iter__(self) -> Stream"))
      .def("__next__", next)
      .def("close", &Stream::close, "Ends the reply where it is.")
      .def(
          "__enter__", [](nb::handle self) { return nb::borrow(self); }, nb::sig("def __enter__(self) -> Stream"))
      .def(
          "__exit__", [](Stream& self, nb::args) { self.close(); },
          nb::sig("def __exit__(self, *args: object) -> None"))
      .def_prop_ro("result", &Stream::result, "the whole Generation once the reply has ended; None before")
      .def("__repr__", [](const Stream& self) {
        return std::string(self.result() ? "<libmoe.Stream, ended>" : "<libmoe.Stream, running>");
      });
}

}  // namespace moe_python
