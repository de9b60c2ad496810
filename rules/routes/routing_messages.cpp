#include "rules/routes/routing_messages.h"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <variant>

#include "rules/config/fwmark_table.h"
#include "rules/config/networks.h"
#include "rules/system/netlink.h"
#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

std::uint8_t family_number(Family family) {
  return family == Family::ipv4 ? AF_INET : AF_INET6;
}

// The unspecified one if there is none.
template <std::size_t types>
IpAddress address_in(const Attributes<types>& all, std::size_t type, Family family) {
  if (family == Family::ipv4) return all.template number<Ipv4Address>(type);
  return all.template number<Ipv6Address>(type);
}

std::string network_text(const IpAddress& address, std::uint8_t length) {
  return fmt::format("{}/{}", to_text(address), length);
}

void put_address(std::uint16_t type, const IpAddress& address, nlmsghdr& message) {
  std::visit([&](const auto& one) { mnl_attr_put(&message, type, sizeof one, &one); }, address);
}

template <class Header>
Header& put_header(std::uint16_t type, unsigned flags, nlmsghdr& message) {
  message.nlmsg_type = type;
  message.nlmsg_flags = static_cast<std::uint16_t>(flags);
  return *static_cast<Header*>(mnl_nlmsg_put_extra_header(&message, sizeof(Header)));
}

[[noreturn]] void refuse(const IpRule& rule) {
  throw KernelError(fmt::format("\"{}\" is no ip rule of swnat's", rule.what));
}

std::uint32_t number_in(const std::string& word, const IpRule& rule, char end = '\0') {
  char* rest = nullptr;
  errno = 0;
  const unsigned long value = std::strtoul(word.c_str(), &rest, 0);
  if (rest == word.c_str() || *rest != end || errno != 0 || value > 0xffff'ffff) refuse(rule);
  return static_cast<std::uint32_t>(value);
}

// A selector or an action that has a value: "fwmark 0x1/0xffff", "goto 5400".
void put_word(const std::string& word, const std::string& value, const IpRule& rule,
              fib_rule_hdr& header, nlmsghdr& message) {
  if (word == "fwmark") {
    mnl_attr_put_u32(&message, FRA_FWMARK, number_in(value, rule, '/'));
    mnl_attr_put_u32(&message, FRA_FWMASK, number_in(value.substr(value.find('/') + 1), rule));
  } else if (word == "iif") {
    mnl_attr_put_strz(&message, FRA_IIFNAME, value.c_str());
  } else if (word == "from") {
    const auto network = parse_network(value);
    if (!network) refuse(rule);
    header.src_len = static_cast<std::uint8_t>(length_of(*network));
    put_address(FRA_SRC, address_of(*network), message);
  } else if (word == "to") {
    const auto network = parse_network(value);
    if (!network) refuse(rule);
    header.dst_len = static_cast<std::uint8_t>(length_of(*network));
    put_address(FRA_DST, address_of(*network), message);
  } else if (word == "lookup") {
    header.action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(&message, FRA_TABLE, number_in(value, rule));
  } else if (word == "goto") {
    header.action = FR_ACT_GOTO;
    mnl_attr_put_u32(&message, FRA_GOTO, number_in(value, rule));
  } else {
    refuse(rule);
  }
}

}  // namespace

InterfaceNames interface_names(const Interfaces& interfaces) {
  InterfaceNames names;
  for (const auto& [name, number] : interfaces.numbers) names[number] = name;
  return names;
}

void ask_for_rules(Family family, nlmsghdr& message) {
  put_header<fib_rule_hdr>(RTM_GETRULE, 0, message).family = family_number(family);
}

void ask_for_routes(Family family, nlmsghdr& message) {
  auto& header = put_header<rtmsg>(RTM_GETROUTE, 0, message);
  header.rtm_family = family_number(family);
  header.rtm_protocol = route_protocol;
}

std::optional<IpRule> rule_in(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(fib_rule_hdr)) return std::nullopt;
  const auto& header = *static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(&message));
  const Attributes<FRA_MAX + 1> has(message, sizeof header);
  if (has.number<std::uint8_t>(FRA_PROTOCOL) != route_protocol) return std::nullopt;
  IpRule rule{header.family == AF_INET6 ? Family::ipv6 : Family::ipv4, has.number(FRA_PRIORITY),
              ""};
  if (has.has(FRA_FWMARK) || has.has(FRA_FWMASK)) {
    rule.what = fmt::format("fwmark {:#x}/{:#x} ", has.number(FRA_FWMARK), has.number(FRA_FWMASK));
  }
  if (has.has(FRA_IIFNAME)) rule.what += fmt::format("iif {} ", has.text(FRA_IIFNAME));
  // Each that drops is from a network; the kernel does not tell of one that holds all addresses.
  if (header.src_len != 0 || header.action == FR_ACT_BLACKHOLE) {
    const IpAddress from = address_in(has, FRA_SRC, rule.family);
    rule.what += fmt::format("from {} ", network_text(from, header.src_len));
  }
  if (header.dst_len != 0) {
    const IpAddress to = address_in(has, FRA_DST, rule.family);
    rule.what += fmt::format("to {} ", network_text(to, header.dst_len));
  }
  switch (header.action) {
    case FR_ACT_TO_TBL:
      rule.what += fmt::format("lookup {}", has.number(FRA_TABLE));
      break;
    case FR_ACT_GOTO:
      rule.what += fmt::format("goto {}", has.number(FRA_GOTO));
      break;
    case FR_ACT_NOP:
      rule.what += "nop";
      break;
    case FR_ACT_BLACKHOLE:
      rule.what += "blackhole";
      break;
    default:
      return std::nullopt;
  }
  return rule;
}

std::optional<FwmarkRoute> route_in(const nlmsghdr& message, const InterfaceNames& interfaces) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(rtmsg)) return std::nullopt;
  const auto& header = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  if (header.rtm_protocol != route_protocol || (header.rtm_flags & RTM_F_CLONED) != 0)
    return std::nullopt;
  const Attributes<RTA_MAX + 1> has(message, sizeof header);
  FwmarkRoute route;
  route.family = header.rtm_family == AF_INET6 ? Family::ipv6 : Family::ipv4;
  route.table = has.number(RTA_TABLE);
  if (!is_route_table(route.table)) return std::nullopt;
  route.to = network_text(address_in(has, RTA_DST, route.family), header.rtm_dst_len);
  if (has.has(RTA_GATEWAY)) route.via = to_text(address_in(has, RTA_GATEWAY, route.family));
  if (header.rtm_type == RTN_UNREACHABLE) return route;
  // One that came since the interfaces were listed has no name here: it is none that was asked for.
  const auto name = interfaces.find(has.number(RTA_OIF));
  route.interface = name == interfaces.end() ? unknown_interface : name->second;
  return route;
}

void put_rule(const IpRule& rule, bool is_removal, nlmsghdr& message) {
  // Without NLM_F_EXCL, which has the kernel compare each rule with all others: what there is has
  // been listed before.
  auto& header = put_header<fib_rule_hdr>(is_removal ? RTM_DELRULE : RTM_NEWRULE,
                                          is_removal ? 0 : NLM_F_CREATE, message);
  header.family = family_number(rule.family);
  mnl_attr_put_u32(&message, FRA_PRIORITY, rule.priority);
  mnl_attr_put_u8(&message, FRA_PROTOCOL, route_protocol);
  std::istringstream words(rule.what);
  for (std::string word; words >> word;) {
    if (word == "nop" || word == "blackhole") {
      header.action = word == "nop" ? FR_ACT_NOP : FR_ACT_BLACKHOLE;
      continue;
    }
    std::string value;
    words >> value;
    put_word(word, value, rule, header, message);
  }
}

void put_route(const FwmarkRoute& route, bool is_removal, const Interfaces& interfaces,
               nlmsghdr& message) {
  const bool is_unreachable = route.interface.empty();
  const auto to = parse_network(route.to);
  if (!to) throw KernelError(fmt::format("\"{}\" is no network", route.to));
  auto& header = put_header<rtmsg>(is_removal ? RTM_DELROUTE : RTM_NEWROUTE,
                                   is_removal ? 0 : NLM_F_CREATE | NLM_F_REPLACE, message);
  header.rtm_family = family_number(route.family);
  header.rtm_dst_len = static_cast<std::uint8_t>(length_of(*to));
  header.rtm_protocol = route_protocol;
  header.rtm_type = is_unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
  // IPv6 has no scopes. A route on the link itself has the link's; whatever it has is taken away.
  const bool is_on_link = route.family == Family::ipv4 && !is_unreachable && route.via.empty();
  header.rtm_scope = is_removal ? RT_SCOPE_NOWHERE : is_on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  mnl_attr_put_u32(&message, RTA_TABLE, route.table);
  put_address(RTA_DST, address_of(*to), message);
  if (is_unreachable) {
    mnl_attr_put_u32(&message, RTA_PRIORITY, last_metric(route.table));
    return;
  }
  if (!route.via.empty()) {
    const auto via = parse_address(route.via);
    if (!via) throw KernelError(fmt::format("\"{}\" is no address", route.via));
    put_address(RTA_GATEWAY, *via, message);
  }
  const auto number = interfaces.numbers.find(route.interface);
  if (number == interfaces.numbers.end()) {
    throw KernelError(fmt::format("there is no interface {}", route.interface));
  }
  mnl_attr_put_u32(&message, RTA_OIF, number->second);
}

}  // namespace swnat::rules
