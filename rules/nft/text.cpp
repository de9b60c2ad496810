// Theory of operation
//
// The NAT has the first refusal: what could be a tenant's goes to a queue, the engine translates
// what is, and leaves the rest as it is to where the kernel knows better. So the rules need not
// know what the engine knows, nor what the gateway itself has. A packet of either family meets,
// each at a fixed place on its way:
//
// - early: prerouting, before the kernel puts fragments together (-400). What enters by a tenant's
//   interface gets its namespace's fwmark, and goes on only with a source that the namespace may
//   have. It is not tracked, or two tenants' fragments with the same addresses and id could become
//   one packet; but what is for the gateway itself is tracked in a conntrack zone of the tenant's
//   own. A namespace without interfaces gets its fwmark from the operator's rules, which must also
//   set notrack, or a zone for each namespace, before -400. What comes from outside for a tenant
//   that is reached without NAT gets its fwmark too, and so do errors of routers on the way.
// - incoming: prerouting, behind the raw table (-300), so that rules there count, and before
//   conntrack (-200). To a queue goes what comes from outside or from a tenant for an external
//   address and a port that the NAT may have handed out or forwards, ICMP errors to an external
//   address, and what a tenant sends to where it is redirected from. Protocols without ports do if
//   a tenant spoke them with that host.
// - translated: what the queue gave a namespace's fwmark is not tracked. What it left as it was is
//   for the gateway itself, if for anybody.
// - departing: output, before conntrack. What the gateway sends to an external address, which is
//   one of its own, is taken here: routed, it would come back over `lo` and keep that route.
//   Services that tenants are redirected to answer this way, and errors about hairpins go it.
// - answers: output. What services of the gateway answer to a tenant gets the fwmark of the tenant
//   that asked, told by the zone, and is routed by it. The chain `unique` makes the kernel's NAT
//   choose another port where two tenants ask from equal endpoints.
// - arriving: input. To the NAT's ports gets what belongs to a socket of the gateway's own.
// - apart: forward. Nothing reaches a tenant that is another tenant's, or that comes from outside
//   and was not translated. Nothing to an external address is forwarded. With whom tenants speak
//   protocols without ports is noted for as long as the NAT remembers it.
// - outgoing: postrouting, where mangle is. What has a namespace's fwmark and leaves by the
//   external interface goes to a queue.
// - guard: postrouting, behind the queue. What has an address of a tenant's network leaves by no
//   interface that is not the tenant's own, whatever its fwmark and wherever it came in, and what
//   has a fwmark leaves with an external address only.
//
// `telling` and `leaving` stand before the rules of iptables, where these send to the queues.
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
// The base chains are the same in every version of the table, and are never removed while the
// daemon runs, because removing a base chain drops what waits in all queues. How many rules a
// packet meets does not grow with the namespaces: sets and maps are looked up by hash, a rule for
// each length of networks.
#include "rules/nft/text.h"

#include <fmt/format.h>

#include "rules/nft/entry.h"
#include "rules/nft/guard.h"
#include "rules/nft/queues.h"
#include "rules/nft/words.h"

namespace swnat::rules {
namespace {

constexpr std::string_view base = R"(table inet swnat {
	counter forged_source { comment "from a tenant, with a source that is not its own"; }
	counter untranslated_source { comment "from a tenant, on its way out as it was"; }
	counter other_tenant { comment "to a tenant, but from another one or untranslated"; }
	counter turned_round { comment "to a tenant, on its way back to the outside"; }
	counter removed_tenant { comment "from a tenant that the configuration has no more"; }
	counter waiting_member { comment "to or from an interface of a range, which is no member yet"; }
	counter fragment_to_gateway { comment "fragment to the gateway itself, which would mix tenants"; }
	counter unowned { comment "to a port of the NAT that is nobody's"; }
	set tenant_protocols { typeof ip daddr . meta l4proto; flags dynamic, timeout; timeout 10m; size 65535; }
	set tenant_protocols6 { typeof ip6 daddr . meta l4proto; flags dynamic, timeout; timeout 10m; size 65535; }
	chain early { type filter hook prerouting priority -450; policy accept; }
	chain telling { type filter hook prerouting priority -305; policy accept; }
	chain incoming { type filter hook prerouting priority -295; policy accept; }
	chain translated { type filter hook prerouting priority -290; policy accept; }
	chain departing { type route hook output priority -295; policy accept; }
	chain answers { type route hook output priority -150; policy accept; }
	chain arriving { type filter hook input priority 300; policy accept; }
	chain unique { type nat hook input priority 100; policy accept; }
	chain apart { type filter hook forward priority 300; policy accept; }
	chain leaving { type filter hook postrouting priority -151; policy accept; }
	chain outgoing { type filter hook postrouting priority -150; policy accept; }
	chain guard { type filter hook postrouting priority 300; policy accept; }
)";

}  // namespace

std::string nft_text(const Config& config, Format format,
                     const std::vector<RemovedTenant>& removed) {
  NftSets sets;
  const NftWords word(config, removed, sets);
  NftFwmarks fwmarks(sets);
  std::string rules = word.has_interfaces() ? nft_own_source_chain(word, sets) : "";
  // Sets are declared as the chains ask for them, so one chain after the other.
  for (const std::string& chain :
       {nft_early_chain(config, word, removed, fwmarks), nft_telling_chain(config, format, word),
        nft_incoming_chain(config, format, word), nft_translated_chain(config, word),
        nft_departing_chain(config, format, word), nft_answers_chain(config, word, fwmarks),
        nft_arriving_chain(config, word), nft_apart_chain(config, word),
        nft_leaving_chain(config, format, word, sets),
        nft_outgoing_chain(config, format, word, sets),
        nft_guard_chain(config, format, word, sets)}) {
    rules += chain;
  }
  return fmt::format("{}{}}}\nflush table inet swnat\n{}table inet swnat {{\n{}{}{}}}\n", base,
                     sets.declared(), sets.flushed(), fwmarks.chains(), sets.filled(), rules);
}

std::vector<std::string> nft_objects(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with('\t') || line.starts_with("\t\t")) continue;
    line.remove_prefix(1);
    const std::size_t end = line.find(" {");
    if (end == std::string_view::npos) continue;
    all.emplace_back(line.substr(0, end));
  }
  return all;
}

}  // namespace swnat::rules
