// The two address families, for tests of what must be the same in both: TEST_CASE_TEMPLATE over V4
// and V6.
#pragma once

#include "tests/support/fragments.h"
#include "tests/support/gateway.h"
#include "tests/support/packets6.h"

namespace swnat::test {

inline const Host6 external_host6 = host6({0x2001, 0xdb8, 1, 0, 0, 0, 0, 1});
inline const Peer6 client6{host6({0xfd00, 0, 0, 0, 0, 0, 0, 2}), 40000};
inline const Peer6 server6{host6({0x2001, 0xdb8, 0xffff, 0, 0x1234, 0, 0, 7}), 80};

inline Peer6 at(Peer6 peer, std::uint16_t port) {
  return {peer.address, port};
}
inline Peer6 peer6_of(const IpEndpoint& endpoint) {
  return {std::get<Host6>(endpoint.address), endpoint.port};
}

struct V4 {
  using Peer = test::Peer;
  using Address = Host;
  static constexpr std::uint8_t icmp = protocol::icmp;
  static constexpr IcmpKind unreachable{3, 3};
  static Address external() { return external_host; }
  static Peer client() { return test::client; }
  static Peer server() { return test::server; }
  static Peer neighbour() { return test::neighbour; }
  static Peer stranger() { return test::stranger; }
  static Address router() { return test::router; }
  static Address inner_router() { return Host::of(10, 0, 0, 254); }
  static Peer source(View packet) { return source_of(packet); }
  static Peer destination(View packet) { return destination_of(packet); }
  static Peer peer(const IpEndpoint& endpoint) { return peer_of(endpoint); }
  // Where an error's quotation begins.
  static constexpr std::size_t quotation = 28;
};

struct V6 {
  using Peer = test::Peer6;
  using Address = Host6;
  static constexpr std::uint8_t icmp = protocol::icmpv6;
  static constexpr IcmpKind unreachable{1, 4};
  static Address external() { return external_host6; }
  static Peer client() { return client6; }
  static Peer server() { return server6; }
  static Peer neighbour() { return {host6({0xfd00, 0, 0, 0, 0, 0, 0, 9}), 5004}; }
  static Peer stranger() { return {host6({0x2001, 0xdb8, 0xabcd, 0, 0, 0, 0, 0x99}), 7777}; }
  static Address router() { return host6({0x2001, 0xdb8, 0x33, 0, 0, 0, 0, 0x33}); }
  static Address inner_router() { return host6({0xfd00, 0, 0, 0, 0, 0, 0, 0xfe}); }
  static Peer source(View packet) { return source6_of(packet); }
  static Peer destination(View packet) { return destination6_of(packet); }
  static Peer peer(const IpEndpoint& endpoint) { return peer6_of(endpoint); }
  static constexpr std::size_t quotation = 48;
};

// roomy_policy() with an external address of each family.
inline Policy policy_of_both() {
  Policy policy = roomy_policy();
  policy.external.v6 = {external_host6};
  return policy;
}

// Opens a session that must be accepted; its external endpoint. Protocol 1 is ICMP of the family.
template <class F>
typename F::Peer open(Gateway& gateway, std::uint8_t protocol, NamespaceId id,
                      typename F::Peer internal, typename F::Peer remote) {
  const Outcome sent = gateway.out(id, opening(protocol, internal, remote));
  REQUIRE_EQ(sent.reason, Reason::translated_outbound);
  return F::source(sent.bytes);
}

// Whether the remote's answer reaches this very internal endpoint; else it must be dropped.
template <class F>
bool answers(Gateway& gateway, std::uint8_t protocol, typename F::Peer remote,
             typename F::Peer external, NamespaceId id, typename F::Peer internal) {
  const Outcome received = gateway.in(answer(protocol, remote, external));
  if (!received.accepted()) return false;
  CHECK((F::destination(received.bytes) == internal));
  CHECK_EQ(received.namespace_id, id);
  return F::destination(received.bytes) == internal && received.namespace_id == id;
}

}  // namespace swnat::test
