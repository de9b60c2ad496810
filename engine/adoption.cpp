#include "engine/adoption.h"

#include <algorithm>
#include <vector>

#include "engine/session/flow.h"

namespace swnat {
namespace {

bool is_sound_receiver(const TcpReceiver& receiver) {
  return receiver.scale <= tcp_scale_max;
}

template <class Family>
class Adoption {
 public:
  using Key = FlowKey<Family>;
  using Record = Session<Family>;

  explicit Adoption(Sessions<Family>& sessions) : sessions_(sessions), table_(sessions.table()) {}

  bool adopt(SessionRef ref, Tick now);
  bool is_timely(const Record& session, Tick now) const;

 private:
  bool is_sound(const Record& session) const;
  bool fits_mapping(const Record& session, SessionRef mapping) const;
  bool takes_port(const Record& session);

  Sessions<Family>& sessions_;
  SessionTable<Family>& table_;
};

template <class Family>
bool Adoption<Family>::adopt(SessionRef ref, Tick now) {
  Record& session = table_[ref];
  if (!is_sound(session) || !sessions_.fits(session) ||
      table_.find(Key::of(session, KeyKind::inside_flow)) != no_session ||
      table_.find(Key::of(session, KeyKind::outside_flow)) != no_session) {
    return false;
  }
  SessionRef mapping = no_session;
  if (table_.shares_mapping(session)) {
    mapping = table_.find(Key::of(session, KeyKind::external));
    if (!fits_mapping(session, mapping)) return false;
  }
  if (mapping == no_session && session.has_chosen_port() && !takes_port(session)) {
    return false;
  }
  set_deltas(session);
  const std::uint32_t slot = sessions_.slot_for(session);
  NamespaceUses& uses = sessions_.uses();
  uses.add(slot);
  if (mapping == no_session && session.has_chosen_port()) uses.add_port(slot);
  if (is_over(session.state)) uses.add_over(slot);
  table_.keep(ref, mapping, slot, now);
  return true;
}

// Whether it is of the mapping that has its external endpoint, if one does, and of no other.
template <class Family>
bool Adoption<Family>::fits_mapping(const Record& session, SessionRef mapping) const {
  const auto same_internal = [&](SessionRef other) {
    return table_[other].namespace_id == session.namespace_id &&
           table_[other].inside.local == session.inside.local &&
           table_[other].inside.local_port == session.inside.local_port;
  };
  if (mapping != no_session && !same_internal(mapping)) return false;
  return session.is_forward || mapping == table_.find(Key::of(session, KeyKind::internal));
}

// For the first session that is seen of a mapping.
template <class Family>
bool Adoption<Family>::takes_port(const Record& session) {
  Externals<Family>& externals = sessions_.externals();
  const auto& external = session.outside;
  if (externals.has_blocks()) {
    return externals.blocks(external.local)
        .adopt(session.namespace_id, Externals<Family>::space_index(session.protocol),
               sessions_.shard(), external.local_port);
  }
  // Elsewhere a port serves many, and is nobody's.
  return !table_.shares_mapping(session) ||
         externals.ports(external.local, session.protocol)
             .take_exactly(sessions_.shard(), external.local_port);
}

// Whether the session's last packet was not in the future, and its time is not over. One from the
// future would keep all others waiting in the timer wheel.
template <class Family>
bool Adoption<Family>::is_timely(const Record& session, Tick now) const {
  constexpr std::int32_t disagreement = 1000;  // of the clocks of an earlier engine's threads
  const bool has_timeout = session.state <= SessionState::tcp_reset;
  return has_timeout && elapsed(session.last_active, now) >= -disagreement &&
         !table_.expired(session, now);
}

// Whether the record's protocol and state belong together, no field is out of its range, and both
// its legs lead to this shard.
template <class Family>
bool Adoption<Family>::is_sound(const Record& session) const {
  const bool is_tcp = session.protocol == protocol::tcp;
  const bool has_tcp_state =
      session.state >= SessionState::tcp_syn_internal && session.state <= SessionState::tcp_reset;
  const bool is_known = is_tcp || session.protocol == protocol::udp ||
                        session.protocol == Family::icmp_protocol ||
                        protocol::is_portless(session.protocol);
  if (!is_known || is_tcp != has_tcp_state) return false;
  if (!is_tcp && session.state != answered_state<Family>(session.protocol) &&
      session.state != first_state<Family>(session.protocol, session.is_from_outside)) {
    return false;
  }
  if (!is_sound_receiver(session.internal_receiver) ||
      !is_sound_receiver(session.remote_receiver)) {
    return false;
  }
  if (!sessions_.externals().contains(session.outside.local)) return false;
  if (session.has_chosen_port() && !sessions_.policy().ports.contains(session.outside.local_port)) {
    return false;
  }
  const auto is_ours = [this](std::uint16_t port) {
    return shard_of_port(port, sessions_.shards()) == sessions_.shard();
  };
  if (!is_ours(session.inside.local_port)) return false;
  const bool keeps_bits = !table_.shares_mapping(session) && !session.is_forward;
  return !keeps_bits || is_ours(session.outside.local_port);
}

}  // namespace

template <class Family>
void adopt_all(Sessions<Family>& sessions, Tick now, bool is_recent) {
  SessionTable<Family>& table = sessions.table();
  Adoption<Family> adoption(sessions);
  std::vector<SessionRef> kept;
  for (SessionRef ref = table.used(); ref-- > 0;) {
    const Session<Family>& session = table[ref];
    if (session.state == SessionState::free || !is_recent || !adoption.is_timely(session, now)) {
      table.drop(ref);
    } else {
      kept.push_back(ref);
    }
  }
  // Each is then the most recently active one so far, which Activity puts at the end of its list.
  std::ranges::stable_sort(kept, {},
                           [&](SessionRef ref) { return elapsed(now, table[ref].last_active); });
  for (const SessionRef ref : kept) {
    if (!adoption.adopt(ref, now)) table.drop(ref);
  }
}

template void adopt_all(Sessions<Ipv4>&, Tick, bool);
template void adopt_all(Sessions<Ipv6>&, Tick, bool);

}  // namespace swnat
