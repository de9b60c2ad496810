// ICMP errors: what they quote is found within the packet, and is rewritten with right sums and
// nothing else.
#include "engine/session/flow.h"
#include "engine/wire/icmp_error.h"
#include "tests/fuzz/build.h"
#include "tests/fuzz/changes.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

template <class Family>
typename Family::Address address(Input& input) {
  typename Family::Address address;
  const Bytes bytes = input.bytes(sizeof address);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(&address.wire));
  return address;
}

// Sums as a router makes them, innermost first, so that the rest of the input is spent behind them.
void mend_error(Bytes& packet) {
  auto anatomy = read(packet);
  if (!anatomy || !is_icmp_error(packet, *anatomy)) return;
  const std::size_t at = quoted_at(*anatomy);
  if (anatomy->version == 4 && anatomy->length - at >= 20) {
    const std::size_t size = std::size_t{4} * (packet[at] & 15);
    if (size >= 20 && size <= anatomy->length - at) {
      set_word(packet, at + 10, 0);
      const View quoted_header = View(packet).subspan(at, size);
      Anatomy header;
      header.transport = size;
      set_word(packet, at + 10, ~header_damage(quoted_header, header) & 0xffffU);
    }
  }
  mend(packet);
}

// A session that the quoted packet is of, its other side drawn; nothing if no session has such
// packets: echo requests are only sent, and replies only delivered.
template <class Family>
std::optional<Session<Family>> session_of(View quoted_bytes, const Quoted<Family>& quoted,
                                          bool is_inbound, Input& input) {
  Session<Family> session;
  session.protocol = quoted.packet.protocol;
  const Leg<Family> known =
      is_inbound ? quoted.packet.leg_from_inside() : quoted.packet.leg_from_outside();
  Leg<Family> other{address<Family>(input), address<Family>(input), 0, 0};
  if (session.protocol == Family::icmp_protocol) {
    if (is_echo_request(quoted_bytes, *read(quoted_bytes, true)) != is_inbound) return {};
    other.local_port = input.word();
  }
  if (session.protocol == number::tcp || session.protocol == number::udp) {
    other.local_port = input.word();
    other.remote_port = input.word();
  }
  session.outside = is_inbound ? known : other;
  session.inside = is_inbound ? other : known;
  set_deltas(session);
  return session;
}

template <class Family>
void check_quotation(View packet, const Quoted<Family>& quoted) {
  require(quoted.offset == quoted_at(*read(packet)), "the quotation follows the ICMP header");
  const View bytes = packet.first(read(packet)->length).subspan(quoted.offset);
  const auto anatomy = read(bytes, true);
  require(anatomy.has_value() && anatomy->transport == quoted.packet.transport_offset &&
              anatomy->transport_size == quoted.packet.transport_size &&
              anatomy->protocol == quoted.packet.protocol,
          "the quoted packet is read as it is");
  const bool is_located =
      anatomy->is_icmp() || anatomy->protocol == number::tcp || anatomy->protocol == number::udp;
  require((anatomy->transport_size >= 8 || !is_located) && !anatomy->is_later(),
          "8 bytes of a transport with ports or identifiers are quoted");
  const Ends ends = ends_of(bytes, *anatomy);
  require(
      ends.source == IpEndpoint{quoted.packet.source, quoted.packet.source_port} &&
          ends.destination == IpEndpoint{quoted.packet.destination, quoted.packet.destination_port},
      "the quoted ends are read as they are");
  if (anatomy->version == 4) {
    require(header_damage(bytes, *anatomy) == 0, "a damaged quotation is refused");
  }
}

template <class Family>
void try_family(const Given& given, Input& input) {
  Bytes copy;
  Packet packet = given.packet(copy);
  Parsed<Family> parsed;
  if (parse(packet.bytes, packet.direction, parsed) || !parsed.is_icmp_error) return;
  Quoted<Family> quoted;
  if (parse_quoted(packet, parsed, quoted)) return;
  check_quotation(given.bytes, quoted);
  if (given.checksum == ChecksumState::complete) {
    require(transport_damage(given.bytes, *read(given.bytes)) == 0, "a damaged error is refused");
  }
  const bool is_inbound = given.direction == Direction::inbound;
  const std::size_t length = read(given.bytes)->length;
  const View quoted_bytes = View(given.bytes).first(length).subspan(quoted.offset);
  const auto drawn = session_of(quoted_bytes, quoted, is_inbound, input);
  if (!drawn) return;
  const Session<Family>& session = *drawn;
  const ErrorRewrite<Family> rewrite =
      is_inbound ? inbound_error_rewrite(session, parsed) : outbound_error_rewrite(session);
  rewrite_error(rewrite, parsed, quoted, packet);
  packet.reason = is_inbound ? Reason::translated_inbound : Reason::translated_outbound;
  check_changes(given, packet);
  const Anatomy anatomy = *read(packet.bytes);
  const View shown_bytes = View(packet.bytes).first(anatomy.length).subspan(quoted.offset);
  const Ends shown = ends_of(shown_bytes, *read(shown_bytes, true));
  const Leg<Family>& leg = is_inbound ? session.inside : session.outside;
  const IpEndpoint local{leg.local, leg.local_port};
  const IpEndpoint remote{leg.remote, leg.remote_port};
  require(shown.source == (is_inbound ? local : remote) &&
              shown.destination == (is_inbound ? remote : local),
          "the quotation shows the session's other side");
  require((is_inbound ? anatomy.destination : anatomy.source) == IpAddress(leg.local),
          "the error itself has the session's local address");
}

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swnat::fuzz;
  Input input(data, size);
  const std::uint8_t how = input.byte();
  Given given{.direction = (how & 1) == 0 ? swnat::Direction::inbound : swnat::Direction::outbound,
              .checksum = static_cast<swnat::ChecksumState>((how >> 1 & 3) % 3)};
  given.bytes = input.bytes(input.byte());
  if ((how & 8) == 0) mend_error(given.bytes);
  try_family<swnat::Ipv4>(given, input);
  try_family<swnat::Ipv6>(given, input);
  return 0;
}
