// Sessions for packets that have none: who may have one, and what it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/external_choice.h"
#include "engine/judgement.h"
#include "engine/sessions.h"
#include "engine/wire/parse.h"
#include "swnat/outlook.h"
#include "swnat/packet.h"

namespace swnat {

// What one shard knows of an outlook.
template <class Family>
struct OutboundForetold {
  OutboundOutlook outlook = {};
  // The namespace is at its limit, and this shall end: then the reason is what comes of it if that
  // can be, and session_limit if nobody can end.
  std::optional<RoomWanted> room_wanted = {};
  std::optional<SessionView> last_of_mapping = {};  // that the new one joins
  bool has_record = true;                           // there is a record for the new session already
};

template <class Family>
class Establishment {
 public:
  explicit Establishment(Sessions<Family>& sessions) : sessions_(sessions), externals_(sessions) {}

  // Translate the packet by a session that they make for it, or return why there is none. `flow`:
  // the hash of its key.
  Reason outbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow, Tick now);
  Reason inbound(const Parsed<Family>& parsed, Packet& packet, std::uint64_t flow, Tick now);
  // As outbound(), but the packet is not sent: it stays as it is and counts as no traffic. `made`
  // is the session, or stays as it is where there is none.
  Reason keep(const Parsed<Family>& parsed, const Packet& packet, std::uint64_t flow,
              SessionRef& made, Tick now);

  // What they would come to, with nothing made for it (establishment_outlook.cpp).
  OutboundForetold<Family> foretell_outbound(const Parsed<Family>& parsed, NamespaceId id,
                                             Tick now);
  // `begun_by`: of a hairpin's second half the namespace that its first half begins a session of, 0
  // for none.
  InboundOutlook foretell_inbound(const Parsed<Family>& parsed, NamespaceId begun_by, Tick now);

  // Asks for the memory that these will look at for such packets, which are common ones
  // (common_packet.h). Nothing here need be right: it is looked at again when it counts.
  void prefetch(std::span<const Packet* const> packets) const;

 private:
  using Key = FlowKey<Family>;
  using Address = typename Family::Address;
  using End = Endpoint<Address>;
  using Forward = typename RuleBook<Family>::Forward;
  using Room = typename Sessions<Family>::Room;

  // The namespace's end of a session that a packet from outside begins.
  struct Receiver {
    NamespaceId id = 0;
    End internal;
    SessionRef mapping = no_session;  // a session of it that permits the packet
  };
  struct Entry {
    const Forward* forward = nullptr;
    Receiver receiver;
    const NamespaceEntry* tenant = nullptr;
    Leg<Family> inside;
    std::uint64_t answer_hash = 0;
  };
  static std::optional<Reason> refuses(const Parsed<Family>& parsed);
  NewSession<Family> outbound_session(const Judgement<Family>& judged, const Room& room,
                                      const Parsed<Family>& parsed, std::uint64_t flow) const;
  std::optional<Reason> admit(const Parsed<Family>& parsed, Entry& entry, Tick now);
  std::optional<Reason> find_receiver(const Parsed<Family>& parsed, const Forward* forward,
                                      Receiver& receiver, Tick now);
  SessionRef permitting(SessionRef mapping, const Parsed<Family>& parsed, Tick now);
  void establish(NewSession<Family>& wanted, SessionRef ref, const Parsed<Family>& parsed,
                 const Packet& packet, Tick now);
  Reason send(SessionRef ref, const Parsed<Family>& parsed, Packet& packet);

  Sessions<Family>& sessions_;
  ExternalChoice<Family> externals_;
};

extern template class Establishment<Ipv4>;
extern template class Establishment<Ipv6>;

}  // namespace swnat
