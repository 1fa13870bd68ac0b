// Writing through a view of constant values.
// expect: could not convert|cannot convert|no viable conversion|no matching
#include "moe/tensor.hpp"

void scale(moe::MatrixView<float> values);
#ifdef RIGHT
void use(moe::MatrixView<float> values) { scale(values); }
#else
void use(moe::MatrixView<const float> values) { scale(values); }
#endif
