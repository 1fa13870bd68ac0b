# Debian packages, by `cpack` in the build tree of the preset `package` (docs/RELEASE.md):
#   libmoe-c1   libmoe_c.so.1 alone: what a program in C or of another language needs to run
#   libmoe-dev  headers of C++ and C, libmoe.a, libmoe_serve.a, moe-config.cmake, moe.pc, moe_c.pc; one package for both
#               languages, since moe-config.cmake is one
#   moe-tools   the programs, with libmoe and the built-in tasks inside
if(BUILD_SHARED_LIBS OR NOT TARGET moe_c OR NOT MOE_BUILD_TOOLS OR NOT MOE_BUILD_BENCH)
  return()
endif()
# All that is installed, and no micro-benchmark or example.
add_custom_target(installed DEPENDS moe moe_c ${programs})
if(TARGET moe_serve)
  add_dependencies(installed moe_serve)
endif()

find_program(MOE_DPKG_SHLIBDEPS dpkg-shlibdeps)  # Debian's dpkg-dev
find_program(MOE_GZIP gzip)
mark_as_advanced(MOE_DPKG_SHLIBDEPS MOE_GZIP)
if(NOT MOE_DPKG_SHLIBDEPS OR NOT MOE_GZIP)
  return()
endif()

set(MOE_PACKAGE_CONTACT "The libmoe authors <maintainers@libmoe.invalid>" CACHE STRING
    "Maintainer of the Debian packages: who publishes them puts an address that answers")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libmoe)
set(CPACK_PACKAGE_CONTACT "${MOE_PACKAGE_CONTACT}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL c dev tools)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SOURCE libmoe)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# libmoe_c.so.1 only gains functions (tests/abi): a program needs the version that it was built with, or a later one.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(package_version ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})

set(CPACK_DEBIAN_C_PACKAGE_NAME libmoe-c1)
set(CPACK_DEBIAN_C_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_C_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/triggers)
set(CPACK_DEBIAN_C_DESCRIPTION "mixture-of-experts inference on CPUs, shared library for C
libmoe runs language models on CPUs, mixtures of experts above all: the same
bits on any number of threads, and exact counts of floating-point operations.
This package holds the library behind moe.h.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libmoe-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
# What the static library is linked with. moe-config.cmake asks pkg-config for some of it.
string(CONCAT CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
  "libmoe-c1 (= ${package_version}), libexpected-dev, libfmt-dev (>= 9.1), libpcre2-dev (>= 10.42), "
  "libutf8proc-dev (>= 2.8), libsqlite3-dev (>= 3.40), libssl-dev (>= 3.0), pkg-config")
set(CPACK_DEBIAN_DEV_DESCRIPTION "mixture-of-experts inference on CPUs, headers and static library
libmoe runs language models on CPUs, mixtures of experts above all: the same
bits on any number of threads, and exact counts of floating-point operations.
This package is for building programs: find_package(moe) and pkg-config moe in
C++, pkg-config moe_c in C.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME moe-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SUGGESTS gnuplot-nox)
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "run, serve, evaluate and convert language models on CPUs
moe-run writes text and converses, moe-serve answers the requests of the OpenAI
API, moe-eval measures how often answers are right and how many floating-point
operations they cost, moe-quantize writes GGUF files, moe-inspect shows what is
in a model file, moe-bench measures speed.")

# The packages' own files. A plain `cmake --install` leaves them out. The date is SOURCE_DATE_EPOCH's where it is set.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
set(changelog ${PROJECT_BINARY_DIR}/packaging/changelog.Debian)
file(WRITE ${changelog} "libmoe (${package_version}) bookworm; urgency=medium

  * Version ${PROJECT_VERSION}: see CHANGELOG.md of the source.

 -- ${MOE_PACKAGE_CONTACT}  ${date}
")
execute_process(COMMAND ${MOE_GZIP} -9nf ${changelog} COMMAND_ERROR_IS_FATAL ANY)
foreach(component C DEV TOOLS)
  string(TOLOWER ${component} lower)
  install(FILES ${PROJECT_SOURCE_DIR}/packaging/copyright ${PROJECT_SOURCE_DIR}/NOTICE
                ${PROJECT_SOURCE_DIR}/THIRD_PARTY_NOTICES.md ${changelog}.gz
          DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${CPACK_DEBIAN_${component}_PACKAGE_NAME} COMPONENT ${lower} EXCLUDE_FROM_ALL)
endforeach()
# PROGRAMS.md, the documents that it links to, and two that those refer to.
set(tools_documents PROGRAMS EVALUATION STATISTICS CHAT SERVING GGUF MODELS NUMERICS PACKS LARGE_MODELS CLUSTER PERFORMANCE)
list(TRANSFORM tools_documents REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/docs/\\1.md")
install(FILES ${tools_documents} DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/moe-tools COMPONENT tools EXCLUDE_FROM_ALL)
include(CPack)
