// Four bytes are a token, until a model's own vocabulary is known.

#include <string>

#include "moe/eval/cost_model.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

class EstimatingTokenizer : public Tokenizer {
 public:
  explicit EstimatingTokenizer(std::int64_t vocab_size) : vocab_size_(vocab_size) {}

  Result<std::vector<TokenId>> encode(std::string_view text, const EncodeOptions&) const override {
    constexpr std::size_t kBytes = 4;
    std::vector<TokenId> ids;
    for (std::size_t at = 0; at < text.size(); at += kBytes) {
      std::uint64_t id = 0;
      for (const char c : text.substr(at, kBytes)) id = id * 257 + static_cast<unsigned char>(c);
      ids.push_back(static_cast<TokenId>(id % static_cast<std::uint64_t>(vocab_size_)));
    }
    return ids;
  }
  std::int64_t vocab_size() const override { return vocab_size_; }
  std::optional<TokenId> bos() const override { return TokenId{0}; }
  std::optional<TokenId> eos() const override { return TokenId{0}; }
  const std::vector<TokenId>& stop_ids() const override { return stop_; }
  const std::vector<TokenId>& generate_stop_ids() const override { return stop_; }
  std::string_view bytes_of(TokenId) const override { return {}; }
  bool is_control(TokenId) const override { return false; }
  bool adds_bos() const override { return false; }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
  std::uint64_t fingerprint() const override { return 0; }

 protected:
  Result<std::string> decode_text(std::span<const TokenId>, SpecialTokens) const override { return std::string(); }
  Result<std::string> decode_continuation(std::span<const TokenId>, SpecialTokens) const override {
    return std::string();
  }

 private:
  std::int64_t vocab_size_;
  std::vector<TokenId> stop_ = {0};
};

}  // namespace

std::shared_ptr<const Tokenizer> estimating_tokenizer(std::int64_t vocab_size) {
  return std::make_shared<EstimatingTokenizer>(std::max<std::int64_t>(vocab_size, 1));
}

}  // namespace moe::inline MOE_ABI::eval
