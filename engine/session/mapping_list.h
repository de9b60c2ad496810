// The mappings of one shard, one after the other.
//
// Theory of operation
//
// A mapping has no record. It is met at the session that the index knows it by, in the order of the
// session records, and what its sessions have is added up along their ring. Where that is too long
// for one lock, the cursor keeps the sum, with the session that it goes on with. If that one has
// ended, or has changed its place, nothing tells where to go on: then all records are looked at
// instead, some under each lock.
#pragma once

#include <cstdint>
#include <span>

#include "engine/session/session_table.h"
#include "swnat/mapping_view.h"
#include "swnat/session_pattern.h"

namespace swnat {

// Copies out mappings that the pattern means, from the cursor's position on, which moves to where
// the next call begins. Looks at records_per_look records, and returns how many mappings it copied,
// which may be none before the end.
template <class Family>
std::size_t copy_mappings(SessionTable<Family>& table, const SessionPattern& pattern,
                          MappingCursor& cursor, std::span<MappingView> out, Tick now);

extern template std::size_t copy_mappings(SessionTable<Ipv4>&, const SessionPattern&,
                                          MappingCursor&, std::span<MappingView>, Tick);
extern template std::size_t copy_mappings(SessionTable<Ipv6>&, const SessionPattern&,
                                          MappingCursor&, std::span<MappingView>, Tick);

}  // namespace swnat
