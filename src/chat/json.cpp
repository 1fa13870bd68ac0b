#include "chat/json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "support/python_float.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

constexpr int kDeepest = 100;

Result<Value> convert_text(const std::string& text, Origin origin) {
  if (!is_valid_utf8(text) || text.size() > UINT32_MAX / 2)
    return fail(ErrorCode::bad_argument, "a text for a chat template is not UTF-8");
  return Value(Text::make(text, origin));
}

Result<Value> convert(const nlohmann::ordered_json& json, Origin origin, int depth) {
  using Type = nlohmann::ordered_json::value_t;
  if (depth > kDeepest)
    return fail(ErrorCode::bad_argument, fmt::format("JSON for a chat template is nested deeper than {}", kDeepest));
  switch (json.type()) {
    case Type::null: return Value();
    case Type::boolean: return Value(json.get<bool>());
    case Type::number_integer: return Value(json.get<std::int64_t>());
    case Type::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(INT64_MAX))
        return fail(ErrorCode::bad_argument, fmt::format("the number {} does not fit into 64 bits", number));
      return Value(static_cast<std::int64_t>(number));
    }
    case Type::number_float: return Value(json.get<double>());
    case Type::string: return convert_text(json.get_ref<const std::string&>(), origin);
    case Type::array: {
      std::vector<Value> items;
      for (const auto& element : json) {
        auto item = convert(element, origin, depth + 1);
        if (!item) return item;
        items.push_back(std::move(*item));
      }
      return Value(Kind::list, std::make_shared<List>(std::move(items)));
    }
    case Type::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, element] : json.items()) {
        auto name = convert_text(key, origin);
        auto item = convert(element, origin, depth + 1);
        if (!name) return name;
        if (!item) return item;
        dict->set(std::move(*name), std::move(*item));
      }
      return Value(Kind::dict, std::move(dict));
    }
    default: return fail(ErrorCode::bad_argument, "JSON for a chat template holds binary data");
  }
}

/// Builds values from the events of nlohmann's parser.
class JsonReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonReader(Origin origin) : origin_(origin) {}

  bool null() override { return put(Value()); }
  bool boolean(bool b) override { return put(Value(b)); }
  bool number_integer(number_integer_t i) override { return put(Value(static_cast<std::int64_t>(i))); }
  bool number_unsigned(number_unsigned_t u) override {
    if (u > static_cast<std::uint64_t>(INT64_MAX)) return refuse("a number does not fit into 64 bits");
    return put(Value(static_cast<std::int64_t>(u)));
  }
  bool number_float(number_float_t d, const string_t& text) override {
    // The parser hands whole numbers beyond 64 bits over as floats.
    if (text.find_first_of(".eE") == string_t::npos) return refuse("a number does not fit into 64 bits");
    return put(Value(d));
  }
  bool string(string_t& text) override { return put(Value(Text::make(std::move(text), origin_))); }
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.key = Value(Text::make(std::move(name), origin_));
    return level.dict->find(level.key) == nullptr || refuse("a key is twice in one object");
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) override {
    if (problem.empty()) problem = fmt::format("no JSON from byte {} on", at);
    return false;
  }

  Value result;
  std::string problem;

 private:
  struct Level {
    std::shared_ptr<Dict> dict;  // null for an array
    std::vector<Value> items;
    Value key;
  };
  bool refuse(const char* why) {
    if (problem.empty()) problem = why;
    return false;
  }
  bool open(bool object) {
    if (levels_.size() >= static_cast<std::size_t>(kDeepest)) return refuse("nesting beyond 100 levels");
    levels_.emplace_back();
    if (object) levels_.back().dict = std::make_shared<Dict>();
    return true;
  }
  bool close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    if (level.dict != nullptr) return put(Value(Kind::dict, std::move(level.dict)));
    return put(Value(Kind::list, std::make_shared<List>(std::move(level.items))));
  }
  bool put(Value value) {
    if (levels_.empty())
      result = std::move(value);
    else if (levels_.back().dict != nullptr)
      levels_.back().dict->set(levels_.back().key, std::move(value));
    else
      levels_.back().items.push_back(std::move(value));
    return true;
  }
  Origin origin_;
  std::vector<Level> levels_;
};

class JsonWriter {
 public:
  JsonWriter(Run& run, const JsonStyle& style) : run_(run), style_(style), out_(run) {}

  void value(const Value& v, int level) {
    if (!run_.step()) return;
    switch (v.kind()) {
      case Kind::none: return out_.add("null");
      case Kind::boolean: return out_.add(v.boolean() ? "true" : "false");
      case Kind::integer: return out_.add(fmt::format("{}", v.integer()));
      case Kind::real: return out_.add(real(v.real()));
      case Kind::text: return text(v.text());
      case Kind::list:
      case Kind::tuple: return list(v.items(), level);
      case Kind::dict: return dict(v.as<Dict>(), level);
      default: run_.type_error("Object of type {} is not JSON serializable", type_name(v));
    }
  }
  Value finish() { return out_.finish(); }

 private:
  static std::string real(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return python_float(d);
  }

  void line(int level) {
    if (!style_.indent) return;
    out_.add("\n");
    out_.repeat(*style_.indent, level);
  }

  void list(const std::vector<Value>& items, int level) {
    if (items.empty()) return out_.add("[]");
    out_.add("[");
    for (std::size_t i = 0; i < items.size() && run_.ok(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      line(level + 1);
      value(items[i], level + 1);
    }
    line(level);
    out_.add("]");
  }

  void dict(const Dict& dict, int level) {
    if (dict.size() == 0) return out_.add("{}");
    std::vector<Value> keys, values;
    for (const auto& [key, item] : dict.entries()) {
      keys.push_back(key);
      values.push_back(run_.tuple({key, item}));
    }
    if (style_.sort_keys) sort_by(run_, values, keys, false);
    out_.add("{");
    for (std::size_t i = 0; i < values.size() && run_.ok(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      line(level + 1);
      key(values[i].items()[0]);
      out_.add(style_.key_separator);
      value(values[i].items()[1], level + 1);
    }
    line(level);
    out_.add("}");
  }

  void key(const Value& k) {
    if (k.is_text()) return text(k.text());
    if (k.is_none()) return out_.add("\"null\"");
    if (k.is(Kind::boolean)) return out_.add(k.boolean() ? "\"true\"" : "\"false\"");
    if (k.is_integer()) return out_.add(fmt::format("\"{}\"", k.integer()));
    if (k.is(Kind::real)) return out_.add("\"" + real(k.real()) + "\"");
    run_.type_error("keys must be str, int, float, bool or None, not {}", type_name(k));
  }

  static std::string_view short_escape(char32_t c) {
    switch (c) {
      case '"': return "\\\"";
      case '\\': return "\\\\";
      case '\n': return "\\n";
      case '\r': return "\\r";
      case '\t': return "\\t";
      case '\f': return "\\f";
      case '\b': return "\\b";
      default: return {};
    }
  }

  void text(const Text& source) {
    const std::string_view bytes = source.bytes();
    MarkReader from_content(source);
    out_.add("\"");
    std::size_t plain = 0;
    each_character(bytes, [&](char32_t c, std::size_t at, std::size_t size) {
      std::string escaped(short_escape(c));
      const auto code = static_cast<std::uint32_t>(c);
      if (escaped.empty() && (c < 0x20 || (style_.ensure_ascii && c == 0x7f))) escaped = fmt::format("\\u{:04x}", code);
      if (style_.ensure_ascii && c >= 0x80)
        escaped = c < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((code - 0x10000) >> 10),
                                            0xdc00 + ((code - 0x10000) & 0x3ff));
      if (escaped.empty()) return;
      out_.add(source, plain, at);
      out_.add(escaped, from_content(at));
      plain = at + size;
    });
    out_.add(source, plain, bytes.size());
    out_.add("\"");
  }

  Run& run_;
  const JsonStyle& style_;
  TextBuilder out_;
};

bool read_separators(Run& run, const Value& value, JsonStyle& style) {
  if (!value.is_sequence() || value.items().size() != 2 || !value.items()[0].is_text() || !value.items()[1].is_text()) {
    run.type_error("separators must be a pair of str");
    return false;
  }
  style.item_separator = value.items()[0].text().bytes();
  style.key_separator = value.items()[1].text().bytes();
  return true;
}

}  // namespace

Result<Value> from_json(const nlohmann::ordered_json& json, Origin origin) { return convert(json, origin, 0); }

Result<Value> read_json(std::string_view text, Origin origin) {
  if (text.size() > UINT32_MAX / 2) return fail(ErrorCode::bad_argument, "JSON for a chat template is too long");
  JsonReader reader(origin);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader))
    return fail(ErrorCode::bad_argument, fmt::format("JSON for a chat template: {}", reader.problem));
  return std::move(reader.result);
}

Value to_json(Run& run, const Value& value, const JsonStyle& style) {
  JsonWriter writer(run, style);
  writer.value(value, 0);
  return run.ok() ? writer.finish() : Value();
}

Value tojson_filter(Run& run, const Value& value, const Args& args) {
  const Bound<4> a(run, args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  if (!a) return {};
  JsonStyle style;
  style.ensure_ascii = a.truth(0);
  style.sort_keys = a.truth(3);
  const Value indent = a.value_or(1, Value());
  if (!indent.is_none()) {
    style.item_separator = ",";
    if (indent.is_text()) {
      style.indent = indent.text().bytes();
    } else {
      const std::int64_t width = a.index(1, 0);
      if (width > 1000) return run.fail(FaultKind::limit, {}, "an indentation of more than 1000 spaces");
      style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    }
  }
  if (!run.ok()) return {};
  if (!a.value_or(2, Value()).is_none() && !read_separators(run, a[2], style)) return {};
  return to_json(run, value, style);
}

}  // namespace moe::inline MOE_ABI::chat
