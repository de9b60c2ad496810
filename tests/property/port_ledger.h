// Which external ports rest after they were freed (RFC 6888 REQ-8), as far as anybody outside the
// engine can know.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tests/property/session.h"

namespace swnat::property {

// What is surely so comes before and behind "perhaps": a session that has expired holds its port
// until the engine looks at it again, and the port rests from then on.
enum class PortState : std::uint8_t {
  free,
  resting,
  perhaps,   // any of these, or held by an expired session
  not_free,  // it rests, or an expired session holds it
  taken,
};

class PortLedger {
 public:
  static constexpr Time rest{120'000};

  // The port was freed at some time from `since` to `until` and rests, or perhaps it does not.
  void freed(std::uint8_t protocol, const IpEndpoint& external, Time since, Time until,
             bool surely_rests);

  // Somebody has it: what it did before is over.
  void taken(std::uint8_t protocol, const IpEndpoint& external);

  // Free, resting or perhaps.
  PortState state_of(std::uint8_t protocol, const IpEndpoint& external, Time now) const;

  // Between these times the rest of a port that surely rests began.
  struct Began {
    Time earliest;
    Time latest;
  };
  std::optional<Began> rest_of(std::uint8_t protocol, const IpEndpoint& external, Time now) const;

 private:
  struct Rest {
    Began began;
    bool is_sure;

    bool lasts(Time now) const { return is_sure && now < began.earliest + rest; }
  };
  std::multimap<std::string, Rest> rests_;
};

}  // namespace swnat::property
