#include "engine/session_table.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <span>

namespace swnat {
namespace {

constexpr KeyKind own_keys[] = {KeyKind::inside_flow, KeyKind::outside_flow};
constexpr KeyKind mapping_keys[] = {KeyKind::internal, KeyKind::external};
constexpr KeyKind permission_keys[] = {KeyKind::permission};
constexpr std::size_t keys_per_mapping = std::size(mapping_keys) + std::size(permission_keys);

}  // namespace

template <class Family>
SessionTable<Family>::SessionTable(std::span<Record> records, std::uint32_t& used,
                                   const Secret& secret, bool shares_mappings)
    : secret_(secret),
      shares_mappings_(shares_mappings),
      slab_(records, used),
      links_(records.size()),
      flows_(records.size() * std::size(own_keys)),
      mappings_(records.size() * keys_per_mapping) {}

template <class Family>
void SessionTable<Family>::add(SessionRef ref, const Record& session, SessionRef mapping,
                               std::uint32_t slot) {
  slab_.commit(ref, session);
  link(ref, mapping, slot);
}

template <class Family>
void SessionTable<Family>::keep(SessionRef ref, SessionRef mapping, std::uint32_t slot) {
  slab_.keep();
  link(ref, mapping, slot);
}

template <class Family>
void SessionTable<Family>::link(SessionRef ref, SessionRef mapping, std::uint32_t slot) {
  const Record& session = slab_[ref];
  const auto insert = [&](KeyKind kind) {
    index_of(kind).insert(Key::of(session, kind).hash(secret_), ref);
  };
  for (const KeyKind kind : own_keys) insert(kind);
  if (shares_mapping(session)) {
    if (mapping == no_session) {
      Ring<&SessionLinks::mapping>::start(links_, ref);
      for (const KeyKind kind : mapping_keys) insert(kind);
    } else {
      Ring<&SessionLinks::mapping>::join(links_, ref, mapping);
    }
    // Only a session of the same mapping can permit the same.
    const SessionRef permitted =
        mapping == no_session ? no_session : find(Key::of(session, KeyKind::permission));
    if (permitted == no_session) {
      Ring<&SessionLinks::permission>::start(links_, ref);
      insert(KeyKind::permission);
    } else {
      Ring<&SessionLinks::permission>::join(links_, ref, permitted);
    }
  }
  const Tick now = session.last_active;
  wheel_.add(links_, ref, now + static_cast<Tick>(timeout(session)), now);
  activity_.add(links_, ref, slot, now);
}

template <class Family>
void SessionTable<Family>::state_changed(SessionRef ref, Tick now) {
  wheel_.remove(links_, ref);
  wheel_.add(links_, ref, now + static_cast<Tick>(timeout(slab_[ref])), now);
}

// Takes the session out of a ring. If the index knows the ring by it, another member takes its
// place there, or nothing where it was the last. Returns that other member.
template <class Family>
template <Link SessionLinks::*ring>
SessionRef SessionTable<Family>::leave_ring(SessionRef ref, std::span<const KeyKind> kinds) {
  const SessionRef other = Ring<ring>::leave(links_, ref);
  for (const KeyKind kind : kinds) {
    const std::uint64_t hash = Key::of(slab_[ref], kind).hash(secret_);
    if (other == no_session) {
      mappings_.erase(hash, ref);
    } else {
      mappings_.replace(hash, ref, other);
    }
  }
  return other;
}

template <class Family>
void SessionTable<Family>::prefetch_removal(std::span<const SessionRef> refs) const {
  assert(refs.size() <= removals_max);
  std::array<std::uint64_t, removals_max * std::size(own_keys)> own;
  std::array<std::uint64_t, removals_max * keys_per_mapping> shared;
  std::size_t own_count = 0;
  std::size_t shared_count = 0;
  for (const SessionRef ref : refs) {
    const Record& session = slab_[ref];
    const auto hash = [&](KeyKind kind) { return Key::of(session, kind).hash(secret_); };
    for (const KeyKind kind : own_keys) own[own_count++] = hash(kind);
    if (!shares_mapping(session)) continue;
    for (const KeyKind kind : mapping_keys) shared[shared_count++] = hash(kind);
    for (const KeyKind kind : permission_keys) shared[shared_count++] = hash(kind);
  }
  const std::span own_hashes = std::span(own).first(own_count);
  const std::span shared_hashes = std::span(shared).first(shared_count);
  flows_.prefetch(own_hashes);
  mappings_.prefetch(shared_hashes);
}

template <class Family>
bool SessionTable<Family>::remove(SessionRef ref) {
  const Record& session = slab_[ref];
  for (const KeyKind kind : own_keys) flows_.erase(Key::of(session, kind).hash(secret_), ref);
  bool is_last = true;
  if (shares_mapping(session)) {
    leave_ring<&SessionLinks::permission>(ref, permission_keys);
    is_last = leave_ring<&SessionLinks::mapping>(ref, mapping_keys) == no_session;
  }
  wheel_.remove(links_, ref);
  activity_.remove(links_, ref);
  slab_.free(ref, links_);
  return is_last;
}

template <class Family>
SessionRef SessionTable<Family>::next_due(Tick now) {
  const SessionRef ref = wheel_.next_due(links_, now);
  if (ref == no_session) return no_session;
  const Record& session = slab_[ref];
  activity_.keep_comparable(links_, ref, session.last_active);
  wheel_.add(links_, ref, session.last_active + static_cast<Tick>(timeout(session)), now);
  return ref;
}

template <class Family>
std::size_t SessionTable<Family>::copy(std::uint32_t& position, std::span<SessionView> out,
                                       Tick now) const {
  constexpr std::uint32_t records_max = 4096;
  const std::uint32_t end = std::min(slab_.used(), position + records_max);
  std::size_t copied = 0;
  for (; position < end && copied < out.size(); ++position) {
    const Record& session = slab_[position];
    if (session.state == SessionState::free || expired(session, now)) continue;
    // Another thread's clock may be a little ahead.
    const std::int32_t idle = std::max(elapsed(session.last_active, now), 0);
    out[copied++] = {session.namespace_id,
                     session.protocol,
                     {session.inside.local, session.inside.local_port},
                     {session.outside.local, session.outside.local_port},
                     {session.outside.remote, session.outside.remote_port},
                     text_of(session.state),
                     std::chrono::milliseconds(idle),
                     std::chrono::milliseconds(timeout(session) - idle)};
  }
  return copied;
}

template class SessionTable<Ipv4>;
template class SessionTable<Ipv6>;
static_assert(sizeof(Session<Ipv4>) == 64, "an established packet touches one line of its session");
static_assert(sizeof(Session<Ipv6>) == 128);

}  // namespace swnat
