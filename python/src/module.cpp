// The extension module libmoe._libmoe. Each part registers its own classes and functions.

#include "bindings.hpp"
#include "moe/cpu.hpp"
#include "moe/model.hpp"

NB_MODULE(_libmoe, m) {
  using namespace moe_python;
  m.doc() = "The compiled part of libmoe; use the package libmoe.";
  m.attr("version") = MOE_VERSION;
  m.attr("numerics_version") = moe::kNumericsVersion;
  m.def(
      "active_isa", [] { return std::string(moe::active_isa()); },
      "The instruction set whose kernels run: 'scalar', 'avx2', 'avx512', 'avx512vnni', 'amx' or 'neon'; empty when\n"
      "MOE_ISA names one that cannot run here.");
  add_process(m);
  add_work(m);
  add_inspection(m);
  add_tokenizer(m);
  add_generation(m);
  add_scoring(m);
  add_session(m);
  add_model(m);
  add_stream(m);
  add_routing(m);
  add_quantization(m);
  add_evaluation(m);
  add_harness(m);
}
