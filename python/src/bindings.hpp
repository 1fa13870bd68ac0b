#pragma once
// Shared by all units of the extension module: nanobind with the casters in use, and the list of parts.

#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

namespace moe_python {

namespace nb = nanobind;
using namespace nb::literals;
using Keywords = nb::typed<nb::dict, nb::str, nb::any>;  ///< how stubs show it: dict[str, Any]
using AnyList = nb::typed<nb::list, nb::any>;

// One per file; module.cpp calls them in this order, a class before those that return it.
void add_process(nb::module_& m);
void add_work(nb::module_& m);
void add_inspection(nb::module_& m);
void add_tokenizer(nb::module_& m);
void add_generation(nb::module_& m);
void add_stream(nb::module_& m);
void add_scoring(nb::module_& m);
void add_session(nb::module_& m);
void add_model(nb::module_& m);
void add_routing(nb::module_& m);
void add_quantization(nb::module_& m);
void add_evaluation(nb::module_& m);
void add_harness(nb::module_& m);

}  // namespace moe_python
