#include "tests/property/cast.h"

#include <cstdio>

namespace swnat::property {
namespace {

IpAddress v4_of(std::uint8_t a, std::uint8_t b, std::uint8_t c, unsigned d) {
  return Ipv4Address::of(a, b, c, static_cast<std::uint8_t>(d));
}

IpAddress v6_of(std::uint16_t first, std::uint16_t second, std::uint16_t third, unsigned last) {
  const auto high = [](std::uint16_t word) { return static_cast<std::uint8_t>(word >> 8); };
  const auto low = [](std::uint16_t word) { return static_cast<std::uint8_t>(word); };
  return Ipv6Address::of({high(first), low(first), high(second), low(second), high(third),
                          low(third), 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(last)});
}

IpAddress impossible(bool v6, unsigned number) {
  switch (number) {
    case 0:
      return v6 ? v6_of(0, 0, 0, 1) : v4_of(127, 0, 0, 1);
    case 1:
      return v6 ? v6_of(0xff02, 0, 0, 1) : v4_of(224, 0, 0, 1);
    case 2:
      return v6 ? v6_of(0, 0, 0, 0) : v4_of(0, 0, 0, 0);
    default:
      return v6 ? v6_of(0xff0e, 0, 0, 7) : v4_of(255, 255, 255, 255);
  }
}

}  // namespace

IpAddress internal_host(bool v6, std::uint8_t number) {
  return v6 ? v6_of(0xfd00, 0, 0, 2u + number) : v4_of(10, 0, 0, 2u + number);
}

IpAddress internal_router(bool v6) {
  return v6 ? v6_of(0xfd00, 0, 0, 254) : v4_of(10, 0, 0, 254);
}

IpAddress external_host(bool v6, std::uint8_t number) {
  return v6 ? v6_of(0x2001, 0xdb8, 1, 1u + number) : v4_of(203, 0, 113, 1u + number);
}

IpAddress remote_router(bool v6) {
  return v6 ? v6_of(0x2001, 0xdb8, 0x99, 254) : v4_of(192, 0, 2, 254);
}

IpAddress remote_host(bool v6, std::uint8_t number) {
  if (number >= first_impossible) return impossible(v6, unsigned{number} - first_impossible);
  if (number >= first_within) {
    return v6 ? v6_of(0xfd00, 7, 0, number) : v4_of(10, 7, 0, number);
  }
  return v6 ? v6_of(0x2001, 0xdb8, 0x51, 1u + number) : v4_of(198, 51, 100, 1u + number);
}

IpNetwork within_network(bool v6) {
  if (v6) return Network<Ipv6Address>{std::get<Ipv6Address>(v6_of(0xfd00, 7, 0, 0)), 32};
  return Network<Ipv4Address>{Ipv4Address::of(10, 7, 0, 0), 16};
}

IpNetwork untranslated_remote(bool v6) {
  const IpAddress address = remote_host(v6, untranslated_number);
  if (v6) return Network<Ipv6Address>{std::get<Ipv6Address>(address), 128};
  return Network<Ipv4Address>{std::get<Ipv4Address>(address), 32};
}

bool is_v6(const IpAddress& address) {
  return std::holds_alternative<Ipv6Address>(address);
}

bool contains(const IpNetwork& network, const IpAddress& address) {
  if (const auto* v6 = std::get_if<Network<Ipv6Address>>(&network)) {
    return is_v6(address) && v6->contains(std::get<Ipv6Address>(address));
  }
  return !is_v6(address) &&
         std::get<Network<Ipv4Address>>(network).contains(std::get<Ipv4Address>(address));
}

std::string text(const IpAddress& address) {
  char line[64];
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    const std::uint32_t host = v4->host();
    std::snprintf(line, sizeof line, "%u.%u.%u.%u", host >> 24, host >> 16 & 255, host >> 8 & 255,
                  host & 255);
    return line;
  }
  std::string all;
  const auto octets = std::get<Ipv6Address>(address).octets();
  for (std::size_t i = 0; i < octets.size(); i += 2) {
    std::snprintf(line, sizeof line, "%s%x", i == 0 ? "" : ":", octets[i] << 8 | octets[i + 1]);
    all += line;
  }
  return "[" + all + "]";
}

std::string text(const IpEndpoint& endpoint) {
  return text(endpoint.address) + ":" + std::to_string(endpoint.port);
}

}  // namespace swnat::property
