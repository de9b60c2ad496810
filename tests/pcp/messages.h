// Requests as clients send them, octet by octet as the RFCs draw them: built by code of its own, so
// that the server's reading is never its own judge.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "swnat/address_text.h"
#include "tools/pcp/octets.h"

namespace swnat::test {

using pcp::Octets;

inline Octets octets(std::string_view hex) {
  Octets bytes;
  int high = -1;
  for (const char c : hex) {
    if (c == ' ' || c == '\n') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::uint8_t>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

inline Octets joined(std::initializer_list<Octets> parts) {
  Octets all;
  for (const Octets& each : parts) all.insert(all.end(), each.begin(), each.end());
  return all;
}

// From 10.0.0.2.
inline const Octets header_of_map =
    octets("02 01 0000 00000e10 00000000 00000000 0000ffff 0a000002");
inline const Octets header_of_peer =
    octets("02 02 0000 00000e10 00000000 00000000 0000ffff 0a000002");
inline const Octets header_of_announce =
    octets("02 00 0000 00000000 00000000 00000000 0000ffff 0a000002");
inline const Octets nonce = octets("000102030405060708090a0b");
// UDP port 5000, any external endpoint.
inline const Octets map_udp_5000 =
    joined({nonce, octets("11 000000 1388 0000 00000000 00000000 0000ffff 00000000")});
// With 198.51.100.7:7000.
inline const Octets peer_udp_5000 =
    joined({map_udp_5000, octets("1b58 0000 00000000 00000000 0000ffff c6336407")});

inline IpEndpoint endpoint(std::string_view text) {
  return *parse_endpoint(text);
}
inline IpAddress address(std::string_view text) {
  return *parse_address(text);
}

}  // namespace swnat::test
