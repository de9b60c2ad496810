#include "rules/routes/route_lookup.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <variant>

#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

void put_end(std::uint16_t type, const IpAddress& address, nlmsghdr& message) {
  std::visit([&](const auto& one) { mnl_attr_put(&message, type, sizeof one, &one); }, address);
}

template <std::size_t types>
IpAddress gateway_in(const Attributes<types>& all, bool is_v4) {
  if (is_v4) return all.template number<Ipv4Address>(RTA_GATEWAY);
  return all.template number<Ipv6Address>(RTA_GATEWAY);
}

std::string interface_name(unsigned number) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(number, name.data()) == nullptr ? fmt::format("interface {}", number)
                                                          : name.data();
}

}  // namespace

void ask_for_route(const RouteQuestion& question, unsigned interface, nlmsghdr& message) {
  const bool is_v4 = std::holds_alternative<Ipv4Address>(question.to);
  const std::uint8_t bits = is_v4 ? 32 : 128;
  message.nlmsg_type = RTM_GETROUTE;
  message.nlmsg_flags = 0;
  auto& header = *static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(&message, sizeof(rtmsg)));
  header.rtm_family = is_v4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = bits;
  put_end(RTA_DST, question.to, message);
  mnl_attr_put_u32(&message, RTA_MARK, question.fwmark);
  if (interface == 0) return;
  header.rtm_src_len = bits;
  put_end(RTA_SRC, question.from, message);
  mnl_attr_put_u32(&message, RTA_IIF, interface);
}

RouteAnswer route_answer_in(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(rtmsg)) return {.fault = "a short answer"};
  const auto& header = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  const Attributes<RTA_MAX + 1> has(message, sizeof header);
  switch (header.rtm_type) {
    case RTN_LOCAL:
      return {.kind = RouteKind::local};
    case RTN_UNREACHABLE: {
      // In IPv6 also where there is no route.
      const auto cache = has.number<rta_cacheinfo>(RTA_CACHEINFO);
      return route_answer_of(cache.rta_error == 0 ? EHOSTUNREACH
                                                  : -static_cast<int>(cache.rta_error));
    }
    case RTN_BLACKHOLE:
      return route_answer_of(EINVAL);
    case RTN_PROHIBIT:
      return route_answer_of(EACCES);
    case RTN_UNICAST:
      break;
    default:
      return {.fault = fmt::format("a route of type {}", header.rtm_type)};
  }
  RouteAnswer answer{.kind = RouteKind::leaves, .interface = interface_name(has.number(RTA_OIF))};
  if (has.has(RTA_GATEWAY)) answer.via = gateway_in(has, header.rtm_family == AF_INET);
  return answer;
}

RouteAnswer route_answer_of(int error) {
  switch (error) {
    case ENETUNREACH:
      return {.kind = RouteKind::none};
    case EHOSTUNREACH:
      return {.kind = RouteKind::unreachable};
    case EINVAL:
      return {.kind = RouteKind::blackhole};
    case EACCES:
      return {.kind = RouteKind::prohibited};
    case EXDEV:
      return {.kind = RouteKind::wrong_source};
    default:
      return {.fault = std::strerror(error)};
  }
}

RouteAnswer RouteLookup::ask(const RouteQuestion& question) {
  const unsigned interface =
      question.interface.empty() ? 0 : ::if_nametoindex(question.interface.c_str());
  if (interface == 0 && !question.interface.empty()) {
    return {.fault = fmt::format("there is no interface {}", question.interface)};
  }
  try {
    RouteAnswer answer;
    const int error =
        socket_.ask([&](nlmsghdr& message) { ask_for_route(question, interface, message); },
                    [&](const nlmsghdr& message) { answer = route_answer_in(message); });
    return error == 0 ? answer : route_answer_of(error);
  } catch (const KernelError& wrong) {
    return {.fault = wrong.what()};
  }
}

}  // namespace swnat::rules
