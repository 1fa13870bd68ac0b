// Byte-level BPE out of a tokenizer.json.

#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(std::string_view, std::string_view) {
  return fail(ErrorCode::unsupported, "tokenizer.json is not read by this version");
}

}  // namespace moe::inline MOE_ABI
