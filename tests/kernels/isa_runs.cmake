# Included last: repeats every program labelled `kernels` once per instruction set, through MOE_ISA. A name that cannot
# run here makes active_table() null, which the programs report as skipped.
get_property(isa_names GLOBAL PROPERTY MOE_ISA_NAMES)
get_property(programs DIRECTORY PROPERTY TESTS)
foreach(program ${programs})
  foreach(isa ${isa_names})
    add_test(NAME ${program}_${isa} COMMAND ${program})
    set_tests_properties(${program}_${isa} PROPERTIES LABELS kernels ENVIRONMENT "MOE_ISA=${isa}")
  endforeach()
endforeach()
add_test(NAME kernels_gemm_dispatch_unknown COMMAND kernels_gemm_dispatch)
set_tests_properties(kernels_gemm_dispatch_unknown PROPERTIES LABELS kernels ENVIRONMENT "MOE_ISA=avx9000")
