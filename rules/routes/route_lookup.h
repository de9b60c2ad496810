// Where the kernel would route a packet now, asked of it by netlink, which changes nothing.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <string>

#include "rules/system/netlink.h"
#include "swnat/address.h"

namespace swnat::rules {

struct RouteQuestion {
  IpAddress to;
  // Of the same family. It counts only with an interface.
  IpAddress from;
  std::uint32_t fwmark = 0;
  std::string interface = {};  // that the packet comes in by; empty: as the gateway's own
};

enum class RouteKind : std::uint8_t {
  leaves,       // by an interface
  local,        // for the gateway itself
  none,         // nothing leads there
  unreachable,  // a route, or a rule, says that it leads nowhere; or forwarding is off
  blackhole,    // likewise; or the source is one that the kernel believes from nobody
  prohibited,
  wrong_source,  // what would be answered goes by another interface (rp_filter)
  unknown,       // the kernel did not say
};

struct RouteAnswer {
  RouteKind kind = RouteKind::unknown;
  std::string interface = {};         // leaves
  std::optional<IpAddress> via = {};  // leaves, unless the destination is on the link
  std::string fault = {};             // unknown: why
};

// For one thread at a time. Waits for nothing: the kernel answers before it takes the next step.
class RouteLookup {
 public:
  // Throws KernelError.
  RouteLookup() : socket_(NETLINK_ROUTE) {}

  // Tells failures in the answer.
  RouteAnswer ask(const RouteQuestion& question);

 private:
  NetlinkSocket socket_;
};

// The parts of it: as NetlinkSocket::Fill has them, what a message says, and what an error that the
// kernel answers means. `interface`: its number, 0 for none.
void ask_for_route(const RouteQuestion& question, unsigned interface, nlmsghdr& message);
RouteAnswer route_answer_in(const nlmsghdr& message);
RouteAnswer route_answer_of(int error);

}  // namespace swnat::rules
