// The life of a process that will be killed, and what it shares with its parent.
#pragma once

#include <span>
#include <vector>

#include "tests/kill/ledger.h"

namespace swnat::test {

struct Scene {
  Scene();

  // As after the machine was started: no session memory, no session.
  void start_anew();

  std::span<std::byte> memory;
  Ledger& ledger;
  std::vector<Repertoire> repertoires;  // of each worker
};

// Attaches an engine to the session memory and works at it, until it is killed.
[[noreturn]] void live(Scene& scene, std::uint32_t seed);
// The same with one worker, in the calling thread, which stops itself (SIGSTOP) when there are many
// sessions.
[[noreturn]] void live_alone(Scene& scene, std::uint32_t seed);

}  // namespace swnat::test
