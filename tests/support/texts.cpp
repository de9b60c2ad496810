#include "tests/support/texts.h"

#include <string>

namespace swnat {

doctest::String toString(Reason reason) {
  return std::string(info(reason).name).c_str();
}

doctest::String toString(SessionState state) {
  constexpr const char* names[] = {
#define X(name, text) #name,
      SWNAT_SESSION_STATES(X)
#undef X
  };
  return names[static_cast<std::size_t>(state)];
}

doctest::String toString(TcpEffect effect) {
  constexpr const char* names[] = {"refresh", "none", "closed"};
  return names[static_cast<std::size_t>(effect)];
}

doctest::String toString(const Endpoint<Ipv4Address>& endpoint) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string(endpoint.address.host() >> shift & 0xff) + (shift == 0 ? ':' : '.');
  }
  return (text + std::to_string(endpoint.port)).c_str();
}

doctest::String toString(const Endpoint<Ipv6Address>& endpoint) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text = "[";
  const auto octets = endpoint.address.octets();
  for (std::size_t i = 0; i < octets.size(); ++i) {
    if (i != 0 && i % 2 == 0) text += ':';
    text += digits[octets[i] >> 4];
    text += digits[octets[i] & 0xf];
  }
  return (text + "]:" + std::to_string(endpoint.port)).c_str();
}

}  // namespace swnat
