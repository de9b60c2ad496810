// What the daemon answers to each command of the control protocol (control_server.h).
//
// Units: packets, sessions and times are plain numbers; times are in seconds. Endpoints are text
// like "10.0.0.2:1234"; for ICMP the port is the echo identifier, and the remote's is 0.
#pragma once

#include <string_view>

#include "nfq/control_client.h"

namespace swnat::nfq {

class Daemon;

// The answer may refer to the daemon until it is complete.
ControlAnswer answer_control_request(Daemon& daemon, std::string_view line, const Peer& peer);

}  // namespace swnat::nfq
