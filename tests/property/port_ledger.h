// Which external ports rest after they were freed (RFC 6888 REQ-8), as far as anybody outside the
// engine can know.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/property/session.h"

namespace swnat::property {

// Between free and taken there is "perhaps": a session that has expired holds its port until the
// engine looks at it again, and the port rests from then on.
enum class PortState : std::uint8_t { free, perhaps, taken };

class PortLedger {
 public:
  static constexpr Time rest{120'000};

  // The port was freed at some time from `since` to `until` and rests, or perhaps it does not.
  void freed(std::uint8_t protocol, const IpEndpoint& external, Time since, Time until,
             bool surely_rests);

  PortState state_of(std::uint8_t protocol, const IpEndpoint& external, Time now) const;

 private:
  struct Rest {
    Time taken_until;
    Time perhaps_until;
  };
  std::multimap<std::string, Rest> rests_;
};

}  // namespace swnat::property
