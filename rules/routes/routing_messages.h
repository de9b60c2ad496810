// Our `ip rule`s and routes as messages of rtnetlink, both ways.
#pragma once

#include <linux/netlink.h>

#include <map>
#include <optional>
#include <string>

#include "rules/routes/policy_route.h"
#include "rules/system/interfaces.h"

namespace swnat::rules {

// By their numbers.
using InterfaceNames = std::map<unsigned, std::string>;
InterfaceNames interface_names(const Interfaces& interfaces);

// What asks for all of a family. The messages are as NetlinkSocket::Fill has them.
void ask_for_rules(Family family, nlmsghdr& message);
void ask_for_routes(Family family, nlmsghdr& message);

// From one message of the answer. Nothing if it is not ours.
std::optional<IpRule> rule_in(const nlmsghdr& message);
std::optional<FwmarkRoute> route_in(const nlmsghdr& message, const InterfaceNames& interfaces);

// What adds it, or takes it away. A route takes the place of one for the same network. Throws
// KernelError for a rule in other words than ours, and for an interface that is not there.
void put_rule(const IpRule& rule, bool is_removal, nlmsghdr& message);
void put_route(const FwmarkRoute& route, bool is_removal, const Interfaces& interfaces,
               nlmsghdr& message);

}  // namespace swnat::rules
