#pragma once
// The request tables of all endpoints.

#include "serve/api/request_table.hpp"

namespace moe::inline MOE_ABI::serve::api {

RequestTable completions_table();
RequestTable chat_table();
RequestTable tokenize_table();
RequestTable detokenize_table();

}  // namespace moe::inline MOE_ABI::serve::api
