#include "rules/address_text.h"

#include <arpa/inet.h>
#include <fmt/format.h>

namespace swnat::rules {

std::string to_text(Ipv4Address address) {
  const std::uint32_t host = address.host();
  return fmt::format("{}.{}.{}.{}", host >> 24, host >> 16 & 0xff, host >> 8 & 0xff, host & 0xff);
}

std::string to_text(const Subnet& subnet) {
  return fmt::format("{}/{}", to_text(subnet.address), subnet.length);
}

std::optional<Ipv4Address> parse_ipv4(std::string_view text) {
  const std::string terminated(text);
  if (terminated.size() != std::string_view(terminated.c_str()).size()) return std::nullopt;
  in_addr address{};
  if (inet_pton(AF_INET, terminated.c_str(), &address) != 1) return std::nullopt;
  return Ipv4Address{address.s_addr};
}

bool looks_like_ipv6(std::string_view text) {
  return text.find(':') != std::string_view::npos;
}

}  // namespace swnat::rules
