// What the kernel is told of rules and routes is what is read from it.
#include "rules/routes/routing_messages.h"

#include <doctest/doctest.h>

#include "rules/kernel/kernel.h"
#include "rules/system/netlink.h"

namespace swnat::rules {
namespace {

class Message {
 public:
  nlmsghdr& start() { return *mnl_nlmsg_put_header(bytes_); }
  const nlmsghdr& get() const { return *reinterpret_cast<const nlmsghdr*>(bytes_); }

 private:
  alignas(nlmsghdr) std::uint8_t bytes_[1024];
};

IpRule again(const IpRule& rule) {
  Message message;
  put_rule(rule, false, message.start());
  return rule_in(message.get()).value();
}

const Interfaces interfaces{{}, {{"blue0", 7}}};

FwmarkRoute again(const FwmarkRoute& route) {
  Message message;
  put_route(route, false, interfaces, message.start());
  return route_in(message.get(), interface_names(interfaces)).value();
}

}  // namespace

TEST_CASE("rules are read as they were told") {
  for (const char* what :
       {"fwmark 0x1/0xffff lookup 1392508929", "fwmark 0x0/0xfff0 goto 5400", "iif lo goto 5306",
        "from 10.0.0.0/24 blackhole", "from 10.0.0.1/32 blackhole", "from 0.0.0.0/0 blackhole",
        "from 10.0.0.0/8 goto 5310", "goto 5306", "nop"}) {
    const IpRule rule{Family::ipv4, 5301, what};
    CHECK_EQ(again(rule).what, rule.what);
    CHECK(again(rule) == rule);
  }
  for (const char* what :
       {"from fd00::/64 blackhole", "fwmark 0x1/0xffff to fd00::/64 lookup 1392508928"}) {
    const IpRule rule{Family::ipv6, 5301, what};
    CHECK_EQ(again(rule).what, rule.what);
    CHECK(again(rule) == rule);
  }
}

TEST_CASE("a rule in other words is refused") {
  for (const char* what : {"fwmark 0x1 lookup 5", "fwmark x/1 nop", "goto",
                           "from nowhere blackhole", "to nowhere lookup 5", "prohibit x"}) {
    Message message;
    CHECK_THROWS_AS(put_rule({Family::ipv4, 5301, what}, false, message.start()), KernelError);
  }
}

TEST_CASE("routes are read as they were told") {
  const std::uint32_t table = 0x5300'0001;
  for (const FwmarkRoute& route :
       {FwmarkRoute{Family::ipv4, table, "10.0.0.0/24", "", "blue0"},
        FwmarkRoute{Family::ipv4, table, "10.0.0.1/32", "", ""},
        FwmarkRoute{Family::ipv4, table, "0.0.0.0/0", "10.0.0.254", "blue0"},
        FwmarkRoute{Family::ipv6, table, "fd00::/64", "", ""},
        FwmarkRoute{Family::ipv6, table, "fd09::/48", "fe80::254", "blue0"}}) {
    CHECK_EQ(to_text(again(route)), to_text(route));
    CHECK(again(route) == route);
  }
  Message message;
  CHECK_THROWS_WITH_AS(put_route({Family::ipv4, table, "10.0.0.0/24", "", "gone0"}, false,
                                 interfaces, message.start()),
                       "there is no interface gone0", KernelError);
}

TEST_CASE("rules and routes of others are left out") {
  Message message;
  ask_for_rules(Family::ipv4, message.start());  // without a protocol
  CHECK_FALSE(rule_in(message.get()));
  put_route({Family::ipv4, 77, "10.0.0.0/24", "", "blue0"}, false, interfaces, message.start());
  CHECK_FALSE(route_in(message.get(), interface_names(interfaces)));
}

}  // namespace swnat::rules
