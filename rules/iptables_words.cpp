#include "rules/iptables_words.h"

#include <fmt/format.h>

#include <cstring>

namespace swnat::rules {

const IptablesWords& iptables_words(Family family) {
  static const IptablesWords ipv4 = {
      .icmp = "-p icmp -m icmp --icmp-type",
      .echo_request = "8",
      .echo_reply = "0",
      .errors = {"3", "11", "12"},
      .fragment = "4&0x3FFF=1:0x3FFF",
      .fragment_id = "2",
      .is_icmp = "",
      // An IPv4 header without options, and not of a later fragment.
      .quotes_ports = "0>>22&0x3C@8>>24=0x45&&0>>22&0x3C@12&0x1FFF=0&&0>>22&0x3C@16>>16&0xFF=6,17",
      .quotes_request =
          "0>>22&0x3C@8>>24=0x45&&0>>22&0x3C@12&0x1FFF=0&&0>>22&0x3C@16>>16&0xFF=1"
          "&&0>>22&0x3C@28>>24=8",
      .own_reports = {"-d 224.0.0.0/4 -p 2 -j RETURN"},
      .quoted_source = 20,
      .quoted_ports = 28,
  };
  static const IptablesWords ipv6 = {
      .icmp = "-p icmpv6 -m icmp6 --icmpv6-type",
      .echo_request = "128",
      .echo_reply = "129",
      .errors = {"1", "2", "3", "4"},
      .fragment = "3&0xFF=44",
      .fragment_id = "44",
      .is_icmp = "3&0xFF=58&&",
      // An IPv6 header and no other before the protocol.
      .quotes_ports = "48>>28=6&&52>>8&0xFF=6,17",
      .quotes_request = "48>>28=6&&52>>8&0xFF=58&&88>>24=128",
      .own_reports = {"-s ::/128 -p icmpv6 -j RETURN", "-s fe80::/10 -p icmpv6 -j RETURN"},
      .quoted_source = 16,
      .quoted_ports = 48,
  };
  return family == Family::ipv4 ? ipv4 : ipv6;
}

std::string u32(std::string_view tests) {
  return fmt::format("-m u32 --u32 \"{}\"", tests);
}

std::string u32_behind_header(Family family, unsigned place) {
  return family == Family::ipv4 ? fmt::format("0>>22&0x3C@{}", place)
                                : fmt::format("{}", place + 40);
}

std::vector<std::uint32_t> u32_words(const IpAddress& address) {
  return std::visit(
      [](const auto& one) {
        std::vector<std::uint32_t> parts(sizeof(one) / sizeof(std::uint32_t));
        std::memcpy(parts.data(), &one, sizeof(one));
        for (std::uint32_t& part : parts) part = __builtin_bswap32(part);
        return parts;
      },
      address);
}

}  // namespace swnat::rules
