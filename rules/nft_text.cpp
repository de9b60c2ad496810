// Theory of operation
//
// A packet of either family meets up to six chains, each at a fixed place on its way:
//
// - own: output. The gateway's own pings are noted for a minute, because their replies look like a
//   tenant's: nothing reserves ICMP ids as ports are reserved. So are, for ten minutes, the hosts
//   with whom it speaks a protocol without ports, such as a tunnel's: these are not the tenants'.
// - early: prerouting, before the kernel puts fragments together (-400). What enters by a tenant's
//   interface is exempt from that (untracked), or two tenants' fragments with the same addresses
//   and id could become one packet. It gets its namespace's fwmark, and goes on only with a source
//   that the namespace may have. A namespace without interfaces gets its fwmark from the
//   operator's rules, which must also set notrack, or a conntrack zone for each namespace, before
//   -400. What comes from outside for a tenant that is reached without NAT gets its fwmark too.
// - incoming: prerouting, just before the raw table (-300) and so before conntrack (-200). What
//   comes from outside for an external address and a port that the NAT may have handed out or
//   forwards, hairpins, and what a tenant sends to where it is redirected from, go to a queue.
//   Protocols without ports do if a tenant spoke them with that host.
// - apart: forward. Nothing reaches a tenant that is another tenant's, or that comes from outside
//   and was not translated. With whom tenants speak protocols without ports is noted for as long as
//   the NAT remembers it.
// - outgoing: postrouting, where mangle is. What has a namespace's fwmark and leaves by the
//   external interface goes to a queue.
// - guard: postrouting, behind the queue. Nothing leaves by the external interface untranslated, and
//   what the gateway itself sends to a namespace reaches no other.
//
// What is redirected to a host outside comes out of its queue with an external source and without
// fwmark: so it is routed like the gateway's own, meets no other queue, and passes the guard. To a
// host inside it keeps its fwmark. ICMP errors that the gateway or the daemon sends to a tenant
// have the tenant's fwmark, and are routed by it.
//
// Of tenants' fragments the first has ports, and the others have payload there. All go to the queue
// that the packet's id names.
//
// A queue without a listener drops. With fail_open it accepts what it should have translated: what
// comes from outside then reaches the gateway itself, whose answers may end tenants' connections;
// what goes out with a private source still ends at the guard.
//
// The base chains and the sets are the same in every version of the table, and are never removed
// while the daemon runs, because removing a base chain drops what waits in all queues.
#include "rules/nft_text.h"

#include <fmt/format.h>

#include "rules/nft_gates.h"
#include "rules/nft_queues.h"
#include "rules/nft_words.h"

namespace swnat::rules {
namespace {

constexpr std::string_view base = R"(table inet swnat {
	set own_pings { typeof ip daddr . icmp id; flags dynamic, timeout; timeout 1m; size 65535; }
	set own_pings6 { typeof ip6 daddr . icmpv6 id; flags dynamic, timeout; timeout 1m; size 65535; }
	set own_ping_ids { typeof icmp id; flags dynamic, timeout; timeout 1m; size 65535; }
	set own_ping_ids6 { typeof icmpv6 id; flags dynamic, timeout; timeout 1m; size 65535; }
	set own_protocols { typeof ip daddr . meta l4proto; flags dynamic, timeout; timeout 10m; size 65535; }
	set own_protocols6 { typeof ip6 daddr . meta l4proto; flags dynamic, timeout; timeout 10m; size 65535; }
	set tenant_protocols { typeof ip daddr . meta l4proto; flags dynamic, timeout; timeout 10m; size 65535; }
	set tenant_protocols6 { typeof ip6 daddr . meta l4proto; flags dynamic, timeout; timeout 10m; size 65535; }
	chain own { type filter hook output priority -300; policy accept; }
	chain early { type filter hook prerouting priority -450; policy accept; }
	chain incoming { type filter hook prerouting priority -305; policy accept; }
	chain apart { type filter hook forward priority 300; policy accept; }
	chain outgoing { type filter hook postrouting priority -150; policy accept; }
	chain guard { type filter hook postrouting priority 300; policy accept; }
}
flush table inet swnat
)";

}  // namespace

std::string nft_text(const Config& config, Format format) {
  const NftWords word(config);
  return fmt::format("{}table inet swnat {{\n{}{}{}{}{}{}}}\n", base, nft_own_chain(config, word),
                     nft_early_chain(config, word), nft_incoming_chain(config, format, word),
                     nft_apart_chain(config, word), nft_outgoing_chain(config, format, word),
                     nft_guard_chain(config, word));
}

}  // namespace swnat::rules
