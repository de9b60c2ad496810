#include "engine/foresight.h"

namespace swnat {
namespace {

// The packet as the gate would have it (parse.h), without its bytes.
template <class Family>
Parsed<Family> parsed_question(const Question& question) {
  using Address = typename Family::Address;
  const bool is_icmp = question.protocol == protocol::icmp || question.protocol == protocol::icmpv6;
  const bool is_portless = protocol::is_portless(question.protocol);
  const bool is_inbound = question.direction == Direction::inbound;
  Parsed<Family> parsed{};
  parsed.source = std::get<Address>(question.source.address);
  parsed.destination = std::get<Address>(question.destination.address);
  parsed.protocol = is_icmp ? Family::icmp_protocol : question.protocol;
  if (!is_portless && !(is_icmp && is_inbound)) parsed.source_port = question.source.port;
  if (!is_portless && (!is_icmp || is_inbound)) parsed.destination_port = question.destination.port;
  parsed.tcp_flags = parsed.protocol == protocol::tcp ? tcp_flag::syn : 0;
  return parsed;
}

bool is_same(const SessionView& a, const SessionView& b) {
  return a.namespace_id == b.namespace_id && a.protocol == b.protocol && a.internal == b.internal &&
         a.external == b.external && a.remote == b.remote;
}

}  // namespace

template <class Family>
Outlook Foresight<Family>::outlook(const Question& question, Tick now) {
  if (shards_.empty()) return {.reason = Reason::no_external_address};
  const auto parsed = parsed_question<Family>(question);
  const NamespaceId id = question.namespace_id;
  bool meets_over = false;
  Outlook all;
  switch (question.direction) {
    case Direction::outbound:
      all.outbound = outbound(parsed, id, meets_over, now);
      all.reason = all.outbound->reason;
      break;
    case Direction::inbound:
      all.inbound = inbound(parsed, 0, meets_over, now);
      all.reason = all.inbound->reason;
      break;
    case Direction::hairpin:
      all = hairpin(parsed, id, meets_over, now);
      if (all.reason == Reason::unknown_namespace) all.reason = Reason::foreign_fwmark;
      break;
  }
  all.is_overdue = meets_over;
  return all;
}

// As Passage::outbound(): who has to go may be in another shard.
template <class Family>
OutboundOutlook Foresight<Family>::outbound(const Parsed<Family>& parsed, NamespaceId id,
                                            bool& meets_over, Tick now) {
  Shard<Family>& own = shards_.of_inside(parsed);
  OutboundForetold<Family> foretold;
  {
    const Lock lock(own.mutex);
    foretold = own.foretell_outbound(parsed, id, meets_over, now);
  }
  OutboundOutlook& told = foretold.outlook;
  if (!foretold.room_wanted) return told;
  const Eviction::Foretold eviction = eviction_.foretell(*foretold.room_wanted, now);
  const bool leaves_record = foretold.has_record || (eviction.session &&
                                                     eviction.session->internal.address.index() ==
                                                         IpAddress{parsed.source}.index() &&
                                                     &shards_[eviction.shard] == &own);
  if (eviction.result == Eviction::Result::nobody) {
    told.reason = Reason::session_limit;
  } else if (eviction.result == Eviction::Result::in_vain) {
    told.reason = foretold.room_wanted->legacy->otherwise;
  } else {
    told.evicted = eviction.session;
    if (!leaves_record) told.reason = Reason::table_full;
  }
  const bool loses_mapping =
      foretold.last_of_mapping && told.evicted && is_same(*foretold.last_of_mapping, *told.evicted);
  const bool is_certain = (told.source == ExternalSource::mapping && !loses_mapping) ||
                          told.source == ExternalSource::forward ||
                          protocol::is_portless(parsed.protocol);
  if (told.reason != Reason::translated_outbound) {
    told.source = ExternalSource::none;
  } else if (!is_certain) {
    // What ends may leave a port that is better than those that are free now.
    told.source = ExternalSource::any;
  }
  if (!is_certain) told.external.port = 0;
  return told;
}

template <class Family>
InboundOutlook Foresight<Family>::inbound(const Parsed<Family>& parsed, NamespaceId begun_by,
                                          bool& meets_over, Tick now) {
  Shard<Family>& own = shards_.of_outside(parsed);
  const Lock lock(own.mutex);
  return own.foretell_inbound(parsed, begun_by, meets_over, now);
}

// The steps of Hairpin::translate(), and of what it calls.
template <class Family>
Outlook Foresight<Family>::hairpin(const Parsed<Family>& parsed, NamespaceId id, bool& meets_over,
                                   Tick now) {
  return shards_.externals().contains(parsed.destination) ? to_external(parsed, id, meets_over, now)
                                                          : send(parsed, id, true, meets_over, now);
}

template <class Family>
Outlook Foresight<Family>::to_external(const Parsed<Family>& parsed, NamespaceId id,
                                       bool& meets_over, Tick now) {
  if (id != 0) {
    Shard<Family>& own = shards_.of_outside(parsed);
    const Lock lock(own.mutex);
    if (const auto session = own.foretell_answer(parsed, id, meets_over, now)) {
      return {.reason = Reason::translated_inbound,
              .inbound = InboundOutlook{.session = session,
                                        .has_mapping = true,
                                        .namespace_id = session->namespace_id,
                                        .internal = session->internal}};
    }
  }
  const Packet packet{.bytes = {}, .namespace_id = id, .direction = Direction::hairpin};
  bool turns_back = false;
  if (const auto reason = hairpin_.before_sending(parsed, packet, turns_back, &meets_over, now)) {
    return {.reason = *reason};
  }
  Outlook all = send(parsed, id, !turns_back, meets_over, now);
  if (turns_back) all.reason = not_on_the_way_out(all.reason);
  return all;
}

template <class Family>
Outlook Foresight<Family>::send(const Parsed<Family>& parsed, NamespaceId id, bool is_for_gateway,
                                bool& meets_over, Tick now) {
  Outlook all{.outbound = outbound(parsed, id, meets_over, now)};
  const OutboundOutlook& sent = *all.outbound;
  all.reason = sent.reason;
  if (all.reason != Reason::translated_outbound) return all;
  // What a namespace sends beside echo requests never comes in.
  if (parsed.protocol == Family::icmp_protocol) return all;
  Parsed<Family> translated = parsed;
  translated.source = std::get<typename Family::Address>(sent.external.address);
  if (sent.source != ExternalSource::any) translated.source_port = sent.external.port;
  translated.destination = std::get<typename Family::Address>(sent.remote.address);
  translated.destination_port = sent.remote.port;
  if (const auto other = hairpin_.before_receiving(translated, &meets_over, now)) {
    all.reason = *other;
  } else if (sent.external == sent.remote) {
    // To itself: the session is its own answer.
    all.inbound = InboundOutlook{
        .has_mapping = true, .namespace_id = id, .internal = {parsed.source, parsed.source_port}};
    all.reason = Reason::translated_hairpin;
  } else {
    const bool adds_one = !sent.session && !sent.evicted;
    all.inbound = inbound(translated, adds_one ? id : 0, meets_over, now);
    const Reason received = all.inbound->reason;
    all.evicts_receivers =
        sent.evicted && (sent.evicted->external == sent.remote ||
                         (sent.evicted->namespace_id == all.inbound->namespace_id &&
                          sent.evicted->internal == all.inbound->internal));
    all.reason = verdict_of(received) == Verdict::accept ? Reason::translated_hairpin : received;
  }
  if (is_for_gateway && verdict_of(all.reason) == Verdict::pass) {
    all.reason = Reason::translated_outbound;
  }
  return all;
}

template class Foresight<Ipv4>;
template class Foresight<Ipv6>;

}  // namespace swnat
