// The router by itself: numpy in, numpy out.

#include <nanobind/ndarray.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "errors.hpp"
#include "moe/model.hpp"
#include "moe/router.hpp"
#include "watch.hpp"

namespace moe_python {
namespace {

using moe::RouterConfig;
using Logits = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Bias = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
using Matrix = nb::ndarray<nb::numpy, T, nb::ndim<2>>;

template <class T>
Matrix<T> matrix(std::unique_ptr<T[]> values, std::size_t rows, std::size_t cols) {
  T* data = values.release();
  const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return Matrix<T>(data, {rows, cols}, owner);
}

// Where a token goes to fewer than K experts, the rest is -1 with weight 0.
std::pair<Matrix<std::int32_t>, Matrix<float>> route(const Logits& logits, const RouterConfig& config,
                                                     const std::optional<Bias>& bias) {
  const auto rows = static_cast<std::int64_t>(logits.shape(0));
  const moe::MatrixView<const float> view{logits.data(), rows, static_cast<std::int64_t>(logits.shape(1))};
  const moe::VectorView<const float> shift =
      bias ? moe::VectorView<const float>{bias->data(), bias->shape(0)} : moe::VectorView<const float>{};
  Watch watch;
  const moe::Routing routing = unwrap(watch.run([&]() -> moe::Result<moe::Routing> {
    auto out = moe::Routing::create(config, rows);
    if (!out) return out;
    if (auto ok = moe::route(view, shift, config, *out); !ok) return moe::forward(ok);
    return out;
  }));
  const auto tokens = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(config.top_k);
  auto ids = std::make_unique<std::int32_t[]>(tokens * width);
  auto weights = std::make_unique<float[]>(tokens * width);
  std::fill_n(ids.get(), tokens * width, -1);
  for (std::int64_t t = 0; t < rows; ++t) {
    const auto at = static_cast<std::size_t>(t) * width;
    std::copy(routing.ids(t).begin(), routing.ids(t).end(), ids.get() + at);
    std::copy(routing.weights(t).begin(), routing.weights(t).end(), weights.get() + at);
  }
  return {matrix(std::move(ids), tokens, width), matrix(std::move(weights), tokens, width)};
}

// NOLINTNEXTLINE: one parameter per keyword of Python's constructor
void make_config(RouterConfig* self, std::int64_t expert_count, std::int64_t top_k, std::int64_t group_count,
                 std::int64_t topk_group, const std::string& score, const std::string& group_score, bool selection_bias,
                 bool norm_topk_prob, double norm_min, double routed_scaling_factor, double expert_mass,
                 const std::string& mass_variant) {
  using moe::GroupScore, moe::MassVariant, moe::RouterScore;
  RouterConfig config;
  config.expert_count = expert_count, config.top_k = top_k;
  config.group_count = group_count, config.topk_group = topk_group;
  config.score = enum_of("score", score, {RouterScore::softmax, RouterScore::sigmoid, RouterScore::chosen_softmax});
  config.group_score = enum_of("group_score", group_score, {GroupScore::max, GroupScore::top2_sum});
  config.selection_bias = selection_bias, config.norm_topk_prob = norm_topk_prob, config.norm_min = norm_min;
  config.routed_scaling_factor = routed_scaling_factor, config.expert_mass = expert_mass;
  config.mass_variant = enum_of("mass_variant", mass_variant, {MassVariant::renormalised, MassVariant::plain});
  unwrap(moe::validate(config));
  new (self) RouterConfig(config);
}

std::string repr(const RouterConfig& c) {
  return "RouterConfig(expert_count=" + std::to_string(c.expert_count) + ", top_k=" + std::to_string(c.top_k) +
         ", score='" + std::string(name_of(c.score)) + "', group_count=" + std::to_string(c.group_count) +
         ", topk_group=" + std::to_string(c.topk_group) + ")";
}

struct Published {
  const char* name;
  RouterConfig (*make)();
};
constexpr Published kPublished[] = {
    {"deepseek_v3", RouterConfig::deepseek_v3},
    {"kimi_k2", RouterConfig::kimi_k2},
    {"moonlight", RouterConfig::moonlight},
    {"glm4_5", RouterConfig::glm4_5},
    {"glm4_5_air", RouterConfig::glm4_5_air},
    {"deepseek_v2", RouterConfig::deepseek_v2},
    {"deepseek_v2_lite", RouterConfig::deepseek_v2_lite},
    {"qwen3_moe", RouterConfig::qwen3_moe},
    {"qwen2_moe", RouterConfig::qwen2_moe},
    {"qwen1_5_moe", RouterConfig::qwen1_5_moe},
    {"mixtral", RouterConfig::mixtral},
    {"olmoe", RouterConfig::olmoe},
    {"gpt_oss_120b", RouterConfig::gpt_oss_120b},
    {"gpt_oss_20b", RouterConfig::gpt_oss_20b},
};

}  // namespace

void add_routing(nb::module_& m) {
  const RouterConfig defaults;
  auto config = nb::class_<RouterConfig>(m, "RouterConfig", "How a router chooses experts and mixing weights.");
  config
      .def("__init__", make_config, "expert_count"_a, "top_k"_a, nb::kw_only(), "group_count"_a = 1, "topk_group"_a = 1,
           "score"_a = "softmax", "group_score"_a = "max", "selection_bias"_a = false, "norm_topk_prob"_a = false,
           "norm_min"_a = defaults.norm_min, "routed_scaling_factor"_a = 1.0, "expert_mass"_a = 1.0,
           "mass_variant"_a = "renormalised",
           "score: 'softmax', 'sigmoid' or 'chosen_softmax'; group_score: 'max' or 'top2_sum'; mass_variant:\n"
           "'renormalised' or 'plain'. Errors: ArgumentError naming the field.")
      .def_ro("expert_count", &RouterConfig::expert_count)
      .def_ro("top_k", &RouterConfig::top_k)
      .def_ro("group_count", &RouterConfig::group_count)
      .def_ro("topk_group", &RouterConfig::topk_group)
      .def_prop_ro("score", [](const RouterConfig& c) { return std::string(name_of(c.score)); })
      .def_prop_ro("group_score", [](const RouterConfig& c) { return std::string(name_of(c.group_score)); })
      .def_ro("selection_bias", &RouterConfig::selection_bias)
      .def_ro("norm_topk_prob", &RouterConfig::norm_topk_prob)
      .def_ro("norm_min", &RouterConfig::norm_min)
      .def_ro("routed_scaling_factor", &RouterConfig::routed_scaling_factor)
      .def_ro("expert_mass", &RouterConfig::expert_mass)
      .def_prop_ro("mass_variant", [](const RouterConfig& c) { return std::string(name_of(c.mass_variant)); })
      .def(
          "__eq__", [](const RouterConfig& a, const RouterConfig& b) { return a == b; }, nb::is_operator(),
          nb::sig("def __eq__(self, arg: object, /) -> bool"))
      .def("__repr__", repr);
  for (const Published& p : kPublished) config.def_static(p.name, p.make, "The published model's router.");
  m.def(
      "router_of", [](const moe::ModelInfo& info) { return info.config.router; }, "info"_a);
  m.def("route", route, "logits"_a.noconvert(), "config"_a, "bias"_a.noconvert().none());
}

}  // namespace moe_python
