#include "tests/fuzz/world.h"

#include <algorithm>

#include "tests/fuzz/anatomy.h"

namespace swnat::fuzz {
namespace {

using namespace std::chrono_literals;

Ipv4Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return Ipv4Address::of(a, b, c, d);
}
Ipv6Address v6(std::uint16_t network, std::uint8_t subnet, std::uint8_t host) {
  std::array<std::uint8_t, 16> octets{};
  octets[0] = static_cast<std::uint8_t>(network >> 8);
  octets[1] = static_cast<std::uint8_t>(network);
  octets[5] = subnet;
  octets[15] = host;
  return Ipv6Address::of(octets);
}

void add_rules_of(int version, Policy& policy, std::uint8_t choice) {
  const Places& places = places_of(version);
  const IpAddress& external = places.externals[0];
  if ((choice & 1) != 0) {
    policy.redirects.push_back(
        {number::udp, {places.redirected_inside, 53}, {places.hosts[0], 5353}, {}});
    policy.redirects.push_back(
        {number::tcp, {places.redirected_inside, 80}, {places.hosts[1], 80}, {1, 2}});
    policy.redirects.push_back(
        {number::udp, {places.redirected_outside, 53}, {places.remotes[0], 53}, {}});
    policy.redirects.push_back(
        {number::tcp, {places.redirected_outside, 80}, {places.remotes[1], 8080}, {2, 6}});
    policy.redirects.push_back(
        {number::udp, {places.redirected_to_external, 53}, {external, 40001}, {}});
  }
  if ((choice & 2) != 0) {
    policy.forwards.push_back({number::tcp, {external, 40003}, 1, {places.hosts[0], 80}});
    policy.forwards.push_back({number::udp, {external, 40006}, 2, {places.hosts[1], 5353}});
    policy.forwards.push_back({number::tcp, {external, 443}, 5, {places.hosts[1], 80}});
  } else if ((choice & 4) != 0) {
    policy.forwards.push_back({number::tcp, {external, 40003}, 2, {places.hosts[0], 40000}});
    policy.forwards.push_back({number::udp, {external, 40001}, 1, {places.hosts[0], 40001}});
  }
}

void add_untranslated(NamespacePolicy& one) {
  one.untranslated = {Network<Ipv4Address>{v4(192, 0, 2, 0), 24},
                      Network<Ipv6Address>{v6(0x2001, 2, 0), 48}};
}

bool has_family(const Frame& frame, int version) {
  return version == 4 ? !frame.external.v4.empty() : !frame.external.v6.empty();
}

Places make_places(int version) {
  if (version == 4) {
    return {.externals = {v4(203, 0, 113, 1), v4(203, 0, 113, 2)},
            .hosts = {v4(10, 0, 0, 2), v4(10, 0, 0, 3)},
            .remotes = {v4(198, 51, 100, 7), v4(198, 51, 100, 8), v4(10, 0, 0, 3)},
            .redirected_inside = v4(10, 0, 0, 243),
            .redirected_outside = v4(198, 51, 100, 9),
            .redirected_to_external = v4(198, 51, 100, 10),
            .untranslated = v4(192, 0, 2, 1),
            .odd = {v4(0, 0, 0, 0), v4(127, 0, 0, 1), v4(224, 0, 0, 1), v4(255, 255, 255, 255)}};
  }
  return {.externals = {v6(0x2001, 1, 1), v6(0x2001, 1, 2)},
          .hosts = {v6(0xfd00, 0, 2), v6(0xfd00, 0, 3)},
          .remotes = {v6(0x2001, 9, 7), v6(0x2001, 9, 8), v6(0xfd00, 0, 3)},
          .redirected_inside = v6(0xfd00, 0, 243),
          .redirected_outside = v6(0x2001, 9, 9),
          .redirected_to_external = v6(0x2001, 9, 10),
          .untranslated = v6(0x2001, 2, 1),
          .odd = {v6(0, 0, 0), v6(0, 0, 1), v6(0xff02, 0, 1), v6(0xfe80, 0, 1)}};
}

}  // namespace

const Places& places_of(int version) {
  static const Places ipv4 = make_places(4);
  static const Places ipv6 = make_places(6);
  return version == 4 ? ipv4 : ipv6;
}

Frame draw_frame(Input& input) {
  const PortRanges ranges[] = {
      {40000, 40007}, {1018, 1029}, PortRanges({{65500, 65503}, {65532, 65535}}), {40000, 40001}};
  constexpr std::uint32_t capacities[] = {32, 8, 3, 64};
  const std::uint8_t choice = input.byte();
  Frame frame;
  frame.mapping =
      (choice & 1) == 0 ? Mapping::endpoint_independent : Mapping::address_and_port_dependent;
  frame.ports = ranges[choice >> 1 & 3];
  frame.max_sessions = capacities[choice >> 3 & 3];
  const std::size_t count = (choice & 32) == 0 ? 1 : 2;
  for (std::size_t i = 0; i < count; ++i) {
    frame.external.v4.push_back(std::get<Ipv4Address>(places_of(4).externals[i]));
    frame.external.v6.push_back(std::get<Ipv6Address>(places_of(6).externals[i]));
  }
  if ((choice & 0xc0) == 0x40) frame.external.v6.clear();
  if ((choice & 0xc0) == 0x80) frame.external.v4.clear();
  return frame;
}

Policy draw_policy(Input& input, const Frame& frame) {
  constexpr std::uint32_t limits[] = {6, 1, 2, 20};
  const std::uint8_t choice = input.byte();
  const std::uint8_t more = input.byte();
  Policy policy;
  policy.external = frame.external;
  policy.ports = frame.ports;
  policy.mapping = frame.mapping;
  policy.filtering = static_cast<Filtering>(choice % 3);
  policy.at_limit = (choice & 4) == 0 ? AtLimit::evict_oldest : AtLimit::refuse;
  policy.hairpin = (choice & 8) == 0;
  policy.timeouts = {.tcp_established = 20s, .tcp_transitory = 4s, .udp = 5s, .icmp = 1s};
  if ((choice & 16) != 0) policy.timeouts.tcp_transitory = 0s;
  NamespacePolicy first{.first = 1, .last = 1, .session_limit = limits[choice >> 5 & 3]};
  NamespacePolicy second{.first = 2, .last = 2, .session_limit = limits[more & 3]};
  NamespacePolicy others{.first = 5, .last = 6, .session_limit = 4};
  for (NamespacePolicy* one : {&first, &second, &others}) {
    one->inside = {Network<Ipv4Address>{v4(10, 0, 0, 0), 24},
                   Network<Ipv6Address>{v6(0xfd00, 0, 0), 64}};
    if ((more & 4) != 0) add_untranslated(*one);
  }
  if (!frame.external.v4.empty()) others.external.v4 = {frame.external.v4[0]};
  policy.namespaces = {first, second};
  if ((choice & 128) == 0) policy.namespaces.push_back(others);
  if ((more & 8) != 0) {
    policy.drops = {{number::tcp, {25, 25}, {}}, {number::icmp, {1, 65535}, {2, 2}}};
  }
  for (const int version : {4, 6}) {
    if (has_family(frame, version)) add_rules_of(version, policy, more >> 4 & 7);
  }
  std::erase_if(policy.forwards, [&](const ForwardRule& rule) {
    return find_namespace(policy, rule.namespace_id) == nullptr;
  });
  return policy;
}

Policy open_policy(const Frame& frame, const IpAddress& external) {
  Policy policy;
  policy.external = frame.external;
  policy.ports = frame.ports;
  policy.mapping = frame.mapping;
  policy.namespaces = {{.first = 1, .last = 1, .session_limit = frame.max_sessions}};
  AddressLists& own = policy.namespaces[0].external;
  if (const auto* address = std::get_if<Ipv4Address>(&external)) {
    own.v4 = {*address};
  } else {
    own.v6 = {std::get<Ipv6Address>(external)};
  }
  return policy;
}

bool contains(const std::vector<IpNetwork>& networks, const IpAddress& address) {
  return std::ranges::any_of(networks, [&](const IpNetwork& network) {
    return std::visit(
        [&](const auto& one) {
          const auto* same = std::get_if<std::decay_t<decltype(one.address)>>(&address);
          return same != nullptr && one.contains(*same);
        },
        network);
  });
}

bool is_external(const AddressLists& external, const IpAddress& address) {
  if (const auto* one = std::get_if<Ipv4Address>(&address)) {
    return std::ranges::count(external.v4, *one) != 0;
  }
  return std::ranges::count(external.v6, std::get<Ipv6Address>(address)) != 0;
}

const NamespacePolicy* find_namespace(const Policy& policy, NamespaceId id) {
  for (const NamespacePolicy& one : policy.namespaces) {
    if (id >= one.first && id <= one.last) return &one;
  }
  return nullptr;
}

}  // namespace swnat::fuzz
