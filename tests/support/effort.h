// How often tests repeat what is random, so that it is worth its time in every build.
#pragma once

#include <cstdint>

namespace swnat::test {

// Sanitizers make a run ten times as long.
#ifdef SWNAT_SANITIZED
inline constexpr std::uint32_t effort = 1;
#else
inline constexpr std::uint32_t effort = 10;
#endif

}  // namespace swnat::test
