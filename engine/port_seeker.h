// What looking for a port of a new session needs: whether one would do, and in which order to try.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/hash.h"
#include "engine/new_session.h"
#include "engine/ports/port_sequence.h"
#include "engine/sessions.h"

namespace swnat {

// Whether what is chosen is taken, or only known to be there: once another session has ended, or as
// all is now.
enum class Choice : std::uint8_t { taken, possible, foretold };

template <class Family>
class PortSeeker {
 public:
  explicit PortSeeker(Sessions<Family>& sessions)
      : sessions_(sessions), random_(secret_of(sessions)) {}

  std::uint64_t random() { return random_.next(); }
  // What is drawn from now on, and to draw it once more.
  const Random& draws() const { return random_; }
  void draw_again(const Random& draws) { random_ = draws; }

  // Whether the one of these ports that the session's flow names serves, and whether one of some
  // others does, at most `tries`, spread over all of them. There must be one.
  template <class Serves>
  bool serves_named(const PortSequence& ports, const NewSession<Family>& wanted,
                    Serves& serves) const {
    return serves(ports[ports.place_of(place_of_flow(wanted))]);
  }
  template <class Serves>
  bool serves_any(const PortSequence& ports, std::uint32_t tries, Serves& serves) {
    return ports.any_of_spread(tries, random_, serves);
  }

  // The shard's own ports of that parity (0 or 1), within these.
  PortSequence own_ports(std::uint32_t parity, const PortRange& within = {0, 65'535}) const {
    return {sessions_.policy().ports, sessions_.shard() << 1 | parity, 2 * sessions_.shards(),
            within};
  }

  // Whether no parity has more of them than are tried.
  bool tries_all_ports() const {
    return std::max(own_ports(0).count(), own_ports(1).count()) <= tried_per_parity;
  }

  // With address-and-port-dependent mapping: whether the new session's outside may be its own.
  bool is_free_for_remote(NewSession<Family>& wanted, std::uint8_t protocol, Tick now) {
    const Leg<Family>& outside = wanted.outside;
    return sessions_.rules().forward(protocol, {outside.local, outside.local_port}) == nullptr &&
           sessions_.externals().shard_of(outside.local, protocol, outside.local_port) ==
               sessions_.shard() &&
           sessions_.is_free_outside(wanted, protocol, now);
  }

 private:
  static Secret secret_of(const Sessions<Family>& sessions) {
    const Secret& secret = sessions.secret();
    return {secret[1] + sessions.shard(), secret[2], secret[3], secret[0] ^ Family::version};
  }

  // Not of the bits that the index uses, which a tenant must not be able to read off its ports.
  std::uint32_t place_of_flow(const NewSession<Family>& wanted) const {
    const Secret& secret = sessions_.secret();
    return static_cast<std::uint32_t>(
        fold_multiply(wanted.flows.inside ^ secret[2], secret[3] | 1));
  }

  Sessions<Family>& sessions_;
  Random random_;
};

}  // namespace swnat
