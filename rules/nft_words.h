// The words that the nft table is made of.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/config.h"
#include "rules/family.h"

namespace swnat::rules {

// A family in the words of nft. An ICMP error quotes the packet that it is about; of that, what
// stands behind an IPv4 header without options, or an IPv6 header without others, has a fixed
// place.
struct NftFamily {
  Family family;
  std::string_view ip;           // "ip"
  std::string_view icmp;         // "icmp"
  std::string_view nfproto;      // matches its packets
  std::string_view set_suffix;   // of the sets that each family has one of
  std::string_view fragment;     // matches fragments, the first one too
  std::string_view whole;        // matches the rest
  std::string_view fragment_id;  // the same in all fragments of a packet
  std::string_view own_report;   // matches the kernel's reports of multicast groups
  std::string_view error;        // matches ICMP errors that quote a packet with ports or ids
  std::string_view quoted_protocol;
  std::string_view quoted_source;
  std::string_view quoted_port;     // of its sender
  std::string_view quoted_request;  // matches if an echo request is quoted
  std::string_view quoted_id;
};
const NftFamily& nft_family(Family family);
std::vector<NftFamily> nft_translated_families(const Config& config);

// Matches protocols of which the NAT translates addresses only.
inline constexpr std::string_view nft_other_protocols =
    "meta l4proto != { tcp, udp, icmp, icmpv6 }";

// What the configuration has, for the whole table.
struct NftWords {
  explicit NftWords(const Config& config);

  std::string external_interface;
  std::string interfaces;  // a set of the tenants' interfaces; empty if there are none
  std::string all_sides;   // the same and the external interface
  std::string fwmark;      // the bits that name a namespace
  std::string ports;
  std::string udp_timeout;
};

// "{ a, b }".
std::string nft_set(const std::vector<std::string>& elements);
std::vector<std::string> quoted(const std::vector<std::string>& names);

// A set of the external addresses of a family, which must have one.
std::string nft_externals(const Config& config, Family family);

// Gives a namespace's fwmark, or another value under the mask, and leaves all other bits.
std::string nft_set_fwmark(const Config& config, std::uint32_t fwmark);

// Sends to the queue that the bits of `field` name; without a field to the first.
std::string nft_queue_by(const Config& config, std::string_view field);
std::string nft_first_queue(const Config& config);

class NftChain {
 public:
  explicit NftChain(std::string_view name) : text_(fmt::format("\tchain {} {{\n", name)) {}

  void comment(std::string_view text) { text_ += fmt::format("\t\t# {}\n", text); }
  template <class... Args>
  void rule(fmt::format_string<Args...> format, Args&&... args) {
    text_ += "\t\t" + fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  std::string end() const { return text_ + "\t}\n"; }

 private:
  std::string text_;
};

}  // namespace swnat::rules
