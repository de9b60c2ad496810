// The words that the rules of iptables and ip6tables are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/family.h"

namespace swnat::rules {

// A family in the words of iptables and u32.
struct IptablesWords {
  std::string_view icmp;  // "-p icmp -m icmp --icmp-type"
  std::string_view echo_request;
  std::string_view echo_reply;
  std::vector<std::string_view> errors;
  std::string_view fragment;  // u32 tests
  std::string_view fragment_id;
  std::string_view is_icmp;       // u32 tests: whether ICMP is where u32 looks for it
  std::string_view quotes_ports;  // of an ICMP error, that what it quotes begins as it should
  std::string_view quotes_request;
  std::vector<std::string> own_reports;  // rules
  unsigned quoted_source;                // places behind the IP header
  unsigned quoted_ports;
};

const IptablesWords& iptables_words(Family family);

// A match for packets that pass these tests of u32.
std::string u32(std::string_view tests);

// What u32 reads at this place behind the IP header.
std::string u32_behind_header(Family family, unsigned place);

// An address as u32 reads it, four bytes at a time.
std::vector<std::uint32_t> u32_words(const IpAddress& address);

}  // namespace swnat::rules
