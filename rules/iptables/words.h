// The words that the rules of iptables and ip6tables are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

// What u32 reads at this place behind the IP header.
std::string u32_behind_header(Family family, unsigned place);

}  // namespace swnat::rules
