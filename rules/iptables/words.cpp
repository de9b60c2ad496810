#include "rules/iptables/words.h"

#include <fmt/format.h>

#include "rules/wanted/spare_fwmark.h"

namespace swnat::rules {
namespace {

// What u32 reads at this place behind the IP header.
std::string u32_behind_header(Family family, unsigned place) {
  return family == Family::ipv4 ? fmt::format("0>>22&0x3C@{}", place)
                                : fmt::format("{}", place + 40);
}

}  // namespace

const IptablesWords& iptables_words(Family family) {
  static const IptablesWords ipv4 = {
      .icmp = "-p icmp -m icmp --icmp-type",
      .echo_request = "8",
      .echo_reply = "0",
      .errors = {"3", "11", "12"},
      .fragment = "4&0x3FFF=1:0x3FFF",
      .fragment_id = "2",
      .is_icmp = "",
  };
  static const IptablesWords ipv6 = {
      .icmp = "-p icmpv6 -m icmp6 --icmpv6-type",
      .echo_request = "128",
      .echo_reply = "129",
      .errors = {"1", "2", "3", "4"},
      .fragment = "3&0xFF=44",
      .fragment_id = "44",
      .is_icmp = "3&0xFF=58&&",
  };
  return family == Family::ipv4 ? ipv4 : ipv6;
}

std::string u32(std::string_view tests) {
  return fmt::format("-m u32 --u32 \"{}\"", tests);
}

std::string u32_source_port(Family family) {
  return u32_behind_header(family, 0) + ">>16";
}

std::string u32_destination_port(Family family) {
  return u32_behind_header(family, 0);
}

std::string u32_echo_id(Family family) {
  return u32_behind_header(family, 4) + ">>16";
}

std::string_view iptables_protocol(std::uint8_t protocol) {
  return protocol == 6 ? "tcp" : "udp";
}

std::string iptables_host(const IpAddress& address) {
  return to_text(network_of(address));
}

std::string iptables_to_endpoint(const ProtocolEndpoint& each) {
  return fmt::format("-d {0} -p {1} -m {1} --dport {2}", iptables_host(each.endpoint.address),
                     iptables_protocol(each.protocol), each.endpoint.port);
}

std::vector<std::string> iptables_externals(const Config& config, Family family) {
  std::vector<std::string> all;
  for (const IpAddress& each : config.external_addresses) {
    if (family_of(each) == family) all.push_back(iptables_host(each));
  }
  return all;
}

std::string iptables_fwmark(const Config& config, std::string_view fwmark) {
  return fmt::format("-m mark {}/{:#x}", fwmark, config.fwmark_mask);
}

std::string iptables_spare_fwmark(const Config& config) {
  return iptables_fwmark(config, fmt::format("--mark {:#x}", required_spare_fwmark(config)));
}

}  // namespace swnat::rules
