#include "rules/text/protocol_name.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "swnat/protocol.h"

namespace swnat::rules {
namespace {

constexpr std::uint8_t ospf = 89;

struct Protocol {
  std::uint8_t number;
  std::string_view name;
};
constexpr Protocol named_protocols[] = {
    {IPPROTO_ICMP, "icmp"},
    {IPPROTO_IGMP, "igmp"},
    {IPPROTO_IPIP, "ipip"},
    {IPPROTO_TCP, "tcp"},
    {IPPROTO_UDP, "udp"},
    {IPPROTO_DCCP, "dccp"},
    {IPPROTO_IPV6, "ipv6"},
    {IPPROTO_GRE, "gre"},
    {IPPROTO_ESP, "esp"},
    {IPPROTO_AH, "ah"},
    {ospf, "ospf"},
    {IPPROTO_ICMPV6, "icmpv6"},
    {IPPROTO_PIM, "pim"},
    {protocol::l2tp, "l2tp"},
    {IPPROTO_SCTP, "sctp"},
    {IPPROTO_UDPLITE, "udplite"},
    {IPPROTO_ICMPV6, "icmp6"},  // for what it is called, the first counts
};

}  // namespace

std::vector<std::string_view> protocol_names() {
  std::vector<std::string_view> names;
  for (const Protocol& each : named_protocols) names.push_back(each.name);
  return names;
}

std::string protocol_name(std::uint8_t number) {
  const auto* known = std::ranges::find(named_protocols, number, &Protocol::number);
  return known == std::end(named_protocols) ? std::to_string(number) : std::string(known->name);
}

std::optional<std::uint8_t> protocol_number(std::string_view text) {
  const auto* known = std::ranges::find(named_protocols, text, &Protocol::name);
  if (known != std::end(named_protocols)) return known->number;
  std::uint8_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

}  // namespace swnat::rules
