#include "rules/iptables/words.h"

#include <fmt/format.h>

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

std::string u32_behind_header(Family family, unsigned place) {
  return family == Family::ipv4 ? fmt::format("0>>22&0x3C@{}", place)
                                : fmt::format("{}", place + 40);
}

}  // namespace swnat::rules
