#include "engine/external_choice.h"

namespace swnat {

template <class Family>
std::optional<Reason> ExternalChoice<Family>::choose(NewSession<Family>& wanted,
                                                     std::uint8_t protocol, Choice choice,
                                                     Tick now) {
  const Leg<Family>& inside = wanted.inside;
  const auto pair = [&] { wanted.outside.local = paired(wanted); };
  const auto use = [&](const Address& address, std::uint16_t port) {
    wanted.outside.local = address;
    wanted.outside.local_port = port;
  };
  if (protocol::is_portless(protocol)) {
    pair();
    wanted.outside.local_port = 0;
  } else if (const auto* own = sessions_.rules().forwarded_as(wanted.tenant.id, protocol,
                                                              {inside.local, inside.local_port})) {
    use(own->address, own->port);
    wanted.is_forward = true;
    wanted.mapping = sessions_.find_mapping(Key::external(protocol, wanted.outside), now);
  } else if (sessions_.policy().mapping == Mapping::address_and_port_dependent) {
    pair();
    return choose_port(wanted, protocol, choice, now);
  } else {
    wanted.mapping = sessions_.find_mapping(Key::internal(wanted.tenant.id, protocol, inside), now);
    if (wanted.mapping == no_session) {
      pair();
      return choose_port(wanted, protocol, choice, now);
    }
    if (choice == Choice::possible) foresee_loss(wanted, protocol, now);
    const Leg<Family>& known = sessions_[wanted.mapping].outside;
    use(known.local, known.local_port);
  }
  // Two hosts may use one protocol without ports, or two destinations be redirected to one.
  if (!sessions_.is_free_outside(wanted, protocol, now)) return Reason::remote_in_use;
  return {};
}

// A port of the address for a new mapping of the tenant.
template <class Family>
std::optional<Reason> ExternalChoice<Family>::choose_port(NewSession<Family>& wanted,
                                                          std::uint8_t protocol, Choice choice,
                                                          Tick now) {
  if (choice == Choice::possible) return foresee_port(wanted, protocol, nullptr, now);
  if (choice == Choice::foretold) return foretell_port(wanted, protocol, now);
  NamespaceUses& uses = sessions_.uses();
  if (!uses.take_port(wanted.tenant.slot, wanted.tenant.port_limit)) return Reason::port_limit;
  if (serves_once() ? take_port(wanted, protocol, now)
                    : find_port_for_remote(wanted, protocol, choice, now)) {
    return {};
  }
  uses.give_back_port(wanted.tenant.slot);
  return Reason::no_free_port;
}

// Why there is none as all is now. A port that any free one may come to be stays 0.
template <class Family>
std::optional<Reason> ExternalChoice<Family>::foretell_port(NewSession<Family>& wanted,
                                                            std::uint8_t protocol, Tick now) {
  const NamespaceEntry& tenant = wanted.tenant;
  if (sessions_.uses().port_count(tenant.slot) >= tenant.port_limit) return Reason::port_limit;
  if (!serves_once()) {
    const bool is_found = find_port_for_remote(wanted, protocol, Choice::foretold, now);
    if (!is_found) wanted.outside.local_port = 0;
    return is_found ? std::nullopt : std::optional(Reason::no_free_port);
  }
  if (keeps_port(wanted, protocol, now)) {
    wanted.outside.local_port = wanted.inside.local_port;
    return {};
  }
  return has_port(wanted, protocol, now) ? std::nullopt : std::optional(Reason::no_free_port);
}

// As take_port() has it first of all.
template <class Family>
bool ExternalChoice<Family>::keeps_port(const NewSession<Family>& wanted, std::uint8_t protocol,
                                        Tick now) {
  Externals<Family>& externals = sessions_.externals();
  const Address& address = wanted.outside.local;
  const std::uint16_t port = wanted.inside.local_port;
  if (!serves_once() || sessions_.rules().forward(protocol, {address, port}) != nullptr) {
    return false;
  }
  if (externals.has_blocks() && !externals.blocks(address).has(wanted.tenant.id, port, now)) {
    return false;
  }
  return externals.ports(address, protocol).has_itself(port, now);
}

// Should the session that ends be the last of the mapping, the new one needs another.
template <class Family>
void ExternalChoice<Family>::foresee_loss(const NewSession<Family>& wanted, std::uint8_t protocol,
                                          Tick now) {
  if (!sessions_.table().is_alone(wanted.mapping)) return;
  const void* const last = &sessions_[wanted.mapping];
  NewSession<Family> other = wanted;
  other.outside.local = paired(wanted);
  if (const auto fault = foresee_port(other, protocol, last, now)) {
    sessions_.want_legacy(Legacy{.last_of_mapping = last, .otherwise = *fault});
  }
}

// Why there will be no port for a new mapping when another session has ended: that one, unless it
// is nullptr. Where one must leave its port, this tells so.
template <class Family>
std::optional<Reason> ExternalChoice<Family>::foresee_port(NewSession<Family>& wanted,
                                                           std::uint8_t protocol,
                                                           const void* last_of_mapping, Tick now) {
  NamespaceUses& uses = sessions_.uses();
  const std::uint32_t count = uses.port_count(wanted.tenant.slot);
  const std::uint32_t limit = wanted.tenant.port_limit;
  // Where every session has a port of its own, whichever ends gives one back.
  const bool is_given_one = last_of_mapping != nullptr || count >= uses.count(wanted.tenant.slot);
  if (count > limit || (count == limit && !is_given_one)) return Reason::port_limit;
  // Draws as the taking will, so that both look at the same ports.
  const Random before = seeker_.draws();
  if (serves_once() ? has_port(wanted, protocol, now)
                    : find_port_for_remote(wanted, protocol, Choice::possible, now)) {
    seeker_.draw_again(before);
    return {};
  }
  if (!is_given_one || !(serves_once() || tries_all_ports(wanted))) return Reason::no_free_port;
  const Leg<Family>& outside = wanted.outside;
  sessions_.want_legacy(Legacy{.last_of_mapping = last_of_mapping,
                               .port = PortWanted{outside.local,
                                                  protocol,
                                                  wanted.inside.local_port,
                                                  {outside.remote, outside.remote_port},
                                                  wanted.realm()}});
  return {};
}

// Whether take_port() would find one.
template <class Family>
bool ExternalChoice<Family>::has_port(const NewSession<Family>& wanted, std::uint8_t protocol,
                                      Tick now) {
  Externals<Family>& externals = sessions_.externals();
  if (externals.has_blocks()) return in_blocks_.has_port(wanted, protocol, now);
  return externals.ports(wanted.outside.local, protocol).has_any(wanted.inside.local_port, now);
}

template <class Family>
bool ExternalChoice<Family>::take_port(NewSession<Family>& wanted, std::uint8_t protocol,
                                       Tick now) {
  // Ports that new rules are about to take, which happens within moments, are passed over.
  constexpr int passed_over_max = 16;
  const std::uint32_t shard = sessions_.shard();
  const Address& address = wanted.outside.local;
  const std::uint16_t like = wanted.inside.local_port;
  PortSpace& ports = sessions_.externals().ports(address, protocol);
  const bool has_blocks = sessions_.externals().has_blocks();
  for (int passed_over = 0; passed_over < passed_over_max; ++passed_over) {
    auto port = has_blocks ? in_blocks_.take_port(wanted, protocol, now)
                           : ports.take(shard, like, seeker_.random(), now);
    if (!port && !has_blocks) port = ports.take_resting(shard, like, now);
    if (!port) return false;
    if (sessions_.rules().forward(protocol, {address, *port}) == nullptr) {
      wanted.outside.local_port = *port;
      wanted.flows.outside = wanted.outside_flow(protocol).hash(sessions_.secret());
      return true;
    }
    if (has_blocks) {
      in_blocks_.pass_over(wanted, protocol, *port, now);
    } else {
      ports.release(shard, *port, now, PortSpace::Rest::full);
    }
  }
  return false;
}

// With address-and-port-dependent mapping a port serves once for each remote endpoint. Which one a
// session gets follows from its flow, by a hash that only this NAT knows: so a host's sessions with
// two remotes have two ports whether its own port is free or not, and discovery finds the same
// mapping at all times (RFC 4787 REQ-1, REQ-11). Where another session has that one, a bounded
// number of others is tried, of the same parity first. All are this shard's own.
template <class Family>
bool ExternalChoice<Family>::find_port_for_remote(NewSession<Family>& wanted, std::uint8_t protocol,
                                                  Choice choice, Tick now) {
  Externals<Family>& externals = sessions_.externals();
  if (externals.has_blocks()) return in_blocks_.find_port(wanted, protocol, choice, now);
  const PortSpace& space = externals.ports(wanted.outside.local, protocol);
  const auto serves = [&](std::uint16_t port) {
    wanted.outside.local_port = port;
    return !space.is_withheld(port) && seeker_.is_free_for_remote(wanted, protocol, now);
  };
  const std::uint32_t like = wanted.inside.local_port & 1u;
  for (const std::uint32_t parity : {like, like ^ 1u}) {
    const PortSequence ports = seeker_.own_ports(parity);
    if (ports.count() == 0) continue;
    if (seeker_.serves_named(ports, wanted, serves)) return true;
    if (seeker_.serves_any(ports, tried_per_parity, serves)) return true;
  }
  return false;
}

// Whether find_port_for_remote() finds any that there is.
template <class Family>
bool ExternalChoice<Family>::tries_all_ports(const NewSession<Family>& wanted) {
  return sessions_.externals().has_blocks() ? in_blocks_.tries_all_ports(wanted)
                                            : seeker_.tries_all_ports();
}

template class ExternalChoice<Ipv4>;
template class ExternalChoice<Ipv6>;

}  // namespace swnat
