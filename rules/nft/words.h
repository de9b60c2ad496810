// The words that the nft table is made of.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/config/config.h"
#include "rules/nft/sets.h"
#include "rules/wanted/family.h"
#include "rules/wanted/member_range.h"
#include "rules/wanted/tenant.h"

namespace swnat::rules {

// A family in the words of nft.
struct NftFamily {
  Family family;
  std::string_view ip;           // "ip"
  std::string_view icmp;         // "icmp"
  std::string_view nfproto;      // matches its packets
  std::string_view set_suffix;   // of the sets that each family has one of; "" or "6"
  std::string_view fragment;     // matches fragments, the first one too
  std::string_view whole;        // matches the rest
  std::string_view fragment_id;  // the same in all fragments of a packet
  std::string_view own_report;   // matches the kernel's reports of multicast groups
  std::string_view error;        // matches whole ICMP errors
  unsigned quoted_destination;   // of the packet that an ICMP error quotes, in bits
};
const NftFamily& nft_family(Family family);
std::vector<NftFamily> nft_translated_families(const Config& config);

inline constexpr std::string_view nft_port_protocols = "meta l4proto { tcp, udp }";
// Matches protocols of which the NAT translates addresses only.
inline constexpr std::string_view nft_other_protocols =
    "meta l4proto != { tcp, udp, icmp, icmpv6 }";

// What the configuration has, for the whole table.
struct NftWords {
  // Puts what has an element for each namespace into the sets.
  NftWords(const Config& config, const std::vector<RemovedTenant>& removed, NftSets& sets);

  bool has_interfaces() const { return !interfaces.empty() || !members.empty(); }

  std::vector<Tenant> tenants;
  std::vector<IpNetwork> networks;  // that must not leave as they are
  std::string external_interface;
  std::string interfaces;        // a set of the tenants' interfaces; empty if there are none
  std::string interface_owners;  // a set of each of them with its fwmark
  std::string zones;             // a map from each of them to its zone (zones.h)
  // The same of members, by the numbers of interfaces; empty if no range has any.
  std::vector<MemberRange> ranges;
  std::string members;
  std::string member_owners;
  std::string member_zones;
  std::string fwmark;      // the bits that name a namespace
  std::string namespaces;  // a set of the fwmarks of all of them
  std::string ports;       // that the NAT may hand out
  std::string udp_timeout;
};

// Matches what has one of these namespaces' fwmarks.
std::string nft_from(const NftWords& word, std::uint32_t first, std::uint32_t last);

// What matches the names of members' interfaces: "\"ppp*\"".
std::vector<std::string> nft_member_patterns(const NftWords& word);
// What gives a packet the zone of the tenant whose interface it entered by: "iifname map @zones".
std::vector<std::string> nft_entry_zones(const NftWords& word);

// "{ a, b }".
std::string nft_set(const std::vector<std::string>& elements);
std::vector<std::string> quoted(const std::vector<std::string>& names);

// A set of the external addresses of a family, which must have one.
std::string nft_externals(const Config& config, Family family);

// The first `length` bits of a field of the family's addresses: "ip saddr & 255.255.255.0".
std::string nft_first_bits(const NftFamily& family, std::string_view field, unsigned length);
// The same of a field that nft knows only the place of. And an address as such a number.
std::string nft_bits_at(unsigned place, Family family);
std::string nft_first_bits_at(unsigned place, Family family, unsigned length);
std::string nft_number(const IpAddress& address);

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
