// Which external endpoint a new session has: that of its mapping, of a forward, or one with a port
// that is chosen for it.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/block_choice.h"
#include "engine/new_session.h"
#include "engine/port_seeker.h"
#include "engine/sessions.h"
#include "swnat/reason.h"

namespace swnat {

template <class Family>
class ExternalChoice {
 public:
  explicit ExternalChoice(Sessions<Family>& sessions)
      : sessions_(sessions), seeker_(sessions), in_blocks_(sessions, seeker_) {}

  // Sets the local end of the new session's outside, and what comes with it; returns why there is
  // none. With endpoint-independent mapping it is what the internal endpoint has already (RFC 4787
  // REQ-1).
  std::optional<Reason> choose(NewSession<Family>& wanted, std::uint8_t protocol, Choice choice,
                               Tick now);

  // The same by a choice that takes nothing, which draws nothing for it either.
  std::optional<Reason> look(NewSession<Family>& wanted, std::uint8_t protocol, Choice choice,
                             Tick now) {
    const Random before = seeker_.draws();
    const auto fault = choose(wanted, protocol, choice, now);
    seeker_.draw_again(before);
    return fault;
  }
  // Whether the internal port itself would be the external one, of a new mapping.
  bool keeps_port(const NewSession<Family>& wanted, std::uint8_t protocol, Tick now);

 private:
  using Address = typename Family::Address;
  using Key = FlowKey<Family>;

  // The external address that the sender has.
  Address paired(const NewSession<Family>& wanted) const {
    return sessions_.externals().paired(wanted.inside.local, wanted.tenant.id,
                                        *wanted.tenant.policy);
  }
  // Whether a port serves one mapping, and not one session with each remote.
  bool serves_once() const { return sessions_.policy().mapping == Mapping::endpoint_independent; }
  std::optional<Reason> choose_port(NewSession<Family>& wanted, std::uint8_t protocol,
                                    Choice choice, Tick now);
  std::optional<Reason> foretell_port(NewSession<Family>& wanted, std::uint8_t protocol, Tick now);
  void foresee_loss(const NewSession<Family>& wanted, std::uint8_t protocol, Tick now);
  std::optional<Reason> foresee_port(NewSession<Family>& wanted, std::uint8_t protocol,
                                     const void* last_of_mapping, Tick now);
  bool has_port(const NewSession<Family>& wanted, std::uint8_t protocol, Tick now);
  bool take_port(NewSession<Family>& wanted, std::uint8_t protocol, Tick now);
  bool tries_all_ports(const NewSession<Family>& wanted);
  bool find_port_for_remote(NewSession<Family>& wanted, std::uint8_t protocol, Choice choice,
                            Tick now);

  Sessions<Family>& sessions_;
  PortSeeker<Family> seeker_;
  BlockChoice<Family> in_blocks_;
};

extern template class ExternalChoice<Ipv4>;
extern template class ExternalChoice<Ipv6>;

}  // namespace swnat
