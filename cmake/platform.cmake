# README.md, "Platforms". Elsewhere the compiler would stop in the middle of the library, without a word that helps.
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "libmoe runs on Linux, the target is ${CMAKE_SYSTEM_NAME} (MOE_BUILD_LIBRARY=OFF leaves moe::headers)")
endif()
if(CMAKE_CXX_BYTE_ORDER STREQUAL "BIG_ENDIAN")
  message(FATAL_ERROR "libmoe reads model files as they are, little-endian; the target is big-endian")
endif()
