# Installs the headers, the library, the programs, and how CMake (moe-config.cmake) and pkg-config (moe.pc) find them.
# Components are the packages of packaging/packages.cmake: `dev`, `c` (the shared library behind moe.h), `tools`.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/moe)
set_target_properties(moe_headers PROPERTIES EXPORT_NAME headers)

# Two sets: who asks for the headers alone must not need what the library is linked with.
install(TARGETS moe_headers EXPORT moe_headers_targets COMPONENT dev)
install(EXPORT moe_headers_targets NAMESPACE moe:: DESTINATION ${package_dir} COMPONENT dev)
if(MOE_BUILD_LIBRARY)
  install(TARGETS moe EXPORT moe_targets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
  if(TARGET moe_serve)
    set_target_properties(moe_serve PROPERTIES EXPORT_NAME serve)
    install(TARGETS moe_serve EXPORT moe_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
  endif()
  install(EXPORT moe_targets NAMESPACE moe:: DESTINATION ${package_dir} COMPONENT dev)
endif()
if(TARGET moe_c)  # a set of its own: its programs need none of the library's headers and needs
  set_target_properties(moe_c PROPERTIES EXPORT_NAME c)
  install(TARGETS moe_c EXPORT moe_c_targets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT c NAMELINK_COMPONENT dev)
  install(EXPORT moe_c_targets NAMESPACE moe:: DESTINATION ${package_dir} COMPONENT dev)
  install(FILES ${PROJECT_SOURCE_DIR}/include/moe.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/moe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
        FILES_MATCHING PATTERN *.hpp)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE ${PROJECT_SOURCE_DIR}/THIRD_PARTY_NOTICES.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT licences)  # in no package: each has a file `copyright`

file(RELATIVE_PATH from_bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
get_property(programs GLOBAL PROPERTY MOE_PROGRAMS)
foreach(program ${programs})
  if(BUILD_SHARED_LIBS)
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/${from_bin_to_lib}")
  endif()
  install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endforeach()

set(moe_library_component "")
set(moe_has_c OFF)
if(MOE_BUILD_LIBRARY)
  set(moe_library_component " or moe")
endif()
if(TARGET moe_c)
  set(moe_library_component ", moe or c")
  set(moe_has_c ON)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/moe-config.cmake.in ${PROJECT_BINARY_DIR}/moe-config.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/moe-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/moe-config.cmake ${PROJECT_BINARY_DIR}/moe-config-version.cmake DESTINATION ${package_dir}
        COMPONENT dev)

if(NOT MOE_BUILD_LIBRARY)
  return()
endif()
# A static library brings its private needs to the consumer's link line; a shared one carries them itself.
set(pc_requires "")
set(pc_libs "")
set(pc_flags "")
if(NOT BUILD_SHARED_LIBS)
  set(pc_requires "fmt, libpcre2-8, libutf8proc, sqlite3, libcrypto")
  set(pc_libs " ${OpenMP_CXX_FLAGS}")
endif()
if(MOE_NO_EXCEPTIONS)
  set(pc_flags " -DMOE_NO_EXCEPTIONS")
endif()
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/moe.pc.in ${PROJECT_BINARY_DIR}/moe.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/moe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
if(TARGET moe_c)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/moe_c.pc.in ${PROJECT_BINARY_DIR}/moe_c.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/moe_c.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endif()
