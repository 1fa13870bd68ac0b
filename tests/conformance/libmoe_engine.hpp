#pragma once
// libmoe's router as the callback; a pattern for other engines' adapters.

#include "router_case.h"

int libmoe_route(const moe_router_case* question, int32_t* ids, float* weights, void* user);
