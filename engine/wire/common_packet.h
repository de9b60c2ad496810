// The packet that nearly every packet is: whole, and TCP or UDP right behind an IP header without
// options or extension headers.
//
// It is read and rewritten here in a few instructions, for the batch's loop. It is not another gate
// beside parse(): what is common passes there too, with the same ports and addresses, and whatever
// is not common is left to it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/base/bytes.h"
#include "engine/wire/family.h"
#include "engine/wire/headers.h"
#include "engine/wire/leg.h"
#include "engine/wire/parse.h"
#include "swnat/packet.h"

namespace swnat {

// Whether the packet is common. All that the functions below read and write is then there.
template <class Family>
bool is_common(const Packet& packet);

template <class Family>
inline std::uint8_t* common_transport(const Packet& packet) {
  return packet.bytes.data() + Family::header_min;
}

template <class Family>
inline std::uint8_t common_protocol(const Packet& packet) {
  return packet.bytes[Family::version == 4 ? 9 : 6];
}

// Local is the packet's destination if it is inbound, else its source. Which it is decides what is
// read and written where, without a branch, because directions alternate.
inline std::uint32_t read_ports(const std::uint8_t* transport, bool is_inbound) {
  return std::rotl(__builtin_bswap32(load_wire<std::uint32_t>(transport)), is_inbound ? 0 : 16);
}
inline void write_ports(std::uint8_t* transport, std::uint32_t ports, bool is_inbound) {
  store_wire(transport, __builtin_bswap32(std::rotl(ports, is_inbound ? 0 : 16)));
}

// A leg in as few words as it fits in.
template <class Family>
struct LegWords;

template <>
struct LegWords<Ipv4> {
  std::uint64_t addresses;  // as they lie in a Leg
  std::uint32_t ports;      // as they lie in a Leg

  static LegWords of(const Leg<Ipv4>& leg) {
    LegWords words;
    std::memcpy(&words.addresses, &leg.local, sizeof words.addresses);
    std::memcpy(&words.ports, &leg.local_port, sizeof words.ports);
    return words;
  }
  Leg<Ipv4> leg() const {
    return {{static_cast<std::uint32_t>(addresses)},
            {static_cast<std::uint32_t>(addresses >> 32)},
            static_cast<std::uint16_t>(ports),
            static_cast<std::uint16_t>(ports >> 16)};
  }

  static LegWords read(const Packet& packet, bool is_inbound) {
    const auto in_packet = load_wire<std::uint64_t>(packet.bytes.data() + Ipv4::source_offset);
    return {std::rotl(in_packet, is_inbound ? 32 : 0),
            read_ports(common_transport<Ipv4>(packet), is_inbound)};
  }
  void write(const Packet& packet, bool is_inbound) const {
    store_wire(packet.bytes.data() + Ipv4::source_offset,
               std::rotl(addresses, is_inbound ? 32 : 0));
    write_ports(common_transport<Ipv4>(packet), ports, is_inbound);
  }

  bool operator==(const LegWords& other) const {
    return ((addresses ^ other.addresses) | (ports ^ other.ports)) == 0;
  }
};
static_assert(offsetof(Leg<Ipv4>, remote) == 4 && offsetof(Leg<Ipv4>, remote_port) == 10);
static_assert(Ipv4::destination_offset == Ipv4::source_offset + 4);

template <>
struct LegWords<Ipv6> {
  Ipv6Address local;
  Ipv6Address remote;
  std::uint32_t ports;

  static LegWords of(const Leg<Ipv6>& leg) {
    LegWords words{leg.local, leg.remote, 0};
    std::memcpy(&words.ports, &leg.local_port, sizeof words.ports);
    return words;
  }
  Leg<Ipv6> leg() const {
    return {local, remote, static_cast<std::uint16_t>(ports),
            static_cast<std::uint16_t>(ports >> 16)};
  }

  static LegWords read(const Packet& packet, bool is_inbound) {
    const std::uint8_t* ip = packet.bytes.data();
    const auto address = [ip](std::size_t offset) {
      return Ipv6Address{
          {load_wire<std::uint64_t>(ip + offset), load_wire<std::uint64_t>(ip + offset + 8)}};
    };
    return {address(local_offset(is_inbound)), address(local_offset(!is_inbound)),
            read_ports(common_transport<Ipv6>(packet), is_inbound)};
  }
  void write(const Packet& packet, bool is_inbound) const {
    std::uint8_t* ip = packet.bytes.data();
    store_wire(ip + local_offset(is_inbound), local.wire);
    store_wire(ip + local_offset(!is_inbound), remote.wire);
    write_ports(common_transport<Ipv6>(packet), ports, is_inbound);
  }

  bool operator==(const LegWords& other) const {
    return (difference(local, other.local) | difference(remote, other.remote) |
            (ports ^ other.ports)) == 0;
  }

 private:
  static std::size_t local_offset(bool is_inbound) {
    return Ipv6::source_offset +
           (Ipv6::destination_offset - Ipv6::source_offset) * std::size_t{is_inbound};
  }
};
static_assert(offsetof(Leg<Ipv6>, remote_port) == offsetof(Leg<Ipv6>, local_port) + 2);

template <class Family>
inline bool is_common(const Packet& packet) {
  const std::uint8_t* ip = packet.bytes.data();
  const std::size_t size = packet.bytes.size();
  if (size < Family::header_min + udp_header_size) return false;
  if constexpr (Family::version == 4) {
    constexpr std::uint16_t fragment = ipv4_more_fragments | ipv4_fragment_offset;
    if (ip[0] != 0x45 || (load_wire<std::uint16_t>(ip + 6) & __builtin_bswap16(fragment)) != 0) {
      return false;
    }
  } else {
    if (ip[0] >> 4 != 6) return false;
  }
  const std::size_t length = Family::length(ip);
  if (length > size || length < Family::header_min + udp_header_size) return false;
  const std::uint8_t* transport = ip + Family::header_min;
  const std::size_t transport_size = length - Family::header_min;
  const std::uint8_t number = common_protocol<Family>(packet);
  if (number == protocol::udp) return is_sound_udp(transport, transport_size);
  return number == protocol::tcp && is_sound_tcp(transport, transport_size);
}

}  // namespace swnat
