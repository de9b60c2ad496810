// Sessions for packets that have none: who may have one, and what it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "engine/external_choice.h"
#include "engine/sessions.h"
#include "engine/wire/parse.h"
#include "swnat/packet.h"

namespace swnat {

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

  // Asks for the memory that these will look at for such packets, which are common ones
  // (common_packet.h). Nothing here need be right: it is looked at again when it counts.
  void prefetch(std::span<const Packet* const> packets) const;

 private:
  using Key = FlowKey<Family>;
  using Address = typename Family::Address;
  using End = Endpoint<Address>;
  using Forward = typename RuleBook<Family>::Forward;

  // The namespace's end of a session that a packet from outside begins.
  struct Receiver {
    NamespaceId id = 0;
    End internal;
    SessionRef mapping = no_session;  // a session of it that permits the packet
  };
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
