# Targets that look at the code and build nothing: format-check, format (rewrites), tidy.
file(GLOB_RECURSE moe_sources CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/include/*.hpp ${PROJECT_SOURCE_DIR}/src/*.?pp ${PROJECT_SOURCE_DIR}/kernels/*.?pp
     ${PROJECT_SOURCE_DIR}/bench/*.?pp ${PROJECT_SOURCE_DIR}/tools/*.?pp ${PROJECT_SOURCE_DIR}/examples/*.?pp
     ${PROJECT_SOURCE_DIR}/tests/*.?pp)

find_program(MOE_CLANG_FORMAT NAMES clang-format clang-format-14)
if(MOE_CLANG_FORMAT)
  add_custom_target(format-check COMMAND ${MOE_CLANG_FORMAT} --dry-run --Werror ${moe_sources} VERBATIM)
  add_custom_target(format COMMAND ${MOE_CLANG_FORMAT} -i ${moe_sources} VERBATIM)
endif()

find_program(MOE_RUN_CLANG_TIDY NAMES run-clang-tidy run-clang-tidy-14)
if(MOE_RUN_CLANG_TIDY)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  add_custom_target(tidy COMMAND ${MOE_RUN_CLANG_TIDY} -quiet -p ${PROJECT_BINARY_DIR} "^${PROJECT_SOURCE_DIR}/(src|kernels|bench|tools|examples)/"
                    VERBATIM)
endif()
