// What is kept of who had which external port when, and where it goes: the table [log].
#pragma once

#include <optional>
#include <string>

#include "swnat/address.h"
#include "swnat/event.h"

namespace swnat::rules {

enum class Transport { udp, tcp };

struct LogReceiver {
  Transport transport = Transport::udp;
  IpEndpoint endpoint = {};

  friend bool operator==(const LogReceiver&, const LogReceiver&) = default;
};

// At least one of the places is set.
struct LogConfig {
  std::string file = {};  // empty: none
  bool journal = false;   // systemd's
  bool syslog = false;    // the machine's own
  std::optional<LogReceiver> syslog_receiver = {};
  std::optional<LogReceiver> ipfix = {};

  bool destinations = false;  // records tell remotes
  // None: what is needed to know who had a port. All blocks; and mappings, but of namespaces with a
  // port_block only of what lies in no block.
  std::optional<EventKinds> events = {};

  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

}  // namespace swnat::rules
