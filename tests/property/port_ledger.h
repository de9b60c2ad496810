// Which external ports are taken, and which are free, as far as anybody outside the engine can
// know.
//
// A session that has expired holds its port until the engine looks at it again, and a port that was
// freed rests. So between "taken" and "free" there is "perhaps".
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/property/session.h"

namespace swnat::property {

enum class PortState : std::uint8_t { free, perhaps, taken };

class PortLedger {
 public:
  // The mapping's port was freed between `since` and `until`; it rests unless its connection was
  // seen to end, and then perhaps.
  void freed(const ModelSession& last, Time since, Time until, Time rest);

  // What resting says of the port for a new session to `remote`.
  PortState rest_of(std::uint8_t protocol, const IpEndpoint& external, const IpEndpoint& remote,
                    bool reused_per_remote, Time now) const;

 private:
  struct Rest {
    IpEndpoint remote;
    Time taken_until;
    Time perhaps_until;
  };
  std::multimap<std::string, Rest> rests_;
};

}  // namespace swnat::property
