#include "c/status.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "c/structs.hpp"

namespace moe::inline MOE_ABI::c {

// The values are frozen; an ErrorCode that moves would change them.
static_assert(static_cast<int>(ErrorCode::bad_file) + 1 == MOE_BAD_FILE);
static_assert(static_cast<int>(ErrorCode::bad_config) + 1 == MOE_BAD_CONFIG);
static_assert(static_cast<int>(ErrorCode::bad_shape) + 1 == MOE_BAD_SHAPE);
static_assert(static_cast<int>(ErrorCode::bad_argument) + 1 == MOE_BAD_ARGUMENT);
static_assert(static_cast<int>(ErrorCode::unsupported) + 1 == MOE_UNSUPPORTED);
static_assert(static_cast<int>(ErrorCode::not_found) + 1 == MOE_NOT_FOUND);
static_assert(static_cast<int>(ErrorCode::io) + 1 == MOE_IO);
static_assert(static_cast<int>(ErrorCode::out_of_memory) + 1 == MOE_OUT_OF_MEMORY);
static_assert(static_cast<int>(ErrorCode::cancelled) + 1 == MOE_CANCELLED);
static_assert(static_cast<int>(ErrorCode::non_finite) + 1 == MOE_NON_FINITE);
static_assert(static_cast<int>(ErrorCode::internal) + 1 == MOE_INTERNAL);

moe_status report(moe_error* error, moe_status status, std::string_view message) noexcept {
  constexpr std::size_t kText = offsetof(moe_error, message);
  const std::size_t size = error == nullptr ? 0 : std::min<std::size_t>(error->struct_size, sizeof(moe_error));
  if (size < kText) return status;
  error->code = status;
  if (size == kText) return status;
  std::size_t length = std::min(message.size(), size - kText - 1);
  // Not inside a character: its further bytes are 10xxxxxx.
  if (length < message.size())
    while (length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0u) == 0x80u) --length;
  if (length > 0) std::memcpy(error->message, message.data(), length);
  error->message[length] = '\0';
  return status;
}

}  // namespace moe::inline MOE_ABI::c

const char* moe_status_name(moe_status status) {
  if (status == MOE_OK) return "ok";
  if (status < MOE_OK || status > MOE_INTERNAL) return "";
  return moe::name_of(static_cast<moe::ErrorCode>(status - 1)).data();
}

void moe_error_init(moe_error* error, size_t struct_size) { moe::c::init_struct(error, struct_size, moe_error{}); }
