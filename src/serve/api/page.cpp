#include "serve/api/endpoints.hpp"

namespace moe::inline MOE_ABI::serve::api {

std::string_view page() { return "<!doctype html><title>moe-serve</title>"; }

}  // namespace moe::inline MOE_ABI::serve::api
