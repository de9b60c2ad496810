# For find_package(swnat): the target swnat::engine.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/swnat-targets.cmake)
