// The small world that the whole engine is tried in: who is there, and which policies there are.
#pragma once

#include <memory>

#include "swnat/engine.h"
#include "tests/fuzz/input.h"

namespace swnat::fuzz {

// Of one family; both have the same places in these lists.
struct Places {
  std::vector<IpAddress> externals;
  std::vector<IpAddress> hosts;      // within every namespace
  std::vector<IpAddress> remotes;    // outside
  IpAddress redirected_inside;       // to a host, by a rule
  IpAddress redirected_outside;      // to a remote
  IpAddress redirected_to_external;  // to an external endpoint
  IpAddress untranslated;
  std::vector<IpAddress> odd;  // that no host has
};
const Places& places_of(int version);

inline constexpr NamespaceId namespace_ids[] = {1, 2, 5, 6, 9};  // 9 is in no policy
inline constexpr std::uint16_t local_ports[] = {40000, 40001, 40002, 40003, 40006, 1020, 80, 5353};
inline constexpr std::uint16_t remote_ports[] = {80, 53, 25, 8080, 5353};

// What is fixed for an engine's life.
struct Frame {
  AddressLists external;
  PortRanges ports;
  Mapping mapping = Mapping::endpoint_independent;
  std::uint32_t max_sessions = 32;
};
Frame draw_frame(Input& input);

// Any of the policies of that frame.
Policy draw_policy(Input& input, const Frame& frame);

// Every namespace may have as many sessions as the engine, no rule stands in the way, and
// namespace 1 has that external address only.
Policy open_policy(const Frame& frame, const IpAddress& external);

bool contains(const std::vector<IpNetwork>& networks, const IpAddress& address);
bool is_external(const AddressLists& external, const IpAddress& address);
const NamespacePolicy* find_namespace(const Policy& policy, NamespaceId id);

}  // namespace swnat::fuzz
