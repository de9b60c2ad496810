#include "tests/property/port_ledger.h"

namespace swnat::property {
namespace {

// How much longer than it must a port may rest: the engine need not count in milliseconds.
constexpr Time rest_slack{2000};

std::string name_of(std::uint8_t protocol, const IpEndpoint& external) {
  return std::to_string(protocol) + " " + text(external);
}

}  // namespace

void PortLedger::freed(const ModelSession& last, Time since, Time until, Time rest) {
  if (rest.count() == 0) return;
  const bool may_skip = last.protocol == ip::tcp && last.tcp.was_seen_to_end();
  rests_.insert(
      {name_of(last.protocol, last.external),
       {last.outside_remote, may_skip ? since : since + rest, until + rest + rest_slack}});
}

PortState PortLedger::rest_of(std::uint8_t protocol, const IpEndpoint& external,
                              const IpEndpoint& remote, bool reused_per_remote, Time now) const {
  PortState state = PortState::free;
  const auto [begin, end] = rests_.equal_range(name_of(protocol, external));
  for (auto it = begin; it != end; ++it) {
    const Rest& rest = it->second;
    const bool is_other = reused_per_remote && rest.remote != remote;
    if (!is_other && now < rest.taken_until) return PortState::taken;
    if (now < rest.perhaps_until) state = PortState::perhaps;
  }
  return state;
}

}  // namespace swnat::property
