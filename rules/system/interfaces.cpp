#include "rules/system/interfaces.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "rules/system/netlink.h"
#include "swnat/address_text.h"

namespace swnat::rules {
namespace {

// Empty for other messages.
std::string address_text(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(&message) < sizeof(ifaddrmsg))
    return "";
  const auto& header = *static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
  const Attributes<IFA_MAX + 1> has(message, sizeof header);
  // With a peer the other one is the peer's.
  const auto own = has.has(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS;
  if (header.ifa_family == AF_INET) return to_text(has.number<Ipv4Address>(own));
  if (header.ifa_family == AF_INET6) return to_text(has.number<Ipv6Address>(own));
  return "";
}

}  // namespace

void list_links(const std::function<void()>& start, const std::function<void(const Link&)>& take) {
  const auto ask = [](nlmsghdr& message) {
    message.nlmsg_type = RTM_GETLINK;
    mnl_nlmsg_put_extra_header(&message, sizeof(ifinfomsg));
    mnl_attr_put_u32(&message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  };
  NetlinkSocket(NETLINK_ROUTE).dump(ask, "listing interfaces", start, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWLINK ||
        mnl_nlmsg_get_payload_len(&message) < sizeof(ifinfomsg)) {
      return;
    }
    const auto& header = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
    const Attributes<IFLA_AF_SPEC + 1> has(message, sizeof header);
    take({has.text(IFLA_IFNAME), static_cast<unsigned>(header.ifi_index),
          (header.ifi_flags & IFF_UP) != 0, has.get(IFLA_AF_SPEC)});
  });
}

Interfaces current_interfaces() {
  Interfaces found;
  list_links([&] { found = {}; },
             [&](const Link& link) {
               found.numbers[link.name] = link.number;
               found.is_up[link.name] = link.is_up;
             });
  return found;
}

std::set<std::string> current_addresses() {
  std::set<std::string> found;
  const auto ask = [](nlmsghdr& message) {
    message.nlmsg_type = RTM_GETADDR;
    mnl_nlmsg_put_extra_header(&message, sizeof(ifaddrmsg));
  };
  NetlinkSocket(NETLINK_ROUTE)
      .dump(
          ask, "listing addresses", [&] { found.clear(); },
          [&](const nlmsghdr& message) {
            if (std::string text = address_text(message); !text.empty())
              found.insert(std::move(text));
          });
  return found;
}

}  // namespace swnat::rules
