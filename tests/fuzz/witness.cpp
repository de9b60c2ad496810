#include "tests/fuzz/witness.h"

#include <algorithm>

#include "tests/fuzz/target.h"

namespace swnat::fuzz {

// The packet as it came and as it left.
struct Witness::Sides {
  View before;
  View after;
  Anatomy was;
  Anatomy is;
  NamespaceId sender;  // 0 outside
  NamespaceId receiver;

  Ends came() const { return ends_of(before, was); }
  Ends left() const { return ends_of(after, is); }
};

namespace {

bool is_icmp(std::uint8_t protocol) {
  return protocol == number::icmp || protocol == number::icmpv6;
}

// The ends of the packet that an error quotes.
Ends quoted_ends(View error, const Anatomy& anatomy, std::uint8_t& protocol) {
  const View quoted = error.first(anatomy.length).subspan(quoted_at(anatomy));
  const auto inner = read(quoted, true);
  require(inner.has_value(), "a translated error quotes a packet");
  protocol = inner->protocol;
  return ends_of(quoted, *inner);
}

}  // namespace

template <class Wanted>
bool Witness::any(Wanted wanted) const {
  return std::ranges::any_of(later_, wanted) || std::ranges::any_of(earlier_, wanted);
}

bool Witness::redirects(NamespaceId id, std::uint8_t protocol, const IpEndpoint& from,
                        const IpEndpoint& to) const {
  return std::ranges::any_of(policy_.redirects, [&](const RedirectRule& rule) {
    return rule.protocol == protocol && rule.from == from && rule.to == to &&
           rule.namespaces.contains(id);
  });
}

void Witness::check(const Given& given, const Packet& packet) const {
  const View before = given.bytes;
  const auto was = read(before);
  const auto is = read(packet.bytes);
  if (packet.verdict() != Verdict::accept || was->is_later()) return;
  const bool is_inbound = given.direction == Direction::inbound;
  const Sides sides{
      before, packet.bytes,   *was,
      *is,    given.sender(), given.direction == Direction::outbound ? 0 : packet.namespace_id};
  const bool is_error = is_icmp_error(before, *was);
  switch (packet.reason) {
    case Reason::translated_outbound:
      return is_error ? check_sent_error(sides) : check_sent(sides);
    case Reason::translated_inbound:
      return is_error ? check_delivered_error(sides) : check_delivered(sides);
    case Reason::translated_hairpin:
      return check_hairpin(sides);
    default: {
      const NamespacePolicy* one = find_namespace(policy_, given.namespace_id);
      require(!is_inbound && one != nullptr && contains(one->untranslated, was->destination),
              "only chosen destinations are reached untranslated");
    }
  }
}

void Witness::check_sent(const Sides& sides) const {
  const Ends came = sides.came();
  const Ends left = sides.left();
  require(is_external(policy_.external, sides.is.source), "a sent packet has an external source");
  require(any([&](const SessionView& session) {
            return session.namespace_id == sides.sender && session.protocol == sides.was.protocol &&
                   session.internal == came.source && session.external == left.source &&
                   session.remote == left.destination;
          }),
          "a sent packet has a session");
  require(came.destination == left.destination ||
              redirects(sides.sender, sides.was.protocol, came.destination, left.destination),
          "a sent packet goes where it was sent to, or where a rule says");
  require(sides.receiver == 0 || sides.receiver == sides.sender,
          "a sent packet goes outside, or stays in its namespace");
}

void Witness::check_delivered(const Sides& sides) const {
  const Ends came = sides.came();
  const Ends left = sides.left();
  require(is_external(policy_.external, sides.was.destination),
          "what is delivered was sent to an external address");
  require(sides.sender == 0 || sides.sender == sides.receiver,
          "from within a namespace only its own packets come in directly");
  require(any([&](const SessionView& session) {
            return session.namespace_id == sides.receiver &&
                   session.protocol == sides.was.protocol && session.internal == left.destination &&
                   session.external == came.destination && session.remote == came.source;
          }),
          "a packet is delivered to the namespace and endpoint that own the session");
  require(came.source == left.source ||
              redirects(sides.receiver, sides.was.protocol, left.source, came.source),
          "a delivered packet comes from its sender, or from what was redirected to it");
}

// The receiver sees the sender as from its external endpoint or, where it was redirected to that,
// as whom it asked.
void Witness::check_hairpin(const Sides& sides) const {
  require(find_namespace(policy_, sides.receiver) != nullptr, "a hairpin has a receiver");
  if (is_icmp_error(sides.before, sides.was)) return check_hairpinned_error(sides);
  const std::uint8_t protocol = sides.was.protocol;
  const Ends came = sides.came();
  const Ends left = sides.left();
  const auto is_received_from = [&](const IpEndpoint& external) {
    return any([&](const SessionView& session) {
      return session.namespace_id == sides.receiver && session.protocol == protocol &&
             session.internal == left.destination && session.remote == external;
    });
  };
  require(any([&](const SessionView& session) {
            return session.namespace_id == sides.sender && session.protocol == protocol &&
                   session.internal == came.source &&
                   is_external(policy_.external, session.external.address) &&
                   (session.external == left.source ||
                    redirects(sides.receiver, protocol, left.source, session.external)) &&
                   is_received_from(session.external);
          }),
          "a hairpin goes from its sender's session to its receiver's");
}

void Witness::check_hairpinned_error(const Sides& sides) const {
  std::uint8_t protocol = 0;
  const Ends quoted = quoted_ends(sides.after, sides.is, protocol);
  require(is_external(policy_.external, sides.is.source) ||
              sides.is.source == quoted.destination.address,
          "a hairpinned error comes from an external address, or from whom it was sent to");
  require(any([&](const SessionView& session) {
            return session.namespace_id == sides.receiver && session.protocol == protocol &&
                   session.internal == quoted.source &&
                   session.internal.address == sides.is.destination;
          }),
          "a hairpinned error reaches who sent what it quotes");
}

// It quotes what was delivered, and is seen outside as from the session's external address.
void Witness::check_sent_error(const Sides& sides) const {
  std::uint8_t protocol = 0;
  const Ends quoted = quoted_ends(sides.before, sides.was, protocol);
  const Ends shown = quoted_ends(sides.after, sides.is, protocol);
  // The identifier 0 does not tell an echo request, which is never delivered, from a reply.
  if (is_icmp(protocol) && quoted.source.port == 0 && quoted.destination.port == 0) return;
  require(any([&](const SessionView& session) {
            return session.namespace_id == sides.sender && session.protocol == protocol &&
                   session.internal == quoted.destination &&
                   session.external == shown.destination && session.remote == shown.source &&
                   session.external.address == sides.is.source &&
                   session.remote.address == sides.is.destination;
          }),
          "a sent error is about a session's packet, and shows the session's outside");
}

// It quotes what was sent, and reaches who sent it.
void Witness::check_delivered_error(const Sides& sides) const {
  std::uint8_t protocol = 0;
  const Ends quoted = quoted_ends(sides.before, sides.was, protocol);
  const Ends shown = quoted_ends(sides.after, sides.is, protocol);
  if (is_icmp(protocol) && quoted.source.port == 0 && quoted.destination.port == 0) return;
  require(any([&](const SessionView& session) {
            return session.namespace_id == sides.receiver && session.protocol == protocol &&
                   session.external == quoted.source && session.remote == quoted.destination &&
                   session.internal == shown.source &&
                   session.internal.address == sides.is.destination;
          }),
          "a delivered error is about a session's packet, and shows the session's inside");
}

}  // namespace swnat::fuzz
