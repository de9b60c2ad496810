#include "tests/fuzz/traffic.h"

namespace swnat::fuzz {
namespace {

constexpr std::size_t sent_max = 16;
constexpr std::size_t pieces_max = 32;
constexpr std::uint8_t other_protocol = 253;  // for experiments (RFC 3692): nobody translates it

// A routing header that is used up and names no address.
test::Extension route_that_is_done() {
  return {number::routing, {0, 4, 0, 0, 0, 0, 0}};
}

int version_of(const IpAddress& address) {
  return std::holds_alternative<Ipv4Address>(address) ? 4 : 6;
}

std::uint8_t icmp_of_version(int version) {
  return version == 4 ? number::icmp : number::icmpv6;
}

Bytes payload_of(std::size_t size) {
  Bytes payload(size);
  for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::uint8_t>(i * 37 + size);
  return payload;
}

IpAddress some_address(Input& input, int version) {
  const Places& places = places_of(version);
  switch (input.below(8)) {
    case 0:
      return places.redirected_inside;
    case 1:
      return places.redirected_outside;
    case 2:
      return places.redirected_to_external;
    case 3:
      return places.untranslated;
    case 4:
      return input.one_of(places.odd);
    case 5:
      return input.one_of(places.externals);
    default:
      return input.one_of(places.remotes);
  }
}

}  // namespace

Given Traffic::next(const Listing& listing) {
  const std::uint8_t kind = input_.byte();
  if (!pieces_.empty() && (kind & 1) != 0) {
    const std::size_t which = input_.below(pieces_.size());
    const Given piece = pieces_[which];
    // Some come twice.
    if (!input_.one_in(8)) pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(which));
    return piece;
  }
  Given given;
  switch (kind >> 1 & 15) {
    case 0:
    case 1:
    case 2:
      given = new_outbound();
      break;
    case 3:
    case 4:
    case 5:
      given = of_session(listing, Direction::inbound);
      break;
    case 6:
    case 7:
      given = of_session(listing, Direction::outbound);
      break;
    case 8:
    case 9:
    case 10:
      given = hairpin(listing);
      break;
    case 11:
    case 12:
      given = error();
      break;
    case 13:
    case 14:
      return again();
    default:
      return raw();
  }
  if (kind >= 128) spoil(given);
  return given;
}

void Traffic::saw(const Given& given, const Packet& packet) {
  if (packet.verdict() != Verdict::accept) return;
  const bool is_outside = packet.reason == Reason::translated_outbound && packet.namespace_id == 0;
  sent_.push_back({Bytes(packet.bytes.begin(), packet.bytes.end()),
                   is_outside || given.direction == Direction::outbound,
                   given.direction == Direction::outbound ? 0 : packet.namespace_id});
  if (sent_.size() > sent_max) sent_.pop_front();
}

Bytes Traffic::transport(std::uint8_t protocol, std::uint16_t from, std::uint16_t to,
                         bool is_answer) {
  constexpr std::uint8_t flags[] = {0x02, 0x10, 0x12, 0x11, 0x04, 0x18, 0x14, 0x00};
  constexpr std::uint32_t sequences[] = {1000, 1001, 5000,        5001,
                                         1002, 5002, 0xffff'ffff, 9'000'000};
  const std::uint8_t shape = input_.byte();
  const Bytes payload = payload_of(shape & 31);
  test::TcpFields tcp;
  if (protocol == number::tcp) {
    tcp = {.flags = flags[shape >> 5],
           .sequence = sequences[input_.below(8)],
           .acknowledgment = sequences[shape >> 2 & 7]};
    if ((shape & 1) != 0) tcp.options = {3, 3, static_cast<std::uint8_t>(shape >> 4), 1};
  }
  return transport_of(protocol, from, to, is_answer, payload, tcp);
}

Bytes Traffic::datagram(std::uint8_t protocol, const IpEndpoint& from, const IpEndpoint& to,
                        bool is_answer) {
  const std::uint8_t shape = input_.byte();
  Headers headers{.ip = {.protocol = protocol, .id = static_cast<std::uint16_t>(shape & 3)}};
  if ((shape & 4) != 0) headers.ip.fragment = 0;  // may be fragmented
  if ((shape & 8) != 0) {
    headers.ip.options = {1, 1, 1, 0};
    headers.extensions = {test::destination_options(), route_that_is_done()};
  }
  Bytes packet = packet_of(from.address, to.address,
                           transport(protocol, from.port, to.port, is_answer), headers);
  if ((shape & 16) != 0 && protocol == number::udp) {
    set_word(packet, *transport_sum_at(packet, *read(packet)), 0);
  }
  return packet;
}

Given Traffic::new_outbound() {
  const std::uint8_t who = input_.byte();
  const std::uint8_t what = input_.byte();
  const int version = (who & 1) == 0 ? 4 : 6;
  const std::uint8_t protocols[] = {
      number::udp, number::tcp, icmp_of_version(version), number::udp,
      number::tcp, number::gre, icmp_of_version(version), other_protocol};
  const Places& places = places_of(version);
  const IpEndpoint from{places.hosts[who >> 1 & 1], local_ports[who >> 2 & 7]};
  const IpAddress to =
      (what & 128) == 0 ? places.remotes[what >> 5 & 1] : some_address(input_, version);
  return {.bytes = datagram(protocols[what & 7], from,
                            {to, remote_ports[(what >> 3 & 3) + (what >> 7)]}, false),
          .direction = Direction::outbound,
          .namespace_id = namespace_ids[(who >> 5) % 5]};
}

Given Traffic::of_session(const Listing& listing, Direction direction) {
  if (listing.empty()) return new_outbound();
  const SessionView& session = listing[input_.below(listing.size())];
  const std::uint8_t how = input_.byte();
  IpEndpoint remote = session.remote;
  if ((how & 3) == 1) remote.port = remote_ports[how >> 2 & 3];
  if ((how & 3) == 2) remote.address = some_address(input_, version_of(remote.address));
  if (direction == Direction::inbound) {
    IpEndpoint to = session.external;
    if ((how & 0x70) == 0x70) to.port = static_cast<std::uint16_t>(to.port + (how >> 7) + 1);
    return {.bytes = datagram(session.protocol, remote, to, true), .direction = direction};
  }
  return {.bytes = datagram(session.protocol, session.internal, remote, false),
          .direction = direction,
          .namespace_id = session.namespace_id};
}

Given Traffic::hairpin(const Listing& listing) {
  Given given;
  if (input_.one_in(3) || listing.empty()) {
    given = new_outbound();
  } else {
    // To what another host is known by, or an answer to what is within the namespace.
    const SessionView& session = listing[input_.below(listing.size())];
    const std::uint8_t who = input_.byte();
    const int version = version_of(session.external.address);
    const IpEndpoint from = (who & 1) == 0 ? IpEndpoint{places_of(version).hosts[who >> 1 & 1],
                                                        local_ports[who >> 2 & 7]}
                                           : session.remote;
    given.bytes = datagram(session.protocol, from, session.external, (who & 1) != 0);
    given.namespace_id = (who & 0x20) == 0 ? session.namespace_id : namespace_ids[(who >> 6) % 3];
  }
  given.direction = Direction::hairpin;
  return given;
}

// About an earlier packet, from where it went to or from a router on the way there.
Given Traffic::error() {
  if (sent_.empty()) return new_outbound();
  const Sent& about = sent_[input_.below(sent_.size())];
  const auto anatomy = read(about.bytes);
  if (!anatomy) return new_outbound();
  constexpr std::uint8_t types_v4[] = {3, 11, 12, 5};
  constexpr std::uint8_t types_v6[] = {1, 2, 3, 4};
  const std::uint8_t how = input_.byte();
  const std::uint8_t type = anatomy->version == 4 ? types_v4[how & 3] : types_v6[how & 3];
  const std::size_t size =
      (how & 4) == 0 ? about.bytes.size() : anatomy->transport + 8 + (how >> 6) * 5;
  Bytes quoted(about.bytes.begin(), about.bytes.begin() + static_cast<std::ptrdiff_t>(
                                                              std::min(size, about.bytes.size())));
  const IpAddress from =
      (how & 8) == 0 ? anatomy->destination : places_of(anatomy->version).remotes[how >> 4 & 1];
  Headers headers;
  headers.ip.protocol = icmp_of_version(anatomy->version);
  Given given{.bytes = packet_of(from, anatomy->source,
                                 test::icmp_message(type, how >> 5, 1, quoted), headers)};
  given.direction = about.is_outside ? Direction::inbound : Direction::outbound;
  given.namespace_id = about.namespace_id;
  if (about.namespace_id != 0 && (how & 16) != 0) given.direction = Direction::hairpin;
  return given;
}

// An earlier packet once more, from wherever, perhaps with other bytes.
Given Traffic::again() {
  if (sent_.empty()) return raw();
  const Sent& sent = sent_[input_.below(sent_.size())];
  const std::uint8_t how = input_.byte();
  Given given{.bytes = sent.bytes,
              .direction = static_cast<Direction>(how % 3),
              .namespace_id = namespace_ids[(how >> 2) % 5]};
  for (int changes = how >> 5; changes > 0; --changes) {
    given.bytes[input_.below(std::min<std::size_t>(given.bytes.size(), 256))] = input_.byte();
  }
  if ((how & 16) != 0) mend(given.bytes);
  return given;
}

Given Traffic::raw() {
  const std::uint8_t how = input_.byte();
  return {.bytes = input_.bytes(input_.byte()),
          .direction = static_cast<Direction>(how % 3),
          .namespace_id = namespace_ids[(how >> 2) % 5],
          .checksum = static_cast<ChecksumState>((how >> 5) % 3)};
}

void Traffic::spoil(Given& given) {
  const std::uint8_t how = input_.byte();
  Bytes& bytes = given.bytes;
  if ((how & 1) != 0) cut(given);
  if ((how & 6) == 6) given.checksum = static_cast<ChecksumState>(1 + (how >> 3 & 1));
  const auto anatomy = read(bytes);
  if (!anatomy) return;
  if ((how & 0x30) == 0x10) bytes[anatomy->version == 4 ? 10 : 1] ^= input_.byte();
  if ((how & 0x30) == 0x20 && anatomy->transport < bytes.size()) {
    bytes[anatomy->transport + input_.below(std::min<std::size_t>(anatomy->transport_size, 32))] ^=
        input_.byte();
  }
  if ((how & 0xc0) == 0x40) bytes.resize(bytes.size() + input_.below(9), 0xee);
  if ((how & 0xc0) == 0x80)
    bytes.resize(bytes.size() - std::min<std::size_t>(bytes.size(), input_.below(30)));
}

// Into fragments, one of which is given now.
void Traffic::cut(Given& given) {
  const std::uint8_t how = input_.byte();
  const auto pieces = fragments_of(given.bytes, std::size_t{8} << (how & 3), how >> 2 & 3);
  if (pieces_.size() + pieces.size() > pieces_max) return;
  for (const Bytes& piece : pieces) {
    Given next = given;
    next.bytes = piece;
    pieces_.push_back(next);
  }
  const std::size_t last = pieces_.size() - 1;
  const std::size_t which = (how & 0x10) == 0 ? last + 1 - pieces.size() : last;
  given = pieces_[which];
  pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(which));
}

}  // namespace swnat::fuzz
