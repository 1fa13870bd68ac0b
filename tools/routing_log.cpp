#include "tools/routing_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/json_text.hpp"

namespace cli {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 16;

// Text that goes to a file in pieces. The first error stays.
class Pieces {
 public:
  explicit Pieces(moe::OutputFile& file) : file_(file) {}
  Pieces& operator<<(std::string_view text) {
    text_ += text;
    if (text_.size() >= kPieceBytes) flush();
    return *this;
  }
  /// "[1,2,3]", with what `value_of` makes of each number.
  template <class Values, class ValueOf>
  void list(const Values& values, const ValueOf& value_of) {
    *this << "[";
    for (std::size_t i = 0; i < values.size(); ++i) *this << (i == 0 ? "" : ",") << value_of(values[i]);
    *this << "]";
  }
  moe::Result<void> finish() {
    flush();
    return written_ ? file_.finish() : written_;
  }

 private:
  void flush() {
    if (written_) written_ = file_.write(text_);
    text_.clear();
  }

  moe::OutputFile& file_;
  std::string text_;
  moe::Result<void> written_;
};

// A list for each token, of as many values as it has experts.
template <class Value, class ValueOf>
void lists(Pieces& out, const std::vector<Value>& values, const std::vector<std::int32_t>& counts,
           const ValueOf& value_of) {
  out << "[";
  std::size_t at = 0;
  for (std::size_t t = 0; t < counts.size(); ++t) {
    const auto count = static_cast<std::size_t>(counts[t]);
    out << (t == 0 ? "" : ",");
    out.list(std::span(values).subspan(at, count), value_of);
    at += count;
  }
  out << "]";
}

}  // namespace

std::int64_t RoutingLog::most_bytes(const moe::ModelConfig& config, std::int64_t tokens) {
  const std::int64_t k = config.router.top_k, layers = config.moe_layer_count();
  const std::int64_t kept = tokens * (2 * k + 1) * 4;
  // Two blocks of the heap for each token, 32 bytes larger than what is in them.
  const std::int64_t of_step =
      std::min(tokens, kStepTokens) * (static_cast<std::int64_t>(sizeof(moe::TokenRouting)) + 2 * (4 * k + 32));
  return layers * (kept + of_step) + 4 * static_cast<std::int64_t>(kPieceBytes);
}

void RoutingLog::append(const std::vector<std::vector<moe::TokenRouting>>& step) {
  std::vector<std::size_t> order;
  for (std::size_t number = 0; number < step.size(); ++number) {
    if (step[number].empty()) continue;
    Layer& layer = layers_[std::to_string(number)];
    layer.counts.reserve(tokens_), layer.experts.reserve(tokens_ * top_k_), layer.weights.reserve(tokens_ * top_k_);
    for (const moe::TokenRouting& token : step[number]) {
      order.resize(token.experts.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::sort(order.begin(), order.end(),
                [&](std::size_t a, std::size_t b) { return token.experts[a] < token.experts[b]; });
      layer.counts.push_back(static_cast<std::int32_t>(order.size()));
      for (const std::size_t i : order) layer.experts.push_back(token.experts[i]);
      for (const std::size_t i : order) layer.weights.push_back(token.weights[i]);
    }
  }
}

moe::Result<void> RoutingLog::write(moe::OutputFile& file, std::span<const moe::TokenId> ids,
                                    std::size_t prompt_length) const {
  const auto whole = [](std::int32_t number) { return fmt::format_int(number).str(); };
  const auto real = [](float number) { return moe::json_text(nlohmann::json(number)); };
  Pieces out(file);
  out << R"({"generated":)";
  out.list(ids.subspan(prompt_length), whole);
  out << R"(,"ids":)";
  out.list(ids.first(prompt_length), whole);
  out << R"(,"routing":{)";
  bool is_first = true;
  for (const auto& [number, layer] : layers_) {
    out << (is_first ? "\"" : ",\"") << number << R"(":{"experts":)";
    lists(out, layer.experts, layer.counts, whole);
    out << R"(,"weights":)";
    lists(out, layer.weights, layer.counts, real);
    out << "}";
    is_first = false;
  }
  out << "}}\n";
  return out.finish();
}

}  // namespace cli
