// What an operator decides: the rules that sessions are established under.
//
// A Policy is an immutable value once the engine has it. It may be replaced at any time; sessions
// keep what was decided for them at their establishment, as far as the new policy still allows it
// (Engine::set_policy), and timeouts and limits follow the new policy.
#pragma once

#include <algorithm>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "swnat/address.h"
#include "swnat/limits.h"
#include "swnat/packet.h"

namespace swnat {

// Inclusive at both ends, host byte order.
struct PortRange {
  std::uint16_t first = 32768;
  std::uint16_t last = 65535;

  constexpr bool contains(std::uint16_t port) const { return port >= first && port <= last; }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// Some ports: sorted ranges, of which those that touch are one.
class PortRanges {
 public:
  PortRanges() : PortRanges(PortRange{}) {}
  PortRanges(PortRange only) : ranges_{only} {}
  PortRanges(std::uint16_t first, std::uint16_t last) : PortRanges(PortRange{first, last}) {}
  explicit PortRanges(std::vector<PortRange> ranges) : ranges_(std::move(ranges)) {
    std::ranges::sort(ranges_, {}, &PortRange::first);
    std::size_t kept = 0;
    for (std::size_t i = 1; i < ranges_.size(); ++i) {
      if (ranges_[kept].last + 1u == ranges_[i].first) {
        ranges_[kept].last = ranges_[i].last;
      } else {
        ranges_[++kept] = ranges_[i];
      }
    }
    if (!ranges_.empty()) ranges_.resize(kept + 1);
  }

  const std::vector<PortRange>& ranges() const { return ranges_; }
  bool has_gaps() const { return ranges_.size() > 1; }
  // From the first port to the last; there must be one.
  PortRange envelope() const { return {ranges_.front().first, ranges_.back().last}; }

  bool contains(std::uint16_t port) const {
    return std::ranges::any_of(ranges_, [=](const PortRange& one) { return one.contains(port); });
  }

  // Whether there is a port, none is 0 or there twice, and the ranges are no more than
  // port_ranges_max.
  bool is_valid() const {
    std::uint32_t next = 1;
    for (const PortRange& one : ranges_) {
      if (one.first < next || one.last < one.first) return false;
      next = one.last + 1u;
    }
    return !ranges_.empty() && ranges_.size() <= port_ranges_max;
  }

  friend bool operator==(const PortRanges&, const PortRanges&) = default;

 private:
  std::vector<PortRange> ranges_;
};

// Any ports, a bit for each.
using PortBits = std::bitset<65'536>;

// Which internal endpoints share an external endpoint (RFC 4787 section 4.1).
enum class Mapping : std::uint8_t {
  endpoint_independent,        // one external endpoint for each internal one (REQ-1)
  address_and_port_dependent,  // one for each session: ports are reused for other remotes, and only
                               // the session's own remote may send, whatever the filtering
};

// Which remotes may send to a mapping (RFC 4787 section 5, REQ-8).
enum class Filtering : std::uint8_t {
  endpoint_independent,        // any; but an echo reply only from whom was asked
  address_dependent,           // addresses that the mapping has a session with
  address_and_port_dependent,  // endpoints that the mapping has a session with
};

// What a new outbound session does in a namespace that is at its limit. For inbound packets nothing
// ends that lives: the outside must not be able to end a tenant's sessions.
enum class AtLimit : std::uint8_t {
  evict_oldest,  // one ends that is over, else one never answered, else the least recently active
  refuse,        // the packet is dropped (RFC 6888 REQ-11), unless one that is over can end
};

// Each up to max_timeout.
struct Timeouts {
  std::chrono::milliseconds tcp_established = std::chrono::hours(2) + std::chrono::minutes(4);
  // Opening and closing. 0: a closed session is freed at once, and an opening one has the default
  // time.
  std::chrono::milliseconds tcp_transitory = std::chrono::minutes(4);
  std::chrono::milliseconds udp = std::chrono::minutes(5);  // and protocols without ports
  std::chrono::milliseconds icmp = std::chrono::minutes(1);

  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};
inline constexpr std::chrono::milliseconds max_timeout = std::chrono::hours(24 * 7);

// Addresses of both families.
struct AddressLists {
  std::vector<Ipv4Address> v4 = {};
  std::vector<Ipv6Address> v6 = {};

  bool empty() const { return v4.empty() && v6.empty(); }
  friend bool operator==(const AddressLists&, const AddressLists&) = default;
};

// Inclusive at both ends.
struct NamespaceRange {
  NamespaceId first = 1;
  NamespaceId last = 0xffff'ffff;

  constexpr bool contains(NamespaceId id) const { return id >= first && id <= last; }
  friend bool operator==(const NamespaceRange&, const NamespaceRange&) = default;
};

// All namespaces whose id lies in [first, last]; each is a tenant of its own with a limit of its
// own.
struct NamespacePolicy {
  NamespaceId first = 0;
  NamespaceId last = 0;
  std::uint32_t session_limit = 200;  // all protocols together
  // External ports and ICMP identifiers, of all protocols, families and external addresses together
  // (RFC 6888 REQ-4), but those of forwards; with address-and-port-dependent mapping each session
  // has one. 0: as many as there are. At this limit nothing is evicted (REQ-11).
  std::uint32_t port_limit = 0;
  // Its ports come in blocks of so many (RFC 7422, RFC 6888 REQ-14): 0 for none, or a power of two
  // from port_block_min to port_block_max, and no less than twice the engine's shards. A block is
  // an aligned run of the ports of one external address, for TCP, UDP and ICMP identifiers
  // together, and one namespace's alone until it has rested; it may lie partly outside
  // Policy::ports. The namespaces that have none, where others have some, get the smallest ones.
  std::uint32_t port_block = 0;
  // A subset of Policy::external. Empty in a family: all of that family.
  AddressLists external = {};
  // What is within the namespace: a redirect to there stays inside. Elsewhere is outside.
  std::vector<IpNetwork> inside = {};
  // Destinations that packets reach as they are (RFC 6888 REQ-6).
  std::vector<IpNetwork> untranslated = {};

  friend bool operator==(const NamespacePolicy&, const NamespacePolicy&) = default;
};

// Outbound packets that are dropped before any mapping is made.
struct DropRule {
  std::uint8_t protocol = 6;     // 6 TCP, 17 UDP; 1 ICMP of either family, without ports
  PortRange ports = {1, 65535};  // of the destination
  NamespaceRange namespaces = {};

  friend bool operator==(const DropRule&, const DropRule&) = default;
};

// Outbound packets to `from` go to `to` instead, and what answers seems to come from `from`.
struct RedirectRule {
  std::uint8_t protocol = 17;  // 6 or 17
  IpEndpoint from;
  IpEndpoint to;  // of the same family
  NamespaceRange namespaces = {};

  friend bool operator==(const RedirectRule&, const RedirectRule&) = default;
};

// Inbound packets from anywhere to `external` go to `to` in the namespace. What `to` sends leaves
// as `external`.
struct ForwardRule {
  std::uint8_t protocol = 6;  // 6 or 17
  IpEndpoint external;        // an address of Policy::external and any port but 0
  NamespaceId namespace_id = 0;
  IpEndpoint to;  // of the same family
  // Sessions that come in by it, which then do not count to the namespace's limit. At this limit
  // one that is over ends for a new one, and else nothing does. 0: they count to the namespace's.
  std::uint32_t session_limit = 0;

  friend bool operator==(const ForwardRule&, const ForwardRule&) = default;
};

struct Policy {
  // At least one address; at most external_addresses_max of a family. This and the next two are
  // fixed for an engine's life, and so is has_port_blocks(). Packets of a family without one are
  // dropped.
  AddressLists external;
  PortRanges ports;  // what may be handed out
  Mapping mapping = Mapping::endpoint_independent;
  Filtering filtering = Filtering::address_dependent;
  AtLimit at_limit = AtLimit::evict_oldest;
  bool hairpin = true;
  Timeouts timeouts;
  std::vector<NamespacePolicy> namespaces;  // sorted by first, not overlapping; 65,536 ids at most
  std::vector<DropRule> drops;
  std::vector<RedirectRule> redirects;  // the first that fits counts
  std::vector<ForwardRule> forwards;    // not two of the same protocol and external endpoint

  // Whether ports are handed out in blocks.
  bool has_port_blocks() const {
    return std::ranges::any_of(namespaces,
                               [](const NamespacePolicy& one) { return one.port_block != 0; });
  }
};

}  // namespace swnat
