#include "kernels/packing.hpp"
