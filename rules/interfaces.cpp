#include "rules/interfaces.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "engine/address_text.h"
#include "rules/netlink.h"

namespace swnat::rules {
namespace {

const ifinfomsg* link_in(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(&message) < sizeof(ifinfomsg))
    return nullptr;
  return static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
}

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

std::vector<std::uint8_t> list_links() {
  return NetlinkSocket(NETLINK_ROUTE)
      .dump(
          [](nlmsghdr& message) {
            message.nlmsg_type = RTM_GETLINK;
            mnl_nlmsg_put_extra_header(&message, sizeof(ifinfomsg));
            // Of thousands, the counters are most of what there is to tell.
            mnl_attr_put_u32(&message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
          },
          "listing interfaces");
}

std::string link_name(const nlmsghdr& message) {
  if (link_in(message) == nullptr) return "";
  return Attributes<IFLA_IFNAME + 1>(message, sizeof(ifinfomsg)).text(IFLA_IFNAME);
}

Interfaces current_interfaces() {
  Interfaces found;
  for_each_netlink_message(list_links(), [&](const nlmsghdr& message) {
    const ifinfomsg* link = link_in(message);
    if (link == nullptr) return;
    std::string name = link_name(message);
    found.numbers[name] = static_cast<unsigned>(link->ifi_index);
    found.is_up[std::move(name)] = (link->ifi_flags & IFF_UP) != 0;
  });
  return found;
}

std::set<std::string> current_addresses() {
  std::set<std::string> found;
  const auto all = NetlinkSocket(NETLINK_ROUTE)
                       .dump(
                           [](nlmsghdr& message) {
                             message.nlmsg_type = RTM_GETADDR;
                             mnl_nlmsg_put_extra_header(&message, sizeof(ifaddrmsg));
                           },
                           "listing addresses");
  for_each_netlink_message(all, [&](const nlmsghdr& message) {
    if (std::string text = address_text(message); !text.empty()) found.insert(std::move(text));
  });
  return found;
}

bool has_interface(const std::string& name) {
  char found[IF_NAMESIZE] = "";
  const unsigned number = if_nametoindex(name.c_str());
  return number != 0 && if_indextoname(number, found) != nullptr && name == found;
}

}  // namespace swnat::rules
