# The engine for other projects: the library, the headers of include/swnat, and two ways to find them,
# find_package(swnat) and pkg-config. Nothing in the installed files names the prefix, so it may be moved.
include(CMakePackageConfigHelpers)

install(DIRECTORY include/swnat TYPE INCLUDE FILES_MATCHING PATTERN *.h)

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
