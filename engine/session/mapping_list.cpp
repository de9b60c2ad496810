#include "engine/session/mapping_list.h"

#include <algorithm>

namespace swnat {
namespace {

template <class Family>
bool is_of(const Session<Family>& session, const MappingView& mapping) {
  const IpEndpoint remote{session.outside.remote, session.outside.remote_port};
  return session.state != SessionState::free && session.protocol == mapping.protocol &&
         session.namespace_id == mapping.namespace_id &&
         mapping.internal == IpEndpoint{session.inside.local, session.inside.local_port} &&
         mapping.external == IpEndpoint{session.outside.local, session.outside.local_port} &&
         mapping.remote.value_or(remote) == remote;
}

template <class Family>
void begin(const SessionTable<Family>& table, MappingCursor& cursor) {
  const Session<Family>& session = table[cursor.position];
  cursor.is_summing = true;
  cursor.is_meant = false;
  cursor.member = cursor.position;
  cursor.sum = {.namespace_id = session.namespace_id,
                .protocol = session.protocol,
                .internal = {session.inside.local, session.inside.local_port},
                .external = {session.outside.local, session.outside.local_port},
                .is_forward = session.is_forward,
                .idle = std::chrono::milliseconds::max()};
  if (!table.shares_mapping(session)) {
    cursor.sum.remote = IpEndpoint{session.outside.remote, session.outside.remote_port};
  }
}

template <class Family>
void add(const SessionTable<Family>& table, const SessionPattern& pattern, MappingCursor& cursor,
         Tick now) {
  if (table.expired(table[cursor.member], now)) return;
  const SessionView one = table.view(cursor.member, now);
  MappingView& sum = cursor.sum;
  ++sum.sessions;
  sum.idle = std::min(sum.idle, one.idle);
  sum.traffic.outbound += one.traffic.outbound;
  sum.traffic.inbound += one.traffic.inbound;
  if (pattern.matches_remote_and_state(one)) cursor.is_meant = true;
}

// Adds up to `budget` sessions to the sum, and takes them from it; false if there are more.
template <class Family>
bool add_some(SessionTable<Family>& table, const SessionPattern& pattern, MappingCursor& cursor,
              std::uint32_t& budget, Tick now) {
  // While nobody had the lock, the session may have ended, and others too.
  if (!is_of(table[cursor.member], cursor.sum)) return true;
  const SessionRef first = table.first_of_mapping(cursor.member);
  for (; budget != 0; --budget) {
    add(table, pattern, cursor, now);
    cursor.member = table.next_of_mapping(cursor.member);
    // A ring that grew as fast as it was followed would have no end.
    if (cursor.member == first || cursor.sum.sessions > table.used()) return true;
  }
  return false;
}

}  // namespace

template <class Family>
std::size_t copy_mappings(SessionTable<Family>& table, const SessionPattern& pattern,
                          MappingCursor& cursor, std::span<MappingView> out, Tick now) {
  std::size_t copied = 0;
  std::uint32_t budget = mapping_records_per_look;
  while (budget != 0 && copied < out.size() && cursor.position < table.used()) {
    if (!cursor.is_summing) {
      --budget;
      const bool is_free = table[cursor.position].state == SessionState::free;
      if (is_free || table.first_of_mapping(cursor.position) != cursor.position) {
        ++cursor.position;
        continue;
      }
      begin(table, cursor);
      const MappingView& sum = cursor.sum;
      if (!pattern.matches_mapping(sum.namespace_id, sum.protocol, sum.internal, sum.external)) {
        cursor.is_summing = false;
        ++cursor.position;
        continue;
      }
    }
    if (!add_some(table, pattern, cursor, budget, now)) break;
    if (cursor.is_meant && pattern.matches_idle(cursor.sum.idle)) out[copied++] = cursor.sum;
    cursor.is_summing = false;
    ++cursor.position;
  }
  return copied;
}

template std::size_t copy_mappings(SessionTable<Ipv4>&, const SessionPattern&, MappingCursor&,
                                   std::span<MappingView>, Tick);
template std::size_t copy_mappings(SessionTable<Ipv6>&, const SessionPattern&, MappingCursor&,
                                   std::span<MappingView>, Tick);

}  // namespace swnat
