// Theory of operation
//
// The queue rules of the nft table's chains `incoming`, `departing` and `outgoing` as iptables
// rules (nft/text.cpp tells the way of a packet); all else stays in the nft table. They stand in
// the tables that see a packet where it must be seen: raw PREROUTING and OUTPUT, before conntrack,
// and mangle POSTROUTING. They are the last there, since a queue's verdict ends a table: the
// operator's own rules come first. What a queue accepts goes on with the next table, and meets the
// guard in the nft table.
//
// What only nft can find out it tells by a fwmark that names no namespace, which is taken away
// again: in raw, protocols without ports that a tenant spoke with that host; in mangle, what is to
// be left alone.
//
// Steering is by `u32`, which reads four bytes of the packet: "0>>22&0x3C@" skips the IPv4 header,
// then come the place, a shift and a mask. It cannot skip an unknown number of IPv6 headers, so it
// is right for packets that have one; others may meet another queue than they should, which costs
// time only. The last queue takes what is left, so no packet falls through.
#include "rules/iptables/text.h"

#include "rules/iptables/mangle.h"
#include "rules/iptables/raw.h"

namespace swnat::rules {

std::vector<IptablesTable> iptables_tables(const Config& config) {
  std::vector<IptablesTable> all;
  for (const Family family : all_families) {
    if (!is_translated(config, family)) continue;
    all.push_back(iptables_raw_table(config, family));
    all.push_back(iptables_mangle_table(config, family));
  }
  return all;
}

}  // namespace swnat::rules
