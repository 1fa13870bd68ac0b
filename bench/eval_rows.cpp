#include "bench/eval_rows.hpp"

#include <algorithm>
#include <filesystem>
#include <tuple>

namespace eval_rows {
namespace {

constexpr const char* kChatKey = "chat_template";

moe::Result<moe::KvType> kv_of(const std::string& text) {
  if (text == "f32") return moe::KvType::f32;
  if (text == "f16") return moe::KvType::f16;
  if (text == "bf16") return moe::KvType::bf16;
  return moe::fail(moe::ErrorCode::bad_argument, "--kv '" + text + "': expected f32, f16 or bf16");
}

moe::Result<moe::Precision> precision_of(const std::string& text) {
  if (text.empty() || text == "auto") return moe::Precision::automatic;
  if (text == "reference") return moe::Precision::reference;
  return moe::fail(moe::ErrorCode::bad_argument, "precision '" + text + "': expected auto or reference");
}

// Applies KEY=VALUE of a sweep; the row's name says so.
moe::Result<void> apply(Setting& row, const std::string& key, const std::string& value, const eval_chat::Rows& chat) {
  if (key == "top_k") {
    const auto top_k = moe::parse_number("--sweep top_k", value, kTopK);
    if (!top_k) return moe::forward(top_k);
    row.top_k = *top_k, row.top_k_option = "--sweep top_k";
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
    return moe::fail(moe::ErrorCode::bad_argument,
                     "--sweep '" + key + "': expected top_k, precision, kv or chat_template");
  }
  row.name += "[" + key + "=" + value + "]";
  return {};
}

// A row before any sweep: NAME=PATH, or a path whose last part is the name.
Setting row_of(const std::string& model, const Options& o) {
  Setting row;
  const std::size_t equals = model.find('=');
  const bool named = equals != std::string::npos && equals > 0 && model.find('/') > equals;
  row.path = named ? model.substr(equals + 1) : model;
  // "dir/" has no stem of its own.
  std::filesystem::path path(row.path);
  if (path.filename().empty()) path = path.parent_path();
  row.name = named ? model.substr(0, equals) : (path.extension() == ".gguf" ? path.stem() : path.filename()).string();
  row.top_k = o.top_k;
  if (o.top_k > 0) row.name += "[top_k=" + std::to_string(o.top_k) + "]";
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

}  // namespace

moe::Result<Sweep> sweep_of(const Options& o) {
  Sweep out;
  if (o.sweep.empty()) return out;
  const std::size_t equals = o.sweep.find('=');
  if (equals == std::string::npos || equals + 1 == o.sweep.size())
    return moe::fail(moe::ErrorCode::bad_argument, "--sweep '" + o.sweep + "': expected KEY=V1,V2");
  out.key = o.sweep.substr(0, equals);
  const auto about = [&](const std::string& problem) {
    return moe::fail(moe::ErrorCode::bad_argument, "--sweep '" + o.sweep + "': " + problem);
  };
  for (std::size_t begin = equals + 1, end = equals; end != std::string::npos; begin = end + 1) {
    end = o.sweep.find(',', begin);
    out.values.push_back(o.sweep.substr(begin, end == std::string::npos ? end : end - begin));
    if (out.values.back().empty()) return about("a value is empty");
  }
  for (const auto& [key, option, is_given] : {std::tuple{"top_k", "--top-k", o.top_k > 0},
                                              {"precision", "--precision", !o.precision.empty()},
                                              {"kv", "--kv", !o.kv.empty()}})
    if (out.key == key && is_given) return about(std::string(option) + " says something else");
  return out;
}

bool Sweep::is_of_chat() const { return key == kChatKey; }

moe::Result<std::vector<Setting>> settings_of(const Options& o, const Sweep& sweep, const eval_chat::Rows& chat) {
  std::vector<Setting> rows;
  const auto precision = precision_of(o.precision);
  if (!precision) return moe::forward(precision);
  const auto kv = o.kv.empty() ? moe::Result<moe::KvType>(*precision == moe::Precision::reference ? moe::KvType::f32
                                                                                                  : moe::KvType::f16)
                               : kv_of(o.kv);
  if (!kv) return moe::forward(kv);
  for (const std::string& model : o.models) {
    Setting row = row_of(model, o);
    if (row.path.empty()) return moe::fail(moe::ErrorCode::bad_argument, "--model '" + model + "': the path is empty");
    row.precision = *precision, row.kv = *kv;
    if (chat.any) row.chat = chat.setting;
    if (sweep.values.empty()) rows.push_back(row);
    for (const std::string& value : sweep.values) {
      Setting swept = row;
      if (auto applied = apply(swept, sweep.key, value, chat); !applied) return moe::forward(applied);
      // A number can be written in several ways.
      for (auto before = rows.end() - (&value - sweep.values.data()); before != rows.end(); ++before)
        if (sweep.key == "top_k" && before->top_k == swept.top_k)
          return moe::fail(moe::ErrorCode::bad_argument,
                           "--sweep '" + o.sweep + "': " + swept.name + " is the setting of " + before->name);
      rows.push_back(swept);
    }
  }
  if (auto ok = check_names(rows, o.baseline); !ok) return moe::forward(ok);
  return rows;
}

}  // namespace eval_rows
