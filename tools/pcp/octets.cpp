#include "tools/pcp/octets.h"

#include <algorithm>
#include <array>

namespace swnat::pcp {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::uint16_t read_16(View bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::uint32_t read_32(View bytes, std::size_t at) {
  return std::uint32_t{read_16(bytes, at)} << 16 | read_16(bytes, at + 2);
}

IpAddress read_address(View bytes, std::size_t at) {
  std::array<std::uint8_t, 16> octets;
  std::ranges::copy(bytes.subspan(at, octets.size()), octets.begin());
  if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), octets.begin())) {
    return Ipv4Address::of(octets[12], octets[13], octets[14], octets[15]);
  }
  return Ipv6Address::of(octets);
}

void append_16(Octets& bytes, std::uint32_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value >> 8));
  bytes.push_back(static_cast<std::uint8_t>(value));
}

void append_32(Octets& bytes, std::uint32_t value) {
  append_16(bytes, value >> 16);
  append_16(bytes, value & 0xffff);
}

void append_address(Octets& bytes, const IpAddress& address) {
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    bytes.insert(bytes.end(), mapped_prefix.begin(), mapped_prefix.end());
    append_32(bytes, v4->host());
  } else {
    const auto octets = std::get<Ipv6Address>(address).octets();
    bytes.insert(bytes.end(), octets.begin(), octets.end());
  }
}

bool is_unspecified(const IpAddress& address) {
  return address == IpAddress(Ipv4Address{}) || address == IpAddress(Ipv6Address{});
}

}  // namespace swnat::pcp
