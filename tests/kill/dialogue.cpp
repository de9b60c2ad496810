#include "tests/kill/dialogue.h"

#include <cstring>

#include "engine/wire/headers.h"
#include "tests/support/packets6.h"

namespace swnat::test {
namespace {

using namespace std::chrono_literals;

constexpr Host host = Host::of(10, 0, 0, 2);
constexpr std::uint16_t first_port = 1000;
constexpr Host external_host = Host::of(203, 0, 113, 1);
constexpr Peer unknown_port{external_host, 0};
constexpr std::uint16_t roomy_ports = 40;
constexpr std::uint16_t crowded_ports = 48;

// Every dialogue has a remote of its own: what comes from there for a session that ended is for
// nobody, whoever has the port by then.
Peer remote_of(NamespaceId id, std::uint16_t port, std::uint8_t number) {
  return {Host::of(198, number, static_cast<std::uint8_t>(id),
                   static_cast<std::uint8_t>(port - first_port)),
          443};
}

// The IPv4 address as the last octets of an IPv6 one.
Ipv6Address twin_of(Host address) {
  std::array<std::uint8_t, 16> octets{0x20, 0x01, 0x0d, 0xb8};
  std::memcpy(octets.data() + 12, &address.wire, sizeof address.wire);
  return Ipv6Address::of(octets);
}

Peer6 twin_of(Peer peer) {
  return {twin_of(peer.address), peer.port};
}

template <class P>
void write_segments(Dialogue& dialogue, P internal, P remote, P external) {
  constexpr std::uint32_t ours = 1000;
  constexpr std::uint32_t theirs = 5000;
  constexpr std::uint8_t syn_ack = tcp_flag::syn | tcp_flag::ack;
  constexpr std::uint8_t rst_ack = tcp_flag::rst | tcp_flag::ack;
  const auto segment = [](P from, P to, std::uint8_t flags, std::uint32_t sequence,
                          std::uint32_t acknowledgment) {
    return tcp(from, to, {.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment});
  };
  dialogue.opening = segment(internal, remote, tcp_flag::syn, ours, 0);
  dialogue.answer = segment(remote, external, syn_ack, theirs, ours + 1);
  dialogue.further = segment(internal, remote, tcp_flag::ack, ours + 1, theirs + 1);
  dialogue.replied = segment(remote, external, tcp_flag::ack, theirs + 1, ours + 1);
  dialogue.reset = segment(internal, remote, rst_ack, ours + 1, theirs + 1);
}

// `icmp` is the family's.
template <class P>
void write(Dialogue& dialogue, std::uint8_t protocol, std::uint8_t icmp, P internal, P remote,
           P external) {
  const bool is_ping = protocol == protocol::icmp;
  dialogue.protocol = is_ping ? icmp : protocol;
  dialogue.internal = internal;
  dialogue.remote = IpEndpoint{remote.address, is_ping ? std::uint16_t{0} : remote.port};
  if (protocol == protocol::tcp) {
    write_segments(dialogue, internal, remote, external);
  } else {
    dialogue.opening = dialogue.further = opening(protocol, internal, remote);
    dialogue.answer = dialogue.replied = answer(protocol, remote, external);
  }
}

}  // namespace

IpAddress external_address(const IpAddress& like) {
  if (std::holds_alternative<Ipv4Address>(like)) return external_host;
  return twin_of(external_host);
}

Dialogue dialogue_of(NamespaceId id, IpVersion version, std::uint8_t protocol, Peer internal,
                     Peer remote) {
  const Timeouts timeouts = kill_policy().timeouts;
  const Time timeout = protocol == protocol::tcp   ? timeouts.tcp_established
                       : protocol == protocol::udp ? timeouts.udp
                                                   : timeouts.icmp;
  Dialogue dialogue{.namespace_id = id, .timeout = timeout.count()};
  if (version == IpVersion::v4) {
    write(dialogue, protocol, protocol::icmp, internal, remote, unknown_port);
  } else {
    write(dialogue, protocol, protocol::icmpv6, twin_of(internal), twin_of(remote),
          twin_of(unknown_port));
  }
  return dialogue;
}

IpEndpoint destination_in(View packet) {
  if (packet[0] >> 4 == 4) return destination_of(packet);
  return destination6_of(packet);
}

void set_destination_port(std::span<std::uint8_t> packet, std::uint16_t port) {
  const std::uint8_t protocol = protocol_of(packet);
  const bool has_ports = protocol == protocol::tcp || protocol == protocol::udp;
  const std::size_t offset = transport_offset(packet) + (has_ports ? 2 : icmp_identifier_offset);
  packet[offset] = static_cast<std::uint8_t>(port >> 8);
  packet[offset + 1] = static_cast<std::uint8_t>(port);
}

Policy kill_policy() {
  Policy policy;
  policy.external = {{external_host}, {twin_of(external_host)}};
  policy.ports = {40000, 48191};                             // so many that ports may rest
  policy.filtering = Filtering::address_and_port_dependent;  // only sessions let packets in
  // Soon over, so that sessions expire in the time of a few thousand packets.
  policy.timeouts = {.tcp_transitory = 0ms, .udp = 1500ms, .icmp = 1000ms};
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    policy.namespaces.push_back(
        {.first = roomy_namespace(worker), .last = roomy_namespace(worker), .session_limit = 1000});
    policy.namespaces.push_back({.first = crowded_namespace(worker),
                                 .last = crowded_namespace(worker),
                                 .session_limit = crowd_limit});
  }
  policy.namespaces.push_back({.first = new_namespace, .last = new_namespace});
  return policy;
}

EngineOptions kill_options(std::span<std::byte> memory, std::uint64_t secret, Time now) {
  return {.shards = 4,
          .max_sessions = 2048,
          .secret = {secret, secret + 1, secret + 2, secret + 3},
          .session_memory = memory,
          .now = now};
}

Repertoire repertoire_of(std::uint32_t worker) {
  Repertoire repertoire;
  const NamespaceId roomy = roomy_namespace(worker);
  for (std::uint16_t port = first_port; port < first_port + roomy_ports; ++port) {
    for (const std::uint8_t protocol : {protocol::icmp, protocol::tcp, protocol::udp}) {
      const auto add = [&](IpVersion version, std::uint8_t number) {
        repertoire.roomy.push_back(
            dialogue_of(roomy, version, protocol, {host, port}, remote_of(roomy, port, number)));
      };
      add(IpVersion::v4, 51);
      add(IpVersion::v4, 52);
      add(IpVersion::v6, 51);
    }
  }
  const NamespaceId crowded = crowded_namespace(worker);
  for (std::uint16_t port = first_port; port < first_port + crowded_ports; ++port) {
    const IpVersion version = port % 2 == 0 ? IpVersion::v4 : IpVersion::v6;
    repertoire.crowded.push_back(
        dialogue_of(crowded, version, protocol::tcp, {host, port}, remote_of(crowded, port, 51)));
  }
  return repertoire;
}

}  // namespace swnat::test
