// Asking the kernel for a route: the message, what answers mean, and this machine's loopback.
#include "rules/routes/route_lookup.h"

#include <doctest/doctest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "swnat/address_text.h"

using namespace swnat;
using namespace swnat::rules;

namespace {

struct Message {
  alignas(nlmsghdr) std::uint8_t bytes[1024] = {};
  nlmsghdr& header = *mnl_nlmsg_put_header(bytes);
};

RouteQuestion question(const char* to, const char* from, const char* interface = "blue0") {
  return {*parse_address(to), *parse_address(from), 7, interface};
}

const rtmsg& route_of(const nlmsghdr& message) {
  return *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
}

}  // namespace

TEST_CASE("route_lookup: the question has both ends, the fwmark and the interface") {
  Message v4;
  ask_for_route(question("198.51.100.7", "10.0.0.2"), 5, v4.header);
  CHECK_EQ(v4.header.nlmsg_type, RTM_GETROUTE);
  CHECK_EQ(v4.header.nlmsg_flags & NLM_F_DUMP, 0);
  CHECK_EQ(route_of(v4.header).rtm_family, AF_INET);
  CHECK_EQ(route_of(v4.header).rtm_dst_len, 32);
  CHECK_EQ(route_of(v4.header).rtm_src_len, 32);
  const Attributes<RTA_MAX + 1> has(v4.header, sizeof(rtmsg));
  CHECK_EQ(has.number<Ipv4Address>(RTA_DST), Ipv4Address::of(198, 51, 100, 7));
  CHECK_EQ(has.number<Ipv4Address>(RTA_SRC), Ipv4Address::of(10, 0, 0, 2));
  CHECK_EQ(has.number(RTA_MARK), 7);
  CHECK_EQ(has.number(RTA_IIF), 5);
  Message v6;
  ask_for_route(question("2001:db8::7", "fd00::2"), 5, v6.header);
  CHECK_EQ(route_of(v6.header).rtm_family, AF_INET6);
  CHECK_EQ(route_of(v6.header).rtm_dst_len, 128);
}

TEST_CASE("route_lookup: without an interface the source does not count") {
  Message message;
  ask_for_route(question("198.51.100.7", "10.0.0.2", ""), 0, message.header);
  const Attributes<RTA_MAX + 1> has(message.header, sizeof(rtmsg));
  CHECK_FALSE(has.has(RTA_SRC));
  CHECK_FALSE(has.has(RTA_IIF));
  CHECK_EQ(route_of(message.header).rtm_src_len, 0);
}

TEST_CASE("route_lookup: what the kernel's errors mean") {
  CHECK_EQ(route_answer_of(ENETUNREACH).kind, RouteKind::none);
  CHECK_EQ(route_answer_of(EHOSTUNREACH).kind, RouteKind::unreachable);
  CHECK_EQ(route_answer_of(EINVAL).kind, RouteKind::blackhole);
  CHECK_EQ(route_answer_of(EACCES).kind, RouteKind::prohibited);
  CHECK_EQ(route_answer_of(EXDEV).kind, RouteKind::wrong_source);
  CHECK_EQ(route_answer_of(EPERM).kind, RouteKind::unknown);
  CHECK_FALSE(route_answer_of(EPERM).fault.empty());
}

TEST_CASE("route_lookup: what the kinds of route mean, and a way on") {
  const auto answer = [](std::uint8_t type, std::int32_t error) {
    Message message;
    message.header.nlmsg_type = RTM_NEWROUTE;
    auto& header = *static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(&message.header, sizeof(rtmsg)));
    header.rtm_family = AF_INET6;
    header.rtm_type = type;
    rta_cacheinfo cache{};
    cache.rta_error = static_cast<std::uint32_t>(error);
    mnl_attr_put(&message.header, RTA_CACHEINFO, sizeof cache, &cache);
    const Ipv6Address via = std::get<Ipv6Address>(*parse_address("fe80::1"));
    mnl_attr_put(&message.header, RTA_GATEWAY, sizeof via, &via);
    mnl_attr_put_u32(&message.header, RTA_OIF, 1);
    return route_answer_in(message.header);
  };
  CHECK_EQ(answer(RTN_LOCAL, 0).kind, RouteKind::local);
  CHECK_EQ(answer(RTN_UNREACHABLE, -ENETUNREACH).kind, RouteKind::none);
  CHECK_EQ(answer(RTN_UNREACHABLE, -EHOSTUNREACH).kind, RouteKind::unreachable);
  CHECK_EQ(answer(RTN_BLACKHOLE, -EINVAL).kind, RouteKind::blackhole);
  CHECK_EQ(answer(RTN_MULTICAST, 0).kind, RouteKind::unknown);
  const RouteAnswer leaves = answer(RTN_UNICAST, 0);
  CHECK_EQ(leaves.kind, RouteKind::leaves);
  CHECK_EQ(leaves.interface, "lo");
  CHECK_EQ(to_text(*leaves.via), "fe80::1");
  Message cut;
  CHECK_EQ(route_answer_in(cut.header).kind, RouteKind::unknown);
}

TEST_CASE("route_lookup: this machine's own address, and an interface that is not there") {
  RouteLookup lookup;
  CHECK_EQ(lookup.ask(question("127.0.0.1", "127.0.0.1", "")).kind, RouteKind::local);
  const RouteAnswer nowhere = lookup.ask(question("127.0.0.1", "10.0.0.2", "no-such-link"));
  CHECK_EQ(nowhere.kind, RouteKind::unknown);
  CHECK_NE(nowhere.fault.find("no-such-link"), std::string::npos);
}
