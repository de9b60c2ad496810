// The part of the choice of an external endpoint where ports come in blocks (port_blocks.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/port_seeker.h"

namespace swnat {

template <class Family>
class BlockChoice {
 public:
  // Both must outlive this.
  BlockChoice(Sessions<Family>& sessions, PortSeeker<Family>& seeker)
      : sessions_(sessions), seeker_(seeker) {}

  // Whether take_port() would find one.
  bool has_port(const NewSession<Family>& wanted, std::uint8_t protocol, Tick now);
  std::optional<std::uint16_t> take_port(const NewSession<Family>& wanted, std::uint8_t protocol,
                                         Tick now);
  // Gives back one that cannot be used, so that it is not the next one.
  void pass_over(const NewSession<Family>& wanted, std::uint8_t protocol, std::uint16_t port,
                 Tick now);

  // Where a port serves once for each remote.
  bool find_port(NewSession<Family>& wanted, std::uint8_t protocol, Choice choice, Tick now);
  // Whether it finds any that there is in the owner's blocks.
  bool tries_all_ports(const NewSession<Family>& wanted);

 private:
  bool tries_all_of(std::size_t blocks) const;
  bool find_port_in_new_block(NewSession<Family>& wanted, std::uint8_t protocol, Choice choice,
                              Tick now);
  PortBlocks& blocks(const NewSession<Family>& wanted) {
    return sessions_.externals().blocks(wanted.outside.local);
  }
  static std::size_t space_index(std::uint8_t protocol) {
    return Externals<Family>::space_index(protocol);
  }

  Sessions<Family>& sessions_;
  PortSeeker<Family>& seeker_;
};

extern template class BlockChoice<Ipv4>;
extern template class BlockChoice<Ipv6>;

}  // namespace swnat
