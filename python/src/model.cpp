#include "model.hpp"

#include "errors.hpp"
#include "moe/content_hash.hpp"
#include "session_settings.hpp"

namespace moe_python {

template <class Worker>
Lease<Worker>::Lease(ModelHandle owner, Idle<Worker> LoadedModel::*idle) : owner_(std::move(owner)), idle_(idle) {
  if (auto& list = (*owner_).*idle_; !list.empty()) {
    bench_ = std::move(list.back());
    list.pop_back();
    return;
  }
  bench_ = std::make_unique<Bench<Worker>>();
  moe::SessionOptions options = owner_->session_options();
  options.cancelled = [bench = bench_.get()] { return bench->watch != nullptr && bench->watch->cancelled(); };
  bench_->worker.emplace(unwrap(Worker::create(owner_->model, options)));
}

template class Lease<moe::Generator>;
template class Lease<moe::Scorer>;

namespace {

moe::ExpertOptions expert_options(const std::vector<std::int64_t>& top_k, std::optional<double> mass) {
  moe::ExpertOptions options;
  options.top_k = top_k;
  options.expert_mass = mass;
  return options;
}

ModelHandle load(const std::string& path, std::int32_t threads, const SessionSettings& settings,
                 const std::vector<std::int64_t>& top_k, std::optional<double> expert_mass, bool content_hash,
                 nb::object progress) {
  auto loaded = std::make_shared<LoadedModel>();
  loaded->path = path;
  loaded->session = session_options(settings);
  loaded->threads = start_threads(threads);
  Watch watch(std::move(progress));
  moe::LoadOptions options;
  options.threads = loaded->threads;
  options.on_progress = [&](moe::Progress p) { watch.report(p.done, p.total); };
  options.cancelled = [&] { return watch.cancelled(); };
  options.tokenizer = moe::TokenizerUse::optional;
  if (content_hash) options.content_hash = moe::sha256;
  loaded->model = unwrap(watch.run([&] { return moe::Model::load(path, options); }));
  // Another Python thread may run the model.
  moe::end_openmp_threads();
  if (!top_k.empty() || expert_mass)
    loaded->model = unwrap(loaded->model->with_experts(expert_options(top_k, expert_mass)));
  return loaded;
}

ModelHandle with_experts(const LoadedModel& from, const std::vector<std::int64_t>& top_k, std::optional<double> mass) {
  auto loaded = std::make_shared<LoadedModel>();
  loaded->model = unwrap(from.model->with_experts(expert_options(top_k, mass)));
  loaded->path = from.path, loaded->threads = from.threads, loaded->session = from.session;
  return loaded;
}

}  // namespace

void add_model(nb::module_& m) {
  nb::class_<LoadedModel>(m, "LoadedModel", "Weights in memory; libmoe.Model is what to use.")
      .def_static("load", load, "path"_a, "threads"_a, "settings"_a, "top_k"_a, "expert_mass"_a.none(),
                  "content_hash"_a, "progress"_a.none())
      .def("with_experts", with_experts, "top_k"_a, "expert_mass"_a.none())
      .def_ro("path", &LoadedModel::path)
      .def_prop_ro("threads", [](const LoadedModel& self) { return self.threads.worker_count; })
      .def_prop_ro("info",
                   [](const LoadedModel& self) {
                     moe::ModelInfo info = self.model->info();
                     info.config = self.model->config();
                     return info;
                   })
      .def_prop_ro("content_hash", [](const LoadedModel& self) { return self.model->content_hash(); })
      .def_prop_ro("resident_bytes", [](const LoadedModel& self) { return self.model->resident_bytes(); })
      .def("forget", [](LoadedModel& self) {
        self.generators.clear();
        self.scorers.clear();
      });
}

}  // namespace moe_python
