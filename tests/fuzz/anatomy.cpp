#include "tests/fuzz/anatomy.h"

#include <algorithm>
#include <array>

namespace swnat::fuzz {
namespace {

std::optional<Anatomy> read_ipv4(View bytes, bool is_quoted) {
  if (bytes.size() < 20) return {};
  Anatomy found;
  found.version = 4;
  found.length = is_quoted ? bytes.size() : word_at(bytes, 2);
  const std::size_t header_size = std::size_t{4} * (bytes[0] & 15);
  if (header_size < 20 || header_size > found.length || found.length > bytes.size()) return {};
  found.source_at = 12;
  found.address_size = 4;
  found.source = Ipv4Address::of(bytes[12], bytes[13], bytes[14], bytes[15]);
  found.destination = Ipv4Address::of(bytes[16], bytes[17], bytes[18], bytes[19]);
  found.protocol = bytes[9];
  found.transport = header_size;
  found.transport_size = found.length - header_size;
  found.identification = 4;
  found.identification_is = word_at(bytes, 4);
  found.dont_fragment = (bytes[6] & 0x40) != 0;
  found.more = (bytes[6] & 0x20) != 0;
  found.fragment_offset = (word_at(bytes, 6) & 0x1fffU) * 8;
  return found;
}

Ipv6Address ipv6_at(View bytes, std::size_t at) {
  std::array<std::uint8_t, 16> octets;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), octets.size(), octets.begin());
  return Ipv6Address::of(octets);
}

std::optional<Anatomy> read_ipv6(View bytes, bool is_quoted) {
  if (bytes.size() < 40) return {};
  Anatomy found;
  found.version = 6;
  found.length = is_quoted ? bytes.size() : std::size_t{40} + word_at(bytes, 4);
  if (found.length > bytes.size()) return {};
  found.source_at = 8;
  found.address_size = 16;
  found.source = ipv6_at(bytes, 8);
  found.destination = ipv6_at(bytes, 24);
  std::uint8_t next = bytes[6];
  std::size_t at = 40;
  const auto is_extension = [&] {
    return next == number::hop_by_hop || next == number::routing || next == number::fragment ||
           next == number::destination_options;
  };
  while (is_extension() && !found.is_later()) {
    if (found.length - at < 8) return {};
    std::size_t size = 8;
    if (next == number::fragment) {
      ++found.fragment_headers;
      found.fragment_offset = word_at(bytes, at + 2) & 0xfff8U;
      found.more = (bytes[at + 3] & 1) != 0;
      found.identification = at + 4;
      found.identification_is =
          std::uint32_t{word_at(bytes, at + 4)} << 16 | word_at(bytes, at + 6);
    } else {
      ++found.extensions;
      size = (std::size_t{bytes[at + 1]} + 1) * 8;
      if (next == number::routing && bytes[at + 3] != 0) found.is_source_routed = true;
    }
    if (size > found.length - at) return {};
    next = bytes[at];
    at += size;
  }
  found.protocol = next;
  found.transport = at;
  found.transport_size = found.length - at;
  return found;
}

std::optional<std::uint8_t> icmp_type(View packet, const Anatomy& anatomy) {
  if (!anatomy.is_icmp() || anatomy.is_later() || anatomy.transport_size < 8) return {};
  return packet[anatomy.transport];
}

// What the checksum covers of the packet: UDP says its own length.
std::size_t summed_size(View packet, const Anatomy& anatomy) {
  if (anatomy.protocol != number::udp || anatomy.is_fragment()) return anatomy.transport_size;
  const std::size_t says = word_at(packet, anatomy.transport + 4);
  return says >= 8 && says <= anatomy.transport_size ? says : anatomy.transport_size;
}

}  // namespace

std::optional<Anatomy> read(View bytes, bool is_quoted) {
  if (bytes.empty()) return {};
  if (bytes[0] >> 4 == 4) return read_ipv4(bytes, is_quoted);
  if (bytes[0] >> 4 == 6) return read_ipv6(bytes, is_quoted);
  return {};
}

bool is_icmp_error(View packet, const Anatomy& anatomy) {
  const auto type = icmp_type(packet, anatomy);
  if (!type) return false;
  if (anatomy.version == 4) return *type == 3 || *type == 11 || *type == 12;
  return *type >= 1 && *type <= 4;
}

bool is_echo_request(View packet, const Anatomy& anatomy) {
  return icmp_type(packet, anatomy) == (anatomy.version == 4 ? 8 : 128);
}

bool is_echo_reply(View packet, const Anatomy& anatomy) {
  return icmp_type(packet, anatomy) == (anatomy.version == 4 ? 0 : 129);
}

Ends ends_of(View packet, const Anatomy& anatomy) {
  Ends ends{{anatomy.source, 0}, {anatomy.destination, 0}};
  if (anatomy.has_ports()) {
    ends.source.port = word_at(packet, anatomy.transport);
    ends.destination.port = word_at(packet, anatomy.transport + 2);
  } else if (is_echo_request(packet, anatomy)) {
    ends.source.port = word_at(packet, anatomy.transport + 4);
  } else if (is_echo_reply(packet, anatomy)) {
    ends.destination.port = word_at(packet, anatomy.transport + 4);
  }
  return ends;
}

std::uint16_t one_zero(std::uint16_t number) {
  return number == 0xffff ? std::uint16_t{0} : number;
}

std::uint16_t ones_sum(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t sum = std::uint32_t{a} + b;
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}

std::uint16_t header_damage(View packet, const Anatomy& anatomy) {
  return one_zero(test::naive_sum(packet.first(anatomy.transport)));
}

std::optional<std::size_t> transport_sum_at(View packet, const Anatomy& anatomy) {
  if (anatomy.is_later()) return {};
  std::size_t at = 0;
  if (anatomy.protocol == number::tcp) {
    at = 16;
  } else if (anatomy.protocol == number::udp) {
    at = 6;
  } else if (icmp_type(packet, anatomy)) {
    at = 2;
  } else {
    return {};
  }
  if (anatomy.transport_size < at + 2) return {};
  return anatomy.transport + at;
}

std::optional<std::uint16_t> transport_damage(View packet, const Anatomy& anatomy) {
  const auto at = transport_sum_at(packet, anatomy);
  if (!at) return {};
  if (anatomy.protocol == number::udp && word_at(packet, *at) == 0) return {};
  const std::size_t size = summed_size(packet, anatomy);
  std::uint16_t sum = test::naive_sum(packet.subspan(anatomy.transport, size));
  if (anatomy.protocol != number::icmp) {
    sum = ones_sum(sum, address_sum(packet, anatomy));
    sum = ones_sum(sum, anatomy.protocol);
    sum = ones_sum(sum, static_cast<std::uint16_t>(size));
  }
  return one_zero(sum);
}

std::uint16_t address_sum(View packet, const Anatomy& anatomy) {
  return test::naive_sum(packet.subspan(anatomy.source_at, 2 * anatomy.address_size));
}

}  // namespace swnat::fuzz
