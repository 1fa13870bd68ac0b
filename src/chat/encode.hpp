#pragma once
// Token ids of a conversation: control tokens come only from the template, never from messages.

#include <span>
#include <string_view>
#include <vector>

#include "chat/text.hpp"
#include "moe/tokenizer.hpp"

namespace moe::inline MOE_ABI::chat {

/// The ids of `text` without BOS or the like. Where a control token has a byte in one of `content`, its text is encoded
/// separately as plain text; text between such places is encoded in one piece, so without any the ids are those of the
/// whole text. Errors: those of Tokenizer::encode; unsupported when a vocabulary makes a control token of plain text.
Result<std::vector<TokenId>> encode_marked(const Tokenizer& tokenizer, std::string_view text,
                                           std::span<const Span> content);

}  // namespace moe::inline MOE_ABI::chat
