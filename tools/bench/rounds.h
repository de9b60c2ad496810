// Timing in rounds: everything that is compared runs in turns, so that what disturbs the machine
// disturbs all of it, and medians are taken over the rounds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::bench {

// How much is measured.
struct Effort {
  int rounds = 7;
  std::uint32_t packets = 1 << 18;  // of a row in a round
  bool is_quick = false;            // leaves out the largest tables
};

// Nanoseconds, over the rounds.
struct Sample {
  double median = 0;
  double min = 0;
  double max = 0;
};
Sample sample_of(std::vector<double> values);

struct Row {
  std::string name = {};
  std::uint64_t sessions = 0;
  unsigned threads = 1;
  Sample cost = {};                    // of one packet, or of what the name says
  Sample reference = {};               // what it is compared with
  std::string_view against = "floor";  // and what that is
  double bytes_per_session = 0;        // resident memory; 0 where it was not measured

  double ratio() const { return reference.median == 0 ? 0 : cost.median / reference.median; }
};

// What one row does in one round: returns nanoseconds for each packet.
using Measurement = std::function<double()>;

struct Subject {
  Row row;
  Measurement measure;
};

// Every round measures the reference and then each of the subjects.
std::vector<Row> in_rounds(const Effort& effort, const Measurement& reference,
                           std::vector<Subject> subjects);

using Clock = std::chrono::steady_clock;

inline double nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

// Keeps the compiler from leaving out what made `value`.
template <class Value>
inline void keep(const Value& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace swnat::bench
