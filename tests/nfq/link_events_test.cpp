// Interfaces, as messages of netlink tell of them.
#include "nfq/link_events.h"

#include <doctest/doctest.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>

namespace swnat::nfq {
namespace {

struct LinkMessage {
  std::uint16_t type = RTM_NEWLINK;
  int number = 7;
  const char* name = "ppp0";
  unsigned flags = 0;
  unsigned char family = AF_UNSPEC;
};

bool take(const LinkMessage& link, rules::MemberLinks& links) {
  alignas(nlmsghdr) std::array<std::uint8_t, 512> bytes{};
  nlmsghdr& message = *mnl_nlmsg_put_header(bytes.data());
  message.nlmsg_type = link.type;
  auto& header = *static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(&message, sizeof(ifinfomsg)));
  header.ifi_family = link.family;
  header.ifi_index = link.number;
  header.ifi_flags = link.flags;
  mnl_attr_put_strz(&message, IFLA_IFNAME, link.name);
  return take_link_message({bytes.data(), message.nlmsg_len}, links);
}

TEST_CASE("links: one that comes, goes up, down and up again, and goes") {
  rules::MemberLinks links;
  CHECK(take({}, links));
  CHECK(links.at(7).name == "ppp0");
  CHECK_FALSE(links.at(7).came_up);
  CHECK(take({.flags = IFF_UP}, links));
  CHECK(links.at(7).came_up);
  CHECK_FALSE(take({.flags = IFF_UP}, links));
  links.at(7).came_up = false;
  CHECK(take({}, links));
  CHECK(take({.flags = IFF_UP}, links));
  CHECK(links.at(7).came_up);
  CHECK(take({.type = RTM_DELLINK}, links));
  CHECK(links.empty());
  CHECK_FALSE(take({.type = RTM_DELLINK}, links));
}

TEST_CASE("links: another name is a change, and what bridges tell of their ports is none") {
  rules::MemberLinks links;
  take({.flags = IFF_UP}, links);
  CHECK(take({.name = "wan", .flags = IFF_UP}, links));
  CHECK(links.at(7).name == "wan");
  CHECK_FALSE(take({.type = RTM_DELLINK, .family = AF_BRIDGE}, links));
  CHECK(links.size() == 1);
}

}  // namespace
}  // namespace swnat::nfq
