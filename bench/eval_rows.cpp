#include "bench/eval_rows.hpp"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "tools/common/kv_option.hpp"

namespace eval_rows {
namespace {

constexpr const char* kChatKey = "chat_template";

moe::Result<moe::KvType> kv_of(const std::string& text) {
  if (const auto type = moe::kv_type_named(text)) return *type;
  return moe::fail(moe::ErrorCode::bad_argument, "--kv '" + text + "': expected f32, f16, bf16 or q8_0");
}

moe::Result<moe::Precision> precision_of(const std::string& text) {
  if (text.empty() || text == "auto") return moe::Precision::automatic;
  if (text == "reference") return moe::Precision::reference;
  return moe::fail(moe::ErrorCode::bad_argument, "precision '" + text + "': expected auto or reference");
}

// Applies KEY=VALUE of a sweep, also to the row's name.
moe::Result<void> apply(Setting& row, const std::string& key, const std::string& value, const eval_chat::Rows& chat) {
  if (eval_experts::is_key(key)) {
    if (auto ok = eval_experts::apply(row.experts, key, value); !ok) return ok;
  } else if (key == "precision") {
    const auto precision = precision_of(value);
    if (!precision) return moe::forward(precision);
    row.precision = *precision;
  } else if (key == "kv") {
    const auto kv = kv_of(value);
    if (!kv) return moe::forward(kv);
    row.kv = *kv;
  } else if (key == kChatKey) {
    row.chat = eval_chat::swept_setting(chat, value);
  } else {
    return moe::fail(
        moe::ErrorCode::bad_argument,
        "--sweep '" + key + "': expected top_k, expert_mass, expert_mass_variant, precision, kv or chat_template");
  }
  row.name += "[" + key + "=" + value + "]";
  return {};
}

// A row before any sweep: NAME=PATH, or a path whose last part is the name.
Setting row_of(const std::string& model, const eval_experts::Setting& experts) {
  Setting row;
  const std::size_t equals = model.find('=');
  const bool named = equals != std::string::npos && equals > 0 && model.find('/') > equals;
  row.path = named ? model.substr(equals + 1) : model;
  // "dir/" has no stem of its own.
  std::filesystem::path path(row.path);
  if (path.filename().empty()) path = path.parent_path();
  row.name = named ? model.substr(0, equals) : (path.extension() == ".gguf" ? path.stem() : path.filename()).string();
  row.experts = experts;
  row.name += experts.name;
  return row;
}

moe::Result<void> check_names(const std::vector<Setting>& rows, const std::string& baseline) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name.empty() || rows[i].name == "." || rows[i].name == "..")
      return moe::fail(moe::ErrorCode::bad_argument,
                       "--model " + rows[i].path + ": give it a name, as NAME=" + rows[i].path);
    for (std::size_t j = 0; j < i; ++j)
      if (rows[i].name == rows[j].name)
        return moe::fail(moe::ErrorCode::bad_argument,
                         "two models are called '" + rows[i].name + "': name them, as NAME=PATH");
  }
  if (!baseline.empty() && std::none_of(rows.begin(), rows.end(), [&](const Setting& s) { return s.name == baseline; }))
    return moe::fail(moe::ErrorCode::bad_argument, "--baseline '" + baseline + "' is none of the models");
  return {};
}

// KEY=V1,V2.
moe::Result<Sweep> sweep_of(const std::string& text, const Options& o) {
  Sweep out;
  out.text = text;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size())
    return moe::fail(moe::ErrorCode::bad_argument, "--sweep '" + text + "': expected KEY=V1,V2");
  out.key = text.substr(0, equals);
  const auto about = [&](const std::string& problem) {
    return moe::fail(moe::ErrorCode::bad_argument, "--sweep '" + text + "': " + problem);
  };
  for (std::size_t begin = equals + 1, end = equals; end != std::string::npos; begin = end + 1) {
    end = text.find(',', begin);
    out.values.push_back(text.substr(begin, end == std::string::npos ? end : end - begin));
    if (out.values.back().empty()) return about("a value is empty");
  }
  for (const auto& [key, option, is_given] :
       {std::tuple{"top_k", "--top-k", !o.experts.top_k.empty()},
        {"expert_mass", "--expert-mass", o.experts.mass.has_value()},
        {"expert_mass_variant", "--expert-mass-variant", !o.experts.variant.empty()},
        {"precision", "--precision", !o.precision.empty()},
        {"kv", "--kv", !o.kv.empty()}})
    if (out.key == key && is_given) return about(std::string(option) + " says something else");
  return out;
}

// Every row with every value of the sweep.
moe::Result<std::vector<Setting>> swept_rows(const std::vector<Setting>& rows, const Sweep& sweep,
                                             const eval_chat::Rows& chat) {
  std::vector<Setting> out;
  for (const Setting& row : rows) {
    const std::size_t first = out.size();
    for (const std::string& value : sweep.values) {
      Setting swept = row;
      if (auto applied = apply(swept, sweep.key, value, chat); !applied) return moe::forward(applied);
      // A number can be written in several ways.
      for (std::size_t i = first; i < out.size() && eval_experts::is_key(sweep.key); ++i)
        if (out[i].experts.options == swept.experts.options)
          return moe::fail(moe::ErrorCode::bad_argument,
                           "--sweep '" + sweep.text + "': " + swept.name + " is the setting of " + out[i].name);
      out.push_back(std::move(swept));
    }
  }
  return out;
}

// Per model, whether it is dense; only needed for sweeps of experts. If all are dense, none is marked, and the sweep is
// refused later. Models that cannot be opened are also found later.
std::vector<bool> dense_models(const std::vector<std::string>& paths, const Sweeps& sweeps) {
  std::vector<bool> dense(paths.size(), false);
  if (std::none_of(sweeps.all.begin(), sweeps.all.end(), [](const Sweep& s) { return eval_experts::is_key(s.key); }))
    return dense;
  for (std::size_t i = 0; i < paths.size(); ++i)
    if (const auto info = moe::Model::inspect(paths[i]); info) dense[i] = info->config.moe_layer_count() == 0;
  if (std::find(dense.begin(), dense.end(), false) == dense.end()) dense.assign(paths.size(), false);
  return dense;
}

// Every row with every combination of the sweeps' values. A dense model is a single row in sweeps of experts, and its
// name says so.
moe::Result<std::vector<Setting>> rows_of_model(const Setting& row, bool is_dense, const Sweeps& sweeps,
                                                const eval_chat::Rows& chat) {
  std::vector<Setting> rows = {row};
  if (is_dense) rows[0].name += "[dense]";
  for (const Sweep& sweep : sweeps.all) {
    auto more = swept_rows(rows, sweep, chat);
    if (!more) return more;
    if (!is_dense || !eval_experts::is_key(sweep.key)) rows = std::move(*more);
  }
  return rows;
}

}  // namespace

const Sweep* Sweeps::find(std::string_view key) const {
  const auto at = std::find_if(all.begin(), all.end(), [&](const Sweep& s) { return s.key == key; });
  return at == all.end() ? nullptr : &*at;
}
const Sweep* Sweeps::of_chat() const { return find(kChatKey); }

moe::Result<Sweeps> sweeps_of(const Options& o) {
  Sweeps out;
  for (const std::string& text : o.sweeps) {
    auto sweep = sweep_of(text, o);
    if (!sweep) return moe::forward(sweep);
    if (out.find(sweep->key) != nullptr)
      return moe::fail(moe::ErrorCode::bad_argument, "--sweep " + sweep->key + " is given twice");
    out.all.push_back(std::move(*sweep));
  }
  return out;
}

moe::Result<std::vector<Setting>> settings_of(const Options& o, const Sweeps& sweeps, const eval_chat::Rows& chat) {
  std::vector<Setting> rows;
  const auto precision = precision_of(o.precision);
  if (!precision) return moe::forward(precision);
  const auto experts = eval_experts::setting_of(o.experts, sweeps.find("expert_mass") != nullptr);
  if (!experts) return moe::forward(experts);
  std::vector<Setting> models;
  std::vector<std::string> paths;
  for (const std::string& model : o.models) {
    Setting row = row_of(model, *experts);
    if (row.path.empty()) return moe::fail(moe::ErrorCode::bad_argument, "--model '" + model + "': the path is empty");
    row.precision = *precision;
    if (chat.any) row.chat = chat.setting;
    paths.push_back(row.path);
    models.push_back(std::move(row));
  }
  const std::vector<bool> dense = dense_models(paths, sweeps);
  for (std::size_t m = 0; m < models.size(); ++m) {
    auto of_model = rows_of_model(models[m], dense[m], sweeps, chat);
    if (!of_model) return of_model;
    for (Setting& row : *of_model) {
      if (sweeps.find("kv") == nullptr) row.kv = cli::kv_of(o.kv, row.precision);  // also that of a swept precision
      rows.push_back(std::move(row));
    }
  }
  if (auto ok = check_names(rows, o.baseline); !ok) return moe::forward(ok);
  return rows;
}

}  // namespace eval_rows
