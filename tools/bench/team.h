// Threads that do something at the same time, each on a CPU of its own if there are as many.
#pragma once

#include <cstddef>
#include <functional>

namespace swnat::bench {

// What each thread does, by its number.
struct TeamWork {
  std::function<void(unsigned thread, std::size_t section)> prepare;  // not timed
  std::function<void(unsigned thread)> timed;
  std::function<void(unsigned thread)> check;  // not timed
};

// Starts the threads, which go through the sections together: no one begins a section before all
// are prepared, or the next one before all have ended. Returns the nanoseconds from the beginning
// of each section to its last thread's end, added up without the first eighth of the sections.
// Throws what `prepare` or `check` threw.
double run_team(unsigned threads, std::size_t sections, const TeamWork& work);

}  // namespace swnat::bench
