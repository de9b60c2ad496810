#include "nfq/link_events.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "nfq/kernel_events.h"
#include "rules/kernel/member_work.h"

namespace swnat::nfq {

LinkEvents::LinkEvents() : socket_(join_netlink(NETLINK_ROUTE, {RTNLGRP_LINK})) {}

bool LinkEvents::read(rules::MemberLinks& links) {
  alignas(nlmsghdr) std::uint8_t bytes[32'768];
  bool is_changed = false;
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      is_complete_ = false;
      continue;
    }
    if (size <= 0) break;
    for_each_message({bytes, static_cast<std::size_t>(size)},
                     [&](std::uint16_t, NetlinkBytes message) {
                       is_changed = take_link_message(message, links) || is_changed;
                       return true;
                     });
  }
  if (is_complete_) return is_changed;
  links = rules::current_links();
  is_complete_ = true;
  return true;
}

bool take_link_message(NetlinkBytes message, rules::MemberLinks& links) {
  if (message.size() < NLMSG_HDRLEN + sizeof(ifinfomsg)) return false;
  nlmsghdr header{};
  std::memcpy(&header, message.data(), sizeof header);
  ifinfomsg link{};
  std::memcpy(&link, message.data() + NLMSG_HDRLEN, sizeof link);
  // Bridges tell of their ports in the same words.
  if (link.ifi_family != AF_UNSPEC) return false;
  const auto number = static_cast<unsigned>(link.ifi_index);
  if (header.nlmsg_type == RTM_DELLINK) return links.erase(number) != 0;
  if (header.nlmsg_type != RTM_NEWLINK) return false;
  std::string name;
  for_each_attribute(attributes_of(message, sizeof(ifinfomsg)), [&](const NetlinkAttribute& each) {
    if (each.type == IFLA_IFNAME) name = each.text();
  });
  const bool is_up = (link.ifi_flags & IFF_UP) != 0;
  rules::MemberLink& known = links[number];
  const bool is_changed = known.name != name || known.is_up != is_up;
  if (is_up && !known.is_up) known.came_up = true;
  known.name = std::move(name);
  known.is_up = is_up;
  return is_changed;
}

}  // namespace swnat::nfq
