#pragma once
// A loaded model with idle generators and scorers for reuse.

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

/// A Generator or Scorer, and the call that uses it. Its Session checks that call for cancellation.
template <class Worker>
struct Bench {
  std::optional<Worker> worker;
  Watch* watch = nullptr;
};

/// Workers of one model. A call takes an idle one or creates one, so calls of several threads run in parallel; one is
/// kept for the next call, with its cache. Used with the GIL held, which is the lock.
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

/// The object behind Python's libmoe.Model; also held by sessions, streams and tokenizers.
using ModelHandle = std::shared_ptr<LoadedModel>;

/// A worker for the duration of a call. Created and destroyed with the GIL held.
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
  /// Abandons the worker: in a child of os.fork() its state is unknown.
  void abandon() { static_cast<void>(bench_.release()); }

 private:
  ModelHandle owner_;
  Idle<Worker> LoadedModel::*idle_;
  std::unique_ptr<Bench<Worker>> bench_;
};

extern template class Lease<moe::Generator>;
extern template class Lease<moe::Scorer>;

}  // namespace moe_python
