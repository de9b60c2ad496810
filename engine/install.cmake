# The engine for other projects: the library, the headers that engine.h includes, and two ways to find them,
# find_package(swnat) and pkg-config. Nothing in the installed files names the prefix, so it may be moved.
include(CMakePackageConfigHelpers)

# In this repository headers are named by their folder, "engine/packet.h". Others get them as <swnat/packet.h>:
# copies that differ in nothing else, also in the build folder, where the examples use them.
set(public_headers address.h address_text.h engine.h event.h icmp_answer.h packet.h policy.h reason.h
  session_pattern.h session_view.h traffic.h)
set(public_header_folder ${PROJECT_BINARY_DIR}/include)
foreach(header IN LISTS public_headers)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(READ ${header} text)
  string(REPLACE "#include \"engine/" "#include \"swnat/" text "${text}")
  file(CONFIGURE OUTPUT ${public_header_folder}/swnat/${header} CONTENT "${text}" @ONLY)
  list(APPEND installed_headers ${public_header_folder}/swnat/${header})
endforeach()
install(FILES ${installed_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/swnat)

# The interface may change with every minor version until 1.0.
set_target_properties(swnat_engine PROPERTIES
  OUTPUT_NAME swnat
  EXPORT_NAME engine
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_features(swnat_engine PUBLIC cxx_std_20)
install(TARGETS swnat_engine EXPORT swnat
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/swnat)
install(EXPORT swnat NAMESPACE swnat:: FILE swnat-targets.cmake DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/swnat-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES swnat-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/swnat-config-version.cmake
  DESTINATION ${package_folder})

set(pkgconfig_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH to_prefix
  ${CMAKE_INSTALL_PREFIX}/${pkgconfig_folder} ${CMAKE_INSTALL_PREFIX})
configure_file(swnat.pc.in swnat.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/swnat.pc DESTINATION ${pkgconfig_folder})

install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/engine)
