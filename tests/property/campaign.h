// What the program was asked to do: `property-test [--seed N] [--runs N]`, or SWNAT_SEED and
// SWNAT_RUNS in the environment.
#pragma once

#include <cstdint>

namespace swnat::property {

struct Campaign {
  std::uint32_t seed = 1;  // of the first run; the others follow
  std::uint32_t runs = 0;  // 0: as many as are worth their time in every build
};
inline Campaign campaign;

}  // namespace swnat::property
