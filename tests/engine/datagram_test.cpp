// Datagrams that come in fragments, in any order, of either family.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr std::size_t piece_size = 48;

// Gives pieces as a caller does that holds what must wait: once a first one has its verdict, those
// that wait for it are given again.
class Receiver {
 public:
  Receiver(Gateway& gateway, Direction direction, NamespaceId id)
      : gateway_(gateway), direction_(direction), id_(id) {}

  void give(const Bytes& piece) {
    Bytes bytes = piece;
    const Packet packet = translate(bytes);
    CHECK_NE(packet.datagram, 0);
    if (packet.verdict() == Verdict::hold) {
      CHECK_EQ(bytes, piece);
      waiting_.push_back(piece);
      return;
    }
    take(packet, std::move(bytes));
    if (fragment_offset_of(piece) != 0) return;
    for (const Bytes& held : std::exchange(waiting_, {})) {
      Bytes again = held;
      const Packet then = translate(again);
      CHECK_EQ(then.datagram, packet.datagram);
      take(then, std::move(again));
    }
  }

  std::vector<Bytes> accepted;
  std::vector<Reason> reasons;
  std::set<NamespaceId> receivers;

 private:
  Packet translate(Bytes& bytes) {
    Packet packet{.bytes = bytes, .namespace_id = id_, .direction = direction_};
    gateway_.engine.translate({&packet, 1}, gateway_.now);
    return packet;
  }
  void take(const Packet& packet, Bytes bytes) {
    reasons.push_back(packet.reason);
    if (packet.verdict() != Verdict::accept) return;
    receivers.insert(packet.namespace_id);
    accepted.push_back(std::move(bytes));
  }

  Gateway& gateway_;
  Direction direction_;
  NamespaceId id_;
  std::vector<Bytes> waiting_;
};

Policy open_to_all() {
  Policy policy = policy_of_both();
  policy.filtering = Filtering::endpoint_independent;
  return policy;
}

std::vector<std::vector<Bytes>> orders_of(std::vector<Bytes> pieces) {
  std::vector<std::vector<Bytes>> orders;
  std::ranges::sort(pieces);
  do {
    orders.push_back(pieces);
  } while (std::ranges::next_permutation(pieces).found);
  return orders;
}

template <class F>
Bytes big(std::uint8_t protocol, typename F::Peer from, typename F::Peer to) {
  if (protocol == protocol::udp) return udp(from, to, payload_of(150));
  if (protocol == protocol::tcp) return tcp(from, to, {}, payload_of(150));
  return echo_request(from, to.address, payload_of(150));
}

}  // namespace

TEST_CASE_TEMPLATE("datagram: out in pieces, in every order", F, V4, V6) {
  for (const std::uint8_t protocol : all_protocols) {
    const Bytes sent = big<F>(protocol, F::client(), F::server());
    for (const auto& order : orders_of(fragments_of(sent, piece_size))) {
      Gateway gateway(policy_of_both(), options_of(4));
      Receiver receiver(gateway, Direction::outbound, blue);
      for (const Bytes& piece : order) receiver.give(piece);
      REQUIRE_EQ(receiver.accepted.size(), order.size());
      const Bytes whole = joined(receiver.accepted);
      REQUIRE_EQ(whole.size(), sent.size());
      CHECK(transport_checksum_is_right(whole));
      CHECK((F::source(whole).address == F::external()));
      CHECK((F::destination(whole).address == F::server().address));
      CHECK_EQ(gateway.engine.session_count(), 1);
    }
  }
}

TEST_CASE_TEMPLATE("datagram: in, in pieces, in every order", F, V4, V6) {
  for (const std::uint8_t protocol : {protocol::udp, protocol::icmp}) {
    Gateway gateway(policy_of_both(), options_of(4));
    const auto external = open<F>(gateway, protocol, green, F::client(), F::server());
    const Bytes sent = protocol == protocol::udp
                           ? udp(F::server(), external, payload_of(150))
                           : echo_reply(F::server().address, external, payload_of(150));
    std::uint32_t identification = 100;
    for (const auto& order : orders_of(fragments_of(sent, piece_size, 0x1234))) {
      ++identification;
      Receiver receiver(gateway, Direction::inbound, 0);
      for (Bytes piece : order) {
        // Each time another datagram.
        const std::size_t offset = fragment_offset_of(piece);
        auto pieces = fragments_of(sent, piece_size, identification);
        if (F::icmp == protocol::icmp) {
          for (Bytes& one : pieces) {
            one = header_summed(with_word(one, 4, identification));
          }
        }
        receiver.give(*std::ranges::find(pieces, offset, fragment_offset_of));
      }
      const Bytes whole = joined(receiver.accepted);
      REQUIRE_EQ(whole.size(), sent.size());
      CHECK(transport_checksum_is_right(whole));
      CHECK_EQ(F::destination(whole), F::client());
      CHECK_EQ(receiver.receivers, std::set<NamespaceId>{green});
      CHECK_EQ(identification_of(receiver.accepted[0]), identification);
    }
  }
}

TEST_CASE_TEMPLATE("datagram: by hairpin, and back", F, V4, V6) {
  Gateway gateway(open_to_all(), options_of(4));
  const auto external = open<F>(gateway, protocol::udp, green, F::neighbour(), F::server());
  auto order = fragments_of(udp(F::client(), external, payload_of(150)), piece_size);
  std::ranges::reverse(order);
  Receiver receiver(gateway, Direction::hairpin, blue);
  for (const Bytes& piece : order) receiver.give(piece);
  const Bytes whole = joined(receiver.accepted);
  REQUIRE_FALSE(whole.empty());
  CHECK(transport_checksum_is_right(whole));
  CHECK_EQ(F::destination(whole), F::neighbour());
  CHECK_EQ(receiver.receivers, std::set<NamespaceId>{green});
  for (const Reason reason : receiver.reasons) CHECK_EQ(reason, Reason::translated_hairpin);

  Receiver back(gateway, Direction::hairpin, green);
  for (const Bytes& piece :
       fragments_of(udp(F::neighbour(), F::source(whole), payload_of(150)), piece_size)) {
    back.give(piece);
  }
  const Bytes answered = joined(back.accepted);
  REQUIRE_FALSE(answered.empty());
  CHECK_EQ(F::destination(answered), F::client());
  CHECK_EQ(F::source(answered), external);
}

TEST_CASE_TEMPLATE("datagram: redirected within the namespace, and by a forward", F, V4, V6) {
  Policy policy = policy_of_both();
  const Network<typename F::Address> around{F::neighbour().address, 8};
  policy.namespaces = {{.first = blue, .last = 9, .session_limit = 100, .inside = {around}}};
  policy.redirects = {
      {.protocol = protocol::udp, .from = at(F::server(), 53), .to = F::neighbour()}};
  const typename F::Peer service{F::external(), 40080};
  policy.forwards = {{.protocol = protocol::udp,
                      .external = service,
                      .namespace_id = green,
                      .to = F::neighbour()}};
  Gateway gateway(policy, options_of(8));
  Receiver request(gateway, Direction::hairpin, blue);
  for (const Bytes& piece :
       fragments_of(udp(F::client(), at(F::server(), 53), payload_of(150)), piece_size)) {
    request.give(piece);
  }
  const Bytes asked = joined(request.accepted);
  REQUIRE_FALSE(asked.empty());
  CHECK_EQ(F::destination(asked), F::neighbour());
  CHECK_EQ(request.receivers, std::set<NamespaceId>{blue});
  Receiver reply(gateway, Direction::hairpin, blue);
  for (const Bytes& piece :
       fragments_of(udp(F::neighbour(), F::source(asked), payload_of(150)), piece_size)) {
    reply.give(piece);
  }
  const Bytes answered = joined(reply.accepted);
  REQUIRE_FALSE(answered.empty());
  CHECK(transport_checksum_is_right(answered));
  CHECK_EQ(F::source(answered), at(F::server(), 53));
  CHECK_EQ(F::destination(answered), F::client());

  Receiver inbound(gateway, Direction::inbound, 0);
  for (const Bytes& piece :
       fragments_of(udp(F::stranger(), service, payload_of(150)), piece_size)) {
    inbound.give(piece);
  }
  CHECK_EQ(F::destination(joined(inbound.accepted)), F::neighbour());
  CHECK_EQ(inbound.receivers, std::set<NamespaceId>{green});
}

TEST_CASE_TEMPLATE("datagram: a copy of a piece is translated as the piece was", F, V4, V6) {
  Gateway gateway(policy_of_both());
  for (const Bytes& piece : fragments_of(udp(F::client(), F::server(), payload_of(150)), 48)) {
    const Outcome first = gateway.out(blue, piece);
    const Outcome second = gateway.out(blue, piece);
    REQUIRE(first.accepted());
    CHECK_EQ(first.bytes, second.bytes);
  }
  CHECK_EQ(gateway.engine.session_count(), 1);
}

TEST_CASE_TEMPLATE("datagram: all share the first one's drop, untouched", F, V4, V6) {
  Policy policy = policy_of_both();
  policy.drops = {{.protocol = protocol::udp, .ports = {80, 80}}};
  Gateway gateway(policy, options_of(2));
  for (const bool reversed : {false, true}) {
    auto order =
        fragments_of(udp(F::client(), F::server(), payload_of(150)), piece_size, reversed ? 7 : 8);
    if (reversed) std::ranges::reverse(order);
    Receiver receiver(gateway, Direction::outbound, reversed ? blue : green);
    for (const Bytes& piece : order) receiver.give(piece);
    CHECK(receiver.accepted.empty());
    CHECK_EQ(receiver.reasons.size(), order.size());
    for (const Reason reason : receiver.reasons) CHECK_EQ(reason, Reason::dropped_by_rule);
  }
}

TEST_CASE_TEMPLATE("datagram: tenants with the same addresses and identification never meet", F, V4,
                   V6) {
  Gateway gateway(policy_of_both(), options_of(4));
  const auto of_blue = fragments_of(udp(F::client(), F::server(), payload_of(150, 1)), piece_size);
  const auto of_green = fragments_of(udp(F::client(), F::server(), payload_of(150, 2)), piece_size);
  Receiver blues(gateway, Direction::outbound, blue);
  Receiver greens(gateway, Direction::outbound, green);
  greens.give(of_green.back());
  for (std::size_t i = 0; i < of_blue.size(); ++i) {
    blues.give(of_blue[i]);
    if (i + 1 < of_green.size()) greens.give(of_green[i]);
  }
  const Bytes from_blue = joined(blues.accepted);
  const Bytes from_green = joined(greens.accepted);
  REQUIRE_FALSE(from_blue.empty());
  REQUIRE_FALSE(from_green.empty());
  CHECK(transport_checksum_is_right(from_blue));
  CHECK(transport_checksum_is_right(from_green));
  CHECK_NE(F::source(from_blue), F::source(from_green));
  // Nor at the remote: its only clue is the identification.
  CHECK_NE(identification_of(blues.accepted[0]), identification_of(greens.accepted[0]));
}

TEST_CASE_TEMPLATE("datagram: no two to one remote have the same identification", F, V4, V6) {
  Gateway gateway(policy_of_both(), options_of(4));
  std::set<std::uint32_t> used;
  for (std::uint16_t i = 0; i < 600; ++i) {
    const NamespaceId id = 1 + i % 3u;
    const std::uint8_t protocol = i % 2 == 0 ? protocol::udp : protocol::icmp;
    const auto pieces =
        fragments_of(big<F>(protocol, F::client(), F::server()), piece_size, 100u + i / 3u);
    Bytes first = pieces[0];
    if (F::icmp == protocol::icmp) {
      if (protocol != protocol::udp) continue;
      first = header_summed(with_word(first, 4, 100u + i / 3u));
    }
    const Outcome left = gateway.out(id, first);
    REQUIRE(left.accepted());
    CHECK(used.insert(identification_of(left.bytes)).second);
  }
}

TEST_CASE("datagram: rfc8200 identifications of all protocols to a remote are one sequence") {
  Gateway gateway(policy_of_both());
  std::vector<std::uint32_t> used;
  for (const std::uint8_t protocol : all_protocols) {
    const Outcome left = gateway.out(
        blue, fragments_of(big<V6>(protocol, client6, server6), piece_size, 5u + protocol)[0]);
    REQUIRE(left.accepted());
    used.push_back(identification_of(left.bytes));
  }
  CHECK_EQ(used[1] - used[0], 1);
  CHECK_EQ(used[2] - used[1], 1);
}

TEST_CASE("datagram: rfc6864 what may be fragmented on the way is numbered anew, else not") {
  for (const std::uint8_t protocol : all_protocols) {
    for (const bool dont_fragment : {false, true}) {
      Gateway gateway(policy_of_both(), options_of(2));
      const std::uint16_t flags = dont_fragment ? 0x4000 : 0;
      const auto build = [&](Peer from, Peer to) {
        const IpFields ip{.id = 0x1234, .fragment = flags};
        if (protocol == protocol::udp) return udp(from, to, payload_of(9), ip);
        if (protocol == protocol::tcp) return tcp(from, to, {}, {}, ip);
        return echo_request(from, to.address, {}, ip);
      };
      std::set<std::uint32_t> used;
      for (int i = 0; i < 40; ++i) {
        for (const NamespaceId id : {blue, green}) {
          const Outcome left = gateway.out(id, build(client, server));
          REQUIRE(left.accepted());
          CHECK(sums_right(left.bytes));
          used.insert(identification_of(left.bytes));
        }
      }
      CHECK_EQ(used.size(), dont_fragment ? 1 : 80);
      if (dont_fragment) CHECK_EQ(*used.begin(), 0x1234);
    }
  }
  // What comes in keeps its number.
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  CHECK_EQ(
      identification_of(gateway.in(udp(server, external, {}, {.id = 77, .fragment = 0})).bytes),
      77);
}

TEST_CASE_TEMPLATE("datagram: with a checksum that is still to be made, it is dropped whole", F, V4,
                   V6) {
  for (const ChecksumState state : {ChecksumState::partial, ChecksumState::segmented}) {
    Gateway gateway(policy_of_both());
    for (const Bytes& piece :
         fragments_of(udp(F::client(), F::server(), payload_of(150)), piece_size)) {
      const Outcome left = gateway.out(blue, piece, state);
      CHECK_EQ(left.reason, Reason::fragment_unfinished);
      CHECK_EQ(left.bytes, piece);
    }
    CHECK_EQ(gateway.engine.session_count(), 0);
  }
}

TEST_CASE("datagram: without a UDP checksum it leaves without one, and damage stays") {
  Gateway gateway;
  const Bytes none = unsummed(udp(client, server, payload_of(150)));
  const auto pieces = fragments_of(none, piece_size);
  CHECK_EQ(word_at(gateway.out(blue, pieces[0]).bytes, 26), 0);
  Bytes damaged = udp(client, server, payload_of(150));
  damaged.back() ^= 0x40;
  Receiver receiver(gateway, Direction::outbound, green);
  for (const Bytes& piece : fragments_of(damaged, piece_size)) receiver.give(piece);
  CHECK_EQ(transport_damage(joined(receiver.accepted)), transport_damage(damaged));
}

TEST_CASE_TEMPLATE("datagram: later pieces wait for as long as a datagram lives, then no more", F,
                   V4, V6) {
  const Time lifetime = F::icmp == protocol::icmp ? 15s : 60s;
  Gateway gateway(policy_of_both());
  const auto pieces = fragments_of(udp(F::client(), F::server(), payload_of(150)), piece_size);
  CHECK_EQ(gateway.out(blue, pieces[1]).reason, Reason::fragment_waits);
  REQUIRE(gateway.out(blue, pieces[0]).accepted());
  gateway.travel(lifetime - 1ms);
  CHECK(gateway.out(blue, pieces[1]).accepted());
  gateway.travel(lifetime);
  CHECK_EQ(gateway.out(blue, pieces[1]).reason, Reason::fragment_waits);
}

TEST_CASE("datagram: a later piece may not reach into the first one's headers") {
  // In IPv6 headers may stand before the transport's, where a later piece may deny them.
  Gateway gateway(policy_of_both());
  const Bytes whole = udp(client6, server6, payload_of(64), {destination_options()});
  const auto pieces = fragments_behind(whole, 40, 48);
  REQUIRE(gateway.out(blue, pieces[0]).accepted());
  CHECK(gateway.out(blue, pieces[1]).accepted());
  const Bytes overlapping = fragments_behind(whole, 40, 8)[1];
  const Outcome left = gateway.out(blue, overlapping);
  CHECK_EQ(left.reason, Reason::malformed_fragment);
  CHECK_EQ(left.bytes, overlapping);
}

TEST_CASE("datagram: only pieces have a number") {
  Gateway gateway;
  Bytes bytes = udp(client, server);
  Bytes cut(bytes.begin(), bytes.begin() + 10);
  for (Bytes* one : {&bytes, &cut}) {
    Packet packet{.bytes = *one, .namespace_id = blue, .datagram = 77};
    gateway.engine.translate({&packet, 1}, gateway.now);
    CHECK_EQ(packet.datagram, 0);
  }
}

TEST_CASE("datagram: pieces that are given one by one can be held and given again") {
  Gateway gateway;
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  for (const bool is_inbound : {false, true}) {
    const Bytes whole =
        is_inbound ? udp(server, external, payload_of(150)) : udp(client, server, payload_of(150));
    std::vector<Bytes> pieces = fragments_of(whole, piece_size);
    const auto give = [&](Bytes& piece) {
      return is_inbound ? gateway.engine.inbound(piece, gateway.now)
                        : gateway.engine.outbound(piece, blue, gateway.now);
    };
    const Engine::Outcome held = give(pieces[1]);
    CHECK_EQ(held.verdict(), Verdict::hold);
    CHECK_NE(held.datagram, 0);
    const Engine::Outcome first = give(pieces[0]);
    CHECK_EQ(first.verdict(), Verdict::accept);
    CHECK_EQ(first.datagram, held.datagram);
    CHECK_EQ(give(pieces[1]).verdict(), Verdict::accept);
  }
}

TEST_CASE("datagram: pieces of nobody and from outside are not mistaken for each other") {
  Gateway gateway(policy_of_both());
  const Peer external = gateway.open(protocol::udp, blue, client, server);
  const auto pieces = fragments_of(udp(server, external, payload_of(150)), piece_size);
  REQUIRE(gateway.in(pieces[0]).accepted());
  CHECK_EQ(gateway.out(0, pieces[1]).reason, Reason::unknown_namespace);
  CHECK_EQ(gateway.hairpin(0, pieces[0]).reason, Reason::foreign_fwmark);
  CHECK(gateway.in(pieces[1]).accepted());
}

TEST_CASE("datagram: protocols without ports are translated in pieces too") {
  Gateway gateway(policy_of_both());
  const Bytes packet =
      ip_packet(client.address, server.address, payload_of(150), {.protocol = protocol::gre});
  Receiver receiver(gateway, Direction::outbound, blue);
  for (const Bytes& piece : fragments_of(packet, piece_size)) receiver.give(piece);
  const Bytes whole = joined(receiver.accepted);
  REQUIRE_EQ(whole.size(), packet.size());
  CHECK_EQ(Bytes(whole.begin() + 20, whole.end()), payload_of(150));
}
