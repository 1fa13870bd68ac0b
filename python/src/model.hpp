#pragma once
// A loaded model with what its calls use again: generators and scorers that nobody uses just now.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "moe/generate.hpp"
#include "moe/model.hpp"
#include "moe/score.hpp"
#include "moe/session.hpp"
#include "watch.hpp"

namespace moe_python {

/// A Generator or Scorer, and whose call it works for. Its Session asks that call whether to stop.
template <class Worker>
struct Bench {
  std::optional<Worker> worker;
  Watch* watch = nullptr;
};

/// Workers of one model. A call takes one, or makes one when all are taken, so calls of several threads run side by
/// side; one is kept for the next call, with what it has in its cache. Used with the GIL held, which is the lock.
template <class Worker>
using Idle = std::vector<std::unique_ptr<Bench<Worker>>>;

struct LoadedModel {
  LoadedModel() = default;
  LoadedModel(const LoadedModel&) = delete;  // a vector of unique_ptr looks copyable to nanobind
  LoadedModel& operator=(const LoadedModel&) = delete;

  std::shared_ptr<const moe::Model> model;
  std::string path;
  moe::ParallelFor threads;
  moe::SessionOptions session;  // of the generators and scorers
  Idle<moe::Generator> generators;
  Idle<moe::Scorer> scorers;

  moe::SessionOptions session_options() const {
    moe::SessionOptions options = session;
    options.threads = threads;
    return options;
  }
};

/// What Python holds as libmoe's Model; sessions, streams and tokenizers hold it as well.
using ModelHandle = std::shared_ptr<LoadedModel>;

/// A worker for the time of a call. Made and ended with the GIL held.
template <class Worker>
class Lease {
 public:
  /// Errors: those of Worker::create.
  Lease(ModelHandle owner, Idle<Worker> LoadedModel::*idle);
  ~Lease() {
    if (bench_ == nullptr) return;
    bench_->watch = nullptr;
    if (auto& list = (*owner_).*idle_; list.empty()) list.push_back(std::move(bench_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Worker& worker() { return *bench_->worker; }
  void serve(Watch& watch) { bench_->watch = &watch; }
  /// Never uses or ends the worker again: in a child of os.fork() nobody knows in which state it was.
  void abandon() { static_cast<void>(bench_.release()); }

 private:
  ModelHandle owner_;
  Idle<Worker> LoadedModel::*idle_;
  std::unique_ptr<Bench<Worker>> bench_;
};

extern template class Lease<moe::Generator>;
extern template class Lease<moe::Scorer>;

}  // namespace moe_python
