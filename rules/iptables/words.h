// The words that the rules of iptables and ip6tables are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/wanted/endpoint_rules.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

// A family in the words of iptables and u32.
struct IptablesWords {
  std::string_view icmp;  // "-p icmp -m icmp --icmp-type"
  std::string_view echo_request;
  std::string_view echo_reply;
  std::vector<std::string_view> errors;
  std::string_view fragment;  // u32 tests
  std::string_view fragment_id;
  std::string_view is_icmp;  // u32 tests: whether ICMP is where u32 looks for it
};

const IptablesWords& iptables_words(Family family);

// A match for packets that pass these tests of u32.
std::string u32(std::string_view tests);

// What u32 reads: a port, or the identifier of an echo.
std::string u32_source_port(Family family);
std::string u32_destination_port(Family family);
std::string u32_echo_id(Family family);

std::string_view iptables_protocol(std::uint8_t protocol);  // "tcp" or "udp"
std::string iptables_host(const IpAddress& address);        // "203.0.113.1/32"
// "-d 203.0.113.1/32 -p tcp -m tcp --dport 80"
std::string iptables_to_endpoint(const ProtocolEndpoint& each);
// The family's external addresses, each as iptables_host().
std::vector<std::string> iptables_externals(const Config& config, Family family);

// `fwmark` as in "--mark 0x1" or "! --mark 0x0"; what is not a namespace's bit does not count.
std::string iptables_fwmark(const Config& config, std::string_view fwmark);
// The fwmark by which nft tells (text.cpp).
std::string iptables_spare_fwmark(const Config& config);

}  // namespace swnat::rules
