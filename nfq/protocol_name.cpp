#include "nfq/protocol_name.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>

#include "swnat/protocol.h"

namespace swnat::nfq {
namespace {

constexpr std::uint8_t ospf = 89;

struct Protocol {
  std::uint8_t number;
  std::string_view name;
};
constexpr Protocol named_protocols[] = {
    {IPPROTO_ICMP, "icmp"},       {IPPROTO_IGMP, "igmp"},   {IPPROTO_IPIP, "ipip"},
    {IPPROTO_TCP, "tcp"},         {IPPROTO_UDP, "udp"},     {IPPROTO_DCCP, "dccp"},
    {IPPROTO_IPV6, "ipv6"},       {IPPROTO_GRE, "gre"},     {IPPROTO_ESP, "esp"},
    {IPPROTO_AH, "ah"},           {ospf, "ospf"},           {IPPROTO_ICMPV6, "icmpv6"},
    {IPPROTO_PIM, "pim"},         {protocol::l2tp, "l2tp"}, {IPPROTO_SCTP, "sctp"},
    {IPPROTO_UDPLITE, "udplite"},
};

}  // namespace

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

bool has_ports(std::uint8_t number) {
  return number == IPPROTO_TCP || number == IPPROTO_UDP;
}

bool has_ports_or_ids(std::uint8_t number) {
  return has_ports(number) || number == IPPROTO_ICMP || number == IPPROTO_ICMPV6;
}

}  // namespace swnat::nfq
