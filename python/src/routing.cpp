// The router alone, with numpy arrays.

#include <nanobind/ndarray.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "arguments.hpp"
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

using Field = Keyword<RouterConfig>;
constexpr std::array kFields = {
    Field{"expert_count", [](auto& c, auto n, nb::handle v) { c.expert_count = integer(n, v); }},
    Field{"top_k", [](auto& c, auto n, nb::handle v) { c.top_k = integer(n, v); }},
    Field{"group_count", [](auto& c, auto n, nb::handle v) { c.group_count = integer(n, v); }},
    Field{"topk_group", [](auto& c, auto n, nb::handle v) { c.topk_group = integer(n, v); }},
    Field{"score",
          [](auto& c, auto, nb::handle v) {
            using moe::RouterScore;
            c.score = enum_of("score", text("score", v),
                              {RouterScore::softmax, RouterScore::sigmoid, RouterScore::chosen_softmax});
          }},
    Field{"group_score",
          [](auto& c, auto, nb::handle v) {
            c.group_score =
                enum_of("group_score", text("group_score", v), {moe::GroupScore::max, moe::GroupScore::top2_sum});
          }},
    Field{"selection_bias", [](auto& c, auto n, nb::handle v) { c.selection_bias = flag(n, v); }},
    Field{"norm_topk_prob", [](auto& c, auto n, nb::handle v) { c.norm_topk_prob = flag(n, v); }},
    Field{"norm_min", [](auto& c, auto n, nb::handle v) { c.norm_min = number(n, v); }},
    Field{"norm_add", [](auto& c, auto n, nb::handle v) { c.norm_add = number(n, v); }},
    Field{"routed_scaling_factor", [](auto& c, auto n, nb::handle v) { c.routed_scaling_factor = number(n, v); }},
    Field{"expert_mass", [](auto& c, auto n, nb::handle v) { c.expert_mass = number(n, v); }},
    Field{"mass_variant",
          [](auto& c, auto, nb::handle v) {
            c.mass_variant = enum_of("mass_variant", text("mass_variant", v),
                                     {moe::MassVariant::renormalised, moe::MassVariant::plain});
          }},
};

/// expert_count and top_k may be positional.
void make_config(RouterConfig* self, nb::args given, nb::kwargs named) {
  RouterConfig config;
  constexpr std::size_t kPositional = 2;
  if (given.size() > kPositional)
    raise_type_error("RouterConfig takes expert_count and top_k, and keyword arguments; found " +
                     std::to_string(given.size()) + " positional ones");
  for (std::size_t i = 0; i < given.size(); ++i) kFields[i].set(config, kFields[i].name, given[i]);
  bool has[kPositional] = {given.size() > 0, given.size() > 1};
  for (const auto& [key, value] : named) {
    const auto name = nb::cast<std::string>(key);
    for (std::size_t i = 0; i < kPositional; ++i) {
      if (kFields[i].name != name) continue;
      if (has[i]) raise_type_error(name + " is given twice");
      has[i] = true;
    }
    if (!set_keyword(kFields, config, name, value)) raise_unexpected(kFields, name);
  }
  for (std::size_t i = 0; i < kPositional; ++i)
    if (!has[i]) raise_type_error(std::string(kFields[i].name) + " is missing, expected an integer");
  unwrap(moe::validate(config));
  new (self) RouterConfig(config);
}

std::string repr(const RouterConfig& c) {
  return "RouterConfig(expert_count=" + std::to_string(c.expert_count) + ", top_k=" + std::to_string(c.top_k) +
         ", score='" + std::string(name_of(c.score)) + "', group_count=" + std::to_string(c.group_count) +
         ", topk_group=" + std::to_string(c.topk_group) + ")";
}

constexpr const char* kConstructor =
    "def __init__(self, expert_count: int, top_k: int, *, group_count: int = 1, topk_group: int = 1, "
    "score: str = 'softmax', group_score: str = 'max', selection_bias: bool = False, norm_topk_prob: bool = False, "
    "norm_min: float = 1e-12, norm_add: float = 1e-20, routed_scaling_factor: float = 1.0, "
    "expert_mass: float = 1.0, mass_variant: str = 'renormalised') -> None";

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
  auto config = nb::class_<RouterConfig>(m, "RouterConfig", "How a router chooses experts and mixing weights.");
  config
      .def("__init__", make_config, nb::sig(kConstructor),
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
      .def_ro("norm_add", &RouterConfig::norm_add)
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
