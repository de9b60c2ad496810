#include "tests/property/port_ledger.h"

namespace swnat::property {
namespace {

std::string name_of(std::uint8_t protocol, const IpEndpoint& external) {
  return std::to_string(protocol) + " " + text(external);
}

}  // namespace

void PortLedger::freed(std::uint8_t protocol, const IpEndpoint& external, Time since, Time until,
                       bool surely_rests) {
  rests_.insert({name_of(protocol, external), {{since, until}, surely_rests}});
}

void PortLedger::taken(std::uint8_t protocol, const IpEndpoint& external) {
  rests_.erase(name_of(protocol, external));
}

PortState PortLedger::state_of(std::uint8_t protocol, const IpEndpoint& external, Time now) const {
  PortState state = PortState::free;
  const auto [begin, end] = rests_.equal_range(name_of(protocol, external));
  for (auto it = begin; it != end; ++it) {
    if (it->second.lasts(now)) return PortState::resting;
    if (now < it->second.began.latest + rest) state = PortState::perhaps;
  }
  return state;
}

std::optional<PortLedger::Began> PortLedger::rest_of(std::uint8_t protocol,
                                                     const IpEndpoint& external, Time now) const {
  const auto [begin, end] = rests_.equal_range(name_of(protocol, external));
  for (auto it = begin; it != end; ++it) {
    if (it->second.lasts(now)) return it->second.began;
  }
  return {};
}

}  // namespace swnat::property
