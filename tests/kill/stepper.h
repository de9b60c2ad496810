// Every state that the session memory is ever in: a child process makes one instruction after the
// other, and whenever one has changed the memory, its parent looks at it as if the child had been
// killed there.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/kill/life.h"

namespace swnat::test {

struct Steps {
  std::uint64_t instructions = 0;
  std::uint64_t states = 0;  // that were looked at
};

// Of new memory up to its header, then of so many instructions amid many sessions, in the first
// process and in one that took over from it. The same in every run. Throws std::runtime_error that
// says what is wrong. Nothing where ptrace is not allowed.
std::optional<Steps> examine_every_step(Scene& scene, std::uint64_t instructions);

}  // namespace swnat::test
