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
MappingView empty_sum(const SessionTable<Family>& table, SessionRef first) {
  const Session<Family>& session = table[first];
  MappingView sum{.namespace_id = session.namespace_id,
                  .protocol = session.protocol,
                  .internal = {session.inside.local, session.inside.local_port},
                  .external = {session.outside.local, session.outside.local_port},
                  .is_forward = session.is_forward,
                  .idle = std::chrono::milliseconds::max()};
  if (!table.shares_mapping(session)) {
    sum.remote = IpEndpoint{session.outside.remote, session.outside.remote_port};
  }
  return sum;
}

template <class Family>
void add(const SessionTable<Family>& table, SessionRef member, const SessionPattern& pattern,
         MappingCursor& cursor, Tick now) {
  if (table.expired(table[member], now)) return;
  const SessionView one = table.view(member, now);
  MappingView& sum = cursor.sum;
  ++sum.sessions;
  sum.age = std::max(sum.age, one.age);
  sum.idle = std::min(sum.idle, one.idle);
  sum.traffic.outbound += one.traffic.outbound;
  sum.traffic.inbound += one.traffic.inbound;
  if (pattern.matches_remote_and_state(one)) cursor.is_meant = true;
}

// Adds up all sessions of the mapping, and takes them from the budget; false if they are more.
template <class Family>
bool add_ring(const SessionTable<Family>& table, const SessionPattern& pattern,
              MappingCursor& cursor, std::uint32_t& budget, Tick now) {
  cursor.is_meant = false;
  cursor.sum = empty_sum(table, cursor.position);
  SessionRef member = cursor.position;
  for (; budget != 0; --budget) {
    add(table, member, pattern, cursor, now);
    member = table.next_of_mapping(member);
    if (member == cursor.position) return true;
  }
  return false;
}

// Adds up those among the next records; false if there are more records.
template <class Family>
bool add_records(const SessionTable<Family>& table, const SessionPattern& pattern,
                 MappingCursor& cursor, std::uint32_t& budget, Tick now) {
  for (; budget != 0 && cursor.summed < table.used(); --budget, ++cursor.summed) {
    if (is_of(table[cursor.summed], cursor.sum)) add(table, cursor.summed, pattern, cursor, now);
  }
  return cursor.summed >= table.used();
}

// Whether a mapping that the pattern may mean is met at the cursor's position.
template <class Family>
bool meets_mapping(SessionTable<Family>& table, const SessionPattern& pattern,
                   SessionRef position) {
  const Session<Family>& session = table[position];
  return session.state != SessionState::free &&
         pattern.matches_mapping(session.namespace_id, session.protocol,
                                 {session.inside.local, session.inside.local_port},
                                 {session.outside.local, session.outside.local_port}) &&
         table.first_of_mapping(position) == position;
}

}  // namespace

template <class Family>
std::size_t copy_mappings(SessionTable<Family>& table, const SessionPattern& pattern,
                          MappingCursor& cursor, std::span<MappingView> out, Tick now) {
  std::size_t copied = 0;
  std::uint32_t budget = records_per_look;
  while (budget != 0 && copied < out.size() && cursor.position < table.used()) {
    if (cursor.is_summing) {
      if (!add_records(table, pattern, cursor, budget, now)) break;
    } else {
      --budget;
      if (!meets_mapping(table, pattern, cursor.position)) {
        ++cursor.position;
        continue;
      }
      // The next call meets it first.
      const bool has_all_budget = budget == records_per_look - 1;
      if (!add_ring(table, pattern, cursor, budget, now)) {
        if (!has_all_budget) break;
        cursor.is_summing = true;
        cursor.is_meant = false;
        cursor.summed = 0;
        cursor.sum = empty_sum(table, cursor.position);
        break;
      }
    }
    const MappingView& sum = cursor.sum;
    if (cursor.is_meant && pattern.matches_idle(sum.idle) && pattern.matches_age(sum.age)) {
      out[copied++] = sum;
    }
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
