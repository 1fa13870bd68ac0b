// An accidental copy of a large buffer.
// expect: deleted
#include "moe/tensor.hpp"

moe::AlignedBuffer<float> use(moe::AlignedBuffer<float>& buffer) {
#ifdef RIGHT
  return std::move(buffer);
#else
  return buffer;
#endif
}
