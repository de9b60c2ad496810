#include "nfq/sort_order.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "nfq/error.h"
#include "rules/text/request_words.h"
#include "rules/text/suggestion.h"

namespace swnat::nfq {
namespace {

struct NamedKey {
  std::string_view name;
  SortKey key;
};
constexpr NamedKey session_keys[] = {
    {"age", SortKey::age},
    {"idle", SortKey::idle},
    {"expires", SortKey::expires},
    {"packets", SortKey::packets},
    {"bytes", SortKey::bytes},
    {"state", SortKey::state},
    {"namespace", SortKey::namespace_id},
    {"protocol", SortKey::protocol},
    {"internal", SortKey::internal},
    {"external", SortKey::external},
    {"remote", SortKey::remote},
};
constexpr NamedKey mapping_keys[] = {
    {"age", SortKey::age},
    {"idle", SortKey::idle},
    {"sessions", SortKey::sessions},
    {"packets", SortKey::packets},
    {"bytes", SortKey::bytes},
    {"protocol", SortKey::protocol},
    {"namespace", SortKey::namespace_id},
    {"internal", SortKey::internal},
    {"external", SortKey::external},
    {"remote", SortKey::remote},
};

static_assert(std::ranges::equal(session_keys, rules::session_sort_keys, {}, &NamedKey::name));
static_assert(std::ranges::equal(mapping_keys, rules::mapping_sort_keys, {}, &NamedKey::name));

SortKey find_key(std::span<const NamedKey> keys, std::string_view text) {
  std::vector<std::string_view> names;
  for (const NamedKey& one : keys) {
    if (one.name == text) return one.key;
    names.push_back(one.name);
  }
  throw Error(fmt::format("'{}' is nothing to sort by{} (allowed: {})", text,
                          rules::did_you_mean(text, names), fmt::join(names, ", ")));
}

// IPv4 before IPv6, then as they are written in full.
std::tuple<std::size_t, std::array<std::uint8_t, 16>, std::uint16_t> place(const IpEndpoint& end) {
  std::array<std::uint8_t, 16> octets{};
  if (const auto* v4 = std::get_if<Ipv4Address>(&end.address)) {
    std::memcpy(octets.data(), &v4->wire, sizeof v4->wire);
  } else {
    octets = std::get<Ipv6Address>(end.address).octets();
  }
  return {end.address.index(), octets, end.port};
}

const IpEndpoint& remote_of(const SessionView& view) {
  return view.remote;
}
IpEndpoint remote_of(const MappingView& view) {
  return view.remote.value_or(IpEndpoint{});
}

// Less than 0: a is less; more than 0: b is.
template <class Value>
int compare(const Value& a, const Value& b) {
  if (a < b) return -1;
  return b < a ? 1 : 0;
}

template <std::uint64_t Traffic::*value>
std::uint64_t sum(const TwoWayTraffic& traffic) {
  return traffic.outbound.*value + traffic.inbound.*value;
}

// By what the others do not have.
int compare_by_own(SortKey key, const SessionView& a, const SessionView& b) {
  return key == SortKey::state ? compare(a.state, b.state) : compare(a.expires_in, b.expires_in);
}
int compare_by_own(SortKey, const MappingView& a, const MappingView& b) {
  return compare(b.sessions, a.sessions);
}

template <class View>
int compare_by(SortKey key, const View& a, const View& b) {
  switch (key) {
    case SortKey::age:
      return compare(a.age, b.age);
    case SortKey::idle:
      return compare(a.idle, b.idle);
    case SortKey::packets:
      return compare(sum<&Traffic::packets>(b.traffic), sum<&Traffic::packets>(a.traffic));
    case SortKey::bytes:
      return compare(sum<&Traffic::bytes>(b.traffic), sum<&Traffic::bytes>(a.traffic));
    case SortKey::namespace_id:
      return compare(a.namespace_id, b.namespace_id);
    case SortKey::protocol:
      return compare(a.protocol, b.protocol);
    case SortKey::internal:
      return compare(place(a.internal), place(b.internal));
    case SortKey::external:
      return compare(place(a.external), place(b.external));
    case SortKey::remote:
      return compare(place(remote_of(a)), place(remote_of(b)));
    case SortKey::expires:
    case SortKey::state:
    case SortKey::sessions:
      return compare_by_own(key, a, b);
  }
  return 0;
}

template <class View>
bool goes_before(const SortOrder& order, const View& a, const View& b) {
  const int by_key = compare_by(order.key, a, b);
  if (by_key != 0) return order.is_reversed ? by_key > 0 : by_key < 0;
  for (const SortKey key : {SortKey::namespace_id, SortKey::protocol, SortKey::internal,
                            SortKey::external, SortKey::remote}) {
    if (const int by_end = compare_by(key, a, b); by_end != 0) return by_end < 0;
  }
  return false;
}

}  // namespace

bool SortOrder::is_before(const SessionView& a, const SessionView& b) const {
  return goes_before(*this, a, b);
}
bool SortOrder::is_before(const MappingView& a, const MappingView& b) const {
  return goes_before(*this, a, b);
}

SortKey session_sort_key(std::string_view text) {
  return find_key(session_keys, text);
}
SortKey mapping_sort_key(std::string_view text) {
  return find_key(mapping_keys, text);
}

}  // namespace swnat::nfq
