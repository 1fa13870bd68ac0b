#include "checkpoint/json.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

/// Builds nothing; remembers the first thing that is wrong.
class Checker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  const std::string& problem() const { return problem_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    problem_ = fmt::format("key {} is there twice in one object", in_quotes(name));
    return false;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    problem_ = fmt::format("is no valid JSON at byte {}", position);
    return false;
  }

 private:
  bool enter() {
    keys_.emplace_back();
    if (keys_.size() <= kJsonDepthLimit) return true;
    problem_ = fmt::format("is nested deeper than {} levels", kJsonDepthLimit);
    return false;
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::unordered_set<std::string>> keys_;  // per open level
  std::string problem_;
};

}  // namespace

Result<void> check_json(std::string_view text, std::string_view what) {
  Checker checker;
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &checker)) return {};
  return fail(ErrorCode::bad_file, fmt::format("{}: {}", what, checker.problem()));
}

Result<nlohmann::json> parse_json_object(std::string_view text, std::string_view what) {
  if (auto ok = check_json(text, what); !ok) return forward(ok);
  auto parsed = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!parsed.is_object())
    return fail(ErrorCode::bad_file, fmt::format("{}: holds a JSON {}, expected an object", what, parsed.type_name()));
  return parsed;
}

}  // namespace moe::inline MOE_ABI::checkpoint
