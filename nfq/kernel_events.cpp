#include "nfq/kernel_events.h"

#include <fmt/format.h>
#include <linux/fib_rules.h>
#include <linux/netconf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <string_view>

#include "nfq/error.h"
#include "rules/config/fwmark_table.h"
#include "rules/iptables/chains.h"
#include "rules/nft/member_elements.h"
#include "rules/routes/policy_route.h"

namespace swnat::nfq {
namespace {

constexpr int receive_buffer = 4 << 20;

std::uint16_t type_of(NetlinkBytes message) {
  std::uint16_t type = 0;
  std::memcpy(&type, message.data() + offsetof(nlmsghdr, nlmsg_type), sizeof type);
  return type;
}

bool is_removal(unsigned type) {
  constexpr unsigned removals[] = {NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN,   NFT_MSG_DELRULE,
                                   NFT_MSG_DELSET,   NFT_MSG_DELSETELEM, NFT_MSG_DELOBJ};
  return std::find(std::begin(removals), std::end(removals), type) != std::end(removals);
}

KernelChange route_change(NetlinkBytes message, bool is_removed) {
  const std::uint8_t protocol = message[NLMSG_HDRLEN + offsetof(rtmsg, rtm_protocol)];
  std::uint32_t table = 0;
  for_each_attribute(attributes_of(message, sizeof(rtmsg)), [&](const NetlinkAttribute& each) {
    if (each.type == RTA_TABLE) table = each.number<std::uint32_t>();
  });
  const bool is_ours = protocol == rules::route_protocol || rules::is_route_table(table);
  return {is_ours, is_ours && is_removed};
}

KernelChange rule_change(NetlinkBytes message, bool is_removed) {
  bool is_ours = false;
  for_each_attribute(attributes_of(message, sizeof(fib_rule_hdr)),
                     [&](const NetlinkAttribute& each) {
                       if (each.type == FRA_PROTOCOL) {
                         is_ours = each.number<std::uint8_t>() == rules::route_protocol;
                       }
                     });
  return {is_ours, is_ours && is_removed};
}

KernelChange link_change(NetlinkBytes message,
                         const std::set<std::string, std::less<>>& interfaces) {
  bool is_ours = false;
  for_each_attribute(attributes_of(message, sizeof(ifinfomsg)), [&](const NetlinkAttribute& each) {
    if (each.type == IFLA_IFNAME) is_ours = interfaces.contains(each.text());
  });
  return {true, is_ours};
}

// Urgent is forwarding that is switched off everywhere.
KernelChange netconf_change(NetlinkBytes message) {
  std::int32_t interface = 0;
  std::uint32_t forwarding = 1;
  for_each_attribute(attributes_of(message, sizeof(netconfmsg)), [&](const NetlinkAttribute& each) {
    if (each.type == NETCONFA_IFINDEX) interface = each.number<std::int32_t>();
    if (each.type == NETCONFA_FORWARDING) {
      forwarding = each.number<std::uint32_t>();
    }
  });
  return {true, interface == NETCONFA_IFINDEX_ALL && forwarding == 0};
}

// Takes all that waits at a socket; `tell` is asked about each message.
template <class Tell>
void take(int fd, KernelChange& change, Tell tell) {
  alignas(nlmsghdr) std::uint8_t bytes[32'768];
  for (;;) {
    const ssize_t size = ::recv(fd, bytes, sizeof bytes, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      change = {true, true};
      continue;
    }
    if (size <= 0) return;
    for_each_message({bytes, static_cast<std::size_t>(size)},
                     [&](std::uint16_t, NetlinkBytes message) {
                       const KernelChange told = tell(message);
                       change.is_any = change.is_any || told.is_any;
                       change.is_urgent = change.is_urgent || told.is_urgent;
                       return true;
                     });
  }
}

}  // namespace

FileDescriptor join_netlink(int protocol, std::initializer_list<int> groups) {
  FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  bool good =
      fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  for (const int group : groups) {
    good = good &&
           ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0;
  }
  if (!good) throw Error(fmt::format("netlink events: {}", std::strerror(errno)));
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) !=
      0) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  return fd;
}

KernelEvents::KernelEvents()
    : rules_(join_netlink(NETLINK_NETFILTER, {NFNLGRP_NFTABLES})),
      routing_(join_netlink(NETLINK_ROUTE,
                            {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                             RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,
                             RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF})) {}

KernelChange KernelEvents::read() {
  KernelChange change;
  take(rules_.get(), change, nftables_change);
  take(routing_.get(), change,
       [this](NetlinkBytes message) { return routing_change(message, interfaces_); });
  return change;
}

KernelChange nftables_change(NetlinkBytes message) {
  if (message.size() < NLMSG_HDRLEN + sizeof(nfgenmsg)) return {};
  const unsigned whole_type = type_of(message);
  if (whole_type >> 8 != NFNL_SUBSYS_NFTABLES) return {};
  const unsigned type = whole_type & 0xff;
  // All messages name their table first, and those of chains and rules their chain.
  const bool is_rule = type == NFT_MSG_NEWRULE || type == NFT_MSG_DELRULE;
  const bool is_chain = type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN;
  constexpr std::uint16_t table_name = NFTA_TABLE_NAME;
  const std::uint16_t chain_name =
      is_rule ? std::uint16_t{NFTA_RULE_CHAIN} : std::uint16_t{NFTA_CHAIN_NAME};
  const bool is_element = type == NFT_MSG_NEWSETELEM || type == NFT_MSG_DELSETELEM;
  std::string_view table;
  std::string_view chain;
  std::string_view set;  // of elements that come or go
  for_each_attribute(attributes_of(message, sizeof(nfgenmsg)), [&](const NetlinkAttribute& each) {
    if (each.type == table_name && type != NFT_MSG_NEWGEN) table = each.text();
    if ((is_rule || is_chain) && each.type == chain_name) chain = each.text();
    if (is_element && each.type == NFTA_SET_ELEM_LIST_SET) set = each.text();
  });
  if (table == "swnat" && rules::is_of_members(set)) return {};
  if (table == "swnat") return {true, is_removal(type)};
  // Those of iptables that have chains of ours, and rules that lead there.
  if (table != "raw" && table != "mangle") return {};
  const bool is_ours =
      type == NFT_MSG_DELTABLE || is_rule || chain.starts_with(rules::iptables_prefix);
  return {true, is_ours && is_removal(type)};
}

KernelChange routing_change(NetlinkBytes message,
                            const std::set<std::string, std::less<>>& interfaces) {
  if (message.size() < NLMSG_HDRLEN + sizeof(rtmsg)) return {};
  const std::uint16_t type = type_of(message);
  switch (type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return route_change(message, type == RTM_DELROUTE);
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return rule_change(message, type == RTM_DELRULE);
    case RTM_NEWNETCONF:
      return netconf_change(message);
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return link_change(message, interfaces);
    default:
      return {true, false};  // addresses
  }
}

}  // namespace swnat::nfq
