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

// The ring's sum goes on with this session.
template <class Family>
void go_on_with(const SessionTable<Family>& table, SessionRef member, MappingCursor& cursor) {
  cursor.member = member;
  cursor.member_made = table.made(member);
  cursor.member_keeps = table[member].keeps_mapping();
}

// Whether the session that comes next is still the same, at its place in the ring.
template <class Family>
bool is_as_it_was(const SessionTable<Family>& table, const MappingCursor& cursor) {
  const Session<Family>& next = table[cursor.member];
  return is_of(next, cursor.sum) && table.made(cursor.member) == cursor.member_made &&
         next.keeps_mapping() == cursor.member_keeps;
}

template <class Family>
void begin(const SessionTable<Family>& table, MappingCursor& cursor) {
  cursor.is_summing = true;
  cursor.is_meant = false;
  cursor.is_by_record = false;
  cursor.sum = empty_sum(table, cursor.position);
  go_on_with(table, cursor.position, cursor);
}

// Nothing that was added counts.
void begin_by_record(MappingCursor& cursor) {
  cursor.is_meant = false;
  cursor.is_by_record = true;
  cursor.member = 0;
  MappingView& sum = cursor.sum;
  sum.sessions = 0;
  sum.age = {};
  sum.idle = std::chrono::milliseconds::max();
  sum.traffic = {};
}

// Adds up sessions along the ring, and takes them from the budget; false if there are more.
template <class Family>
bool add_ring(SessionTable<Family>& table, const SessionPattern& pattern, MappingCursor& cursor,
              std::uint32_t& budget, Tick now) {
  const SessionRef first = table.first_of_mapping(cursor.member);
  SessionRef member = cursor.member;
  for (; budget != 0; --budget) {
    add(table, member, pattern, cursor, now);
    member = table.next_of_mapping(member);
    // A ring that grew as fast as it was followed would have no end.
    if (member == first || cursor.sum.sessions > table.used()) return true;
  }
  go_on_with(table, member, cursor);
  return false;
}

// Adds up those among the next records; false if there are more records.
template <class Family>
bool add_records(const SessionTable<Family>& table, const SessionPattern& pattern,
                 MappingCursor& cursor, std::uint32_t& budget, Tick now) {
  for (; budget != 0 && cursor.member < table.used(); --budget, ++cursor.member) {
    if (is_of(table[cursor.member], cursor.sum)) add(table, cursor.member, pattern, cursor, now);
  }
  return cursor.member >= table.used();
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
    bool may_be_cut = cursor.is_summing;
    if (!cursor.is_summing) {
      may_be_cut = budget == records_per_look;
      --budget;
      if (!meets_mapping(table, pattern, cursor.position)) {
        ++cursor.position;
        continue;
      }
      begin(table, cursor);
    } else if (!cursor.is_by_record && !is_as_it_was(table, cursor)) {
      begin_by_record(cursor);
    }
    const bool is_whole = cursor.is_by_record ? add_records(table, pattern, cursor, budget, now)
                                              : add_ring(table, pattern, cursor, budget, now);
    if (!is_whole) {
      // The next call, which meets it first, may find all of it at one moment.
      cursor.is_summing = may_be_cut;
      break;
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
