// The first packet of a session as its host sends it, without data: what a session can be asked for
// by.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <variant>

#include "engine/base/bytes.h"
#include "engine/wire/family.h"
#include "engine/wire/headers.h"
#include "swnat/engine.h"

namespace swnat {

// Its checksums are 0: it is read, and never sent.
template <class Family>
class OpeningPacket {
 public:
  // TCP or UDP, both endpoints of this family.
  explicit OpeningPacket(const SessionName& name) {
    const bool is_tcp = name.protocol == protocol::tcp;
    const std::size_t transport = is_tcp ? tcp_header_min : udp_header_size;
    size_ = Family::header_min + transport;
    std::uint8_t* ip = bytes_.data();
    if constexpr (Family::version == 4) {
      ip[0] = 0x45;
      store_be16(ip + 2, static_cast<std::uint16_t>(size_));
      ip[9] = name.protocol;
    } else {
      ip[0] = 0x60;
      store_be16(ip + 4, static_cast<std::uint16_t>(transport));
      ip[6] = name.protocol;
    }
    using Address = typename Family::Address;
    store_wire(ip + Family::source_offset, std::get<Address>(name.internal.address).wire);
    store_wire(ip + Family::destination_offset, std::get<Address>(name.remote.address).wire);
    std::uint8_t* header = ip + Family::header_min;
    store_be16(header, name.internal.port);
    store_be16(header + 2, name.remote.port);
    if (is_tcp) {
      header[12] = tcp_header_min / 4 << 4;
      header[13] = tcp_flag::syn;
    } else {
      store_be16(header + 4, udp_header_size);
    }
  }

  std::span<std::uint8_t> bytes() { return {bytes_.data(), size_}; }

 private:
  std::array<std::uint8_t, ipv6_header_size + tcp_header_min> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace swnat
