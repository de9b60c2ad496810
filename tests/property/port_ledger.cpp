#include "tests/property/port_ledger.h"

namespace swnat::property {
namespace {

std::string name_of(std::uint8_t protocol, const IpEndpoint& external) {
  return std::to_string(protocol) + " " + text(external);
}

}  // namespace

void PortLedger::freed(std::uint8_t protocol, const IpEndpoint& external, Time since, Time until,
                       bool surely_rests) {
  rests_.insert(
      {name_of(protocol, external), {surely_rests ? since + rest : Time{0}, until + rest}});
}

PortState PortLedger::state_of(std::uint8_t protocol, const IpEndpoint& external, Time now) const {
  PortState state = PortState::free;
  const auto [begin, end] = rests_.equal_range(name_of(protocol, external));
  for (auto it = begin; it != end; ++it) {
    if (now < it->second.taken_until) return PortState::taken;
    if (now < it->second.perhaps_until) state = PortState::perhaps;
  }
  return state;
}

}  // namespace swnat::property
