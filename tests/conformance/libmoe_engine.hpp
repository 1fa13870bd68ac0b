#pragma once
// libmoe's router behind the callback: also the pattern for another engine's own adapter.

#include "router_case.h"

int libmoe_route(const moe_router_case* question, int32_t* ids, float* weights, void* user);
