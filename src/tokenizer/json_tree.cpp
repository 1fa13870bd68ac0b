#include "tokenizer/json_tree.hpp"

#include <string>
#include <vector>

#include "support/show.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 64;

class Builder final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return put(json(nullptr)); }
  bool boolean(bool value) override { return put(json(value)); }
  bool number_integer(number_integer_t value) override { return put(json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return put(json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return put(json(value)); }
  bool string(string_t& value) override { return put(json(std::move(value))); }
  bool binary(binary_t&) override { return refuse("binary data"); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const auto [place, fresh] = stack_.back()->get_ref<json::object_t&>().try_emplace(name, nullptr);
    if (!fresh) return refuse("the key " + in_quotes(name) + " occurs twice in one object");
    member_ = &place->second;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("not JSON at byte " + std::to_string(position));
  }

  json root;
  std::string why;

 private:
  bool refuse(std::string reason) {
    why = std::move(reason);
    return false;
  }
  json* place(json&& value) {
    if (stack_.empty()) {
      root = std::move(value);
      return &root;
    }
    if (stack_.back()->is_array()) {
      auto& list = stack_.back()->get_ref<json::array_t&>();
      list.push_back(std::move(value));
      return &list.back();
    }
    *member_ = std::move(value);
    return member_;
  }
  bool put(json&& value) {
    place(std::move(value));
    return true;
  }
  // A pointer on the stack stays good: its own list or map does not grow before it is closed.
  bool open(json&& value) {
    if (stack_.size() == kMaxDepth) return refuse("nested deeper than " + std::to_string(kMaxDepth));
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  std::vector<json*> stack_;
  json* member_ = nullptr;
};

}  // namespace

Result<json> parse_tree(std::string_view text, const char* file) {
  Builder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    return fail(ErrorCode::bad_file, std::string(file) + ": " + (builder.why.empty() ? "not JSON" : builder.why));
  if (!builder.root.is_object()) return fail(ErrorCode::bad_file, std::string(file) + ": not a JSON object");
  return std::move(builder.root);
}

}  // namespace moe::inline MOE_ABI::tokenizer
