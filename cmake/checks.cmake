# Targets that look at the code and build nothing: format-check, format (rewrites), tidy.
add_custom_target(format-check COMMAND ${PROJECT_SOURCE_DIR}/scripts/format --check VERBATIM)
add_custom_target(format COMMAND ${PROJECT_SOURCE_DIR}/scripts/format VERBATIM)

find_program(MOE_RUN_CLANG_TIDY NAMES run-clang-tidy run-clang-tidy-14)
if(MOE_RUN_CLANG_TIDY)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  add_custom_target(tidy COMMAND ${MOE_RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR} "^${PROJECT_SOURCE_DIR}/(src|kernels|bench|tools|examples)/"
                    VERBATIM)
endif()
